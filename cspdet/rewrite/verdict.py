"""Whether a changed cfg is worse than it was."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.source import Source, Span
from cspdet.cfg.syntax import parse


class Examined(NamedTuple):
    """A text, and what is to be said of it."""

    source: Source
    diagnostics: tuple[Diagnostic, ...]


class _About(NamedTuple):
    """A diagnostic, and the sections that its labels are in, that of the first one before all."""

    diagnostic: Diagnostic
    sections: tuple[Hashable, ...]


def breaks(diagnostic: Diagnostic) -> bool:
    """Whether it is no less than an error to most programs: of maps that do not meet, cspdet makes what some Darknet does."""
    return diagnostic.severity == "error" or diagnostic.code in ("route-size", "shortcut-size")


def worse(before: Examined, after: Examined, order: Sequence[int] | None = None) -> tuple[Diagnostic, ...]:
    """The errors and warnings of a text after a change that it did not have before.

    They are the same as before if their code is and they are about the same section. `order` has the number that each section
    of the new text had in the old one, -1 for new ones; without it, they are the same sections.
    """
    known: dict[tuple[str, Hashable], list[_About]] = {}
    for each in _about(before):
        known.setdefault((each.diagnostic.code, each.sections[0]), []).append(each)
    found = []
    for each in _about(after, order):
        same = known.get((each.diagnostic.code, each.sections[0]))
        if same:
            same.pop()
        elif each.diagnostic.severity != "note":
            found.append(each)
    # What points at another section now may be the same for all that: one that it points at, too, was meant before.
    left = [each for same in known.values() for each in same]
    new = []
    for each in found:
        other = next((other for other in left if _overlap(each, other)), None)
        if other is None:
            new.append(each.diagnostic)
        else:
            left.remove(other)
    return tuple(new)


def _overlap(one: _About, other: _About) -> bool:
    return one.diagnostic.code == other.diagnostic.code and bool({*one.sections} & {*other.sections})


def _about(examined: Examined, order: Sequence[int] | None = None) -> list[_About]:
    """Every diagnostic with the numbers of the sections that it is about; for places in other files, path and line."""
    source = examined.source
    starts = [section.name_span.start - 1 for section in parse(source)[0].sections]

    def section(span: Span) -> Hashable:
        span = outermost(span)
        if span.source is not source:
            return span.source.path, span.line
        number = bisect_right(starts, span.start) - 1
        if order is None or number < 0:
            return number
        return order[number] if order[number] >= 0 else ("new", number)

    return [_About(each, tuple(section(label.span) for label in (each.label, *each.others))) for each in examined.diagnostics]


def outermost(span: Span) -> Span:
    """The place in the file itself: of what stands in a block, that where the block is used."""
    return span.through[0] if span.through else span
