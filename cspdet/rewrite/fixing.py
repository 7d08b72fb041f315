"""Applies the cures that diagnostics carry, until there are none left."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Edit, Source, Span, edited
from cspdet.graph import Graph
from cspdet.rewrite.verdict import Examined, breaks, worse
from cspdet.rules import RULES, examine
from cspdet.text import brief

# A cure may bring the next mistake to light; more often than this it does not.
_MOST_ROUNDS = 10

# What is found only where all sections are understood. Mistakes in these are cured first, as they may be its cause.
_LATE = frozenset(rule.__name__.replace("_", "-") for rule in RULES)


class Change(NamedTuple):
    """One stretch of text that was changed: where the new one starts in the text that came out."""

    place: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (brief(each.strip()) for each in (self.old, self.new))
        if old and new:
            return f"`{old}` becomes `{new}`"
        return f"`{new}` is put in" if new else f"`{old}` is removed"


class Cure(NamedTuple):
    """A finding that was cured."""

    code: str
    message: str
    changes: tuple[Change, ...]

    @property
    def remarks(self) -> tuple[tuple[Change, str], ...]:
        """What was done, in words, with the changes that they are about."""
        olds, news = ([text for text in texts if text] for texts in zip(*self._texts, strict=True))
        if olds == news:
            moved = next(change for change in self.changes if change.new)
            return ((moved, f"`{brief(news[0])}` moves to a line of its own"),)
        return tuple((change, str(change)) for change in self.changes)

    @property
    def _texts(self) -> list[tuple[str, str]]:
        return [(change.old.strip(), change.new.strip()) for change in self.changes]


class Fixing(NamedTuple):
    """What came of it.

    Where the cures bring errors that were not there, `worse` has these, and all else is as it was.
    """

    source: Source
    graph: Graph | None
    diagnostics: tuple[Diagnostic, ...]
    cures: tuple[Cure, ...] = ()
    worse: tuple[Diagnostic, ...] = ()

    @property
    def left(self) -> int:
        """Findings whose cure is known, but would have to be made in a block, a variable or another file."""
        return sum(bool(each.edits) and not reachable(each, self.source) for each in self.diagnostics)

    def place(self, change: Change) -> Span:
        """Where a change stands."""
        start = change.place + len(change.new) - len(change.new.lstrip())
        return Span(self.source, start, start)

    def to_json(self, cure: Cure) -> dict[str, Any]:
        """A plain dictionary for `--json`; lines and columns count from 1."""
        changes = [
            {"line": place.line, "column": place.column, "old": change.old, "new": change.new}
            for change in cure.changes
            for place in [self.place(change)]
        ]
        return {"file": self.source.path, "code": cure.code, "message": cure.message, "changes": changes}


def fix(source: Source, dialect: Dialect = ALEXEYAB) -> Fixing:
    """The text with all certain cures; as it was, where they bring errors that were not there.

    Of cures that contradict each other, the first is made. What spans layers is cured when nothing else is left.
    """
    graph, diagnostics = examine(source, dialect)
    first = Fixing(source, graph, diagnostics)
    cures: list[Cure] = []
    current, seen = first, {source.text}
    for _ in range(_MOST_ROUNDS):
        chosen = _chosen(current.diagnostics, current.source)
        edits = [edit for each in chosen for edit in each.edits]
        text = edited(current.source, edits)
        if text in seen:
            break
        seen.add(text)
        shift = _Shift(edits)
        cures = [each._replace(changes=tuple(map(shift.moved, each.changes))) for each in cures]
        cures += [Cure(each.code, each.message, tuple(map(shift.made, each.edits))) for each in chosen]
        new = source.rewritten(text)
        current = Fixing(new, *examine(new, dialect))
    found = worse(Examined(source, diagnostics), Examined(current.source, current.diagnostics))
    fresh = tuple(filter(breaks, found))
    return first._replace(worse=fresh) if fresh else current._replace(cures=tuple(cures))


def _chosen(diagnostics: Iterable[Diagnostic], source: Source) -> list[Diagnostic]:
    """The findings whose cures can be made together."""
    curable = [each for each in diagnostics if each.edits and reachable(each, source)]
    early = [each for each in curable if each.code not in _LATE]
    chosen: list[Diagnostic] = []
    taken: list[tuple[int, int]] = []
    for each in early or curable:
        spans = [(edit.span.start, edit.span.end) for edit in each.edits]
        if not any(_clash(span, taken) for span in spans):
            chosen.append(each)
            for span in spans:
                insort(taken, span)
    return chosen


def reachable(diagnostic: Diagnostic, source: Source) -> bool:
    """Whether all edits are of the text itself, not of what it is worked out from."""
    spans = [edit.span for edit in diagnostic.edits]
    return all(span.source is source and not span.through and not {*"$@"} & {*span.text} for span in spans)


def _clash(span: tuple[int, int], taken: Sequence[tuple[int, int]]) -> bool:
    """Whether a stretch overlaps one of those that are taken, or something is to be put in at the same place."""
    place = bisect_left(taken, span)
    near = taken[max(place - 1, 0) : place + 2]
    return any((span[0] < other[1] and other[0] < span[1]) or (span == other and span[0] == span[1]) for other in near)


class _Shift:
    """Where places of a text are after edits."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        grown = sorted((span.end, len(text) - (span.end - span.start)) for span, text in edits)
        self.ends = [end for end, _ in grown]
        self.sums = [0, *accumulate(growth for _, growth in grown)]

    def moved(self, change: Change) -> Change:
        """A change that was made before."""
        return change._replace(place=self.after(change.place))

    def made(self, edit: Edit) -> Change:
        """One of the edits."""
        span, text = edit
        own = len(text) if span.start == span.end else 0
        return Change(self.after(span.start) - own, span.text, text)

    def after(self, place: int) -> int:
        """A place behind all edits up to it."""
        return place + self.sums[bisect_right(self.ends, place)]
