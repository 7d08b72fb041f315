"""`.data` files: where the pictures of a data set are, what its classes are called, and where training writes to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.diagnostic import Severity
from cspdet.cfg.number import atoi
from cspdet.data.finding import Finding
from cspdet.errors import UsageError
from cspdet.layers.yolo import LARGEST_CLASSES
from cspdet.names import Setting, check_names, read_names, read_settings, setting_lines
from cspdet.paths import above, exists, first_file, is_folder
from cspdet.text import brief, counted, nearest, slip

# What a data set is divided into, by the names of its lists.
PARTS = ("train", "valid")
# What is read of a `.data` file here, and what else Darknet knows (`detector.c`, `classifier.c`).
_KEYS = ("classes", *PARTS, "difficult", "names", "labels", "top", "backup")
_DARKNETS_KEYS = ("map", "eval", "results", "leaves", "test")


class Description(NamedTuple):
    """What a `.data` file says. Lists that it does not name are None.

    Paths are resolved against the working directory, as Darknet does, else against the file's own folder or that above.
    """

    path: Path
    classes: int
    names: tuple[str, ...]
    train: Path | None
    valid: Path | None
    difficult: Path | None
    backup: Path
    # Everything the file says, as written.
    written: dict[str, str]
    # The file that the names come from.
    names_file: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What a classifier's classes are called in the paths of its pictures: the lines of `labels=`, else the names.

        Raises:
            UsageError: there is neither, or `labels=` is not there or has more or fewer lines than there are classes.
        """
        if file := self.labels_file:
            names = read_names(file)
            cure = f"write one name per line, or `classes = {len(names)}`"
            return check_names(names, self.classes, f"`{file}`", f"`{self.path}`", cure)
        if not self.names:
            raise UsageError(f"`{self.path}` has neither `labels=` nor `names=`", "name a file with the name of each class")
        return self.names

    @property
    def labels_file(self) -> Path | None:
        """The file that `labels=` names, if it names one.

        Raises:
            UsageError: it is not there.
        """
        name = self.written.get("labels")
        found = first_file(places(name, self.path)) if name else None
        if name and found is None:
            raise UsageError(f"`{self.path}` points to `{name}`, which is not there", "put it there, or leave it out")
        return found

    @property
    def top(self) -> int:
        """How many classes count as a classifier's first ones; 0 if the file does not say."""
        return max(0, atoi(self.written.get("top", ""))[0])

    def list_of(self, part: str) -> Path:
        """The list `train` or `valid`.

        Raises:
            UsageError: the file names none.
        """
        found: Path | None = getattr(self, part)
        if found is None:
            raise UsageError(f"`{self.path}` has no `{part}=`", f"add `{part} = path/to/list.txt`, a list of images")
        return found

    def class_name(self, number: int) -> str:
        """The name of a class, or its number where it has none."""
        return self.names[number] if 0 <= number < len(self.names) else str(number)


def read_description(path: str | Path) -> Description:
    """Read a `.data` file (`option_list.c:read_data_cfg`, `detector.c:train_detector`).

    Raises:
        UsageError: it is missing or not text, a file it names is not there, or its numbers disagree.
    """
    description, findings = examine_description(path)
    for each in findings:
        if each.severity == "error":
            raise UsageError(each.message, each.help)
    return description


def examine_description(path: str | Path) -> tuple[Description, list[Finding]]:
    """What a `.data` file says as far as it can be made out, and what is wrong with it.

    Raises:
        UsageError: it is missing or not text, or says nothing.
    """
    path = Path(path)
    settings = read_settings(path)
    if path.suffix == ".cfg":
        raise UsageError(f"`{path}` is a cfg, not a .data file", "name the file with `train=` and `names=` in it")
    if not settings:
        raise UsageError(f"`{path}` says nothing", "write lines such as `classes = 3`, `train = train.txt`, `names = X.names`")
    reader = _Reader(path, settings)
    names, names_file = reader.names()
    classes = reader.classes(names)
    train, valid, difficult = (reader.file(key, lists=True) for key in (*PARTS, "difficult"))
    reader.check_map()
    reader.check_keys()
    written = {key: setting.value for key, setting in settings.items()}
    backup = _backup(path, written)
    return Description(path, classes, names, train, valid, difficult, backup, written, names_file), reader.findings


