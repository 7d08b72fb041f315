"""The [crnn] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Problem, Shape, option
from cspdet.layers.block import Convolution, padded
from cspdet.layers.option import LARGEST_COUNT, LARGEST_SIDE
from cspdet.layers.recurrent import Recurrent, check_state, keep, state_like
from cspdet.layers.window import Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Crnn(Recurrent, names=("crnn",), known_to=("alexeyab", "pjreddie", "hank-ai")):
    """A recurrent layer of convolutions: state = input(x) + self(state), output = output(state). Source: `crnn_layer.c`."""

    output: int = option(1, "number of output channels", at_least=1, at_most=LARGEST_COUNT)
    hidden: int = option(1, "number of channels of the state", at_least=1, at_most=LARGEST_COUNT)
    size: int = option(3, "side of the square kernels", at_least=1, at_most=LARGEST_SIDE)
    stride: int = option(1, "step of the kernels; the state must keep its size, so 1", at_least=1, at_most=LARGEST_SIDE)
    pad: bool = option(False, "pad by size // 2, whatever `padding` says")
    padding: int = option(0, "pixels added on every side", at_least=0, at_most=LARGEST_SIDE)
    dilation: int = option(1, "distance between the pixels under the kernel", at_least=1, at_most=LARGEST_SIDE)
    groups: int = option(1, "groups of channels that are convolved apart", at_least=1)
    activation: str = option("logistic", "of all three parts", choices=ACTIVATIONS, fallback="relu")
    batch_normalize: bool = option(False, "normalise all three parts")
    xnor: bool = option(False, "train with signs", training=True)
    shortcut: bool = option(False, "add the old state to the new")

    def check(self, x: Shape) -> Iterator[Problem]:
        """A state that keeps its size, and groups that divide."""
        yield from foreign(self.activation, self.dialect)
        for channels in (x.channels, self.hidden, self.output):
            if channels % self.groups:
                yield Problem("groups-divide", "groups", f"{channels} channels do not divide into {self.groups} groups")
                return
        block = self.blocks(x)["input"]
        out = block.shape(x)
        yield from block.check(x)
        yield from check_state(self.size, (x.height, x.width), (out.height, out.width))

    def blocks(self, x: Shape) -> dict[str, Convolution]:
        """The three parts, in file order."""
        size, padding = (self.size,) * 2, (padded(self.pad, self.padding, self.size),) * 2
        dilation = 1 if self.size == 1 else self.dilation
        stride, normalized = (self.stride, self.stride), self.batch_normalize
        pairs = {
            "input": (x.channels, self.hidden),
            "self": (self.hidden, self.hidden),
            "output": (self.hidden, self.output),
        }
        return {
            name: Convolution(channels, filters, size, stride, padding, dilation, self.groups, normalized)
            for name, (channels, filters) in pairs.items()
        }

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (output, H, W)."""
        return Shape(self.output, x.height, x.width)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The kernel twice: of the input's part and of the output's."""
        vertical, horizontal = self.blocks(x)["input"].reach
        return ((vertical.then(vertical), horizontal.then(horizontal)),)

    def operations(self, x: Shape) -> float:
        """Those of the parts."""
        return sum(block.operations(x) for block in self.blocks(x).values())

    def columns(self) -> tuple[str, str]:
        """Outputs and kernel."""
        return f"{self.output}", f"{self.size} x {self.size}/ {self.stride}"

    def states(self, x: Shape) -> dict[str, tuple[int, ...]]:
        """Between input and output."""
        return {"state": (self.hidden, x.height, x.width)}

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Three convolutions."""
        part = self.lowered(build, arrays, x)
        seen = build.activate(self.activation, part("input", x))
        old = build.state(seen.dimensions)
        state = build.combine("add", seen, build.activate(self.activation, part("self", old)))
        state = build.combine("add", state, old) if self.shortcut else state
        build.keep(old, state)
        return build.activate(self.activation, part("output", state))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, output, H, W)."""
        from cspdet.layers.functional import activate

        part = self.runner(parts, x)
        seen = activate(self.activation, part("input", x))
        old = state_like(parts, "state", seen)
        state = seen + activate(self.activation, part("self", old))
        state = state + old if self.shortcut else state
        keep(parts, "state", state)
        return activate(self.activation, part("output", state))
