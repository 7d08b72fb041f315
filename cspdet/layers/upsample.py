"""The [upsample] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, fits_kernel, option
from cspdet.layers.option import LARGEST_SIDE, OWN
from cspdet.layers.window import Window, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

MODES = {
    "nearest": "the pixel's value, as in Darknet",
    "bilinear": "linear interpolation between the pixels",
    "nails": "the value at the top left, zeros elsewhere",
}


class Upsample(Layer, names=("upsample",)):
    """Every pixel becomes a square. With a negative stride, every square becomes the sum of its pixels.

    `mode=bilinear` takes pixels for points in the middle of their squares: output pixel i reads the map at
    (i + 1/2) / stride - 1/2, kept within it, which is PyTorch's `align_corners=False`. Each input pixel so stays over the same
    part of the picture as with `nearest`, which is what the cells of a head rely on; with corners aligned, the map would be
    stretched from its middle, by another factor at every size of the network.
    Source: `upsample_layer.c`, `blas.c:upsample_cpu`; the modes are cspdet's own.
    """

    stride: int = option(2, "side of the square; negative to shrink", at_least=-LARGEST_SIDE, at_most=LARGEST_SIDE)
    scale: float = option(1.0, "factor on the values")
    mode: str = option("nearest", "what the squares are filled with", choices=MODES, known_to=OWN)

    def check(self, x: Shape) -> Iterator[Problem]:
        """A stride, one that enlarges for the modes that can only do so, and something left of the map."""
        if not self.stride:
            yield Problem("out-of-range", "stride", "`stride` is 0", "write `stride=2` to double the size")
            return
        if self.stride < 0 and self.mode != "nearest":
            message = f"`mode={self.mode}` with `stride={self.stride}`, which shrinks the map"
            yield Problem("upsample-mode", "mode", message, "remove `mode`, or write a positive `stride`")
        out = self.shape(x)
        yield from fits_kernel(x, out.height, out.width)
        if self.stride < 0 and (x.height % self.stride or x.width % self.stride):
            message = f"a {x.width}x{x.height} map does not divide into squares of {-self.stride}"
            yield Problem("upsample-divide", "stride", message, "change the size", "error", "Darknet reads shifted rows")

    def changes(self, name: str) -> bool:
        """No mode does where the map keeps its size."""
        return super().changes(name) and not (name == "mode" and self.stride == 1)

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C, H s, W s)."""
        if self.stride < 0:
            return Shape(x.channels, x.height // -self.stride, x.width // -self.stride)
        return Shape(x.channels, x.height * self.stride, x.width * self.stride)

    def reduction(self) -> tuple[float, float]:
        """The output is larger, or smaller."""
        factor = 1 / self.stride if self.stride > 0 else -self.stride
        return factor, factor

    def reach(self, x: Shape) -> tuple[Windows]:
        """The pixel that became the square, those that are interpolated, or the square that is summed up."""
        if self.stride < 0:
            own = Window(-self.stride, 0, -self.stride - 1)
        elif self.mode == "bilinear" and self.stride > 1:
            # From the middles of the pixels: the two around (i + ½) / stride - ½.
            own = Window(1, (1 - self.stride) // 2 - self.stride + 1, (1 - self.stride) // 2 + self.stride, self.stride)
        elif self.mode == "nails":
            own = Window(1, 0, 0, self.stride)
        else:
            own = Window(1, 1 - self.stride, 0, self.stride)
        return ((own, own),)

    def columns(self) -> tuple[str, str]:
        """Factor, and the mode if it is not Darknet's."""
        mode = "" if self.mode == "nearest" else f"{self.mode} "
        return "", f"{mode}{self.stride}x" if self.stride > 0 else f"1/{-self.stride}x"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Repeated or interpolated pixels, pixels between zeros, or sums of squares."""
        channels, height, width = x.dimensions
        step = abs(self.stride)
        if self.stride < 0:
            x = build.pool(x, "mean", (step, step), (step, step), (0, 0, 0, 0))
            x = build.affine(x, step * step, 0)
        elif self.mode == "nails":
            apart = build.reshape(x, channels, height, 1, width, 1)
            apart = build.pad(apart, (0, 0, 0, 0, 0), (0, 0, step - 1, 0, step - 1))
            x = build.reshape(apart, channels, height * step, width * step)
        else:
            x = build.enlarge(x, step, "bilinear" if self.mode == "bilinear" else "nearest")
        return build.affine(x, self.scale, 0)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H s, W s)."""
        from torch.nn.functional import avg_pool2d, interpolate, pad

        if self.stride < 0:
            x = avg_pool2d(x, -self.stride, divisor_override=1)
        elif self.mode == "nails":
            n, c, h, w = x.shape
            behind = self.stride - 1
            x = pad(x[:, :, :, None, :, None], (0, behind, 0, 0, 0, behind)).reshape(n, c, h * self.stride, w * self.stride)
        else:
            corners = False if self.mode == "bilinear" else None
            x = interpolate(x, scale_factor=float(self.stride), mode=self.mode, align_corners=corners)
        return x if self.scale == 1 else x * self.scale
