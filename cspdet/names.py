"""Class names: `.names` files, a name per line, and Darknet's `.data` files, which point to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.source import read_text
from cspdet.errors import UsageError
from cspdet.paths import file_near, is_file
from cspdet.text import counted

# `str.splitlines` would also split at characters that may stand within a name.
_LINE_END = re.compile(r"\r\n|\r|\n")


def read_names(path: str | Path) -> tuple[str, ...]:
    """The names in a file, one per line; blank lines at the end do not count.

    Raises:
        UsageError: the file is missing, not text, or empty.
    """
    text = read_text(path, "a list of class names")
    lines = [line.strip() for line in _LINE_END.split(text)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UsageError(f"`{path}` holds no class names", "write one name per line")
    return tuple(lines)


class Setting(NamedTuple):
    """A value of a `.data` file, and the line it stands in, counted from 1."""

    value: str
    line: int


def setting_lines(path: str | Path) -> Iterator[tuple[str, Setting]]:
    """All lines of a `.data` file that are no comments, as key and value; the key of a line that is no setting is empty.

    Raises:
        UsageError: the file is missing or not text.
    """
    for number, text in enumerate(_LINE_END.split(read_text(path, "a .data file")), 1):
        line = text.strip()
        if line and line[0] not in "#;":
            key, equals, value = line.partition("=")
            yield (key.strip(), Setting(value.strip(), number)) if equals else ("", Setting(line, number))


def read_settings(path: str | Path) -> dict[str, Setting]:
    """The `key = value` lines of a `.data` file (`option_list.c:read_data_cfg`). Of a key that is set twice, the first counts.

    Raises:
        UsageError: the file is missing or not text.
    """
    found: dict[str, Setting] = {}
    for key, setting in setting_lines(path):
        if key:
            found.setdefault(key, setting)
    return found


def read_data(path: str | Path) -> dict[str, str]:
    """The same without the lines.

    Raises:
        UsageError: the file is missing or not text.
    """
    return {key: setting.value for key, setting in read_settings(path).items()}


def names_of_data(path: str | Path) -> tuple[str, ...]:
    """The names a `.data` file points to, looked for in the working directory, as Darknet does, else near the file.

    Raises:
        UsageError: it points to none, or they are not there.
    """
    wanted = read_data(path).get("names")
    if not wanted:
        raise UsageError(f"`{path}` has no `names=`", "add `names = path/to/classes.names`")
    found = file_near(wanted, Path(path))
    if found is None:
        raise UsageError(f"`{path}` points to `{wanted}`, which is not there", "put the file there, or give `--names FILE`")
    return read_names(found)


def beside(*paths: Path | None) -> Iterator[Path]:
    """`.names` files that stand beside the given files under the same name."""
    for path in paths:
        if path is not None and path.name and is_file(path.with_suffix(".names")):
            yield path.with_suffix(".names")


def check_names(
    names: Sequence[str],
    classes: int,
    where: str,
    whose: str = "the network",
    cure: str = "use the names the weights were trained with",
) -> tuple[str, ...]:
    """The names, which stand `where`, if there is one for every class; `whose` they are, and the cure, are for the message.

    Raises:
        UsageError: there are more or fewer.
    """
    if len(names) != classes:
        there, wanted = counted(len(names), "name", "names"), counted(classes, "class", "classes")
        raise UsageError(f"{where} has {there}, {whose} {wanted}", cure)
    return tuple(names)
