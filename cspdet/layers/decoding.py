"""How heads that look at every cell of a map write their boxes as operations of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cspdet.layers.base import Shape
    from cspdet.program.builder import Builder, Value
    from cspdet.program.operations import Floats


class LoweredBoxes(NamedTuple):
    """The boxes of one head as values of a program, all of them, in the order of `Head.decode`.

    `xywh` is (boxes, 4), relative to the network's input; `objectness` (boxes, 1); `scores` (boxes, classes), not cut off by
    any threshold.
    """

    xywh: Value
    objectness: Value
    scores: Value


class Cells(NamedTuple):
    """What a head reads, box by box, and the numbers that are there for each box already."""

    # (boxes, entries).
    entries: Value
    # Column and row of its cell, and width and height of its anchor: (boxes, 2).
    corners: Floats
    anchors: Floats
    # Columns and rows of the map: (2,).
    map_size: Floats

    def column(self, build: Builder, start: int, stop: int | None = None) -> Value:
        """Some of the entries of all boxes."""
        return build.part(self.entries, start, start + 1 if stop is None else stop, 1)


def cells(build: Builder, raw: Value, anchors: Sequence[tuple[float, float]]) -> Cells:
    """(C, H, W) → its cells row by row, the anchors of a cell one after the other."""
    import numpy as np

    _, height, width = raw.dimensions
    count = len(anchors)
    apart = build.reshape(raw, count, -1, height * width)
    entries = build.reshape(build.transpose(apart, 2, 0, 1), height * width * count, -1)
    row, column = np.divmod(np.arange(height * width), width)
    corners = np.stack([column, row], 1).repeat(count, 0).astype(np.float32)
    return Cells(
        entries,
        corners,
        np.tile(np.array(anchors, np.float32), (height * width, 1)),
        np.array([width, height], np.float32),
    )


def stretched(build: Builder, found: Cells, place: Value, reach: float) -> Value:
    """Places within their cells, of 0 … 1, as centres relative to the map; `reach` is `scale_x_y`."""
    import numpy as np

    factor = build.constant((np.float32(reach) / found.map_size)[None])
    origin = build.constant((found.corners - np.float32(0.5 * (reach - 1))) / found.map_size)
    return build.combine("add", build.combine("multiply", place, factor), origin)


def scaled(build: Builder, found: Cells, factors: Value, per: Floats) -> Value:
    """The anchors, times these factors, relative to a width and height."""
    return build.combine("multiply", factors, build.constant(found.anchors / per))


def network_size(network: Shape) -> Floats:
    """Width and height of the network's input."""
    import numpy as np

    return np.array([network.width, network.height], np.float32)
