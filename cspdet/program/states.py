"""What the states of a program are from one run to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from cspdet.program.operations import Dimensions, Floats, Program

Array = TypeVar("Array")


def name_before(place: int) -> str:
    """What a state is called as an input of a file."""
    return f"state_{place}"


def name_after(place: int) -> str:
    """What the same is called as an output, after a run."""
    return f"next_state_{place}"


def names_of(program: Program) -> Iterator[tuple[str, str]]:
    """Both of each state."""
    return ((name_before(place), name_after(place)) for place in range(len(program.states)))


def dimensions_of(program: Program) -> list[Dimensions]:
    """Those of each state."""
    return [program.dimensions(before) for before, _ in program.states]


def zeros(shape: tuple[int, ...]) -> Floats:
    """An array of zeros."""
    return np.zeros(shape, np.float32)


class States(Generic[Array]):
    """The states between the runs: zeros at first, and whenever the batch has another size than before."""

    def __init__(self, dimensions: Sequence[Dimensions], zeros: Callable[[tuple[int, ...]], Array]) -> None:
        """`zeros` makes an array of a shape."""
        self._dimensions = dimensions
        self._zeros = zeros
        self._batch = 0
        self._values: list[Array] = []

    def run(self, batch: int, compute: Callable[[Sequence[Array]], Sequence[Array]]) -> list[Array]:
        """The outputs of a run with so many images; `compute` puts out what the states become behind them."""
        found = compute(self.before(batch))
        outputs = len(found) - len(self._dimensions)
        self.keep(batch, found[outputs:])
        return [*found[:outputs]]

    def before(self, batch: int) -> list[Array]:
        """What they are at the start of a run with so many images."""
        if batch != self._batch:
            return [self._zeros((batch, *each)) for each in self._dimensions]
        return self._values

    def keep(self, batch: int, values: Sequence[Array]) -> None:
        """What they have become in that run."""
        self._batch, self._values = batch, [*values]
