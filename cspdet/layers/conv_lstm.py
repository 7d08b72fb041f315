"""The [conv_lstm] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS
from cspdet.layers.base import Problem, Shape, option
from cspdet.layers.block import Convolution, padded
from cspdet.layers.option import LARGEST_COUNT, LARGEST_SIDE
from cspdet.layers.recurrent import Recurrent, check_state, keep, lowered_cell, state_like
from cspdet.layers.window import Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class ConvLstm(Recurrent, names=("conv_lstm",), known_to=("alexeyab",)):
    """Long short-term memory of convolutions: c = f c + i g, output = o tanh(c).

    `w` parts read the output before, `u` parts the input, `v` parts (with `peephole`) the cell, the one for o the new cell.
    The cell is kept within ± state_constrain; in cell and output, what is not finite is replaced. AlexeyAB's CPU code takes
    tanh whatever `lstm_activation` says, and adds no shortcut; so do we. Source: `conv_lstm_layer.c`.
    """

    output: int = option(1, "number of output channels", at_least=1, at_most=LARGEST_COUNT)
    size: int = option(3, "side of the square kernels", at_least=1, at_most=LARGEST_SIDE)
    stride: int = option(1, "step of the kernels; the state must keep its size, so 1", at_least=1, at_most=LARGEST_SIDE)
    pad: bool = option(False, "pad by size // 2, whatever `padding` says")
    padding: int = option(0, "pixels added on every side", at_least=0, at_most=LARGEST_SIDE)
    dilation: int = option(1, "distance between the pixels under the kernel", at_least=1, at_most=LARGEST_SIDE)
    groups: int = option(1, "groups of channels that are convolved apart", at_least=1)
    activation: str = option("linear", "not used by Darknet", choices=ACTIVATIONS, fallback="relu")
    batch_normalize: bool = option(False, "normalise all parts but the peepholes")
    peephole: bool = option(False, "the gates see the cell")
    bottleneck: bool = option(False, "fewer parts; GPU code only")
    xnor: bool = option(False, "train with signs", training=True)
    state_constrain: int | None = option(None, "largest magnitude of the cell; 32 per time step if absent, none if 0")
    shortcut: bool = option(False, "add the input; GPU code only", training=True)
    lstm_activation: str = option(
        "tanh", "activation of cell and output; GPU code only", choices=ACTIVATIONS, fallback="relu", training=True
    )
    time_normalizer: float = option(1.0, "factor on the gradients through time", training=True)

    def check(self, x: Shape) -> Iterator[Problem]:
        """A state that keeps its size, and groups that divide."""
        if self.bottleneck:
            message = "`bottleneck=1` exists in AlexeyAB's GPU code only"
            yield Problem("gpu-only", "bottleneck", message, "remove `bottleneck`", "error", "its CPU code crashes")
        for channels in (x.channels, self.output):
            if channels % self.groups:
                yield Problem("groups-divide", "groups", f"{channels} channels do not divide into {self.groups} groups")
                return
        block = self.block(x.channels)
        out = block.shape(x)
        yield from block.check(x)
        yield from check_state(self.size, (x.height, x.width), (out.height, out.width))

    def block(self, channels: int, normalized: bool = False) -> Convolution:
        """One part that reads `channels`."""
        size, padding = (self.size,) * 2, (padded(self.pad, self.padding, self.size),) * 2
        dilation = 1 if self.size == 1 else self.dilation
        return Convolution(channels, self.output, size, (self.stride,) * 2, padding, dilation, self.groups, normalized)

    def blocks(self, x: Shape) -> dict[str, Convolution]:
        """The parts, in file order."""
        peepholes = {f"v{gate}": self.block(self.output) for gate in "fio"} if self.peephole else {}
        hidden = {f"w{gate}": self.block(self.output, self.batch_normalize) for gate in "figo"}
        return peepholes | hidden | {f"u{gate}": self.block(x.channels, self.batch_normalize) for gate in "figo"}

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (output, H, W)."""
        return Shape(self.output, x.height, x.width)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The kernel; twice with `peephole`, for the output's gate sees the new cell."""
        vertical, horizontal = self.block(x.channels).reach
        if self.peephole:
            vertical, horizontal = vertical.then(vertical), horizontal.then(horizontal)
        return ((vertical, horizontal),)

    def operations(self, x: Shape) -> float:
        """Those of the parts, and those of the gates."""
        gates = (12 if self.peephole else 9) * self.shape(x).size
        return gates + sum(block.operations(x) for block in self.blocks(x).values())

    def columns(self) -> tuple[str, str]:
        """Outputs and kernel."""
        return f"{self.output}", f"{self.size} x {self.size}/ {self.stride}"

    def states(self, x: Shape) -> dict[str, tuple[int, ...]]:
        """The cell, and the output before."""
        return dict.fromkeys(("cell", "state"), (self.output, x.height, x.width))

    @property
    def limit(self) -> int:
        """The largest magnitude of the cell; 0 where there is none."""
        return 32 if self.state_constrain is None else self.state_constrain

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Eight convolutions or, with `peephole`, eleven, and the gates."""
        import numpy as np

        part = self.lowered(build, arrays, x)
        seen = {gate: part(f"u{gate}", x) for gate in "figo"}
        dimensions = seen["f"].dimensions
        state, old = build.state(dimensions), build.state(dimensions)
        f, i, g, o = (build.combine("add", seen[gate], part(f"w{gate}", state)) for gate in "figo")
        if self.peephole:
            f, i = build.combine("add", f, part("vf", old)), build.combine("add", i, part("vi", old))
        cell = lowered_cell(build, f, i, g, old)
        if self.peephole:
            o = build.combine("add", o, part("vo", cell))
        out = build.combine("multiply", build.activate("logistic", o), build.activate("tanh", cell))
        places = build.constant(1 / np.arange(1, np.prod(dimensions) + 1).reshape(dimensions))
        out, cell = build.combine("mend", out, places), build.combine("mend", cell, places)
        build.keep(old, build.clip(cell, min(-self.limit, self.limit), self.limit) if self.limit else cell)
        build.keep(state, out)
        return out

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, output, H, W)."""
        import torch

        part = self.runner(parts, x)
        seen = {gate: part(f"u{gate}", x) for gate in "figo"}
        state, cell = state_like(parts, "state", seen["f"]), state_like(parts, "cell", seen["f"])
        f, i, g, o = (seen[gate] + part(f"w{gate}", state) for gate in "figo")
        if self.peephole:
            f, i = f + part("vf", cell), i + part("vi", cell)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        if self.peephole:
            o = o + part("vo", cell)
        out = o.sigmoid() * cell.tanh()
        cell = cell.clamp(-self.limit, self.limit) if self.limit else cell
        # `blas.c:fix_nan_and_inf_cpu` replaces what is not finite by the reciprocal of its place.
        place = torch.arange(1, cell[0].numel() + 1, device=x.device, dtype=x.dtype).view(cell.shape[1:])
        out = torch.where(out.isfinite(), out, 1 / place)
        keep(parts, "cell", torch.where(cell.isfinite(), cell, 1 / place))
        keep(parts, "state", out)
        return out
