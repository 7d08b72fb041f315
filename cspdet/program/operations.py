"""The operations of a program. Dimensions are those of one image: the batch comes before them and is free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Dimensions = tuple[int, ...]
# Above, left, below, right.
Border = tuple[int, int, int, int]
Pair = tuple[int, int]

Function = Literal[
    "linear", "logistic", "leaky", "mish", "swish", "relu", "tanh", "elu", "selu", "exp", "floor", "sqrt", "clip", "sign"
]


class Activation(NamedTuple):
    """A function of every number by itself. `low` and `high` are the bounds of `clip`, `low` also the slope of `leaky`.

    `sign` is 1 above 0, else -1.
    """

    function: Function = "linear"
    low: float = 0.0
    high: float = 0.0


LINEAR = Activation()


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What is computed of the values of these numbers. Its own value has the number of its place; the network's input is -1."""

    inputs: tuple[int, ...]
    dimensions: Dimensions
    # The layer it came from; -1 for none.
    layer: int


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Operation):
    """Numbers that are the same for every image. They have no batch; broadcasting gives them one."""

    value: Floats


@dataclass(frozen=True, slots=True, eq=False)
class State(Operation):
    """What the run before left of it: zeros in the first run, and where that had another batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Convolve(Operation):
    """A convolution: `weight` is (filters, channels / groups, height, width), `bias` (filters,).

    A second input of the output's dimensions is added before the activation.
    """

    weight: Floats
    bias: Floats
    stride: Pair = (1, 1)
    border: Border = (0, 0, 0, 0)
    dilation: int = 1
    groups: int = 1
    activation: Activation = LINEAR


@dataclass(frozen=True, slots=True, eq=False)
class Deconvolve(Operation):
    """A transposed convolution: `weight` is (channels, filters / groups, height, width).

    `cut` pixels are taken off every side, `extra` added below and to the right.
    """

    weight: Floats
    bias: Floats
    stride: Pair = (1, 1)
    cut: int = 0
    extra: int = 0
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pool(Operation):
    """The largest number under a window, or the mean of those that lie on the map."""

    kind: Literal["maximum", "mean"]
    size: Pair
    stride: Pair
    border: Border = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Activate(Operation):
    """A function of every number by itself."""

    activation: Activation


@dataclass(frozen=True, slots=True, eq=False)
class Combine(Operation):
    """Two values, number by number; dimensions of 1 are spread. `mend` takes the first where it is finite, else the second."""

    kind: Literal["add", "subtract", "multiply", "divide", "power", "mend"]


@dataclass(frozen=True, slots=True, eq=False)
class Join(Operation):
    """Values side by side along an axis, 0 being the channels."""

    axis: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Part(Operation):
    """A part of an axis, from `start` to before `stop` in steps."""

    axis: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pad(Operation):
    """Numbers of one value around: how many before and behind, for every dimension."""

    before: Dimensions
    behind: Dimensions
    value: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Enlarge(Operation):
    """A map `factor` times as large: pixels repeated, or between them linearly, corners not aligned."""

    factor: int
    mode: Literal["nearest", "bilinear"] = "nearest"


@dataclass(frozen=True, slots=True, eq=False)
class Reshape(Operation):
    """The same numbers in the same order under other dimensions."""


@dataclass(frozen=True, slots=True, eq=False)
class Transpose(Operation):
    """The dimensions in another order."""

    order: Dimensions


@dataclass(frozen=True, slots=True, eq=False)
class Reduce(Operation):
    """Over these axes, which stay with a length of 1."""

    kind: Literal["mean", "sum", "maximum"]
    axes: Dimensions


@dataclass(frozen=True, slots=True, eq=False)
class Softmax(Operation):
    """A softmax over an axis."""

    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class Product(Operation):
    """A matrix product with a constant: (…, inputs) times `weight`, (…, inputs, outputs), plus `bias`, (…, outputs)."""

    weight: Floats
    bias: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Unpool(Operation):
    """The first input spread over the places where a pooling found the largest numbers of the second; zeros elsewhere."""

    size: Pair
    stride: Pair
    border: Border


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Operations in order, each reading earlier ones; what they are for; and the dimensions of the input.

    `states` are the numbers of a `State` and of the value that it has in the next run.
    """

    input: Dimensions
    operations: tuple[Operation, ...]
    outputs: tuple[int, ...]
    states: tuple[tuple[int, int], ...] = ()

    @property
    def results(self) -> tuple[int, ...]:
        """The values that are there after a run: the outputs, and what the states become."""
        return self.outputs + tuple(after for _, after in self.states)

    def readers(self) -> list[list[int]]:
        """The operations that read each value."""
        found: list[list[int]] = [[] for _ in self.operations]
        for number, operation in enumerate(self.operations):
            for source in operation.inputs:
                if source >= 0:
                    found[source].append(number)
        return found

    def dimensions(self, value: int) -> Dimensions:
        """Those of a value."""
        return self.operations[value].dimensions if value >= 0 else self.input
