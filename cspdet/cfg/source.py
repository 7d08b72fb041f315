"""Text and places in it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cspdet.errors import UsageError
from cspdet.missing import no_such_file
from cspdet.paths import is_folder

# The longest public cfg has 72 kB. A larger file than this is not cfg text, and a line-by-line reading would take minutes.
LARGEST = 8 * 2**20


class Source:
    """One cfg file: its text, how it was encoded, and where its lines start.

    `text` is the decoded file without a byte-order mark; `encode(text)` gives the original bytes back. `settings` are values
    of variables in place of those that [define] gives them.
    """

    __slots__ = ("encoding", "line_end", "line_starts", "mark", "path", "settings", "text")

    def __init__(self, path: str, text: str, encoding: str = "utf-8", mark: bytes = b"") -> None:
        self.settings: Mapping[str, str] = {}
        self.path = path
        self.text = text
        self.encoding = encoding
        self.mark = mark
        # A file of the old Mac has carriage returns alone. Darknet splits at line feeds only and would see a single line.
        end = "\r" if "\r" in text and "\n" not in text else "\n"
        starts = [0]
        position = text.find(end)
        while position >= 0:
            starts.append(position + 1)
            position = text.find(end, position + 1)
        self.line_starts = starts
        # What most lines end in.
        self.line_end = "\r\n" if 2 * text.count("\r\n") > text.count("\n") else end

    @classmethod
    def decode(cls, path: str, data: bytes) -> Source:
        """The text of `data`: UTF-8 (with or without a mark), UTF-16 with a mark, else Latin-1, which any byte is."""
        for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
            if data.startswith(mark):
                try:
                    return cls(path, data[len(mark) :].decode(encoding), encoding, mark)
                except UnicodeDecodeError:
                    if encoding == "utf-8":  # the mark was for an editor; a byte of an older encoding is among the rest
                        return cls(path, data[len(mark) :].decode("latin-1"), "latin-1", mark)
                    break
        try:
            return cls(path, data.decode("utf-8"))
        except UnicodeDecodeError:
            return cls(path, data.decode("latin-1"), "latin-1")

    @classmethod
    def read(cls, path: str | Path) -> Source:
        """The cfg file at `path`.

        Raises:
            UsageError: the file is missing, is a directory, cannot be read or is far too large.
        """
        return cls.decode(str(path), read_bytes(path, "a cfg file", "is it a weights file? the cfg comes first"))

    def set(self, settings: Mapping[str, str]) -> Source:
        """The same text with other values for variables."""
        source = self.rewritten(self.text)
        source.settings = settings
        return source

    def rewritten(self, text: str) -> Source:
        """The same file with another text."""
        source = Source(self.path, text, self.encoding, self.mark)
        source.settings = self.settings
        return source

    def encode(self, text: str) -> bytes:
        """`text` as bytes in the encoding, and with the mark, that the file had."""
        return self.mark + text.encode(self.encoding)

    def encode_plain(self, text: str) -> bytes:
        """`text` as bytes that Darknet reads, without a mark; of the file's own text, its own bytes.

        UTF-8, or Latin-1 if the file is and its includes have no other characters: paths should stay the bytes they were.
        """
        if text == self.text:
            return self.encode(text)
        if self.encoding == "latin-1" and max(text, default="") < "\u0100":
            return text.encode("latin-1")
        return text.encode()

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1; columns count characters."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its end."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def line_at(self, offset: int) -> Span:
        """The line that holds an offset, with its end."""
        number = bisect_right(self.line_starts, offset)
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return Span(self, self.line_starts[number - 1], end)


def read_bytes(path: str | Path, what: str, too_long: str = "is it another kind of file?") -> bytes:
    """The bytes of a text file of moderate size; `what` it should be is for the messages.

    Raises:
        UsageError: the file is missing, is a directory, cannot be read or is far too large.
    """
    if is_folder(path):
        raise UsageError(f"`{path}` is a directory, not {what}", f"name a file in it: `{Path(path) / 'X'}`")
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)  # a device has no size and no end
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read `{path}`: {reason.lower()}") from None
    if len(data) > LARGEST:
        raise UsageError(f"`{path}` has more than {LARGEST:,} bytes, so it is not {what}", too_long)
    return data


def read_text(path: str | Path, what: str) -> str:
    """The text of a file; `what` it should be is for the messages.

    Raises:
        UsageError: as `read_bytes` does, or it is not text.
    """
    data = read_bytes(path, what)
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"`{path}` is not text, so it is not {what}", "name another file")
    return Source.decode(str(path), data).text


class Span(NamedTuple):
    """A stretch of a source, so that whatever holds it can say where it was written."""

    source: Source
    start: int
    end: int
    # The uses of blocks that what stands here came through, outermost first.
    through: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        """The characters of the span."""
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        """The line it starts in, from 1."""
        return self.source.place(self.start)[0]

    @property
    def column(self) -> int:
        """The column it starts in, from 1."""
        return self.source.place(self.start)[1]

    @property
    def rest(self) -> Span:
        """What stands behind it on its line, without the line's end."""
        line = self.source.line_at(self.start)
        return Span(self.source, self.end, line.start + len(line.text.rstrip("\r\n")), self.through)

    def __str__(self) -> str:
        line, column = self.source.place(self.start)
        return f"{self.source.path}:{line}:{column}"


class Edit(NamedTuple):
    """A stretch of a source and what is to stand in its place."""

    span: Span
    text: str


def edited(source: Source, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """The text of a source, or a part of it, with edits made; all else stays as it is. No two of them may overlap."""
    parts, position = [], start
    for span, text in sorted(edits, key=lambda edit: edit.span[1:3]):
        assert position <= span.start
        parts += [source.text[position : span.start], text]
        position = span.end
    return "".join([*parts, source.text[position:end]])
