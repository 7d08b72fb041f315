"""The [l2norm] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class L2norm(Layer, names=("l2norm",), known_to=("pjreddie",)):
    """Every pixel divided by the length of its vector of channels. Source: pjreddie's `l2norm_layer.c`, `l2normalize_cpu`."""

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A quotient."""
        from cspdet.program.operations import Activation

        square = build.reduce(build.combine("multiply", x, x), "sum", 0)
        return build.combine("divide", x, build.function(square, Activation("sqrt")))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W), kept."""
        return x / x.square().sum(1, keepdim=True).sqrt()
