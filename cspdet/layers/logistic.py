"""The [logistic] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Logistic(Layer, names=("logistic",), known_to=("pjreddie",)):
    """1 / (1 + e^-x) of every input, with its cross entropy in training. Source: pjreddie's `logistic_layer.c`."""

    reads_images = False

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """The function."""
        return build.activate("logistic", x)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """Any shape, kept."""
        return x.sigmoid()
