"""The [lstm] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Shape, option
from cspdet.layers.block import Dense
from cspdet.layers.option import LARGEST_COUNT
from cspdet.layers.recurrent import Recurrent, keep, lowered_cell, state_like

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Lstm(Recurrent, names=("lstm",), known_to=("alexeyab", "pjreddie", "hank-ai")):
    """Long short-term memory: c = f c + i g, output = o tanh(c). `w` parts read the output before, `u` parts the input.

    AlexeyAB stores the gates as f, i, g, o, pjreddie as i, f, o, g. Source: `lstm_layer.c`.
    """

    reads_images = False

    output: int = option(1, "number of outputs, and length of the states", at_least=1, at_most=LARGEST_COUNT)
    batch_normalize: bool = option(False, "normalise all eight parts")

    def blocks(self, x: Shape) -> dict[str, Dense]:
        """The eight parts, in file order."""
        gates = "ifog" if self.dialect.pjreddie_gates else "figo"
        hidden = {f"w{gate}": Dense(self.output, self.output, self.batch_normalize) for gate in gates}
        return hidden | {f"u{gate}": Dense(x.size, self.output, self.batch_normalize) for gate in gates}

    def shape(self, x: Shape) -> Shape:
        """Any → a vector."""
        return Shape.vector(self.output)

    def states(self, x: Shape) -> dict[str, tuple[int, ...]]:
        """The cell, and the output before."""
        return {"cell": (self.output,), "state": (self.output,)}

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Eight matrix products, and the gates."""
        part = self.lowered(build, arrays, x)
        x = build.reshape(x, -1)
        state, old = build.state((self.output,)), build.state((self.output,))
        f, i, g, o = (build.combine("add", part(f"u{gate}", x), part(f"w{gate}", state)) for gate in "figo")
        cell = lowered_cell(build, f, i, g, old)
        out = build.combine("multiply", build.activate("logistic", o), build.activate("tanh", cell))
        build.keep(old, cell)
        build.keep(state, out)
        return out

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, output)."""
        x = x.flatten(1)
        part = self.runner(parts, x)
        seen = {gate: part(f"u{gate}", x) for gate in "figo"}
        state = state_like(parts, "state", seen["f"])
        cell = state_like(parts, "cell", seen["f"])
        f, i, g, o = (seen[gate] + part(f"w{gate}", state) for gate in "figo")
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        out = o.sigmoid() * cell.tanh()
        keep(parts, "cell", cell)
        keep(parts, "state", out)
        return out
