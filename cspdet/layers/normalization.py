"""The [normalization] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Normalization(Layer, names=("normalization", "lrn"), known_to=("alexeyab", "pjreddie")):
    """Local response normalisation: x (kappa + alpha S)^-beta, S the sum of squares over `size` channels around each.

    Darknet starts its running sum with one channel too few, so the square of channel size // 2 is missing from every S;
    alpha is not divided by the size. Source: `normalization_layer.c`.
    """

    alpha: float = option(0.0001, "factor on the sum of squares")
    beta: float = option(0.75, "exponent")
    kappa: float = option(1.0, "summand, so that nothing is divided by zero")
    size: int = option(5, "channels in the sum", at_least=1, at_most=4096)

    def check(self, x: Shape) -> Iterator[Problem]:
        """An image with channels enough for Darknet's running sum."""
        if x.channels <= self.size // 2:
            message = f"`size={self.size}` looks at channel {self.size // 2}, but there are only {x.channels}"
            yield Problem("out-of-range", "size", message, f"use at most {2 * x.channels - 1}")

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Sums over neighbours of the squares, then a power."""
        square = build.combine("multiply", x, x)
        before, after = (self.size - 1) // 2, self.size // 2
        padded = build.pad(square, (before, 0, 0), (after, 0, 0))
        total = build.part(padded, 0, x.channels)
        for shift in range(1, self.size):
            total = build.combine("add", total, build.part(padded, shift, shift + x.channels))
        total = build.combine("subtract", total, build.part(square, after, after + 1))
        factor = build.combine("power", build.affine(total, self.alpha, self.kappa), -self.beta)
        return build.combine("multiply", x, factor)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W), kept."""
        from torch.nn.functional import avg_pool3d, pad

        square = x.square()
        before, after = (self.size - 1) // 2, self.size // 2
        padded = pad(square, (0, 0, 0, 0, before, after))[:, None]
        total = avg_pool3d(padded, (self.size, 1, 1), 1, divisor_override=1)[:, 0] - square[:, after : after + 1]
        return x * (self.kappa + self.alpha * total) ** -self.beta
