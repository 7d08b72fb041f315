"""`.data` files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet.data.description import PARTS, examine_description, places, read_description
from cspdet.data.pictures import read_list
from cspdet.errors import UsageError
from cspdet.names import names_of_data
from cspdet.paths import above
from tests.conftest import reference_files
from tests.data.material import make_image

Write = Callable[[str, str], Path]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made.names").write_text("cat\ndog\n")
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).write_text("a.jpg\n")
    return tmp_path


def test_all_that_it_says(made: Path, write: Write) -> None:
    text = (
        "classes = 2\ntrain = train.txt\nvalid=val.txt\nnames =made.names\n# valid = other.txt\nbackup = kept/\neval = coco\n"
    )
    found = read_description(write("made.data", text))
    assert (found.classes, found.names) == (2, ("cat", "dog"))
    assert (found.train, found.valid, found.difficult) == (made / "train.txt", made / "val.txt", None)
    assert (found.backup, found.names_file) == (made / "kept", made / "made.names")
    assert found.written["eval"] == "coco"
    assert found.list_of("valid") == made / "val.txt"
    assert [found.class_name(number) for number in (-1, 0, 1, 2)] == ["-1", "cat", "dog", "2"]


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfclasses=2\r\nnames=made.names\r\n", b"classes=2\rnames=made.names\r"])
def test_marks_and_line_ends(made: Path, data: bytes) -> None:
    (made / "made.data").write_bytes(data)
    assert read_description(made / "made.data").names == ("cat", "dog")


def test_the_working_directory_comes_first(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "train.txt").write_text("b.jpg\n")
    (made / "made.data").write_text("classes=1\ntrain=train.txt\n")
    assert read_description(made / "made.data").train == made / "train.txt"
    monkeypatch.chdir(elsewhere)
    assert read_description(made / "made.data").train == Path("train.txt")


def test_darknets_layout_works_from_any_folder(tmp_path: Path) -> None:
    """`data/obj.data` with `train = data/train.txt` is meant to be used from the folder above."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").write_text("data/obj/a.jpg\n")
    (tmp_path / "data" / "obj.names").write_text("cat\n")
    data = tmp_path / "data" / "obj.data"
    data.write_text("classes= 1\ntrain  = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    assert read_description(data).train == tmp_path / "data" / "train.txt"


@pytest.mark.parametrize(
    ("stands", "given"),
    [("lists", "made.data"), ("lists", "./made.data"), ("lists/deep", "../made.data"), ("", "lists/made.data")],
)
def test_the_folder_above_is_looked_into_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands: str, given: str
) -> None:
    (tmp_path / "lists" / "deep").mkdir(parents=True)
    make_image(tmp_path / "images" / "a.png")
    (tmp_path / "made.names").write_text("cat\n")
    (tmp_path / "lists" / "train.txt").write_text("images/a.png\n")
    (tmp_path / "lists" / "made.data").write_text("classes=1\ntrain=lists/train.txt\nnames=made.names\n")
    monkeypatch.chdir(tmp_path / stands)
    found = read_description(given)
    assert found.names == names_of_data(given) == ("cat",)
    (picture,) = read_list(found.list_of("train"))
    assert picture.path.samefile(tmp_path / "images" / "a.png")


def test_nothing_is_above_the_root() -> None:
    assert above(Path("/")) == Path("/")
    assert above(Path("/a")) == Path("/")
    assert [str(above(Path(each))) for each in (".", "..", "a/..", "a", "a/b")] == ["..", "../..", "a/../..", ".", "a"]


