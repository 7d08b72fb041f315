"""What the commands share that change cfg files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from io import StringIO

from cspdet.cfg.source import Source
from cspdet.commands.common import standard_input
from cspdet.errors import UsageError
from cspdet.files import replacing
from cspdet.models import known
from cspdet.paths import exists
from cspdet.text import printable

# Beyond this many lines, a good diff would take too long.
_MANY = 10_000


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
    # Cfg text repeats itself; difflib would pass over the lines that do, and show most of the file as changed.
    matcher = SequenceMatcher(None, before, after, autojunk=len(before) > _MANY)
    groups = [*matcher.get_grouped_opcodes()]
    if groups:
        yield from (f"--- {source.path}", f"+++ {source.path}")
    for group in groups:
        (_, one, _, other, _), (_, _, one_end, _, other_end) = group[0], group[-1]
        yield f"@@ -{_extent(one, one_end)} +{_extent(other, other_end)} @@"
        for tag, start, stop, new_start, new_stop in group:
            removed, added = before[start:stop], after[new_start:new_stop]
            rows = [(" ", removed)] if tag == "equal" else [("-", removed), ("+", added)]
            for sign, lines in rows:
                for line in lines:
                    yield sign + line.removesuffix(end)
                    if not line.endswith(end):
                        yield "\\ No newline at end of file"


def _extent(start: int, stop: int) -> str:
    """Lines as a diff counts them: from 1, and from the line before where there are none."""
    return f"{start + 1}" if stop == start + 1 else f"{start + (stop > start)},{stop - start}"
