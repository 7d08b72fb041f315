"""The [scale_channels] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import REQUIRED, OneSource, Problem, Shape, option
from cspdet.layers.pair import Pair
from cspdet.layers.window import POINT, SPREAD_OUT, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class ScaleChannels(Pair, names=("scale_channels",), known_to=("alexeyab", "hank-ai", "pytorch")):
    """Another layer's channels, each times a number of the layer before: squeeze and excitation.

    With `scale_wh`, each pixel times a number instead. Source: `scale_channels_layer.c`.
    """

    from_: OneSource = option(REQUIRED, "layer to scale: relative if negative, else counted from the first")
    scale_wh: bool = option(False, "the layer before holds a number per pixel, not per channel")
    activation: str = option("linear", "applied last", choices=ACTIVATIONS, fallback="relu")

    def check(self, x: Shape, other: Shape) -> Iterator[Problem]:
        """As many numbers as channels, or as pixels."""
        yield from foreign(self.activation, self.dialect)
        wanted = Shape(1, other.height, other.width) if self.scale_wh else Shape(other.channels, 1, 1)
        if (x.channels, x.height, x.width) != (wanted.channels, wanted.height, wanted.width):
            message = f"scaling {other} takes {wanted}, but the layer before puts out {x}"
            cure = (
                "put one channel of the same size before it"
                if self.scale_wh
                else "put `[avgpool]` and a 1x1 convolution before it"
            )
            yield self.mismatch("scale-shape", message, cure, other)

    def shape(self, x: Shape, other: Shape) -> Shape:
        """What `from` puts out."""
        return other

    def reach(self, x: Shape, other: Shape) -> tuple[Windows, Windows]:
        """Of the layer before the one pixel there is; with `scale_wh`, the same pixel."""
        return POINT if self.scale_wh else SPREAD_OUT, POINT

    def lower(self, build: Builder, arrays: Arrays, x: Value, other: Value) -> Value:
        """A product."""
        return build.activate(self.activation, build.combine("multiply", x, other))

    def forward(self, parts: Any, x: Tensor, other: Tensor) -> Tensor:
        """(N, C, 1, 1) or (N, 1, H, W), and (N, C, H, W) → (N, C, H, W)."""
        from cspdet.layers.functional import activate

        return activate(self.activation, x * other, fresh=True)
