"""What layers write programs with: a method for each operation, and some that are made of several."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from cspdet.program.operations import (
    LINEAR,
    Activate,
    Activation,
    Border,
    Combine,
    Constant,
    Convolve,
    Deconvolve,
    Dimensions,
    Enlarge,
    Floats,
    Join,
    Operation,
    Pad,
    Pair,
    Part,
    Pool,
    Product,
    Program,
    Reduce,
    Reshape,
    Softmax,
    State,
    Transpose,
    Unpool,
)

Kind = TypeVar("Kind", bound=Operation)

_NATIVE: dict[str, Activation] = {
    "linear": LINEAR,
    "logistic": Activation("logistic"),
    "leaky": Activation("leaky", 0.1),
    "revleaky": Activation("leaky", 0.1),
    "relie": Activation("leaky", 0.01),
    "mish": Activation("mish"),
    "swish": Activation("swish"),
    "silu": Activation("swish"),
    "relu": Activation("relu"),
    "relu6": Activation("clip", 0.0, 6.0),
    "hardtan": Activation("clip", -1.0, 1.0),
    "tanh": Activation("tanh"),
    "elu": Activation("elu"),
    "selu": Activation("selu"),
}

# Guards against division by zero in `gemm.c:activate_array_normalize_channels`.
_SMALLEST_SUM = 1e-4


class Value(NamedTuple):
    """A value of a program: its number, and the dimensions it has for one image."""

    number: int
    dimensions: Dimensions

    @property
    def channels(self) -> int:
        """The first dimension."""
        return self.dimensions[0]


class Builder:
    """A program in the making. `layer` is the number of the layer that is being written."""

    def __init__(self, program: Program | None = None) -> None:
        """Nothing yet, or what goes on where a program ends."""
        self.operations: list[Operation] = [*program.operations] if program else []
        self.states: list[tuple[int, int]] = [*program.states] if program else []
        self.layer = -1

    def program(self, dimensions: Dimensions, outputs: Sequence[Value]) -> Program:
        """The program so far: the dimensions of its input, and its outputs."""
        numbers = tuple(each.number for each in outputs)
        return Program(dimensions, tuple(self.operations), numbers, tuple(self.states))

    def _add(self, operation: type[Kind], inputs: Sequence[Value], dimensions: Dimensions, **fields: Any) -> Value:
        numbers = tuple(each.number for each in inputs)
        self.operations.append(operation(inputs=numbers, dimensions=dimensions, layer=self.layer, **fields))
        return Value(len(self.operations) - 1, dimensions)

    # -- one operation each -------------------------------------------------------------------------------------------

    def constant(self, value: Any) -> Value:
        """Numbers that are there already."""
        array = np.asarray(value, np.float32)
        return self._add(Constant, (), array.shape, value=array)

    def state(self, dimensions: Dimensions) -> Value:
        """What the run before left of it; `keep` says what that is."""
        return self._add(State, (), dimensions)

    def keep(self, state: Value, after: Value) -> None:
        """What a state is in the next run."""
        self.states.append((state.number, after.number))

    def convolve(
        self,
        x: Value,
        weight: Floats,
        bias: Floats,
        stride: Pair = (1, 1),
        border: Border = (0, 0, 0, 0),
        dilation: int = 1,
        groups: int = 1,
    ) -> Value:
        """(C, H, W) → (filters, H', W')."""
        top, left, bottom, right = border
        height, width = (
            (side + more - dilation * (size - 1) - 1) // step + 1
            for side, more, size, step in zip(
                x.dimensions[1:], (top + bottom, left + right), weight.shape[2:], stride, strict=True
            )
        )
        return self._add(
            Convolve,
            (x,),
            (len(weight), height, width),
            weight=weight,
            bias=bias,
            stride=stride,
            border=border,
            dilation=dilation,
            groups=groups,
        )

    def deconvolve(self, x: Value, weight: Floats, bias: Floats, stride: Pair, cut: int, extra: int, groups: int = 1) -> Value:
        """(C, H, W) → (filters, H', W')."""
        sides = (
            (side - 1) * step + size - 2 * cut + extra
            for side, size, step in zip(x.dimensions[1:], weight.shape[2:], stride, strict=True)
        )
        dimensions = (weight.shape[1] * groups, *sides)
        return self._add(
            Deconvolve, (x,), dimensions, weight=weight, bias=bias, stride=stride, cut=cut, extra=extra, groups=groups
        )

    def pool(self, x: Value, kind: Literal["maximum", "mean"], size: Pair, stride: Pair, border: Border) -> Value:
        """(C, H, W) → (C, H', W')."""
        top, left, bottom, right = border
        height = (x.dimensions[1] + top + bottom - size[0]) // stride[0] + 1
        width = (x.dimensions[2] + left + right - size[1]) // stride[1] + 1
        return self._add(Pool, (x,), (x.channels, height, width), kind=kind, size=size, stride=stride, border=border)

    def unpool(self, x: Value, before: Value, size: Pair, stride: Pair, border: Border) -> Value:
        """(C, H', W'), and (C, H, W) as the pooling reads it → (C, H, W)."""
        return self._add(Unpool, (x, before), before.dimensions, size=size, stride=stride, border=border)

    def function(self, x: Value, activation: Activation) -> Value:
        """A function of every number by itself."""
        return x if activation == LINEAR else self._add(Activate, (x,), x.dimensions, activation=activation)

    def combine(
        self, kind: Literal["add", "subtract", "multiply", "divide", "power", "mend"], a: Value, b: Value | float
    ) -> Value:
        """Two values, number by number; dimensions of 1 are spread."""
        other = b if isinstance(b, Value) else self.constant(np.full((1,) * len(a.dimensions), b))
        return self._add(Combine, (a, other), np.broadcast_shapes(a.dimensions, other.dimensions), kind=kind)

    def join(self, values: Sequence[Value], axis: int = 0) -> Value:
        """Values side by side along an axis, 0 being the channels."""
        if len(values) == 1:
            return values[0]
        dimensions = [*values[0].dimensions]
        dimensions[axis] = sum(each.dimensions[axis] for each in values)
        return self._add(Join, values, tuple(dimensions), axis=axis)

    def part(self, x: Value, start: int, stop: int, axis: int = 0, step: int = 1) -> Value:
        """A part of an axis."""
        if (start, stop, step) == (0, x.dimensions[axis], 1):
            return x
        dimensions = [*x.dimensions]
        dimensions[axis] = len(range(start, stop, step))
        return self._add(Part, (x,), tuple(dimensions), axis=axis, start=start, stop=stop, step=step)

    def pad(self, x: Value, before: Dimensions, behind: Dimensions, value: float = 0.0) -> Value:
        """Numbers of one value around."""
        if not any((*before, *behind)):
            return x
        dimensions = tuple(a + side + b for a, side, b in zip(before, x.dimensions, behind, strict=True))
        return self._add(Pad, (x,), dimensions, before=before, behind=behind, value=value)

    def enlarge(self, x: Value, factor: int, mode: Literal["nearest", "bilinear"] = "nearest") -> Value:
        """A map `factor` times as large."""
        if factor == 1:
            return x
        channels, height, width = x.dimensions
        return self._add(Enlarge, (x,), (channels, height * factor, width * factor), factor=factor, mode=mode)

    def reshape(self, x: Value, *dimensions: int) -> Value:
        """The same numbers under other dimensions; -1 is what is left."""
        if -1 in dimensions:
            rest = prod(x.dimensions) // -prod(dimensions)
            dimensions = tuple(rest if each == -1 else each for each in dimensions)
        return x if dimensions == x.dimensions else self._add(Reshape, (x,), dimensions)

    def transpose(self, x: Value, *order: int) -> Value:
        """The dimensions in another order."""
        if order == tuple(range(len(order))):
            return x
        return self._add(Transpose, (x,), tuple(x.dimensions[each] for each in order), order=order)

    def reduce(self, x: Value, kind: Literal["mean", "sum", "maximum"], *axes: int) -> Value:
        """Over these axes, which stay with a length of 1."""
        dimensions = tuple(1 if axis in axes else side for axis, side in enumerate(x.dimensions))
        return self._add(Reduce, (x,), dimensions, kind=kind, axes=axes)

    def softmax(self, x: Value, axis: int) -> Value:
        """A softmax over an axis."""
        return self._add(Softmax, (x,), x.dimensions, axis=axis)

    def product(self, x: Value, weight: Floats, bias: Floats | None = None) -> Value:
        """(…, inputs) times (…, inputs, outputs)."""
        return self._add(Product, (x,), (*x.dimensions[:-1], weight.shape[-1]), weight=weight, bias=bias)

    # -- several ------------------------------------------------------------------------------------------------------

    def affine(self, x: Value, factor: float, summand: float) -> Value:
        """The factor times x, plus the summand."""
        x = x if factor == 1 else self.combine("multiply", x, factor)
        return x if summand == 0 else self.combine("add", x, summand)

    def clip(self, x: Value, low: float, high: float) -> Value:
        """Every number within bounds."""
        return self.function(x, Activation("clip", low, high))

    def zeros(self, x: Value) -> Value:
        """Zeros of x's dimensions, whatever it holds."""
        return self.clip(x, 0, 0)

    def activate(self, name: str, x: Value) -> Value:
        """An activation that a cfg can name (`cspdet.layers.activation.ACTIVATIONS`)."""
        if name in _NATIVE:
            return self.function(x, _NATIVE[name])
        return getattr(self, f"_{name}")(x)  # type: ignore[no-any-return]

    def _loggy(self, x: Value) -> Value:
        return self.affine(self.activate("logistic", x), 2, -1)

    def _ramp(self, x: Value) -> Value:
        return self.combine("add", self.activate("relu", x), self.affine(x, 0.1, 0))

    def _gelu(self, x: Value) -> Value:
        cube = self.combine("multiply", self.combine("multiply", x, x), x)
        inner = self.combine("add", self.affine(x, 0.797885, 0), self.affine(cube, 0.035677, 0))
        return self.combine("multiply", self.affine(x, 0.5, 0), self.affine(self.activate("tanh", inner), 1, 1))

    def _hard_mish(self, x: Value) -> Value:
        # x²/2 + x from -2 to 0, where it is flat at either end.
        middle = self.clip(x, -2, 0)
        curve = self.combine("multiply", middle, self.affine(middle, 0.5, 1))
        return self.combine("add", curve, self.activate("relu", x))

    def _plse(self, x: Value) -> Value:
        middle = self.clip(x, -4, 4)
        return self.combine("add", self.affine(middle, 0.125, 0.5), self.affine(self.combine("subtract", x, middle), 0.01, 0))

    def _lhtan(self, x: Value) -> Value:
        middle = self.clip(x, 0, 1)
        return self.combine("add", middle, self.affine(self.combine("subtract", x, middle), 0.001, 0))

    def _stair(self, x: Value) -> Value:
        floor = self.function(x, Activation("floor"))
        half = self.function(self.affine(x, 0.5, 0), Activation("floor"))
        odd = self.combine("subtract", floor, self.affine(self.function(self.affine(floor, 0.5, 0), Activation("floor")), 2, 0))
        return self.combine("add", half, self.combine("multiply", odd, self.combine("subtract", x, floor)))

    def _share(self, x: Value) -> Value:
        return self.combine("divide", x, self.affine(self.reduce(x, "sum", 0), 1, _SMALLEST_SUM))

    def _normalize_channels(self, x: Value) -> Value:
        return self._share(self.activate("relu", x))

    def _normalize_channels_softmax(self, x: Value) -> Value:
        return self._share(self.function(x, Activation("exp")))

    def _normalize_channels_softmax_maxval(self, x: Value) -> Value:
        return self._normalize_channels_softmax(self.combine("subtract", x, self.reduce(x, "maximum", 0)))
