"""What all detection heads share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cspdet.layers.base import Layer, Shape
from cspdet.layers.class_map import read_map
from cspdet.layers.option import shown
from cspdet.paths import file_near
from cspdet.text import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cspdet.boxes import Candidates
    from cspdet.layers.decoding import LoweredBoxes
    from cspdet.program.builder import Builder, Value


def first_anchors(anchors: tuple[float, ...], number: int) -> tuple[tuple[str, str], ...]:
    """The cure of having more anchors than are used: the first ones alone; nothing where rounding would change them."""
    kept = anchors[: 2 * number]
    return (("anchors", shown(kept)),) if all(float(shown(each)) == each for each in kept) else ()


class Head(Layer):
    """A layer that turns what it reads into boxes."""

    is_head = True
    # What one anchor has besides its classes: box and objectness.
    entries: ClassVar[int] = 5

    classes: int
    # What the file that `map` names makes of the labels' classes; None without such a file.
    class_map: tuple[int, ...] | None = None

    def find_map(self, cfg: Path) -> None:
        """Read the class map, if the head has one; `cfg` is the file that names it. Only training needs it."""
        path = file_near(name, cfg) if (name := getattr(self, "map", "")) else None
        self.class_map = read_map(path) if path else None

    @property
    def anchor_count(self) -> int:
        """Boxes per cell."""
        raise NotImplementedError

    @property
    def suppression(self) -> tuple[Literal["default", "greedynms", "diounms", "cornersnms"], float]:
        """Kind of non-maximum suppression, and its exponent."""
        return "default", 0.6

    def needed(self) -> int:
        """How many channels (numbers, for [detection]) the head must be given."""
        return self.anchor_count * (self.classes + self.entries)

    def formula(self) -> str:
        """How that number comes about, for messages."""
        classes, anchors = counted(self.classes, "class", "classes"), counted(self.anchor_count, "anchor", "anchors")
        return f"({classes} + {self.entries}) × {anchors}"

    def decode(self, raw: NDArray[np.float32], network: Shape, threshold: float) -> Candidates:
        """Boxes of one image. `raw` is what the head reads: (C, H, W), or (length,) for [detection].

        `network` is the network's input. Only boxes that can pass `threshold` are computed, in Darknet's order: cells row
        by row, the anchors of a cell one after the other.
        """
        raise NotImplementedError

    def lower_boxes(self, build: Builder, raw: Value, network: Shape) -> LoweredBoxes | None:
        """What `decode` computes, of all boxes and without a threshold, as operations; None where they cannot say it."""
        return None

    def shape(self, x: Shape) -> Shape:
        """What it reads."""
        return x

    def forward(self, parts: Any, x: Any) -> Any:
        """The head's input with Darknet's activations, in Darknet's order."""
        raise NotImplementedError