class _Reader:
    def __init__(self, path: Path, settings: dict[str, Setting]) -> None:
        self.path = path
        self.settings = settings
        self.findings: list[Finding] = []

    def find(self, severity: Severity, code: str, message: str, key: str, label: str = "", cure: str = "") -> None:
        self.add(severity, code, message, self.settings[key].line if key in self.settings else 1, label, cure)

    def add(self, severity: Severity, code: str, message: str, line: int, label: str, cure: str) -> None:
        self.findings.append(Finding(severity, code, message, str(self.path), line, label, cure))

    def value(self, key: str) -> str:
        return self.settings[key].value if key in self.settings else ""

    def file(self, key: str, *, lists: bool = False) -> Path | None:
        """The file that `key` names; for a list, a folder will do."""
        name = self.value(key)
        if not name:
            return None
        candidates = places(name, self.path)
        found = first_file(candidates) or next((each for each in candidates if lists and is_folder(each)), None)
        if found is None:
            where = f"the working directory, in `{self.path.parent}` and above"
            cure = f"put it there, or correct `{key}=`; it is looked for in {where}"
            fact = "is a folder" if any(map(is_folder, candidates)) else "is not there"
            message = f"`{self.path}` points to `{brief(name, 120)}`, which {fact}"
            self.find("error", "missing-list" if lists else "missing-names", message, key, "", cure)
        return found

    def names(self) -> tuple[tuple[str, ...], Path | None]:
        found = self.file("names")
        if found is None:
            return (), None
        try:
            return read_names(found), found
        except UsageError as error:
            self.find("error", "missing-names", error.message, "names", "", error.help)
        return (), None

    def classes(self, names: tuple[str, ...]) -> int:
        """The number of classes; 0 where nothing tells it."""
        text = self.value("classes")
        classes, rest = atoi(text) if text else (len(names), "")
        if not 1 <= classes <= LARGEST_CLASSES:
            where = (
                f"`classes={brief(text)}` in `{self.path}`" if text else f"`{self.path}` has neither `classes=` nor `names=`"
            )
            what = "no class is left" if classes < 1 else f"more than {LARGEST_CLASSES:,} classes are not possible"
            if text and rest == text:
                what = f"`{brief(text)}` is no number"
            # Without names, because these could not be read: that has been said.
            if text or not self.findings:
                self.find("error", "no-classes", f"{where}: {what}", "classes", "", "write how many classes there are")
            return len(names)
        if rest:
            message = f"`classes={brief(text)}` in `{self.path}` is read as {classes}"
            self.find("warning", "odd-classes", message, "classes", "", f"write `classes = {classes}`")
        if names and len(names) != classes:
            there, wanted = counted(len(names), "name"), counted(classes, "class", "classes")
            message = f"`{self.value('names')}` has {there}, `{self.path}` {wanted}"
            cure = f"write one name per line, or `classes = {len(names)}`"
            self.find("error", "classes-names", message, "classes", "", cure)
        return classes

    def check_map(self) -> None:
        """Say that `map=` does nothing, or that its file is not there.

        Darknet reads it in `detector.c:validate_detector` only, of which cspdet has no counterpart.
        """
        name = self.value("map")
        if not name:
            return
        cure = "leave it out; for training, `map=` in the head of the cfg maps classes"
        if first_file(places(name, self.path)):
            label = "only Darknet's `detector valid` uses it"
            self.find("note", "unused-map", f"`map=` in `{self.path}` does nothing here", "map", label, cure)
        else:
            message = f"`{self.path}` points to `{brief(name, 120)}`, which is not there"
            label = "nothing here uses it, but Darknet's `detector valid` stops"
            self.find("warning", "missing-map", message, "map", label, f"put it there, or {cure}")

    def check_keys(self) -> None:
        """Say which lines nobody reads. A slip in a key whose setting is missing otherwise would change what the file says."""
        for key, (value, line) in setting_lines(self.path):
            if not key:
                message, label = f"`{brief(value)}` is no setting", "nobody reads it"
                self.add("warning", "no-setting", message, line, label, "write `key = value`, or `#` before a comment")
            elif key not in (*_KEYS, *_DARKNETS_KEYS):
                meant = slip(key, _KEYS)
                near = meant or nearest(key, _KEYS)
                severity: Severity = "error" if meant and meant not in self.settings else "warning"
                message = f"`{self.path}` has no use for `{brief(key)}=`"
                cure = f"did you mean `{near}`?" if near else "remove it, or write `#` before it"
                self.add(severity, "unknown-key", message, line, "nobody reads it", cure)
            elif self.settings[key].line != line:
                first = self.settings[key].line
                message, label = f"`{key}=` is set in line {first} already", "the first counts, as in Darknet"
                self.add("warning", "key-twice", message, line, label, "remove one of the two")


def _backup(path: Path, written: dict[str, str]) -> Path:
    """Where weights go: Darknet's default is `/backup/`, which nobody has. In what is not there yet, slashes are turned."""
    name = written.get("backup") or "backup"
    found = next((Path(each) for each in _spellings(name) if Path(each).is_absolute() or exists(each)), None)
    return found or path.parent / _spellings(name)[-1]


def places(name: str, beside: Path) -> tuple[Path, ...]:
    """Where a file that `beside` names may be: in the working directory, in the folder of `beside`, and in that above.

    First as written, then with the slashes of Windows turned.
    """
    home = beside.parent
    return tuple(dict.fromkeys(place / each for each in _spellings(name) for place in (Path(), home, above(home))))


def _spellings(name: str) -> tuple[str, ...]:
    """A path as written, and with the slashes of Windows turned."""
    return (name, name.replace("\\", "/")) if "\\" in name else (name,)
