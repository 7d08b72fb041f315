"""OpenVINO: a model made of its operations directly, with no file in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.files import make_folder
from cspdet.program.operations import (
    Activate,
    Activation,
    Combine,
    Constant,
    Convolve,
    Deconvolve,
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
    State,
    Transpose,
    Unpool,
)
from cspdet.program.rewrites import simplified
from cspdet.program.states import States, dimensions_of, names_of, zeros


def make(program: Program) -> OpenvinoEngine:
    """The engine for a program."""
    return OpenvinoEngine(program)


class OpenvinoEngine:
    """Runs a program with OpenVINO on the CPU. A model is compiled for each size of batch, when it is first seen."""

    def __init__(self, program: Program) -> None:
        self.program = simplified(program)
        self._compiled: dict[int, Any] = {}
        # A request is for one call at a time.
        self._lock = Lock()
        self._states = States(dimensions_of(self.program), zeros)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each output, float32."""
        with self._lock:
            return self._states.run(len(images), lambda states: self._run(images, *states))

    def prepare(self, batch: int) -> None:
        """Compile the model for so many images, if that was not done before."""
        with self._lock:
            self._request(batch)

    def _request(self, batch: int) -> Any:
        if batch not in self._compiled:
            self._compiled[batch] = compiled(model_of(self.program, batch)).create_infer_request()
        return self._compiled[batch]

    def _run(self, *given: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        request = self._request(len(given[0]))
        request.infer([np.ascontiguousarray(each) for each in given])
        return [request.get_output_tensor(place).data.copy() for place in range(len(self.program.results))]


def compiled(model: Any) -> Any:
    """A model ready to run on the CPU, in float32, with all of its cores for each image.

    What was compiled is kept in the folder `CSPDET_OPENVINO_CACHE`, where that is set: yolov4 is ready 0.08 s sooner then, of
    0.3 s, takes a quarter more memory, and a file as large as its weights. So this is nobody's default.

    Raises:
        UsageError: the folder cannot be made.
    """
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    folder = os.environ.get("CSPDET_OPENVINO_CACHE")
    if folder:
        make_folder(Path(folder))
        settings["CACHE_DIR"] = folder
    return core().compile_model(model, "CPU", settings)


@cache
def core() -> Any:
    """The process's one `openvino.Core`, which is never given back.

    The thread that first compiles something gets a stack for its signal handlers from OpenVINO 2026.4, in memory that goes
    when the last model does. Where that happens in another thread, the next Ctrl-C, or the end of a child process, is a
    segmentation fault.
    """
    import openvino

    return openvino.Core()


def model_of(program: Program, batch: int = 1) -> Any:
    """The program as an `openvino.Model` for batches of one size; -1 leaves it free. States are inputs and outputs, too."""
    import openvino
    from openvino import opset13 as opset

    names = [*names_of(program)]
    given = {-1: "images"} | {number: name for (number, _), (name, _) in zip(program.states, names, strict=True)}
    values: dict[int, Any] = {
        number: opset.parameter([batch, *program.dimensions(number)], np.float32, name=name) for number, name in given.items()
    }
    parameters = [*values.values()]
    for parameter, name in zip(parameters, given.values(), strict=True):
        parameter.output(0).get_tensor().set_names({name})
    for number, operation in enumerate(program.operations):
        if isinstance(operation, State):
            continue
        inputs = [values[source] for source in operation.inputs]
        if isinstance(operation, Join) and any(isinstance(program.operations[each], Constant) for each in operation.inputs):
            inputs = [opset.broadcast(each, [batch, *each.shape[1:]]) if each.shape[0] == 1 else each for each in inputs]
        values[number] = _node(opset, operation, inputs)
    outputs = []
    wanted = [f"output_{place}" for place in range(len(program.outputs))] + [name for _, name in names]
    for number, name in zip(program.results, wanted, strict=True):
        result = opset.result(values[number])
        result.output(0).get_tensor().set_names({name})
        outputs.append(result)
    return openvino.Model(outputs, parameters, "cspdet")


def _node(opset: Any, operation: Operation, inputs: list[Any]) -> Any:
    """An operation as OpenVINO's."""
    match operation:
        case Constant(value=value):
            return opset.constant(value[None])
        case Convolve():
            return _convolution(opset, operation, *inputs)
        case Deconvolve():
            return _deconvolution(opset, operation, *inputs)
        case Pool(kind=kind, size=size, stride=stride, border=(top, left, bottom, right)):
            around = (list(stride), [top, left], [bottom, right])
            if kind == "maximum":
                return opset.max_pool(*inputs, around[0], [1, 1], *around[1:], list(size)).output(0)
            return opset.avg_pool(*inputs, *around, list(size), True)
        case Activate(activation=activation):
            return _activation(opset, activation, *inputs)
        case Combine(kind="mend"):
            # OpenVINO 2026.4 takes numbers that are nearly 0 for infinite ones.
            return opset.select(opset.less_equal(opset.abs(inputs[0]), np.finfo(np.float32).max), *inputs)
        case Combine(kind=kind):
            return getattr(opset, kind)(*inputs)
        case Join(axis=axis):
            return opset.concat(inputs, axis + 1)
        case Part(axis=axis, start=start, stop=stop, step=step):
            bounds = [opset.constant(np.array([each], np.int64)) for each in (start, stop, step, axis + 1)]
            return opset.slice(*inputs, *bounds)
        case Pad(before=before, behind=behind, value=value):
            ends = [np.array([0, *each], np.int64) for each in (before, behind)]
            return opset.pad(*inputs, *ends, "constant", np.float32(value))
        case Enlarge(factor=factor, mode=mode):
            return _enlarged(opset, factor, mode, *inputs)
        case Reshape(dimensions=dimensions):
            return opset.reshape(*inputs, np.array([0, *dimensions], np.int64), True)
        case Transpose(order=order):
            return opset.transpose(*inputs, np.array([0, *(axis + 1 for axis in order)], np.int64))
        case Reduce(kind=kind, axes=axes):
            name = {"mean": "reduce_mean", "sum": "reduce_sum", "maximum": "reduce_max"}[kind]
            return getattr(opset, name)(*inputs, np.array([axis + 1 for axis in axes], np.int64), True)
        case Softmax(axis=axis):
            return opset.softmax(*inputs, axis + 1)
        case Product(weight=weight, bias=bias):
            found = opset.matmul(*inputs, _weights(opset, weight), False, False)
            return found if bias is None else opset.add(found, opset.constant(bias))
        case Unpool():
            return _unpooled(opset, operation, *inputs)
    raise AssertionError(f"no such operation: {operation}")


def _weights(opset: Any, array: NDArray[np.float32]) -> Any:
    """Weights that are read where they lie; OpenVINO copies those that nobody may write to."""
    array = np.ascontiguousarray(array)
    return opset.constant(array, shared_memory=array.flags.writeable)


def _convolution(opset: Any, operation: Convolve, x: Any) -> Any:
    top, left, bottom, right = operation.border
    geometry = (list(operation.stride), [top, left], [bottom, right], [operation.dilation] * 2)
    weight = operation.weight
    if operation.groups == 1:
        found = opset.convolution(x, _weights(opset, weight), *geometry)
    else:
        groups = weight.reshape(operation.groups, -1, *weight.shape[1:])
        found = opset.group_convolution(x, _weights(opset, groups), *geometry)
    found = opset.add(found, opset.constant(operation.bias.reshape(1, -1, 1, 1)))
    return _activation(opset, operation.activation, found)


def _deconvolution(opset: Any, operation: Deconvolve, x: Any) -> Any:
    geometry: dict[str, Any] = {
        "pads_begin": [operation.cut] * 2,
        "pads_end": [operation.cut] * 2,
        "dilations": [1, 1],
        "output_padding": [operation.extra] * 2,
    }
    weight, stride = operation.weight, list(operation.stride)
    if operation.groups == 1:  # as one group, OpenVINO 2026.4 finds no kernel for it
        found = opset.convolution_backprop_data(x, _weights(opset, weight), stride, **geometry)
    else:
        groups = _weights(opset, weight.reshape(operation.groups, -1, *weight.shape[1:]))
        found = opset.group_convolution_backprop_data(x, groups, stride, **geometry)
    return opset.add(found, opset.constant(operation.bias.reshape(1, -1, 1, 1)))


def _activation(opset: Any, activation: Activation, x: Any) -> Any:
    function, low, high = activation
    functions: dict[str, Callable[[Any], Any]] = {
        "linear": lambda x: x,
        "logistic": opset.sigmoid,
        "leaky": lambda x: opset.prelu(x, opset.constant(np.array([low], np.float32))),
        "mish": opset.mish,
        "swish": opset.swish,
        "relu": opset.relu,
        "tanh": opset.tanh,
        "elu": lambda x: opset.elu(x, 1.0),
        "selu": lambda x: opset.selu(x, np.float32(1.6732632423543772), np.float32(1.0507009873554805)),
        "exp": opset.exp,
        "floor": opset.floor,
        "sqrt": opset.sqrt,
        "clip": lambda x: opset.clamp(x, low, high),
        "sign": lambda x: opset.select(opset.greater(x, np.float32(0)), np.float32(1), np.float32(-1)),
    }
    return functions[function](x)


def _enlarged(opset: Any, factor: int, mode: str, x: Any) -> Any:
    scales = np.array([factor, factor], np.float32)
    axes = np.array([2, 3], np.int64)
    if mode == "nearest":
        return opset.interpolate(
            x, scales, "nearest", "scales", axes=axes, coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
    return opset.interpolate(x, scales, "linear_onnx", "scales", axes=axes, coordinate_transformation_mode="half_pixel")


def _unpooled(opset: Any, operation: Unpool, x: Any, before: Any) -> Any:
    """Where the pooling found its numbers, counted over the map, is where these are added to zeros."""
    top, left, bottom, right = operation.border
    pooled = opset.max_pool(
        before,
        list(operation.stride),
        [1, 1],
        [top, left],
        [bottom, right],
        list(operation.size),
        index_element_type="i64",
        axis=2,
    )
    channels, height, width = operation.dimensions
    flat = np.array([0, channels, -1], np.int64)
    places, numbers = (opset.reshape(each, flat, True) for each in (pooled.output(1), x))
    zeros = opset.multiply(opset.reshape(before, flat, True), np.float32(0))
    spread = opset.scatter_elements_update(zeros, places, numbers, np.int64(2), reduction="sum")
    return opset.reshape(spread, np.array([0, channels, height, width], np.int64), True)
