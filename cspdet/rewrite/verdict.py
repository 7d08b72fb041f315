"""Whether a changed cfg is worse than it was."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.source import Source, Span
from cspdet.cfg.syntax import parse


class Examined(NamedTuple):
    """A text, and what is to be said of it."""

    source: Source
    diagnostics: tuple[Diagnostic, ...]


def breaks(diagnostic: Diagnostic) -> bool:
    """Whether it is no less than an error to most programs: of maps that do not meet, cspdet makes what some Darknet does."""
    return diagnostic.severity == "error" or diagnostic.code in ("route-size", "shortcut-size")


def worse(before: Examined, after: Examined, order: Sequence[int] | None = None) -> tuple[Diagnostic, ...]:
    """The errors and warnings of a text after a change that it did not have before.

    They are the same as before if their code is and they are about the same section. `order` has the number that each section
    of the new text had in the old one, -1 for new ones; without it, they are the same sections.
    """
    old, new = _sections(before.source), _sections(after.source)
    known = Counter((each.code, old(each)) for each in before.diagnostics)
    found = []
    for each in after.diagnostics:
        if each.severity == "note":
            continue
        place = new(each)
        if order is not None and isinstance(place, int) and place >= 0:
            place = order[place] if order[place] >= 0 else object()
        if known[each.code, place] > 0:
            known[each.code, place] -= 1
        else:
            found.append(each)
    return tuple(found)


def _sections(source: Source) -> Callable[[Diagnostic], Hashable]:
    """Of a diagnostic, the number of the section that it is about, -1 above the first; for other files, path and message."""
    starts = [section.name_span.start - 1 for section in parse(source)[0].sections]

    def number(diagnostic: Diagnostic) -> Hashable:
        span = outermost(diagnostic.label.span)
        if span.source is source:
            return bisect_right(starts, span.start) - 1
        return span.source.path, diagnostic.message

    return number


def outermost(span: Span) -> Span:
    """The place in the file itself: of what stands in a block, that where the block is used."""
    return span.through[0] if span.through else span
