"""The [gru] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Shape, option
from cspdet.layers.block import Dense
from cspdet.layers.option import LARGEST_COUNT
from cspdet.layers.recurrent import Recurrent, keep, state_like

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Gru(Recurrent, names=("gru",), known_to=("alexeyab", "pjreddie")):
    """A gated recurrent unit: out = z state + (1 - z) candidate, where the candidate sees r state.

    The candidate's activation is logistic, not the usual tanh (`tanh=1` at pjreddie). AlexeyAB stores the gates that read
    the input first, pjreddie those that read the state. Source: `gru_layer.c`.
    """

    reads_images = False

    output: int = option(1, "number of outputs, and length of the state", at_least=1, at_most=LARGEST_COUNT)
    batch_normalize: bool = option(False, "normalise all six parts")
    tanh: bool = option(False, "tanh for the candidate", known_to=("pjreddie",))

    def blocks(self, x: Shape) -> dict[str, Dense]:
        """The six parts, in file order."""
        inputs = {f"input_{gate}": Dense(x.size, self.output, self.batch_normalize) for gate in "zrh"}
        states = {f"state_{gate}": Dense(self.output, self.output, self.batch_normalize) for gate in "zrh"}
        return states | inputs if self.dialect.pjreddie_gates else inputs | states

    def shape(self, x: Shape) -> Shape:
        """Any → a vector."""
        return Shape.vector(self.output)

    def states(self, x: Shape) -> dict[str, tuple[int, ...]]:
        """The output before."""
        return {"state": (self.output,)}

    @property
    def candidate_activation(self) -> str:
        """That of the candidate."""
        return "tanh" if self.tanh and self.dialect.name == "pjreddie" else "logistic"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Six matrix products, and the gates."""
        part = self.lowered(build, arrays, x)
        x = build.reshape(x, -1)
        state = build.state((self.output,))

        def gate(name: str, activation: str, before: Value) -> Value:
            total = build.combine("add", part(f"input_{name}", x), part(f"state_{name}", before))
            return build.activate(activation, total)

        z, r = (gate(name, "logistic", state) for name in "zr")
        candidate = gate("h", self.candidate_activation, build.combine("multiply", r, state))
        kept = build.combine("multiply", z, state)
        out = build.combine("add", kept, build.combine("multiply", build.affine(z, -1, 1), candidate))
        build.keep(state, out)
        return out

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, output)."""
        from cspdet.layers.functional import activate

        x = x.flatten(1)
        gate = self.runner(parts, x)
        z = gate("input_z", x)
        state = state_like(parts, "state", z)
        z = (z + gate("state_z", state)).sigmoid()
        r = (gate("input_r", x) + gate("state_r", state)).sigmoid()
        candidate = gate("input_h", x) + gate("state_h", r * state)
        out = z * state + (1 - z) * activate(self.candidate_activation, candidate)
        keep(parts, "state", out)
        return out
