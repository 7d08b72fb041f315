"""Cfg text in one layout, that of most public cfgs, which means the same to every program.

Sections are one blank line apart, options stand as `key=value`, and at most one blank line parts those of a section. Comments
stay where they are, and so do blanks within a value: Darknet does not see them, but Python programs do.
"""

from __future__ import annotations

from cspdet.cfg.source import Source
from cspdet.cfg.syntax import BLANK, Document, Entry, Section, parse
from cspdet.errors import CfgError
from cspdet.rewrite.pieces import lines_of


def formatted(source: Source) -> str:
    """The text of a cfg in the house's layout; a second time, nothing changes.

    Raises:
        CfgError: it is no text.
    """
    document, diagnostics = parse(source)
    if any(each.code == "not-text" for each in diagnostics):
        raise CfgError(diagnostics)
    firsts = {place.first for place in lines_of(document)}
    shaped = _Shaper(document)
    rows: list[str] = []
    fresh = True  # nothing but a section's name above
    for number, line in enumerate(document.lines):
        if number in firsts and rows and rows[-1]:
            rows.append("")
        row = shaped.line(line.span.start, line.span.text)
        if row or (not fresh and rows[-1]):
            rows.append(row)
        fresh = line.kind == "header" or (fresh and not row)
    while rows and not rows[-1]:
        rows.pop()
    text = "".join(f"{row}{source.line_end}" for row in rows)
    # Behind the blanks at the start may stand what would be a byte-order mark without them.
    return text if Source.decode(source.path, source.encode(text)).text == text else source.line_end + text


class _Shaper:
    def __init__(self, document: Document) -> None:
        self.text = document.source.text
        self.names: dict[int, Section] = {each.name_span.start - 1: each for each in document.sections}
        self.entries: dict[int, Entry] = {
            entry.key_span.start: entry for section in document.sections for entry in section.entries
        }

    def line(self, start: int, line: str) -> str:
        """One line without its end."""
        if not (bare := line.strip(BLANK)):
            return ""
        start += len(line) - len(line.lstrip(BLANK))
        end = start + len(bare)
        if section := self.names.get(start):
            name = section.name_span
            closing = self.text[name.end : name.end + 1] == "]"
            rest = self.rest(name.end + 1, end) if closing else ""
            return f"[{name.text.strip(BLANK)}{']' if closing else ''}{rest}"
        if entry := self.entries.get(start):
            return f"{entry.key_span.text}={entry.value_span.text}{self.rest(entry.value_span.end, end)}"
        return bare

    def rest(self, start: int, end: int) -> str:
        """What stands behind a value or a name, one blank away if it is away."""
        text = self.text[start:end]
        return f" {text.lstrip(BLANK)}" if text and text[0] in BLANK else text
