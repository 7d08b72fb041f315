"""The two building blocks that layers consist of: a convolution and a matrix product, each with bias or batch normalisation.

[convolutional] and [connected] are one block each; the recurrent layers hold several, side by side in the weights file.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import TYPE_CHECKING, Any, NamedTuple

from cspdet.cfg.dialect import Dialect
from cspdet.layers.base import Array, Problem, Shape, fits_kernel
from cspdet.layers.window import Window, Windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


def padded(pad: bool, padding: int, size: int) -> int:
    """Pixels added on every side: half the kernel with `pad`, whatever `padding` says (`parser.c:parse_convolutional`)."""
    return size // 2 if pad else padding


def width_by_height(pair: tuple[int, int]) -> str:
    """A (vertical, horizontal) pair as one writes it, horizontal first."""
    return f"{pair[1]}x{pair[0]}"


def check_groups(channels: int, filters: int, groups: int) -> Iterator[Problem]:
    """The problem of groups that do not divide what is read and what is put out."""
    if channels % groups or filters % groups:
        what = f"{channels} input channels" if channels % groups else f"{filters} filters"
        cure = f"use a divisor of {channels} and {filters}: {_divisors(gcd(channels, filters))}"
        yield Problem("groups-divide", "groups", f"{what} do not divide into {groups} groups", cure)


def _divisors(number: int) -> str:
    found = [each for each in range(1, min(number, 4096) + 1) if number % each == 0]
    return ", ".join(map(str, found if len(found) < 10 else [*found[:4], "…", *found[-4:]]))


class Convolution(NamedTuple):
    """A convolution without its activation (`convolutional_layer.c`).

    `size`, `stride` and `padding` are (vertical, horizontal). Where `size` is (1, 1), there is no `dilation`.
    """

    channels: int
    filters: int
    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    groups: int = 1
    normalized: bool = False

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (filters, H', W'), by `convolutional_out_height`, which knows nothing of dilation."""
        return self._shape(x, *(2 * padding - size for size, padding in zip(self.size, self.padding, strict=True)))

    def _shape(self, x: Shape, down: int, right: int) -> Shape:
        """The size where that many pixels more than the map has are there for the kernel to move over."""
        height, width = (x.height + down) // self.stride[0] + 1, (x.width + right) // self.stride[1] + 1
        return Shape(self.filters, height, width)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Nothing left of the map, or a dilation with which Darknet computes another size than it announces."""
        out = self.shape(x)
        yield from fits_kernel(x, out.height, out.width)
        room = ((2 * padding - size + 1) * self.dilation - 1 for size, padding in zip(self.size, self.padding, strict=True))
        true = self._shape(x, *room)
        if true != out:
            message = f"with `dilation={self.dilation}` and this padding Darknet's own sizes disagree"
            consequence = f"it announces {out.width}x{out.height} pixels and computes {true.width}x{true.height}"
            yield Problem("dilation-size", "dilation", message, "use an odd `size` with `pad=1`", "error", consequence)

    @property
    def reach(self) -> Windows:
        """The pixels under the kernel."""
        vertical, horizontal = (
            Window(step, -before, (size - 1) * self.dilation - before)
            for step, before, size in zip(self.stride, self.true_padding, self.size, strict=True)
        )
        return vertical, horizontal

    def operations(self, out: Shape) -> int:
        """Two for each multiplication and addition."""
        return 2 * self.kernel.size * out.height * out.width

    @property
    def true_padding(self) -> tuple[int, int]:
        """The pixels that are added: dilation spreads the padding, too."""
        return self.padding[0] * self.dilation, self.padding[1] * self.dilation

    @property
    def kernel(self) -> Array:
        """The weights: (filters, channels / groups, height, width)."""
        return Array((self.filters, self.channels // self.groups, *self.size))

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """In the order of `load_convolutional_weights`."""
        return {**_per_filter(f"{prefix}norm" if self.normalized else f"{prefix}conv", self.filters, self.normalized)} | {
            f"{prefix}conv.weight": self.kernel
        }

    def parts(self, dialect: Dialect) -> dict[str, nn.Module]:
        """`conv`, and `norm` if normalised."""
        from torch import nn

        from cspdet.layers.functional import batch_norm

        conv = nn.Conv2d(
            self.channels,
            self.filters,
            self.size,
            self.stride,
            self.true_padding,
            self.dilation,
            self.groups,
            bias=not self.normalized,
        )
        return {"conv": conv, "norm": batch_norm(self.filters, dialect)} if self.normalized else {"conv": conv}

    def module(self, dialect: Dialect) -> nn.Module:
        """The parts as one submodule, for layers that hold several blocks."""
        from torch import nn

        return nn.ModuleDict(self.parts(dialect))

    def lower(self, build: Builder, arrays: Arrays, x: Value, dialect: Dialect) -> Value:
        """The same as an operation."""
        from cspdet.layers.folding import folded

        down, right = self.true_padding
        border = (down, right, down, right)
        return build.convolve(x, *folded(arrays, dialect, "conv"), self.stride, border, self.dilation, self.groups)

    def apply(self, parts: Any, x: Tensor, dialect: Dialect) -> Tensor:
        """(N, C, H, W) → (N, filters, H', W')."""
        from cspdet.layers.functional import batch_normalize, plain

        x = parts.conv(plain(x))
        return batch_normalize(parts.norm, x, dialect, fresh=True) if self.normalized else x


class Dense(NamedTuple):
    """A matrix product without its activation (`connected_layer.c`)."""

    inputs: int
    outputs: int
    normalized: bool = False

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """In the order of `load_connected_weights`: unlike in a convolution, the statistics come last."""
        weight = Array((self.outputs, self.inputs), "weights", "connected")
        if not self.normalized:
            return {f"{prefix}linear.bias": Array((self.outputs,), "biases"), f"{prefix}linear.weight": weight}
        per_output = _per_filter(f"{prefix}norm", self.outputs, True)
        biases = per_output.pop(f"{prefix}norm.bias")
        return {f"{prefix}norm.bias": biases, f"{prefix}linear.weight": weight, **per_output}

    def parts(self, dialect: Dialect) -> dict[str, nn.Module]:
        """`linear`, and `norm` if normalised."""
        from torch import nn

        from cspdet.layers.functional import batch_norm

        linear = nn.Linear(self.inputs, self.outputs, bias=not self.normalized)
        return {"linear": linear, "norm": batch_norm(self.outputs, dialect, 1)} if self.normalized else {"linear": linear}

    def module(self, dialect: Dialect) -> nn.Module:
        """The parts as one submodule, for layers that hold several blocks."""
        from torch import nn

        return nn.ModuleDict(self.parts(dialect))

    def lower(self, build: Builder, arrays: Arrays, x: Value, dialect: Dialect) -> Value:
        """The same as an operation."""
        from cspdet.layers.folding import folded

        weight, bias = folded(arrays, dialect, "linear")
        return build.product(x, weight.T, bias)

    def apply(self, parts: Any, x: Tensor, dialect: Dialect) -> Tensor:
        """(N, inputs) → (N, outputs)."""
        from cspdet.layers.functional import batch_normalize

        x = parts.linear(x)
        return batch_normalize(parts.norm, x, dialect, fresh=True) if self.normalized else x


def _per_filter(prefix: str, filters: int, normalized: bool) -> dict[str, Array]:
    if not normalized:
        return {f"{prefix}.bias": Array((filters,), "biases")}
    return {
        f"{prefix}.bias": Array((filters,), "biases"),
        f"{prefix}.weight": Array((filters,), "scales"),
        f"{prefix}.running_mean": Array((filters,), "rolling_mean"),
        f"{prefix}.running_var": Array((filters,), "rolling_variance"),
    }
