"""The [local] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Array, Layer, Problem, Shape, fits_kernel, option
from cspdet.layers.option import LARGEST_COUNT, LARGEST_SIDE
from cspdet.layers.window import Windows, square

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Local(Layer, names=("local",), known_to=("alexeyab", "pjreddie")):
    """A convolution with weights of its own at every place.

    `pad` is not on or off here: Darknet pads by its number, and computes the output as if the kernel were 3 pixels wide.
    Source: `local_layer.c`.
    """

    filters: int = option(1, "number of output channels", at_least=1, at_most=LARGEST_COUNT)
    size: int = option(1, "side of the square kernel", at_least=1, at_most=LARGEST_SIDE)
    stride: int = option(1, "step of the kernel in pixels", at_least=1, at_most=LARGEST_SIDE)
    pad: int = option(0, "pixels added on every side", at_least=0, at_most=LARGEST_SIDE)
    activation: str = option("logistic", "applied last", choices=ACTIVATIONS, fallback="relu")

    def check(self, x: Shape) -> Iterator[Problem]:
        """Darknet announces one output size and computes patches for another, unless the padding is right."""
        yield from foreign(self.activation, self.dialect)
        out = self.shape(x)
        yield from fits_kernel(x, out.height, out.width)
        patches = tuple((side + 2 * self.pad - self.size) // self.stride + 1 for side in (x.height, x.width))
        if patches != (out.height, out.width):
            message = f"`size={self.size}` with `pad={self.pad}`: Darknet's own sizes disagree"
            yield Problem(
                "local-size",
                "pad",
                message,
                "use `pad=0`, or `pad=1` with `size=3`",
                "error",
                f"it announces {out.width}x{out.height} and computes {patches[1]}x{patches[0]}",
            )

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (filters, H', W'), by `local_out_height`."""
        less = 1 if self.pad else self.size
        return Shape(self.filters, (x.height - less) // self.stride + 1, (x.width - less) // self.stride + 1)

    def reduction(self) -> tuple[float, float]:
        """The stride."""
        return self.stride, self.stride

    def reach(self, x: Shape) -> tuple[Windows]:
        """The pixels under the kernel."""
        return (square((self.stride, self.stride), -self.pad, self.size),)

    def arrays(self, x: Shape) -> dict[str, Array]:
        """One bias for every output; kernels as (places, filters, channels, size, size)."""
        out = self.shape(x)
        weights = Array((out.height * out.width, self.filters, x.channels, self.size, self.size))
        return {"bias": Array((self.filters, out.height, out.width), "biases"), "weight": weights}

    def columns(self) -> tuple[str, str]:
        """Filters, kernel and stride."""
        return f"{self.filters}", f"{self.size} x {self.size}/ {self.stride}"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """The pixels under the kernel, gathered place by place, times the weights of the place."""
        import numpy as np

        filters, height, width = arrays["bias"].shape
        padded = build.pad(x, (0, self.pad, self.pad), (0, self.pad, self.pad))
        ends = (height - 1) * self.stride + 1, (width - 1) * self.stride + 1
        rows = [build.part(padded, row, row + ends[0], 1, self.stride) for row in range(self.size)]
        pixels = [build.part(row, column, column + ends[1], 2, self.stride) for row in rows for column in range(self.size)]
        # (size², C, places) → (places, 1, size² C), for weights of the same order.
        gathered = build.reshape(build.join(pixels), self.size**2 * x.channels, height * width)
        gathered = build.reshape(build.transpose(gathered, 1, 0), height * width, 1, -1)
        weight = arrays["weight"].reshape(height * width, filters, x.channels, -1).transpose(0, 3, 2, 1)
        weight = np.ascontiguousarray(weight.reshape(height * width, -1, filters))
        bias = np.ascontiguousarray(arrays["bias"].reshape(filters, 1, -1).transpose(2, 1, 0))
        found = build.reshape(build.product(gathered, weight, bias), height * width, filters)
        return build.activate(self.activation, build.reshape(build.transpose(found, 1, 0), filters, height, width))

    def parts(self, x: Shape) -> Parts:
        """`bias` and `weight`."""
        import torch
        from torch import nn

        return {name: nn.Parameter(torch.empty(array.shape)) for name, array in self.arrays(x).items()}

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, filters, H', W')."""
        import torch
        from torch.nn.functional import unfold

        from cspdet.layers.functional import activate

        patches = unfold(x, self.size, padding=self.pad, stride=self.stride)  # (N, C·size², places)
        x = torch.einsum("ncl,lfc->nfl", patches, parts.weight.flatten(2)).reshape(x.shape[0], *parts.bias.shape) + parts.bias
        return activate(self.activation, x, fresh=True)
