"""What the recurrent layers share: a state that lasts from one call of the network to the next.

Darknet keeps the state in the layer and so do we, as a buffer outside the state_dict; `Network.reset` clears it. Programs have
`State` for it. Several time steps in one batch, as Darknet's training has them, are for training; at inference every call is
one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Array, Layer, Problem, Shape
from cspdet.layers.block import Convolution, Dense
from cspdet.layers.window import Windows, everywhere

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Recurrent(Layer):
    """Several blocks and a state."""

    output: int

    def blocks(self, x: Shape) -> Mapping[str, Convolution] | Mapping[str, Dense]:
        """The blocks for an input of that shape, in file order."""
        raise NotImplementedError

    def states(self, x: Shape) -> Mapping[str, tuple[int, ...]]:
        """The states and their shapes, in the order that `lower` keeps them in."""
        raise NotImplementedError

    def arrays(self, x: Shape) -> dict[str, Array]:
        """Those of the blocks."""
        return {name: array for prefix, block in self.blocks(x).items() for name, array in block.arrays(f"{prefix}.").items()}

    def reach(self, x: Shape) -> tuple[Windows]:
        """The whole map: matrix products flatten it."""
        return (everywhere(x),)

    def columns(self) -> tuple[str, str]:
        """Outputs."""
        return f"{self.output}", ""

    def parts(self, x: Shape) -> Parts:
        """The blocks and the states."""
        import torch

        blocks = {name: block.module(self.dialect) for name, block in self.blocks(x).items()}
        return {**blocks, **{name: torch.zeros(1, *shape) for name, shape in self.states(x).items()}}

    def lowered(self, build: Builder, arrays: Arrays, x: Value) -> Callable[[str, Value], Value]:
        """What writes the block of a name, reading a value; `x` is the layer's input."""
        blocks = self.blocks(_shape(x.dimensions))

        def write(name: str, value: Value) -> Value:
            own = {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
            return blocks[name].lower(build, own, value, self.dialect)

        return write

    def runner(self, parts: Any, x: Tensor) -> Callable[[str, Tensor], Tensor]:
        """What runs the block of a name on a tensor; `x` is the layer's input, (N, C, H, W) or (N, length)."""
        blocks = self.blocks(_shape(x.shape[1:]))
        return lambda name, value: blocks[name].apply(getattr(parts, name), value, self.dialect)


def _shape(dimensions: Sequence[int]) -> Shape:
    """That of a map or vector with these dimensions."""
    channels, *sides = dimensions
    return Shape(channels, sides[0], sides[1]) if sides else Shape.vector(channels)


def check_state(size: int, before: tuple[int, int], after: tuple[int, int]) -> Iterator[Problem]:
    """The problem of a state that the convolutions change in size, so that it does not fit itself."""
    if before != after:
        message = f"the convolutions make a {before[1]}x{before[0]} map {after[1]}x{after[0]}; the state must keep its size"
        cure = "use `stride=1` and `pad=1`" if size % 2 else "use an odd `size` with `stride=1` and `pad=1`"
        yield Problem("state-size", "size", message, cure, "error", "Darknet reads past the state")


def lowered_cell(build: Builder, f: Value, i: Value, g: Value, cell: Value) -> Value:
    """The new cell of a long short-term memory, f c + i g, from what its gates read."""
    kept = build.combine("multiply", build.activate("logistic", f), cell)
    new = build.combine("multiply", build.activate("logistic", i), build.activate("tanh", g))
    return build.combine("add", kept, new)


def state_like(parts: Any, name: str, x: Tensor) -> Tensor:
    """The state `name` of `parts`; zeros if it does not fit `x`, because the batch or the image has another size now."""
    state: Tensor = getattr(parts, name)
    return state if state.shape == x.shape else x.new_zeros(x.shape)


def keep(parts: Any, name: str, value: Tensor) -> None:
    """Make `value` the state `name` of `parts`."""
    import torch

    state: Tensor = getattr(parts, name)
    if state.shape != value.shape:
        # A tensor made in inference mode could never be written outside of it.
        with torch.inference_mode(False):
            state = torch.empty(value.shape, dtype=value.dtype, device=value.device)
        setattr(parts, name, state)
    state.copy_(value.detach())