def test_windows_slashes_are_turned(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("a.jpg\n")
    (tmp_path / "made.data").write_text("classes=1\ntrain=lists\\train.txt\n")
    assert read_description(tmp_path / "made.data").train == tmp_path / "lists" / "train.txt"


def test_a_name_with_a_backslash_is_taken_as_written_first(tmp_path: Path) -> None:
    assert [str(each) for each in places("a\\b", tmp_path / "x" / "made.data")] == [
        "a\\b",
        str(tmp_path / "x" / "a\\b"),
        str(tmp_path / "a\\b"),
        "a/b",
        str(tmp_path / "x" / "a/b"),
        str(tmp_path / "a/b"),
    ]
    assert places("/a", tmp_path / "made.data") == (Path("/a"),)


def test_a_folder_may_stand_for_a_list(made: Path, write: Write) -> None:
    (made / "images").mkdir()
    assert read_description(write("made.data", "classes=1\ntrain=images\n")).train == made / "images"


# text, code, line, words of the message
WRONG: dict[str, tuple[str, str, int, str]] = {
    "names are elsewhere": (
        "classes=2\nnames=other.names\n",
        "missing-names",
        2,
        "points to `other.names`, which is not there",
    ),
    "names are a folder": ("classes=2\nnames=folder\n", "missing-names", 2, "points to `folder`, which is a folder"),
    "names are empty": ("classes=2\nnames=empty.names\n", "missing-names", 2, "holds no class names"),
    "a list is elsewhere": ("classes=2\nvalid = no.txt\n", "missing-list", 2, "points to `no.txt`"),
    "no classes": ("train=train.txt\n", "no-classes", 1, "has neither `classes=` nor `names=`: no class is left"),
    "classes=0": ("# x\nclasses=0\n", "no-classes", 2, "`classes=0` in"),
    "classes=many": ("classes=many\n", "no-classes", 1, "`many` is no number"),
    "classes=-": ("classes=-\n", "no-classes", 1, "`-` is no number"),
    "a slip": ("classes=2\nbakcup=x\n", "unknown-key", 2, "has no use for `bakcup=`"),
    "a capital": ("classes=2\nNames=made.names\n", "unknown-key", 2, "has no use for `Names=`"),
    "classes=-3": ("classes=-3\n", "no-classes", 1, "no class is left"),
    "classes=1e30": ("classes=" + "9" * 5000, "no-classes", 1, "more than 100,000 classes are not possible"),
    "more names": ("names=made.names\nclasses=1\n", "classes-names", 2, "`made.names` has 2 names"),
    "fewer names": ("names=made.names\nclasses=3\n", "classes-names", 2, "3 classes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_line(made: Path, write: Write, name: str) -> None:
    (made / "folder").mkdir()
    (made / "empty.names").write_text("\n\n")
    text, code, line, words = WRONG[name]
    path = write("made.data", text)
    _, (finding,) = examine_description(path)
    assert (finding.severity, finding.code, finding.file, finding.line) == ("error", code, str(path), line)
    assert words in finding.message
    assert len(finding.message) < 400
    with pytest.raises(UsageError) as caught:
        read_description(path)
    assert (caught.value.message, caught.value.help) == (finding.message, finding.help)


@pytest.mark.usefixtures("made")
def test_a_number_that_is_cut_is_read_as_darknet_reads_it(write: Write) -> None:
    path = write("made.data", "classes = 2.5 # two\nnames = made.names\n")
    assert read_description(path).classes == 2
    _, (finding,) = examine_description(path)
    assert (finding.severity, finding.code) == ("warning", "odd-classes")
    assert finding.help == "write `classes = 2`"


@pytest.mark.parametrize(
    ("key", "cure"),
    [("trian", "did you mean `train`?"), ("VALID", "did you mean `valid`?"), ("val", "did you mean `valid`?"), ("x", "remove")],
)
def test_what_was_probably_meant(write: Write, key: str, cure: str) -> None:
    _, (finding,) = examine_description(write("made.data", f"classes=2\n{key}=x.txt\n"))
    assert finding.help.startswith(cure)


@pytest.mark.usefixtures("made")
def test_every_key_that_darknet_reads_is_known(write: Write) -> None:
    text = "classes=2\ntrain=train.txt\nvalid=val.txt\ndifficult=val.txt\nnames=made.names\nlabels=made.names\n"
    more = "backup=b\neval=coco\nresults=r\ntop=5\nleaves=made.names\ntest=train.txt\n"
    assert not examine_description(write("made.data", text + more))[1]


@pytest.mark.usefixtures("made")
def test_names_alone_say_how_many_classes(write: Write) -> None:
    assert read_description(write("made.data", "names = made.names\n")).classes == 2


@pytest.mark.usefixtures("made")
def test_of_a_key_that_is_set_twice_the_first_counts(write: Write) -> None:
    assert read_description(write("made.data", "classes=2\nclasses=3\n")).classes == 2


@pytest.mark.parametrize("text", ["", "\n\n", "# classes = 2\n", "just words\n"])
def test_a_file_that_says_nothing(write: Write, text: str) -> None:
    with pytest.raises(UsageError, match="says nothing"):
        read_description(write("made.data", text))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_description(tmp_path / "made.data")
    (tmp_path / "made.data").write_bytes(b"\0\1\2")
    with pytest.raises(UsageError, match="is not text"):
        read_description(tmp_path / "made.data")


def test_a_list_that_is_not_named(write: Write) -> None:
    found = read_description(write("made.data", "classes=1\n"))
    for part in PARTS:
        with pytest.raises(UsageError, match=f"has no `{part}=`"):
            found.list_of(part)


def test_labels_that_are_not_as_many_as_the_file_says(made: Path, write: Write) -> None:
    path = write("made.data", "classes=3\nlabels=made.names\n")
    with pytest.raises(UsageError) as caught:
        _ = read_description(path).labels
    assert caught.value.message == f"`{made / 'made.names'}` has 2 names, `{path}` 3 classes"
    assert caught.value.help == "write one name per line, or `classes = 2`"


def test_an_absolute_backup_stays(write: Write, tmp_path: Path) -> None:
    assert read_description(write("made.data", f"classes=1\nbackup={tmp_path}/b\n")).backup == tmp_path / "b"
    assert read_description(write("made.data", "classes=1\n")).backup == tmp_path / "backup"


def test_the_slashes_of_windows_in_a_backup_are_turned(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("made.data", "classes=1\nbackup=..\\weights\\x\n")
    assert read_description(path).backup == tmp_path / "../weights/x"
    (tmp_path / "here").mkdir()
    (tmp_path / "weights" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert read_description(path).backup == Path("../weights/x")
    (tmp_path / "here" / "..\\weights\\x").mkdir()
    assert read_description(path).backup == Path("..\\weights\\x")


@pytest.mark.reference
@pytest.mark.parametrize("path", reference_files("data/*/*.data"), ids=lambda path: path.stem)
def test_real_sets(path: Path) -> None:
    found, findings = examine_description(path)
    assert not findings
    assert found.classes == len(found.names) in (3, 6, 80)
