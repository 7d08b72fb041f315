"""Cfg text → sections, as `read_cfg` of Darknet's parser.c reads it. Lossless, and it never raises and never prints.

Darknet reads line by line and removes every blank in a line, also inside keys and values, before it looks at it
(`utils.c:strip`). A line that then starts with `[` opens a section; one that starts with `#` or `;` is a comment; the rest is
split at its first `=`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from cspdet.cfg.diagnostic import Diagnostic, Findings
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Edit, Source, Span
from cspdet.text import brief

# Exactly the four characters that Darknet's `strip` removes; a no-break space, say, stays and spoils the number behind it.
BLANK = " \t\r\n"
_BLANKS = str.maketrans("", "", BLANK)

# What looks like a name of a section or an option; and like an option with its value, set with a colon. Prose has more words.
_WORD = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_WITH_COLON = re.compile(r"[A-Za-z]\w*\s*(:)\s*[-+.\w]+(?:\s*,\s*[-+.\w]+)*", re.ASCII)


class Entry(NamedTuple):
    """One `key=value` line. `key` and `value` have no blanks; `comment` is what follows the value on its line, if anything."""

    key: str
    value: str
    comment: str
    key_span: Span
    value_span: Span
    # Of each item of the value, whether it came by a variable from where a layer is named `@…`; nothing where none did.
    named: tuple[bool, ...] = ()


class Section(NamedTuple):
    """A `[name]` line and the entries below it. `name` has no blanks and no brackets."""

    name: str
    name_span: Span
    entries: tuple[Entry, ...]
    # Whether a value could not be worked out, which was reported, so that what it is without it means nothing.
    spoilt: bool = False


class Line(NamedTuple):
    """One line of the file with its line end; all lines together are the file."""

    kind: Literal["blank", "comment", "header", "entry", "other"]
    span: Span


class Document(NamedTuple):
    """The sections of a file, and every line of it."""

    source: Source
    sections: tuple[Section, ...]
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The file again."""
        return "".join(line.span.text for line in self.lines)


def parse(source: Source, dialect: Dialect = ALEXEYAB) -> tuple[Document, tuple[Diagnostic, ...]]:
    """All sections of `source`, and what is wrong with its lines."""
    reader = _Reader(source, dialect)
    return reader.document(), tuple(reader.diagnostics)


