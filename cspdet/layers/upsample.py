"""The [upsample] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, fits_kernel, option
from cspdet.layers.option import LARGEST_SIDE

if TYPE_CHECKING:
    from torch import Tensor


class Upsample(Layer, names=("upsample",)):
    """Every pixel becomes a square. With a negative stride, every square becomes the sum of its pixels.

    Source: `upsample_layer.c`, `blas.c:upsample_cpu`.
    """

    stride: int = option(2, "side of the square; negative to shrink", at_least=-LARGEST_SIDE, at_most=LARGEST_SIDE)
    scale: float = option(1.0, "factor on the values")

    def check(self, x: Shape) -> Iterator[Problem]:
        """A stride, and something left of the map."""
        if not self.stride:
            yield Problem("out-of-range", "stride", "`stride` is 0", "write `stride=2` to double the size")
            return
        out = self.shape(x)
        yield from fits_kernel(x, out.height, out.width)
        if self.stride < 0 and (x.height % self.stride or x.width % self.stride):
            message = f"a {x.width}x{x.height} map does not divide into squares of {-self.stride}"
            yield Problem("upsample-divide", "stride", message, "change the size", "error", "Darknet reads shifted rows")

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C, H s, W s)."""
        if self.stride < 0:
            return Shape(x.channels, x.height // -self.stride, x.width // -self.stride)
        return Shape(x.channels, x.height * self.stride, x.width * self.stride)

    def reduction(self) -> tuple[float, float]:
        """The output is larger, or smaller."""
        factor = 1 / self.stride if self.stride > 0 else -self.stride
        return factor, factor

    def columns(self) -> tuple[str, str]:
        """Factor."""
        return "", f"{self.stride}x" if self.stride > 0 else f"1/{-self.stride}x"

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H s, W s)."""
        from torch.nn.functional import avg_pool2d, interpolate

        if self.stride < 0:
            x = avg_pool2d(x, -self.stride, divisor_override=1)
        else:
            x = interpolate(x, scale_factor=float(self.stride), mode="nearest")
        return x if self.scale == 1 else x * self.scale
