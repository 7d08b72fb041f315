"""What the commands share that change cfg files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import unified_diff
from io import StringIO

from cspdet.cfg.source import Source
from cspdet.commands.common import standard_input
from cspdet.errors import UsageError
from cspdet.files import replacing
from cspdet.models import known
from cspdet.paths import exists
from cspdet.text import printable


def read_own(name: str) -> Source:
    """The cfg file of that path, which is to be changed, or standard input for `-`.

    Raises:
        UsageError: there is none, or it cannot be written.
    """
    if name == "-":
        return standard_input()
    if not exists(name) and name in known():
        raise UsageError(f"`{name}` is a model of cspdet's, which stays as it is", "copy its cfg, and name the copy")
    return Source.read(name)


def write_own(name: str, source: Source, text: str) -> None:
    """Put a new text in the place of a file's, or on standard output for `-`. A file whose text is the same is not touched.

    Raises:
        UsageError: it cannot be written, or the file's encoding has no place for a character.
    """
    if name != "-" and text == source.text:
        return
    try:
        data = source.encode(text)
    except UnicodeEncodeError as error:
        odd = printable(error.object[error.start : error.start + 1])
        cure = "save it as UTF-8 first"
        raise UsageError(f"`{source.path}` is {source.encoding}, which has no `{odd}`", cure) from None
    if name == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    with replacing(name) as file:
        file.write(data)


def print_diff(source: Source, text: str) -> None:
    """Print what changes, as `diff -u` does."""
    for row in _diff(source, text):
        # A file must not be able to drive the terminal that shows it.
        print(printable(row.replace("\t", "    ")) if sys.stdout.isatty() else row)


def _diff(source: Source, text: str) -> Iterator[str]:
    end = source.line_end[-1]
    before, after = ([*StringIO(each, newline=end)] for each in (source.text, text))
    for row in unified_diff(before, after, source.path, source.path, lineterm=end):
        yield row.removesuffix(end)
        if not row.endswith(end):
            yield "\\ No newline at end of file"
