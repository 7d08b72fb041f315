"""Layers as one calls them on the command line: `5`, `stem`, `3..7`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cspdet.errors import UsageError
from cspdet.rewrite.outline import Outline
from cspdet.text import brief, nearest

# In the place of a layer: what stands before the first.
_INPUT = "net"


def sections_of(word: str, outline: Outline) -> tuple[int, ...]:
    """The sections of the text that stand for a layer, or for those from one to another, both included.

    Raises:
        UsageError: there is no such layer, or a section stands for others, too.
    """
    first, dots, last = word.partition("..")
    one, other = _layers(first, outline), _layers(last if dots else first, outline)
    if not one.start < other.stop:
        raise UsageError(f"`{brief(word)}` ends before it begins", f"write `{last}..{first}`")
    chosen = range(one.start, other.stop)
    for layer in (chosen.start, chosen.stop - 1):
        owner = outline.owners[layer]
        stands = outline.layers_of(owner)
        if stands.start < chosen.start or stands.stop > chosen.stop:
            raise _part(layer, owner, outline)
    movable = outline.movable()
    owners = range(outline.owners[chosen.start], outline.owners[chosen.stop - 1] + 1)
    return tuple(section for section in owners if section in movable)


def section_before(word: str, outline: Outline) -> int:
    """The section of the text behind which something is put: that of a layer, or [net] for `net`.

    Raises:
        UsageError: there is no such layer, or its section stands for further layers.
    """
    if word == _INPUT:
        if outline.net_owner is None or outline.layers_of(outline.net_owner):
            raise UsageError(f"`{outline.source.path}` has no `[net]` of its own", "name a layer")
        return outline.net_owner
    last = _layers(word, outline).stop - 1
    owner = outline.owners[last]
    if outline.layers_of(owner).stop - 1 > last:
        raise _part(last, owner, outline)
    return owner


def _layers(word: str, outline: Outline) -> range:
    """The layers that a word means: one, or all of a block's use that has the name."""
    name = word.removeprefix("@")
    count = len(outline.layers)
    if word.isascii() and word.isdecimal() and len(word) < 10:
        if int(word) < count:
            return range(int(word), int(word) + 1)
        raise UsageError(f"there is no layer {int(word)}: the last is {count - 1}", "`cspdet summary` numbers them")
    names = outline.expansion.names
    if name not in names:
        near = nearest(name, [each for each in names if not each[0].isdigit()])
        cure = f"did you mean `{near}`?" if near else "`cspdet summary` numbers them, and `name=` names them"
        if several := re.fullmatch(r"(\d+)\D+(\d+)", word, re.ASCII):
            cure = f"layers that stand together are `{several[1]}..{several[2]}`"
        raise UsageError(f"there is no layer `{brief(word)}`", cure)
    layer = names[name]
    owner = outline.owners[layer]
    # The name of a use of a block, or of what is repeated, is that of its last layer, too.
    whole = "." not in name and any(
        entry.key == "name" and entry.value == name for entry in outline.document.sections[owner].entries
    )
    return outline.layers_of(owner) if whole else range(layer, layer + 1)


def _part(layer: int, owner: int, outline: Outline) -> UsageError:
    section, stands = outline.document.sections[owner], outline.layers_of(owner)
    message = f"layer {layer} comes from `[{section.name}]` in line {section.name_span.line}"
    cure = f"only the whole of it can be chosen: `{stands.start}..{stands.stop - 1}`"
    return UsageError(f"{message}, which stands for layers {stands.start} to {stands.stop - 1}", cure)


def runs(sections: Sequence[int]) -> list[tuple[int, int]]:
    """Sections that stand together, as first and last."""
    found: list[tuple[int, int]] = []
    for section in sections:
        if found and found[-1][1] == section - 1:
            found[-1] = (found[-1][0], section)
        else:
            found.append((section, section))
    return found
