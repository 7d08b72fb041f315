"""Applies the cures that diagnostics carry, until there are none left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        return sum(bool(each.edits) and not _reachable(each, self.source) for each in self.diagnostics)

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
        cures = [each._replace(changes=tuple(_moved(change, edits) for change in each.changes)) for each in cures]
        cures += [_cure(each, edits) for each in chosen]
        new = source.rewritten(text)
        current = Fixing(new, *examine(new, dialect))
    found = worse(Examined(source, diagnostics), Examined(current.source, current.diagnostics))
    fresh = tuple(filter(breaks, found))
    return first._replace(worse=fresh) if fresh else current._replace(cures=tuple(cures))


def _chosen(diagnostics: Iterable[Diagnostic], source: Source) -> list[Diagnostic]:
    """The findings whose cures can be made together."""
    reachable = [each for each in diagnostics if each.edits and _reachable(each, source)]
    early = [each for each in reachable if each.code not in _LATE]
    chosen: list[Diagnostic] = []
    taken: list[Edit] = []
    for each in early or reachable:
        if not any(_clash(edit.span, other.span) for edit in each.edits for other in taken):
            chosen.append(each)
            taken += each.edits
    return chosen


def _reachable(diagnostic: Diagnostic, source: Source) -> bool:
    """Whether all edits are of the text itself, not of what it is worked out from."""
    spans = [edit.span for edit in diagnostic.edits]
    return all(span.source is source and not span.through and not {*"$@"} & {*span.text} for span in spans)


def _clash(span: Span, other: Span) -> bool:
    if span.start == span.end == other.start == other.end:
        return True
    return span.start < other.end and other.start < span.end


def _cure(diagnostic: Diagnostic, edits: Sequence[Edit]) -> Cure:
    def change(own: Edit) -> Change:
        others = [edit for edit in edits if edit is not own]
        return Change(_after(own.span.start, others), own.span.text, own.text)

    return Cure(diagnostic.code, diagnostic.message, tuple(map(change, diagnostic.edits)))


def _moved(change: Change, edits: Sequence[Edit]) -> Change:
    return change._replace(place=_after(change.place, edits))


def _after(place: int, edits: Iterable[Edit]) -> int:
    """Where a place is after edits before it."""
    return place + sum(len(text) - (span.end - span.start) for span, text in edits if span.end <= place)
