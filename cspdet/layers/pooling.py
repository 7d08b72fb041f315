"""What [maxpool] and [local_avgpool] share: a window that moves over the map, and Darknet's own way to pad it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cspdet.layers.base import Layer, Problem, Shape, fits_kernel, option
from cspdet.layers.option import LARGEST_SIDE, NOT_PJREDDIE
from cspdet.layers.window import Windows, square

if TYPE_CHECKING:
    from torch import Tensor


class Pooling(Layer):
    """A window that moves over the map (`maxpool_layer.c`).

    Darknet pads `size - 1` pixels in total if `padding` is absent, half of it (rounded down) before the map and the rest
    behind; the padding never counts.
    """

    size: int | None = option(None, "side of the window; `stride` if absent", at_least=1, at_most=LARGEST_SIDE)
    stride: int = option(1, "step of the window in pixels", at_least=1, at_most=LARGEST_SIDE)
    stride_x: int | None = option(
        None, "step to the right, if it differs", at_least=1, at_most=LARGEST_SIDE, known_to=NOT_PJREDDIE
    )
    stride_y: int | None = option(
        None, "step downwards, if it differs", at_least=1, at_most=LARGEST_SIDE, known_to=NOT_PJREDDIE
    )
    padding: int | None = option(
        None, "pixels added in total, on both sides together; size - 1 if absent", at_least=0, at_most=LARGEST_SIDE
    )

    @property
    def window(self) -> int:
        """Side of the window."""
        return self.stride if self.size is None else self.size

    @property
    def strides(self) -> tuple[int, int]:
        """Steps downwards and to the right."""
        return (
            self.stride if self.stride_y is None else self.stride_y,
            self.stride if self.stride_x is None else self.stride_x,
        )

    @property
    def total_padding(self) -> int:
        """Pixels added on both sides together."""
        return self.window - 1 if self.padding is None else self.padding

    def check(self, x: Shape) -> Iterator[Problem]:
        """Something left of the map, and something of it under every window."""
        out = self.listed_shape(x)
        if out.height > 0 and out.width > 0:
            out = self.shape(x)
        yield from fits_kernel(x, out.height, out.width)
        if self._outside(x):
            message = f"`padding={self.total_padding}` puts whole windows of {self.window} pixels outside the map"
            yield Problem("padding-only", "padding", message, "`padding` counts both sides together; leave it out for size - 1")

    def _outside(self, x: Shape) -> bool:
        """Whether the first or the last window lies wholly in the padding."""
        before = self.total_padding // 2
        pooled = self.pooled(x, self.window_steps)
        rows, columns = pooled.height - 1, pooled.width - 1
        down, right = self.window_steps
        return before >= self.window or rows * down - before >= x.height or columns * right - before >= x.width

    @property
    def window_steps(self) -> tuple[int, int]:
        """Steps of the window itself; the strides, unless something else strides."""
        return self.strides

    def pooled(self, x: Shape, strides: tuple[int, int]) -> Shape:
        """The size after pooling with these steps."""
        room = self.total_padding - self.window
        return Shape(x.channels, (x.height + room) // strides[0] + 1, (x.width + room) // strides[1] + 1)

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C, H', W')."""
        return self.pooled(x, self.strides)

    def reduction(self) -> tuple[float, float]:
        """The strides."""
        return self.strides

    def reach(self, x: Shape) -> tuple[Windows]:
        """The window itself."""
        return (square(self.window_steps, -(self.total_padding // 2), self.window),)

    def operations(self, x: Shape) -> float:
        """One for each pixel under the window."""
        return self.window**2 * self.listed_shape(x).size

    def columns(self) -> tuple[str, str]:
        """Window and stride."""
        vertical, horizontal = self.strides
        stride = f"{vertical}" if vertical == horizontal else f"{horizontal}x{vertical}"
        return "", f"{self.window} x {self.window}/ {stride}"

    def border(self, dimensions: tuple[int, ...], strides: tuple[int, int]) -> tuple[int, int, int, int]:
        """The pixels that are added above, left, below and right of a map of these dimensions, (C, H, W)."""
        top, bottom = pool_padding(dimensions[1], self.window, strides[0], self.total_padding)
        left, right = pool_padding(dimensions[2], self.window, strides[1], self.total_padding)
        return top, left, bottom, right

    def windows(self, x: Tensor, strides: tuple[int, int], value: float) -> tuple[Tensor, tuple[int, int]]:
        """The map for PyTorch's pooling, and how many pixels that shall add on every side by itself.

        It adds the same before and behind, and takes no memory for it; Darknet adds more behind, of which the rest is added
        here. Where PyTorch cannot (it adds at most half a window), all of it is.
        """
        from torch.nn.functional import pad

        top, left, bottom, right = self.border(tuple(x.shape[1:]), strides)
        own = (top, left) if max(top, left) <= self.window // 2 and bottom >= top and right >= left else (0, 0)
        rest = (left - own[1], right - own[1], top - own[0], bottom - own[0])
        return pad(x, rest, value=value) if any(rest) else x, own


def pool_padding(extent: int, size: int, stride: int, padding: int) -> tuple[int, int]:
    """Pixels to add before and after, where Darknet pads `padding` in total and starts at `-padding / 2`."""
    before = padding // 2
    outputs = (extent + padding - size) // stride + 1
    return before, max(0, (outputs - 1) * stride + size - extent - before)
