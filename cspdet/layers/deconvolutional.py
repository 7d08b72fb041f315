"""The [deconvolutional] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Array, Layer, Problem, Shape, fits_kernel, option
from cspdet.layers.block import Convolution, check_groups, padded
from cspdet.layers.option import LARGEST_COUNT, LARGEST_SIDE, OWN
from cspdet.layers.window import Window, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


# Beyond, PyTorch's kernels for CPUs take time by the square of the stride, and crash from 16,384 on.
_USUAL_STRIDE = 8


class Deconvolutional(Layer, names=("deconvolutional", "deconv"), known_to=("pjreddie",)):
    """A transposed convolution: each pixel spreads a kernel. The output side is (side - 1) stride + size - 2 padding.

    `output_padding` adds to that. It is cspdet's own, as is `groups`; both mean what they do in PyTorch. Where no kernel
    reaches, the output is the bias alone. The file holds the weights as (channels, filters / groups, size, size).
    Source: pjreddie's `deconvolutional_layer.c`.
    """

    skips_scales = True

    filters: int = option(1, "number of output channels", at_least=1, at_most=LARGEST_COUNT)
    size: int = option(1, "side of the square kernel", at_least=1, at_most=LARGEST_SIDE)
    stride: int = option(1, "distance between the kernels in the output", at_least=1, at_most=LARGEST_SIDE)
    pad: bool = option(False, "cut size // 2 from every side, whatever `padding` says")
    padding: int = option(0, "pixels cut from every side", at_least=0, at_most=LARGEST_SIDE)
    groups: int = option(1, "groups of channels that are spread apart", at_least=1, known_to=OWN)
    output_padding: int = option(
        0, "pixels more at the bottom and on the right, fewer than `stride`", at_least=0, at_most=LARGEST_SIDE, known_to=OWN
    )
    batch_normalize: bool = option(False, "normalise the output instead of adding a bias")
    activation: str = option("logistic", "applied last", choices=ACTIVATIONS, fallback="relu")

    @property
    def cut(self) -> int:
        """Pixels cut from every side of the output."""
        return padded(self.pad, self.padding, self.size)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Groups that divide, an output padding within a step, and something left of the map."""
        yield from foreign(self.activation, self.dialect)
        yield from check_groups(x.channels, self.filters, self.groups)
        if self.output_padding >= self.stride:
            message = f"`output_padding={self.output_padding}` with `stride={self.stride}`"
            cure = f"at most {self.stride - 1} is possible" if self.stride > 1 else "remove it, or use a larger stride"
            yield Problem("output-padding", "output_padding", message, cure)
        out = self.shape(x)
        yield from fits_kernel(x, out.height, out.width)

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (filters, H', W')."""
        more = self.size - 2 * self.cut + self.output_padding
        height, width = ((side - 1) * self.stride + more for side in (x.height, x.width))
        return Shape(self.filters, height, width)

    def reduction(self) -> tuple[float, float]:
        """The output is larger."""
        return 1 / self.stride, 1 / self.stride

    def reach(self, x: Shape) -> tuple[Windows]:
        """The pixels whose kernels reach here; none between kernels that are smaller than the stride."""
        own = Window(1, self.cut + 1 - self.size, self.cut, self.stride)
        return ((own, own),)

    def operations(self, x: Shape) -> float:
        """Two for each weight and input pixel."""
        return 2 * self.kernel(x).size * x.height * x.width

    def kernel(self, x: Shape) -> Array:
        """The weights."""
        return Array((x.channels, self.filters // self.groups, self.size, self.size))

    def arrays(self, x: Shape) -> dict[str, Array]:
        """As of a convolution; only the weights' first two dimensions are exchanged.

        Training starts with a deviation of .02 times the growth in pixels (`make_deconvolutional_layer`).
        """
        arrays = Convolution(x.channels, self.filters, (self.size,) * 2, normalized=self.batch_normalize).arrays()
        out = self.shape(x)
        deviation = 0.02 * (out.height * out.width) / (x.height * x.width)
        return arrays | {"conv.weight": self.kernel(x)._replace(initial=(0.0, deviation))}

    def columns(self) -> tuple[str, str]:
        """Filters and groups; kernel and stride."""
        groups = f"/{self.groups}" if self.groups > 1 else ""
        return f"{self.filters}{groups}", f"{self.size} x {self.size}/ {self.stride}"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A transposed convolution and its activation."""
        import numpy as np

        from cspdet.layers.folding import folded

        weight = arrays["conv.weight"]
        own = arrays
        if self.batch_normalize:
            # Folding looks for the filters on the first axis; here they lie in groups on the second.
            groups = weight.reshape(self.groups, -1, *weight.shape[1:])
            by_filter = np.moveaxis(groups, 2, 1).reshape(self.filters, -1)
            by_filter, bias = folded({**own, "conv.weight": by_filter}, self.dialect, "conv")
            groups = by_filter.reshape(self.groups, weight.shape[1], -1, *weight.shape[2:])
            weight = np.ascontiguousarray(np.moveaxis(groups, 2, 1).reshape(weight.shape))
        else:
            bias = own["conv.bias"]
        step = (self.stride, self.stride)
        x = build.deconvolve(x, weight, bias, step, self.cut, self.output_padding, self.groups)
        return build.activate(self.activation, x)

    def parts(self, x: Shape) -> Parts:
        """`conv`, and `norm` if normalised."""
        from torch import nn

        from cspdet.layers.functional import batch_norm

        bias = not self.batch_normalize
        conv = nn.ConvTranspose2d(
            x.channels, self.filters, self.size, self.stride, self.cut, self.output_padding, self.groups, bias=bias
        )
        return {"conv": conv} if bias else {"conv": conv, "norm": batch_norm(self.filters, self.dialect)}

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, filters, H', W')."""
        from cspdet.layers.functional import activate, batch_normalize, plain

        # In channels-last order, PyTorch takes up to a hundred times as long for large kernels.
        x = plain(x.contiguous())
        x = parts.conv(x) if self.stride <= _USUAL_STRIDE else self._spread(parts.conv, x)
        x = batch_normalize(parts.norm, x, self.dialect, fresh=True) if self.batch_normalize else x
        return activate(self.activation, x, fresh=True)

    def _spread(self, conv: Any, x: Tensor) -> Tensor:
        """A matrix product, whose columns are added to the output where they belong (`im2col.c:col2im_cpu`)."""
        from torch.nn.functional import fold

        size = self.shape(Shape(*x.shape[1:])).dimensions[1:]
        weights = conv.weight.view(self.groups, -1, conv.weight[0].numel())
        columns = (weights.mT @ x.view(x.shape[0], *weights.shape[:2], -1)).flatten(1, 2)
        spread = fold(columns, size, self.size, padding=self.cut, stride=self.stride)
        return spread if conv.bias is None else spread + conv.bias[:, None, None]
