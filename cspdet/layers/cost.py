"""The [cost] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

COSTS = ("sse", "masked", "smooth", "L1", "seg", "wgan")


class Cost(Layer, names=("cost",)):
    """A loss over the whole output. At inference it writes nothing: its output stays zero. Source: `cost_layer.c`."""

    reads_images = False

    type: str = option("sse", "which loss", choices=COSTS, fallback="sse", training=True)
    scale: float = option(1.0, "factor on the loss", training=True)
    ratio: float = option(0.0, "share of the gradients to keep", training=True)
    noobj: float = option(1.0, "factor where the truth is 0", training=True, known_to=("pjreddie",))
    thresh: float = option(0.0, "smallest gradient to keep", training=True, known_to=("pjreddie",))

    def shape(self, x: Shape) -> Shape:
        """Any → as many numbers."""
        return Shape.vector(x.size)

    def reach(self, x: Shape) -> tuple[None]:
        """Nothing: the output is zero."""
        return (None,)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Zeros."""
        return build.zeros(build.reshape(x, -1))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, length) zeros."""
        return x.new_zeros(x.shape[0], x[0].numel())
