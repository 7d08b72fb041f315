"""The [rnn] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Problem, Shape, option
from cspdet.layers.block import Dense
from cspdet.layers.option import LARGEST_COUNT
from cspdet.layers.recurrent import Recurrent, keep, state_like

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Rnn(Recurrent, names=("rnn",), known_to=("alexeyab", "pjreddie", "hank-ai")):
    """A plain recurrent layer: state = input(x) + self(state), output = output(state). Source: `rnn_layer.c`."""

    reads_images = False

    output: int = option(1, "number of outputs", at_least=1, at_most=LARGEST_COUNT)
    hidden: int = option(1, "length of the state", at_least=1, at_most=LARGEST_COUNT)
    activation: str = option("logistic", "of all three parts", choices=ACTIVATIONS, fallback="relu")
    batch_normalize: bool = option(False, "normalise all three parts")
    logistic: int = option(0, "activation of the state's part: 1 logistic, 2 loggy", at_least=0, at_most=2)
    shortcut: bool = option(False, "add the old state to the new")

    def check(self, x: Shape) -> Iterator[Problem]:
        """Only the activation can be wrong."""
        yield from foreign(self.activation, self.dialect)

    def blocks(self, x: Shape) -> dict[str, Dense]:
        """The three parts, in file order."""
        return {
            "input": Dense(x.size, self.hidden, self.batch_normalize),
            "self": Dense(self.hidden, self.hidden, self.batch_normalize),
            "output": Dense(self.hidden, self.output, self.batch_normalize),
        }

    def shape(self, x: Shape) -> Shape:
        """Any → an image of one pixel."""
        return Shape(self.output, 1, 1)

    def states(self, x: Shape) -> dict[str, tuple[int, ...]]:
        """Between input and output."""
        return {"state": (self.hidden,)}

    @property
    def own_activation(self) -> str:
        """That of the state's part."""
        return {0: self.activation, 1: "logistic", 2: "loggy"}[self.logistic]

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Three matrix products."""
        part = self.lowered(build, arrays, x)
        seen = build.activate(self.activation, part("input", build.reshape(x, -1)))
        old = build.state(seen.dimensions)
        state = build.combine("add", seen, build.activate(self.own_activation, part("self", old)))
        state = build.combine("add", state, old) if self.shortcut else state
        build.keep(old, state)
        return build.reshape(build.activate(self.activation, part("output", state)), self.output, 1, 1)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, output, 1, 1)."""
        from cspdet.layers.functional import activate

        x = x.flatten(1)
        part = self.runner(parts, x)
        seen = activate(self.activation, part("input", x))
        old = state_like(parts, "state", seen)
        state = seen + activate(self.own_activation, part("self", old))
        state = state + old if self.shortcut else state
        keep(parts, "state", state)
        out = activate(self.activation, part("output", state))
        return out[:, :, None, None]
