"""The [sam] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import REQUIRED, OneSource, Problem, Shape, option
from cspdet.layers.pair import Pair

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Sam(Pair, names=("sam",), known_to=("alexeyab", "hank-ai", "pytorch")):
    """Another layer times the layer before, number by number: spatial attention. Source: `sam_layer.c`."""

    from_: OneSource = option(REQUIRED, "layer to multiply with: relative if negative, else counted from the first")
    activation: str = option("linear", "applied last", choices=ACTIVATIONS, fallback="relu")

    def check(self, x: Shape, other: Shape) -> Iterator[Problem]:
        """Equal shapes."""
        yield from foreign(self.activation, self.dialect)
        if x != other:
            message = f"{other} cannot be multiplied with the {x} before it"
            yield self.mismatch("sam-shape", message, "name a layer of the same shape", other)

    def shape(self, x: Shape, other: Shape) -> Shape:
        """What `from` puts out."""
        return other

    def lower(self, build: Builder, arrays: Arrays, x: Value, other: Value) -> Value:
        """A product."""
        return build.activate(self.activation, build.combine("multiply", x, other))

    def forward(self, parts: Any, x: Tensor, other: Tensor) -> Tensor:
        """(N, C, H, W) twice → (N, C, H, W)."""
        from cspdet.layers.functional import activate

        return activate(self.activation, x * other, fresh=True)