class _Reader(Findings):
    def __init__(self, source: Source, dialect: Dialect) -> None:
        super().__init__()
        self.source = source
        self.dialect = dialect
        self.sections: list[tuple[str, Span, list[Entry]]] = []
        self.lines: list[Line] = []

    def document(self) -> Document:
        text = self.source.text
        if not self.check_file():
            return Document(self.source, (), (Line("other", Span(self.source, 0, len(text))),))
        starts = self.source.line_starts
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            if start < end:
                self.lines.append(Line(self.read_line(start, end), Span(self.source, start, end)))
        if not self.sections:
            whole = Span(self.source, 0, min(len(text), 1))
            self.report("error", "no-sections", "the file has no section", whole, "", "a cfg starts with `[net]`")
        sections = (Section(name, span, tuple(entries)) for name, span, entries in self.sections)
        return Document(self.source, tuple(sections), tuple(self.lines))

    def check_file(self) -> bool:
        """Whether it is text at all."""
        source = self.source
        start = Span(source, 0, min(len(source.text), 1))
        zero = source.text.find("\0")
        if zero >= 0:
            message = "the file holds zero bytes, so it is not cfg text"
            cure = "is it a weights file? the cfg comes first, then the weights"
            self.report("error", "not-text", message, Span(source, zero, zero + 1), "", cure)
            return False
        if source.text.lstrip()[:1] == "<":
            cure = "fetch the file itself: on a page that shows code, the link is called `raw`"
            self.report("error", "not-text", "the file is a web page, not cfg text", start, "", cure)
            return False
        if source.mark:
            consequence = "Darknet takes its bytes for the first line's text and fails"
            message = "the file starts with a byte-order mark" + (" of UTF-16" if source.encoding.startswith("utf-16") else "")
            cure = "save it as UTF-8 without a byte-order mark"
            self.report("warning", "byte-order-mark", message, start, consequence, cure)
        if source.encoding == "latin-1":
            self.report("note", "not-utf-8", "the file is not UTF-8 and is read as Latin-1", start)
        if "\r" in source.text and "\n" not in source.text:
            consequence = "Darknet looks for line feeds and sees one line"
            cure = "save it with line feeds"
            self.report("warning", "old-mac-line-ends", "the lines end in carriage returns alone", start, consequence, cure)
        return True

    def read_line(self, start: int, end: int) -> Literal["blank", "comment", "header", "entry", "other"]:
        raw = self.source.text[start:end]
        bare = raw.translate(_BLANKS)
        if not bare:
            return "blank"
        if bare[0] in "#;":
            return "comment"
        # The line without the blanks around it; those within it stay, so that places are right.
        start += len(raw) - len(raw.lstrip(BLANK))
        line = Span(self.source, start, start + len(raw.strip(BLANK)))
        if bare[0] == "[":
            self.read_header(line, bare)
            return "header"
        return self.read_entry(line)

    def read_header(self, line: Span, bare: str) -> None:
        if "]" not in bare:
            message, cure = "the section's name has no closing `]`", f"write `{brief(bare)}]`"
            edits = (Edit(Span(self.source, line.end, line.end), "]"),) if _WORD.fullmatch(line.text[1:].strip(BLANK)) else ()
            self.report("error", "unclosed-section", message, line, "", cure, edits=edits)
            self.sections.append((bare[1:], Span(self.source, line.start + 1, line.end), []))
            return
        closing = line.start + line.text.index("]")
        span = Span(self.source, line.start + 1, closing)
        name = span.text.translate(_BLANKS)
        behind = bare[bare.index("]") + 1 :]
        if behind and not (behind[0] in "#;" and self.dialect.comments):
            rest = Span(self.source, closing + 1, line.end)
            label = f"Darknet reads `{brief(bare)}` as the name and knows no such section"
            below = (Edit(rest, f"{self.source.line_end}{rest.text.strip(BLANK)}"),)
            if behind[0] in "#;":
                message = f"a comment on the line of `[{brief(name)}]`"
                cure = "put the comment on a line of its own"
                self.report("warning", "section-comment", message, rest, label, cure, edits=below)
            else:
                message = f"`{brief(behind)}` follows `[{brief(name)}]`"
                key, equals, _ = rest.text.partition("=")
                edits = below if equals and _WORD.fullmatch(key.strip(BLANK)) else ()
                self.report("error", "section-trailer", message, rest, label, "put it on a line of its own", edits=edits)
        self.sections.append((name, span, []))

    def read_entry(self, line: Span) -> Literal["entry", "other"]:
        text = line.text
        if not self.sections:
            message = "an option stands before the first section"
            self.report("error", "option-outside-section", message, line, "Darknet crashes here", "a cfg starts with `[net]`")
            return "other"
        if "=" not in text:
            self.report_no_equals(line)
            return "other"
        key_text, rest = text.split("=", 1)
        marks = [rest.index(mark) for mark in "#;" if mark in rest]
        value_text = rest[: min(marks)] if marks else rest
        value_start = line.start + len(key_text) + 1 + len(value_text) - len(value_text.lstrip(BLANK))
        value = Span(self.source, value_start, value_start + len(value_text.strip(BLANK)))
        key = Span(self.source, line.start, line.start + len(key_text.rstrip(BLANK)))
        key_name = key_text.translate(_BLANKS)
        if not key_name:
            self.report("warning", "missing-key", "no option before the `=`", line, "Darknet ignores the line")
            return "other"
        if not value.text and not marks:
            # `read_option` stops at a value that is not there: "Config file error line …, could parse".
            consequence = f"Darknet skips the line and uses the default of `{brief(key_name)}`"
            cure = "give a value, or remove the line"
            self.report("warning", "empty-value", f"`{brief(key_name)}=` has no value", line, consequence, cure)
            return "other"
        comment = rest[len(value_text) :].translate(_BLANKS)
        self.sections[-1][2].append(Entry(key_name, value.text.translate(_BLANKS), comment, key, value))
        return "entry"

    def report_no_equals(self, line: Span) -> None:
        key, colon, value = (part.translate(_BLANKS) for part in line.text.partition(":"))
        edits: tuple[Edit, ...] = ()
        if colon and key and value:
            message, cure = f"`{brief(key)}` is set with a colon", f"write `{brief(key)}={brief(value)}`"
            if found := _WITH_COLON.fullmatch(line.text):
                edits = (Edit(Span(self.source, line.start + found.start(1), line.start + found.end(1)), "="),)
        else:
            word = brief(line.text.split(maxsplit=1)[0] if line.text.split() else line.text)
            message = f"`{word}` is neither a section, an option nor a comment"
            cure = f"write `{word}=…`, or `# {brief(line.text)}` for a comment"
        self.report("warning", "missing-equals", message, line, "Darknet ignores the line", cure, edits=edits)
