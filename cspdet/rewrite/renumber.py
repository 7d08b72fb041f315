"""Where layers have other numbers, everything that names them is written anew, in its own style."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from cspdet.cfg.diagnostic import Diagnostic, Label
from cspdet.cfg.dialect import Dialect
from cspdet.cfg.source import Edit, Span
from cspdet.errors import CspdetError
from cspdet.rewrite.outline import Outline, Reference


def renumbered(
    old: Outline, numbers: Mapping[int, int], count: int, dialect: Dialect
) -> tuple[tuple[Edit, ...], tuple[Reference, ...]]:
    """The edits that let every layer name the layers that it named before; and what names a layer that is gone.

    Args:
        old: the text before.
        numbers: the new number of each layer that is still there.
        count: how many layers there are now.
        dialect: what reads the text.

    Raises:
        CspdetError: a number would have to change that is worked out, or stands in a block or another file.
    """
    edits: dict[tuple[int, int], Edit] = {}
    lost = []
    for each in old.references(dialect):
        if each.layer not in numbers or each.named:
            continue
        there = 0 <= each.target < len(old.layers)
        if there and each.target not in numbers:
            lost.append(each)
            continue
        # What lay before the first layer, or behind the last, is as far from it as it was.
        beyond = each.target if each.target < 0 else each.target + count - len(old.layers)
        target = numbers[each.target] if there else beyond
        own = numbers[each.layer]
        number = target - own if each.written < 0 and target < own else target
        span = each.span
        if span is not None and not span.through and span.source is old.source:
            text = span.text if number == each.written else str(number)
            edit = edits.setdefault(span[1:3], Edit(span, text))
            if edit.text != text:
                raise _fixed(old, each, number, "it is repeated, and would have to differ from one to the next")
        elif number != each.written:
            raise _fixed(old, each, number, _why(old, each))
    return tuple(edit for edit in edits.values() if edit.text != edit.span.text), tuple(lost)


def _why(old: Outline, reference: Reference) -> str:
    place = _place(old, reference)
    if place.through:
        return f"it stands in the block that is used in line {place.through[0].line}"
    return "it is worked out" if place.source is old.source else "it stands in another file"


def _place(old: Outline, reference: Reference) -> Span:
    return reference.span or old.layers[reference.layer].entries[reference.entry].value_span


def _fixed(old: Outline, reference: Reference, number: int, why: str) -> CspdetError:
    message = f"{_place(old, reference)}: `{reference.option}={reference.written}` of layer {reference.layer} would have to be"
    return CspdetError(f"{message} `{number}`, but {why}", "give the layer that is meant a `name=`, and write `@name` here")


def lost_diagnostics(
    old: Outline, new: Outline, order: Sequence[int], numbers: Mapping[int, int], lost: Sequence[Reference]
) -> tuple[Diagnostic, ...]:
    """What to say of layers that name a layer that is gone, at their places in the new text.

    Args:
        old: the text before.
        new: the text without the layers, but with the numbers as they were.
        order: for each section of the new text, its number in the old one.
        numbers: the new number of each layer that is still there.
        lost: what names a layer that is gone.
    """
    starts = [section.name_span.start for section in old.document.sections]
    shifts = {was: new.document.sections[now].name_span.start - starts[was] for now, was in enumerate(order) if was >= 0}

    def moved(span: Span) -> Span:
        if span.source is not old.source:
            return span
        shift = shifts[bisect_right(starts, span.start) - 1]
        through = tuple(map(moved, span.through))
        return Span(new.source, span.start + shift, span.end + shift, through)

    found = []
    for each in lost:
        gone = old.layers[each.target]
        message = f"`{each.option}={each.written}` means `[{gone.name}]`, layer {each.target}, which would be gone"
        label = f"this was layer {each.layer}" if numbers[each.layer] != each.layer else ""
        cure = "let it name another layer first, or remove it, too"
        found.append(Diagnostic("error", "bad-reference", message, Label(moved(_place(old, each)), label), (), cure))
    return tuple(found)
