"""The lines of a cfg, shared out among its sections: which comments go with which section, and what lies between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

from cspdet.cfg.source import Edit, edited
from cspdet.cfg.syntax import BLANK, Document

# A comment that switches an option off belongs to the section it was an option of.
_SWITCHED_OFF = re.compile(r"\s*[#;]\s*[\w-]+\s*=")


class Lines(NamedTuple):
    """Places among a document's lines: a section's first comment or name, its name, and what follows its last line."""

    first: int
    name: int
    end: int


def lines_of(document: Document) -> tuple[Lines, ...]:
    """The lines of every section.

    Comments above a section's name belong to it, and those right below an option to that option's section. Where comments touch
    both, they belong to the name below, except those that switch an option off.
    """
    lines = document.lines
    kinds = [line.kind for line in lines]
    names = [place for place, kind in enumerate(kinds) if kind == "header"]
    found = []
    first = next((place for place, kind in enumerate(kinds) if kind != "blank"), 0)
    for name, following in pairwise([*names, len(lines)]):
        written = (place for place in range(following - 1, name, -1) if kinds[place] in ("entry", "other"))
        end = next(written, name) + 1
        touching = len([*takewhile(lambda kind: kind == "comment", kinds[end:following])])
        if end + touching == following < len(lines):
            comments = (line.span.text for line in lines[end:following])
            touching = len([*takewhile(_SWITCHED_OFF.match, comments)])
        end += touching
        found.append(Lines(first, name, end))
        first = next((place for place in range(end, following) if kinds[place] != "blank"), following)
    return tuple(found)


class Piece(NamedTuple):
    """Sections that stay together, with their comments, up to the last character that is no line end.

    `sections` are their numbers in the document they are from; -1 for new ones.
    """

    sections: tuple[int, ...]
    text: str


class Layout(NamedTuple):
    """A text as pieces and what lies between them."""

    head: str
    pieces: tuple[Piece, ...]
    # One less than there are pieces.
    gaps: tuple[str, ...]
    tail: str
    line_end: str

    @property
    def text(self) -> str:
        """All of it."""
        middle = (piece.text + gap for piece, gap in zip(self.pieces, [*self.gaps, ""], strict=False))
        return "".join([self.head, *middle, self.tail])

    @property
    def order(self) -> tuple[int, ...]:
        """The sections, by their numbers."""
        return tuple(section for piece in self.pieces for section in piece.sections)

    def cut(self, first: int, last: int) -> Layout:
        """Without some pieces; of the gaps around them, the smaller one stays."""
        gaps = [*self.gaps[: max(first - 1, 0)], *self.gaps[last + 1 :]]
        if first > 0 and last + 1 < len(self.pieces):
            gap = min(self.gaps[first - 1], self.gaps[last], key=self._feeds)
            gaps.insert(first - 1, self._parting(self.pieces[first - 1], gap, self.pieces[last + 1]))
        return self._replace(pieces=(*self.pieces[:first], *self.pieces[last + 1 :]), gaps=tuple(gaps))

    def put(self, after: int, pieces: Sequence[Piece], gaps: Sequence[str] = ()) -> Layout:
        """With more pieces behind one of those that are there, and as far from their neighbours as these are."""
        usual = (self.gaps[after : after + 1] or self.gaps[-1:] or (2 * self.line_end,))[0]
        new = [self._parting(self.pieces[after], usual, pieces[0]), *gaps]
        if after + 1 < len(self.pieces):
            new.append(self._parting(pieces[-1], usual, self.pieces[after + 1]))
        return self._replace(
            pieces=(*self.pieces[: after + 1], *pieces, *self.pieces[after + 1 :]),
            gaps=(*self.gaps[:after], *new, *self.gaps[after + 1 :]),
        )

    def _parting(self, piece: Piece, gap: str, following: Piece) -> str:
        """The gap, or a blank line where comments between the two would change sides without one."""
        lines = reversed(piece.text.split(self.line_end[-1]))
        last = [*takewhile(lambda line: line.lstrip(BLANK)[:1] in ("#", ";"), lines)]
        if all(map(_SWITCHED_OFF.match, last)) and not _SWITCHED_OFF.match(following.text):
            return gap
        return max(gap, 2 * self.line_end, key=self._feeds)

    def _feeds(self, gap: str) -> int:
        """How many lines a gap ends."""
        return gap.count(self.line_end[-1])


def layout(document: Document, edits: Iterable[Edit] = ()) -> Layout:
    """The pieces of a document, one for each section, with edits made in them."""
    source, places, lines = document.source, lines_of(document), document.lines
    edits = [*edits]
    pieces, gaps, position = [], [], 0
    for number, place in enumerate(places):
        start = lines[place.first].span.start
        end = start + len(source.text[start : lines[place.end - 1].span.end].rstrip("\r\n"))
        within = [edit for edit in edits if start <= edit.span.start <= end]
        pieces.append(Piece((number,), edited(source, within, start, end)))
        gaps.append(source.text[position:start])
        position = end
    head = gaps.pop(0) if gaps else ""
    return Layout(head, tuple(pieces), tuple(gaps), source.text[position:], source.line_end)
