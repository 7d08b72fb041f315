"""ncnn (https://github.com/Tencent/ncnn): convolutions by Winograd's algorithm, and one image at a time.

It takes the network as text, a line for each layer with numbered parameters, and the weights as bytes, both from memory. Only
what plain detectors consist of is written here; of other networks, the layer is named that it does not take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.cores import usable_cores
from cspdet.errors import UnsupportedError
from cspdet.program.operations import (
    Activate,
    Activation,
    Combine,
    Convolve,
    Enlarge,
    Function,
    Join,
    Operation,
    Part,
    Pool,
    Program,
    Reshape,
)
from cspdet.program.rewrites import simplified

# Of the file format.
_MAGIC = 7767517
# Activations that its convolutions compute while they store, and what it calls all of them as layers.
_FUSED: dict[Function, int] = {"linear": 0, "relu": 1, "leaky": 2, "clip": 3, "logistic": 4, "mish": 5}
_LAYERS: dict[Function, str] = {
    "relu": "ReLU",
    "leaky": "ReLU",
    "clip": "Clip",
    "logistic": "Sigmoid",
    "mish": "Mish",
    "swish": "Swish",
    "tanh": "TanH",
}
_COMBINATIONS = {"add": 0, "subtract": 1, "multiply": 2, "divide": 3}


def make(program: Program) -> NcnnEngine:
    """The engine for a program.

    Raises:
        UnsupportedError: it has an operation that is not written here.
    """
    return NcnnEngine(program)


class NcnnEngine:
    """Runs a program with ncnn on the CPU, in float32."""

    def __init__(self, program: Program) -> None:
        import ncnn

        program = simplified(program, [*_FUSED])
        writer = _Writer(program)
        self._shapes = [program.dimensions(number) for number in program.outputs]
        self._matrix = ncnn.Mat
        self._outputs = writer.outputs
        # The network reads the weights where they lie.
        self._weights = b"".join(writer.weights)
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = usable_cores()
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(options, name, False)
        if self._net.load_param_mem(writer.text()):
            raise AssertionError("ncnn does not read the network that was written for it")
        self._net.load_model_mem(self._weights)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each output, float32."""
        found = [self._run(image) for image in images]
        return [np.stack(each) for each in zip(*found, strict=True)]

    def _run(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        extractor = self._net.create_extractor()
        # The copy has its channels where the kernels expect them: they read beyond those of an array of another size.
        extractor.input("images", self._matrix(np.ascontiguousarray(image)).clone())
        found = [np.array(extractor.extract(name)[1]) for name in self._outputs]
        return [each.reshape(shape) for each, shape in zip(found, self._shapes, strict=True)]


class _Writer:
    """The text and the weights of a program.

    A value may be read once; one that is read more often is split into as many names.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines: list[str] = []
        self.weights: list[bytes] = []
        self.values = 0
        self._names: dict[int, Iterator[str]] = {}
        read = [source for operation in program.operations for source in operation.inputs] + [*program.outputs]
        self._readers = {number: read.count(number) for number in {*read}}
        self._line("Input", (), ("images",), "")
        self._name(-1, "images")
        for number, operation in enumerate(program.operations):
            inputs = [next(self._names[source]) for source in operation.inputs]
            kind, parameters = self._written(operation)
            self._line(kind, inputs, (f"v{number}",), parameters)
            self._name(number, f"v{number}")
        self.outputs = [next(self._names[number]) for number in program.outputs]

    def text(self) -> str:
        """The network's text."""
        return "\n".join([f"{_MAGIC}", f"{len(self.lines)} {self.values}", *self.lines, ""])

    def _line(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], parameters: str) -> None:
        self.values += len(outputs)
        name = f"layer{len(self.lines)}"
        self.lines.append(" ".join([kind, name, f"{len(inputs)} {len(outputs)}", *inputs, *outputs, parameters]))

    def _name(self, number: int, name: str) -> None:
        """Have a name of a value for each of its readers."""
        readers = self._readers.get(number, 0)
        names = [name] if readers < 2 else [f"{name}_{place}" for place in range(readers)]
        if readers > 1:
            self._line("Split", (name,), names, "")
        self._names[number] = iter(names)

    def _written(self, operation: Operation) -> tuple[str, str]:
        """The kind of layer and its parameters."""
        maps = all(len(self.program.dimensions(source)) == 3 for source in operation.inputs)
        match operation:
            case Convolve() if maps:
                self.weights += [b"\0\0\0\0", _bytes(operation.weight), _bytes(operation.bias)]
                return "ConvolutionDepthWise" if operation.groups > 1 else "Convolution", _convolution(operation)
            case Pool(kind=kind, size=size, stride=stride, border=border) if maps:
                top, left, bottom, right = border
                window = {0: int(kind == "mean"), 1: size[1], 11: size[0], 2: stride[1], 12: stride[0]}
                return "Pooling", _parameters(window | {3: left, 13: top, 14: right, 15: bottom, 5: 1})
            case Activate(activation=activation) if activation.function in _LAYERS:
                return _LAYERS[activation.function], _parameters(dict(enumerate(_bounds(activation))))
            case Combine(kind=kind) if kind in _COMBINATIONS and self._alike(operation):
                return "BinaryOp", _parameters({0: _COMBINATIONS[kind]})
            case Join(axis=axis):
                return "Concat", _parameters({0: axis})
            case Part(axis=axis, start=start, stop=stop, step=1):
                return "Crop", f"-23309=1,{start} -23310=1,{stop} -23311=1,{axis}"
            case Reshape(dimensions=dimensions) if len(dimensions) < 4:
                return "Reshape", _parameters(dict(enumerate(reversed(dimensions))))
            case Enlarge(factor=factor, mode="nearest"):
                return "Interp", _parameters({0: 1, 1: factor, 2: factor})
        message = f"ncnn does not run what layer {operation.layer} computes (`{type(operation).__name__.lower()}`)"
        raise UnsupportedError(message, "use another engine")

    def _alike(self, operation: Operation) -> bool:
        return all(self.program.dimensions(source) == operation.dimensions for source in operation.inputs)


def _convolution(operation: Convolve) -> str:
    filters, _, height, width = operation.weight.shape
    top, left, bottom, right = operation.border
    parameters: dict[int, float] = {0: filters, 1: width, 11: height, 2: operation.dilation, 12: operation.dilation}
    parameters |= {3: operation.stride[1], 13: operation.stride[0], 4: left, 14: top, 15: right, 16: bottom}
    parameters |= {5: 1, 6: operation.weight.size, 9: _FUSED[operation.activation.function]}
    bounds = _bounds(operation.activation)
    words = [_parameters(parameters | ({7: operation.groups} if operation.groups > 1 else {}))]
    return " ".join([*words, *([f"-23310={len(bounds)},{','.join(f'{each:e}' for each in bounds)}"] if bounds else [])])


def _bounds(activation: Activation) -> list[float]:
    """The numbers that go with a function."""
    return {"leaky": [activation.low], "clip": [activation.low, activation.high]}.get(activation.function, [])


def _parameters(values: dict[int, Any]) -> str:
    """By number; those with a point are read as such."""
    return " ".join(
        f"{number}={value:e}" if isinstance(value, float) else f"{number}={value}" for number, value in values.items()
    )


def _bytes(array: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(array, np.float32).tobytes()
