"""Programs as ONNX models (https://onnx.ai), operator set 17."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.program.operations import (
    Activate,
    Activation,
    Combine,
    Constant,
    Convolve,
    Deconvolve,
    Dimensions,
    Enlarge,
    Join,
    Operation,
    Pad,
    Part,
    Pool,
    Product,
    Program,
    Reduce,
    Reshape,
    Softmax,
    Transpose,
    Unpool,
)
from cspdet.program.states import names_of

OPERATOR_SET = 17
# The version of the file format that goes with it.
_FORMAT = 8

# The largest numbers of 16 and 32 bits.
_LARGEST_HALF = 65504.0
_LARGEST = np.finfo(np.float32).max

_SIMPLE = {"logistic": "Sigmoid", "relu": "Relu", "exp": "Exp", "floor": "Floor", "sqrt": "Sqrt"}
_COMBINATIONS = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow"}


class OnnxWriter:
    """An ONNX graph in the making. Values have the names `v0`, `v1`, … of their operations' places."""

    def __init__(
        self, program: Program, batch: int | str = "batch", *, size: tuple[str, str] | None = None, half: int = 0
    ) -> None:
        """`batch` is a number, or the name of a free dimension; `size` has names where height and width are free, too.

        The first `half` operations are computed in 16 bits, with weights of as many; what goes in and out has 32.
        """
        self.program = program
        self.batch = batch
        self.size = size
        self.half = half
        self.nodes: list[Any] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._casts: set[str] = set()
        self._states = {before: name for (before, _), (name, _) in zip(program.states, names_of(program), strict=True)}
        for number, operation in enumerate(program.operations):
            narrow = number < half
            self._kind: Any = np.float16 if narrow else np.float32
            inputs = [self._cast(source, narrow=narrow) for source in operation.inputs]
            if number not in self._states:
                self._write(operation, inputs, self.name(number))
        self._kind = np.float32

    def name(self, number: int) -> str:
        """The name of a value."""
        return "images" if number < 0 else self._states.get(number, f"v{number}")

    def whole(self, number: int) -> str:
        """The name of a value in 32 bits."""
        return self._cast(number, narrow=False)

    def _cast(self, number: int, *, narrow: bool) -> str:
        """The name of a value in as many bits as are asked for."""
        from onnx import TensorProto

        name = self.name(number)
        given = number < 0 or number in self._states
        if narrow == (number < self.half and not given):
            return name
        output = f"{name}.{'half' if narrow else 'whole'}"
        if output not in self._casts:
            self._casts.add(output)
            self.node("Cast", [name], output, to=TensorProto.FLOAT16 if narrow else TensorProto.FLOAT)
        return output

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def array(self, name: str, value: Any, kind: Any = None) -> str:
        """Add an array of the file; its name. One that is the same as another's takes that one's."""
        array = np.asarray(value)
        if kind is None and self._kind is np.float16:
            array = array.clip(-_LARGEST_HALF, _LARGEST_HALF)
        array = np.ascontiguousarray(array.astype(kind or self._kind))
        key = (array.shape, array.dtype.str, array.tobytes()) if array.size < 64 else (name,)
        if key not in self._names:
            self._names[key] = name
            self.arrays[name] = array
        return self._names[key]

    def integers(self, output: str, name: str, values: Sequence[int]) -> str:
        """An array of integers."""
        return self.array(f"{output}.{name}", values, np.int64)

    def model(self, outputs: Mapping[str, tuple[str, Dimensions]], metadata: Mapping[str, str] | None = None) -> Any:
        """The model with these outputs, by name: the value's name, and its dimensions for one image; and with the states."""
        from onnx import TensorProto, helper, numpy_helper

        sides: list[int | str] = [*self.program.input]
        if self.size:
            sides[1:] = self.size
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [self.batch, *sides])
        states = [
            helper.make_tensor_value_info(self.name(before), TensorProto.FLOAT, [self.batch, *self.program.dimensions(before)])
            for before, _ in self.program.states
        ]
        results = []
        for name, (value, dimensions) in {**outputs, **self._next_states()}.items():
            self.node("Identity", [value], name)
            free = [self.batch, *(dimensions if not self.size else (None for _ in dimensions))]
            results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, free))
        arrays = [numpy_helper.from_array(value, name) for name, value in self.arrays.items()]
        graph = helper.make_graph(self.nodes, "cspdet", [images, *states], results, arrays)
        opset = [helper.make_opsetid("", OPERATOR_SET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_FORMAT, producer_name="cspdet")
        helper.set_model_props(model, dict(metadata or {}))
        return model

    def _next_states(self) -> dict[str, tuple[str, Dimensions]]:
        """What the states become, as `model` takes outputs."""
        pairs = zip(self.program.states, names_of(self.program), strict=True)
        return {name: (self.whole(after), self.program.dimensions(after)) for (_, after), (_, name) in pairs}

    # -- operations ---------------------------------------------------------------------------------------------------

    def _write(self, operation: Operation, inputs: list[str], output: str) -> None:
        match operation:
            case Constant(value=value):
                self.node("Identity", [self.array(f"{output}.value", value[None])], output)
            case Convolve():
                self._convolution(operation, inputs, output)
            case Deconvolve(stride=stride, cut=cut, extra=extra, groups=groups):
                arrays = [self.array(f"{output}.weight", operation.weight), self.array(f"{output}.bias", operation.bias)]
                geometry = {"strides": stride, "pads": [cut] * 4, "output_padding": [extra] * 2, "group": groups}
                self.node("ConvTranspose", [*inputs, *arrays], output, kernel_shape=operation.weight.shape[2:], **geometry)
            case Pool(kind=kind, size=size, stride=stride, border=border):
                name, more = ("MaxPool", {}) if kind == "maximum" else ("AveragePool", {"count_include_pad": 0})
                self.node(name, inputs, output, kernel_shape=size, strides=stride, pads=border, **more)
            case Activate(activation=activation):
                self._activation(activation, inputs[0], output)
            case Combine(kind="mend"):
                self._mended(inputs, output)
            case Combine(kind=kind):
                self.node(_COMBINATIONS[kind], inputs, output)
            case Join(axis=axis):
                self.node("Concat", self._of_one_batch(operation, inputs, output), output, axis=axis + 1)
            case Part(axis=axis, start=start, stop=stop, step=step):
                bounds = zip(("start", "stop", "axis", "step"), (start, stop, axis + 1, step), strict=True)
                self.node("Slice", [*inputs, *(self.integers(output, name, [value]) for name, value in bounds)], output)
            case Pad(before=before, behind=behind, value=value):
                around = self.integers(output, "around", [0, *before, 0, *behind])
                self.node("Pad", [*inputs, around, self.array(f"{output}.value", value)], output)
            case Enlarge(factor=factor, mode=mode):
                scales = self.array(f"{output}.scales", [1, 1, factor, factor], np.float32)
                how = (
                    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
                    if mode == "nearest"
                    else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
                )
                self.node("Resize", [*inputs, "", scales], output, **how)
            case Reshape(dimensions=dimensions):
                self.node("Reshape", [*inputs, self.integers(output, "shape", [0, *dimensions])], output)
            case Transpose(order=order):
                self.node("Transpose", inputs, output, perm=[0, *(axis + 1 for axis in order)])
            case Reduce(kind=kind, axes=axes):
                self._reduction(kind, [axis + 1 for axis in axes], inputs, output)
            case Softmax(axis=axis):
                self.node("Softmax", inputs, output, axis=axis + 1)
            case Product(weight=weight, bias=bias):
                found = output if bias is None else f"{output}.product"
                self._product(inputs[0], self.array(f"{output}.weight", weight), found, batched=weight.ndim == 3)
                if bias is not None:
                    self.node("Add", [found, self.array(f"{output}.bias", bias)], output)
            case Unpool():
                self._unpool(operation, inputs, output)
            case _:
                raise AssertionError(f"no such operation: {operation}")

    def _of_one_batch(self, operation: Operation, inputs: list[str], output: str) -> list[str]:
        """Constants have a batch of 1; beside others, they get theirs from adding zeros of these."""
        constant = [isinstance(self.program.operations[each], Constant) for each in operation.inputs]
        if not any(constant) or all(constant):
            return inputs
        other = inputs[constant.index(False)]
        rank = len(operation.dimensions)
        corner = other
        for axis in range(1, rank + 1):
            bounds = [self.integers(output, name, [value]) for name, value in (("0", 0), ("1", 1), (f"axis{axis}", axis))]
            corner = self.node("Slice", [corner, *bounds], f"{output}.corner{axis}")
        zeros = self.node("Mul", [corner, self.array(f"{output}.zero", 0)], f"{output}.zeros")
        return [
            self.node("Add", [name, zeros], f"{output}.spread{place}") if alone else name
            for place, (name, alone) in enumerate(zip(inputs, constant, strict=True))
        ]

    def _convolution(self, operation: Convolve, inputs: list[str], output: str) -> None:
        linear = operation.activation.function == "linear"
        found = output if linear else f"{output}.convolved"
        self.node(
            "Conv",
            [*inputs, self.array(f"{output}.weight", operation.weight), self.array(f"{output}.bias", operation.bias)],
            found,
            kernel_shape=operation.weight.shape[2:],
            strides=operation.stride,
            pads=operation.border,
            dilations=[operation.dilation] * 2,
            group=operation.groups,
        )
        if not linear:
            self._activation(operation.activation, found, output)

    def _activation(self, activation: Activation, x: str, output: str) -> None:
        function, low, high = activation
        if function in _SIMPLE:
            self.node(_SIMPLE[function], [x], output)
        elif function == "leaky":
            self.node("LeakyRelu", [x], output, alpha=low)
        elif function == "elu":
            self.node("Elu", [x], output)
        elif function == "selu":
            self.node("Selu", [x], output)
        elif function == "clip":
            self._clip(x, low, high, output)
        elif function == "tanh":
            # It is 1 from 10 on; but no number from 45 on in OpenCV 5.0.
            self.node("Tanh", [self._clip(x, -10, 10, f"{output}.clipped")], output)
        elif function == "swish":
            self.node("Mul", [x, self.node("Sigmoid", [x], f"{output}.logistic")], output)
        elif function == "sign":
            positive = self.node("Greater", [x, self.array(f"{output}.zero", 0)], f"{output}.positive")
            signs = [self.array(f"{output}.one", 1), self.array(f"{output}.minus", -1)]
            self.node("Where", [positive, *signs], output)
        elif function == "mish":
            self._mish(x, output)
        else:
            raise AssertionError(f"no such function: {function}")

    def _mish(self, x: str, output: str) -> None:
        """With s = 1 / (1 + e^x): x (1 - s²) / (1 + s²).

        ONNX's own Mish is of a later operator set, and ONNX Runtime computes it with a logarithm and a tangent, in nearly
        twice the time of the whole network.
        """
        one = self.array(f"{output}.one", 1)
        share = self.node("Sigmoid", [self.node("Neg", [x], f"{output}.negative")], f"{output}.share")
        square = self.node("Mul", [share, share], f"{output}.square")
        above = self.node("Mul", [x, self.node("Sub", [one, square], f"{output}.less")], f"{output}.above")
        self.node("Div", [above, self.node("Add", [square, one], f"{output}.more")], output)

    def _clip(self, x: str, low: float, high: float, output: str) -> str:
        return self.node("Clip", [x, self.array(f"{output}.low", low), self.array(f"{output}.high", high)], output)

    def _mended(self, inputs: Sequence[str], output: str) -> None:
        x, other = inputs
        size = self.node("Abs", [x], f"{output}.size")
        finite = self.node("LessOrEqual", [size, self.array(f"{output}.largest", _LARGEST)], f"{output}.finite")
        self.node("Where", [finite, x, other], output)

    def _reduction(self, kind: str, axes: list[int], inputs: list[str], output: str) -> None:
        if kind == "sum":
            self.node("ReduceSum", [*inputs, self.integers(output, "axes", axes)], output, keepdims=1)
        else:
            self.node({"mean": "ReduceMean", "maximum": "ReduceMax"}[kind], inputs, output, axes=axes, keepdims=1)

    def _product(self, x: str, weight: str, output: str, *, batched: bool) -> None:
        """Of a matrix for each row, the images go together: OpenCV 5.0 takes the first image's for all where they do not."""
        if not batched:
            self.node("MatMul", [x, weight], output)
            return
        alone = self.integers(output, "alone", [2])
        rows = self.node("Squeeze", [x, alone], f"{output}.rows")
        rows = self.node("Transpose", [rows], f"{output}.by_row", perm=[1, 0, 2])
        found = self.node("MatMul", [rows, weight], f"{output}.found")
        found = self.node("Transpose", [found], f"{output}.by_image", perm=[1, 0, 2])
        self.node("Unsqueeze", [found, alone], output)

    def _unpool(self, operation: Unpool, inputs: list[str], output: str) -> None:
        """Where the pooling found its numbers, counted over all images (by OpenCV 5.0 over each), is where these are added."""
        from onnx import helper

        x, before = inputs
        pooled, places = f"{output}.pooled", f"{output}.places"
        geometry: dict[str, Any] = {"kernel_shape": operation.size, "strides": operation.stride, "pads": operation.border}
        self.nodes.append(helper.make_node("MaxPool", [before], [pooled, places], **geometry))
        flat = self.integers(output, "flat", [0, -1])
        image = self.integers(output, "image", [prod(operation.dimensions)])
        places = self.node("Mod", [places, image], f"{output}.own_places")
        rows = [self.node("Reshape", [each, flat], f"{each}.{output}.row") for each in (before, places, x)]
        zeros = self.node("Mul", [rows[0], self.array(f"{output}.zero", 0)], f"{output}.zeros")
        spread = self.node("ScatterElements", [zeros, *rows[1:]], f"{output}.spread", axis=1, reduction="add")
        shape = self.node("Shape", [before], f"{output}.shape")
        self.node("Reshape", [spread, shape], output)
