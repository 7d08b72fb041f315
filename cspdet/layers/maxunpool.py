"""The [maxunpool] section, which is cspdet's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import REQUIRED, Layer, OneSource, Problem, Shape, option
from cspdet.layers.maxpool import Maxpool
from cspdet.layers.window import Window, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Maxunpool(Layer, names=("maxunpool",), known_to=("cspdet",)):
    """The values of the layer before, where a [maxpool] took its maxima; zeros elsewhere. The size is that before the pooling.

    Of equal values under a window, the first one counts, row by row, as in Darknet's pooling. Where windows overlap and take
    the same pixel, their values are added up, as in its backward pass. The places are found once more in what the pooling
    reads, so that this stays in memory until here. No gradient passes through them.
    Source: Zeiler and Fergus, 1311.2901, section 2.1; SegNet, 1511.00561, section 3; `maxpool_layer.c`.
    """

    from_: OneSource = option(REQUIRED, "the [maxpool]: relative if negative, else counted from the first")

    # The layer that `from` names, once `look_back` has been called; None where it is in error.
    pooling: Layer | None = None

    def look_back(self, earlier: Mapping[int, Layer]) -> None:
        """Find the pooling."""
        self.pooling = earlier.get(self.place)

    @property
    def place(self) -> int:
        """The number of the layer that `from` names."""
        (place,) = self.from_.resolve(self.index)
        return place

    def sources(self) -> tuple[int, ...]:
        """The layer before, and what the pooling reads."""
        return (self.index - 1, *(self.pooling.sources() if isinstance(self.pooling, Maxpool) else (self.place,)))

    def check(self, x: Shape, before: Shape) -> Iterator[Problem]:
        """A pooling that takes maxima under windows and puts out what is to be put back."""
        pooling = self.pooling
        if not isinstance(pooling, Maxpool):
            message, cure = f"layer {self.place} is no `[maxpool]`", "name the `[maxpool]` that is to be undone"
            yield Problem("unpool-from", "from", message, cure, others=((self.place, None, "this layer"),))
        elif pooling.maxpool_depth or pooling.antialiasing:
            name = "maxpool_depth" if pooling.maxpool_depth else "antialiasing"
            message, cure = f"layer {self.place} is a `[maxpool]` with `{name}`", "name one without"
            yield Problem("unpool-from", "from", message, cure, others=((self.place, name, ""),))
        elif x != pooling.shape(before):
            message = f"the layer before puts out {x}, but layer {self.place} pooled to {pooling.shape(before)}"
            cure = "make the layer before put out as much as the pooling did"
            yield Problem("unpool-shape", "from", message, cure, others=((self.place, None, "the pooling"),))

    def shape(self, x: Shape, before: Shape) -> Shape:
        """(C, H, W) → that before the pooling."""
        return before

    def reduction(self) -> tuple[float, float]:
        """The inverse of the pooling's strides."""
        assert isinstance(self.pooling, Maxpool)
        down, right = self.pooling.reduction()
        return 1 / down, 1 / right

    def reach(self, x: Shape, before: Shape) -> tuple[Windows, Windows]:
        """The values of the windows that the pixel is under; and the pixels around, which decide whose it is.

        Of the latter, these are all that could be: where windows do not begin at the pixel, fewer are.
        """
        pooling = self.pooling
        assert isinstance(pooling, Maxpool)
        offset, last = pooling.total_padding // 2, pooling.window - 1
        vertical, horizontal = (Window(1, offset - last, offset, step) for step in pooling.window_steps)
        around = Window(1, -last, last)
        return (vertical, horizontal), (around, around)

    def columns(self) -> tuple[str, str]:
        """The pooling."""
        return f"{self.place}", ""

    def lower(self, build: Builder, arrays: Arrays, x: Value, before: Value) -> Value:
        """The places of a pooling."""
        pooling = self.pooling
        assert isinstance(pooling, Maxpool)
        steps = pooling.window_steps
        border = pooling.border(before.dimensions, steps)
        return build.unpool(x, before, (pooling.window, pooling.window), steps, border)

    def forward(self, parts: Any, x: Tensor, before: Tensor) -> Tensor:
        """(N, C, H', W'), and (N, C, H, W) as the pooling reads it → (N, C, H, W)."""
        assert isinstance(self.pooling, Maxpool)
        places = self.pooling.places(before.detach())
        return x.new_zeros(before.shape).flatten(2).scatter_add(2, places.flatten(2), x.flatten(2)).view(before.shape)
