"""The [activation] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Layer, Problem, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class ActivationLayer(Layer, names=("activation",), known_to=("alexeyab", "pjreddie")):
    """An activation on its own. Source: `activation_layer.c`."""

    reads_images = False

    activation: str = option("linear", "what to apply", choices=ACTIVATIONS, fallback="relu")

    def check(self, x: Shape) -> Iterator[Problem]:
        """Only the activation can be wrong."""
        yield from foreign(self.activation, self.dialect)

    def passes_on(self, x: Shape) -> bool:
        """Where there is nothing to apply."""
        return self.activation == "linear"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """The activation."""
        return build.activate(self.activation, x)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """Any shape, kept."""
        from cspdet.layers.functional import activate

        return activate(self.activation, x)
