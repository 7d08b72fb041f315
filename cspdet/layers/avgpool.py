"""The [avgpool] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Shape
from cspdet.layers.window import Windows, everywhere

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Avgpool(Layer, names=("avgpool", "avg")):
    """The mean of each channel. Source: `avgpool_layer.c`."""

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C, 1, 1)."""
        return Shape(x.channels, 1, 1)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The whole map."""
        return (everywhere(x),)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A mean."""
        return build.reduce(x, "mean", 1, 2)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=True)
