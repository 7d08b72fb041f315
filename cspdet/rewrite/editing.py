"""Puts layers in, takes them out, moves them, and lets every other layer name the layers that it named before."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from cspdet.cfg.definitions import BLOCK, DEFINE, END
from cspdet.cfg.diagnostic import Diagnostic, Label, in_order
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import BLANK, parse
from cspdet.errors import CfgError, UsageError
from cspdet.layers.net import Net
from cspdet.rewrite.outline import Outline, outline
from cspdet.rewrite.pieces import Layout, Piece, layout
from cspdet.rewrite.renumber import lost_diagnostics, renumbered
from cspdet.rewrite.selection import runs, section_before, sections_of
from cspdet.rewrite.verdict import Examined, breaks, outermost, worse
from cspdet.rules import examine


class Edited(NamedTuple):
    """A changed text, and what it brings that was not there before: errors, with which it is not to be written, or warnings."""

    source: Source
    new: tuple[Diagnostic, ...]
    # How many layers there were, and are; and how many numbers of layers were written anew.
    layers: tuple[int, int]
    renumbered: int = 0

    @property
    def broken(self) -> bool:
        """Whether it is broken where it was not."""
        return any(map(breaks, self.new))


def insert(source: Source, after: str, text: str, dialect: Dialect = ALEXEYAB) -> Edited:
    """Put sections behind a layer, or behind [net] for `net`.

    Raises:
        UsageError: there is no such layer, or the text has no section of a layer.
        CfgError: the text cannot be read, or the file's layers cannot be told.
        CspdetError: a number would have to change that stands where it cannot be changed.
    """
    old = outline(source, dialect)
    place = section_before(after, old)
    piece = _piece(text, source, dialect)
    return _carry_out(old, lambda parts: parts.put(place, [piece]), dialect)


def remove(source: Source, layers: str, dialect: Dialect = ALEXEYAB) -> Edited:
    """Take layers out: `5`, `stem` or `3..7`.

    Raises:
        UsageError: there are no such layers.
        CfgError: the file's layers cannot be told.
        CspdetError: a number would have to change that stands where it cannot be changed.
    """
    old = outline(source, dialect)
    chosen = runs(sections_of(layers, old))
    return _carry_out(old, lambda parts: _without(parts, chosen), dialect)


def move(source: Source, layers: str, after: str, dialect: Dialect = ALEXEYAB) -> Edited:
    """Put layers behind another one, or behind [net] for `net`.

    Raises:
        UsageError: there are no such layers, or the one is among the others.
        CfgError: the file's layers cannot be told.
        CspdetError: a number would have to change that stands where it cannot be changed.
    """
    old = outline(source, dialect)
    sections, target = sections_of(layers, old), section_before(after, old)
    if target in sections:
        raise UsageError(f"`{after}` is one of the layers to be moved", "name a layer that stays")
    chosen = runs(sections)

    def moved(parts: Layout) -> Layout:
        pieces = [parts.pieces[section] for section in sections]
        apart = 2 * parts.line_end
        gaps = [parts.gaps[one] if other == one + 1 else apart for one, other in pairwise(sections)]
        rest = _without(parts, chosen)
        place = next(place for place, piece in enumerate(rest.pieces) if target in piece.sections)
        return rest.put(place, pieces, gaps)

    return _carry_out(old, moved, dialect)


def _without(parts: Layout, chosen: Sequence[tuple[int, int]]) -> Layout:
    for first, last in reversed(chosen):
        parts = parts.cut(first, last)
    return parts


def _piece(text: str, source: Source, dialect: Dialect) -> Piece:
    """Text that is to be put in, with the line ends of where it goes."""
    text = source.line_end.join(re.split(r"\r\n|\r|\n", text)).strip(BLANK)
    document, diagnostics = parse(Source("<sections>", text), dialect)
    if any(each.severity == "error" for each in diagnostics):
        raise CfgError(diagnostics)
    for section in document.sections:
        if section.name in (*Net.names, DEFINE, BLOCK, END):
            raise UsageError(f"`[{section.name}]` is no layer", "put it into the file yourself")
    return Piece((-1,) * len(document.sections), text)


def _carry_out(old: Outline, change: Callable[[Layout], Layout], dialect: Dialect) -> Edited:
    """Change the order of the pieces, then write numbers of layers anew, and see what it comes to."""
    before = Examined(old.source, examine(old.source, dialect)[1])
    draft = change(layout(old.document))
    source = old.source.rewritten(draft.text)
    try:
        new = outline(source, dialect)
    except CfgError as error:
        return Edited(source, error.diagnostics, (len(old.layers), 0))
    counts = (len(old.layers), len(new.layers))
    # Where a name means nothing any more, what would come of it has other layers, and their numbers say nothing.
    unnamed = worse(Examined(old.source, old.diagnostics), Examined(source, new.diagnostics), draft.order)
    if any(map(breaks, unnamed)):
        return Edited(source, unnamed, counts)
    numbers = _numbers(old, new, draft.order)
    edits, lost = renumbered(old, numbers, len(new.layers), dialect)
    if lost:
        return Edited(source, in_order(lost_diagnostics(old, new, draft.order, numbers, lost)), counts)
    source = source.rewritten(change(layout(old.document, edits)).text)
    after = Examined(source, examine(source, dialect)[1])
    found = worse(before, after, draft.order)
    return Edited(source, _with_causes(found, old, source, numbers, dialect) if found else (), counts, len(edits))


def _numbers(old: Outline, new: Outline, order: Sequence[int]) -> dict[int, int]:
    """The new number of each layer of the old text that is in the new one."""
    found: dict[int, int] = {}
    for place, section in enumerate(order):
        if section >= 0:
            found |= dict(zip(old.layers_of(section), new.layers_of(place), strict=False))
    return found


def _with_causes(
    found: Sequence[Diagnostic], old: Outline, source: Source, numbers: Mapping[int, int], dialect: Dialect
) -> tuple[Diagnostic, ...]:
    """Diagnostics of a new text; those of layers that stand behind another one now say so."""
    new = outline(source, dialect)
    causes: dict[int, Label] = {}
    for before, now in numbers.items():
        if min(before, now) > 0 and numbers.get(before - 1) != now - 1:
            was, there = old.layers[before - 1], new.layers[now - 1]
            text = f"it stands behind `[{there.name}]` now, no more behind `[{was.name}]`"
            causes.setdefault(new.owners[now], Label(new.layers[now].name_span, text))
    starts = [section.name_span.start - 1 for section in new.document.sections]
    told = []
    for each in found:
        spans = [outermost(label.span) for label in (each.label, *each.others)]
        sections = [bisect_right(starts, span.start) - 1 for span in spans if span.source is source]
        others = [causes[section] for section in dict.fromkeys(sections) if section in causes]
        told.append(each._replace(others=(*each.others, *others)))
    return tuple(told)
