"""The anchors of a cfg: those it has, and new ones written into its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cspdet.cfg.source import Edit, edited
from cspdet.data.anchors import Sizes, anchor_text, rounded
from cspdet.errors import CspdetError, UsageError
from cspdet.graph import Graph, Node
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo

# The side of the largest anchor that suits a head.
_PIXELS_PER_STRIDE = 3.75


class AnchorHead(NamedTuple):
    """A head with anchors."""

    node: Node
    # What its anchors are counted in: (width, height) of the network's input in pixels, or of a [region] head's map in cells.
    units: tuple[float, float]
    # All of its anchors, those beyond its `mask` too, as shares of the input; (num, 2).
    sizes: Sizes
    # Those it uses.
    used: tuple[int, ...]
    # Pixels of the input for one cell.
    stride: float


def anchor_heads(graph: Graph) -> tuple[AnchorHead, ...]:
    """The heads of a network that have anchors; they agree in how many.

    Raises:
        UsageError: there are none.
        CspdetError: they differ in `num`.
    """
    heads = tuple(_head(graph, node) for node in graph.heads if isinstance(node.layer, Yolo | Region))
    if not heads:
        raise UsageError(f"`{graph.source.path}` has no head with anchors", "name a cfg with `[yolo]` or `[region]` heads")
    numbers = [len(head.sizes) for head in heads]
    if len({*numbers}) > 1:
        where = heads[[number != numbers[0] for number in numbers].index(True)].node.place("num")
        message = f"{where}: this head has `num={next(n for n in numbers if n != numbers[0])}`, the first `num={numbers[0]}`"
        raise CspdetError(message, "give every head the same anchors, and the same `num`")
    return heads


def _head(graph: Graph, node: Node) -> AnchorHead:
    head, read = node.layer, node.inputs[0]
    assert isinstance(head, Yolo | Region)
    units = (float(graph.input.width), float(graph.input.height))
    used = tuple(range(head.num))
    if isinstance(head, Yolo):
        used = head.used
    else:
        units = (float(read.width), float(read.height))
    written = (*head.anchors, *(0.5,) * (2 * head.num))[: 2 * head.num]
    sizes = np.array(written, np.float64).reshape(-1, 2) / units
    return AnchorHead(node, units, sizes, used, graph.input.width / read.width)


def present(heads: Sequence[AnchorHead]) -> Sizes:
    """The anchors that a network uses now, (n, 2), as shares of its input."""
    sizes = np.concatenate([head.sizes[[number for number in head.used if number < len(head.sizes)]] for head in heads])
    found: Sizes = np.unique(np.maximum(sizes, 1e-9), axis=0)
    return found


def in_units(head: AnchorHead, sizes: Sizes) -> Sizes:
    """Anchors, given as shares of the input, as a head counts them, rounded."""
    return rounded(sizes * head.units, head.units[0])


def rewritten(graph: Graph, heads: Sequence[AnchorHead], sizes: Sizes) -> str:
    """The text of a cfg with new anchors, (num, 2) as shares of the input, in every head; all else byte for byte as it was.

    Raises:
        UsageError: there are more or fewer than the heads' `num`.
        CspdetError: a head has no `anchors=` of its own to put them into.
    """
    number = len(heads[0].sizes)
    if len(sizes) != number:
        cure = "leave out the number, or change `num`, `mask` and the `filters` before every head first"
        raise UsageError(f"`{graph.source.path}` has `num={number}` anchors, not {len(sizes)}", cure)
    edits = []
    for head in heads:
        section = head.node.section
        entries = [entry for entry in section.entries if entry.key == "anchors"]
        if not entries:
            raise CspdetError(f"{section.name_span}: this head has no `anchors=`", "add the line `anchors = 10,13` to the head")
        for entry in entries:
            if entry.value_span.through or entry.value_span.source is not graph.source or "$" in entry.value_span.text:
                message = f"{entry.value_span}: this head's anchors come from a variable, a block or another file"
                raise CspdetError(message, "put the new ones there yourself; without `--write` they are printed")
        edits += [Edit(entry.value_span, anchor_text(in_units(head, sizes))) for entry in entries]
    return edited(graph.source, edits)


def unsuited(heads: Sequence[AnchorHead], sizes: Sizes) -> str:
    """What speaks against the heads' masks with new anchors; nothing if they suit.

    Small anchors belong to the head with the finest map, large ones to that with the coarsest. Darknet's rule of thumb is up to
    30 pixels for stride 8, up to 60 for stride 16, the rest for the last (README of AlexeyAB's Darknet, "How to improve object
    detection"). Its own cfgs stretch that by up to 1.9, so only what lies beyond twice a limit counts.
    """
    yolo = sorted((head for head in heads if isinstance(head.node.layer, Yolo)), key=lambda head: head.stride)
    found = []
    for place, head in enumerate(yolo):
        least = _PIXELS_PER_STRIDE * yolo[place - 1].stride if place else 0.0
        most = _PIXELS_PER_STRIDE * head.stride if place < len(yolo) - 1 else np.inf
        pixels = in_units(head, sizes)
        sides = np.sqrt(pixels.prod(1))
        odd = [number for number in head.used if number < len(sides) and not least / 2 <= sides[number] <= 2 * most]
        if odd:
            names = ", ".join(f"{pixels[number, 0]:g}x{pixels[number, 1]:g}" for number in odd)
            limits = f"up to {most:g}" if most < np.inf else f"from {least:g} on"
            found.append(f"of stride {head.stride:g} ({limits} pixels) has {names}")
    return "the head " + ", that ".join(found) if found else ""
