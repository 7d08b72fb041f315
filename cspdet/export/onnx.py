"""Exported networks as ONNX files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.onnxruntime import open_session
from cspdet.errors import ExportError
from cspdet.export.ends import File, sides
from cspdet.export.model import Model
from cspdet.formats.onnx import OnnxWriter
from cspdet.program.operations import Dimensions
from cspdet.program.states import name_before
from cspdet.text import brief

Floats = NDArray[np.float32]
Run = Callable[..., dict[str, Floats]]

_NOTHING = np.zeros((0, 7), np.float32)

# What ONNX Runtime's messages begin with: its numbers and names of errors, and the place in its sources, with the function.
_NUMBER = r"(?:.*\[ONNXRuntimeError\] : \d+ : \w+ : )?"
_PLACE = r"(?:\S+\.(?:cc|h):\d+ (?:[^(]*::\w+\((?:[^()]|\([^()]*\))*\)(?: const)?|\w+) )?"
_HEAD = re.compile(_NUMBER + _PLACE + r"(?:(?:This is an i|I)nvalid model\. )?")

# What protobuf can hold.
_LARGEST = 2**31 - 1


def write(model: Model, path: Path) -> None:
    """Write the file.

    Raises:
        ExportError: it would be larger than ONNX files can be.
    """
    program = model.program
    size = ("height", "width") if model.options.dynamic_size else None
    writer = OnnxWriter(program, size=size, half=model.plain if model.options.half else 0)
    outputs: dict[str, tuple[str, Dimensions]] = {
        name: (writer.whole(number), program.dimensions(number))
        for name, number in zip(model.names, program.outputs, strict=True)
    }
    made = writer.model(outputs, model.notes)
    if model.options.outputs == "nms":
        _add_suppression(made, model)
    if made.ByteSize() > _LARGEST:
        raise ExportError(f"the file would have {made.ByteSize():,} bytes, more than ONNX files can", "use `--half`")
    path.write_bytes(made.SerializeToString())


def _add_suppression(made: Any, model: Model) -> None:
    """The output `detections`, (n, 7): image, class, score, centre x, centre y, width, height."""
    from onnx import TensorProto, helper, numpy_helper

    graph, options = made.graph, model.options
    boxes, classes = model.program.dimensions(model.program.outputs[1])
    arrays: dict[str, NDArray[Any]] = {
        "nms.most": np.array([boxes], np.int64),
        "nms.overlap": np.array([options.nms], np.float32),
        "nms.threshold": np.array([options.threshold], np.float32),
        "nms.0": np.array([0], np.int64),
        "nms.1": np.array([1], np.int64),
        "nms.2": np.array([2], np.int64),
        # Of image, class and box, where they lie in all boxes and scores. OpenCV 5.0 ends the process where GatherND, which
        # would need no such numbers, is to gather nothing.
        "nms.box_steps": np.array([[boxes, 0, 1]], np.int64),
        "nms.score_steps": np.array([[boxes * classes, 1, classes]], np.int64),
        "nms.box_shape": np.array([-1, 4], np.int64),
        "nms.score_shape": np.array([-1, 1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in arrays.items())

    def add(kind: str, inputs: str, output: str, **attributes: Any) -> None:
        names = [name if name in ("boxes", "scores") else f"nms.{name}" for name in inputs.split()]
        graph.node.append(helper.make_node(kind, names, [output], **attributes))

    add("Transpose", "scores", "nms.by_class", perm=[0, 2, 1])
    add("NonMaxSuppression", "boxes by_class most overlap threshold", "nms.selected", center_point_box=1)
    for part, whole in (("box", "boxes"), ("score", "scores")):
        add("Mul", f"selected {part}_steps", f"nms.{part}_parts")
        add("ReduceSum", f"{part}_parts 1", f"nms.{part}_place", keepdims=0)
        add("Reshape", f"{whole} {part}_shape", f"nms.{part}_rows")
        add("Gather", f"{part}_rows {part}_place", f"nms.{part}_chosen", axis=0)
    add("Slice", "selected 0 2 1", "nms.numbers")
    add("Cast", "numbers", "nms.image_class", to=TensorProto.FLOAT)
    add("Concat", "image_class score_chosen box_chosen", "detections", axis=1)
    graph.output.insert(0, helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["detections", 7]))


def open_file(path: Path) -> File:
    """A file's notes, what runs it, and what goes in and comes out."""
    session = _session(path)
    try:
        notes = session.get_modelmeta().custom_metadata_map
        ends = session.get_inputs(), session.get_outputs()
        inputs, outputs = ({each.name: sides(each.shape) for each in some} for some in ends)
    except UnicodeDecodeError:
        raise ExportError(f"`{path}` has notes or names that are no text in UTF-8", "is it damaged?") from None
    return File(notes, _runner(path, session), inputs, outputs)


def _session(path: Path) -> Any:
    try:
        return open_session(path.read_bytes())
    except Exception as error:  # its exceptions have no base of their own
        raise ExportError(f"`{path}` is no ONNX file that can be run: {_reason(error)}", "is it complete?") from None


def _reason(error: Exception) -> str:
    """The part of ONNX Runtime's words that is for readers."""
    return brief(_HEAD.sub("", " ".join(str(error).split()), count=1).rstrip("."), 200)


def _runner(path: Path, session: Any) -> Run:
    inputs = [each.name for each in session.get_inputs()]
    names = [each.name for each in session.get_outputs()]

    def run(*given: Floats) -> dict[str, Floats]:
        arrays = map(np.ascontiguousarray, given)
        try:
            found = session.run(names, dict(zip(inputs, arrays, strict=True)))
        except Exception as error:  # see `_session`
            raise ExportError(f"`{path}` cannot be run: {_reason(error)}", "export it again") from None
        return dict(zip(names, found, strict=True))

    return run


def _onnxruntime(path: Path) -> Run:
    return _runner(path, _session(path))


def _opencv(path: Path) -> Run:
    import cv2

    net = cv2.dnn.readNetFromONNX(str(path))
    names = net.getUnconnectedOutLayersNames()

    def run(images: Floats, *states: Floats) -> dict[str, Floats]:
        net.setInput(images, "images")
        for place, state in enumerate(states):
            net.setInput(state, name_before(place))
        # An output without any number is None.
        found = (_NOTHING if each is None else np.array(each, np.float32) for each in net.forward(names))
        return dict(zip(names, found, strict=True))

    return run


RUNNERS: dict[str, Callable[[Path], Run]] = {"onnxruntime": _onnxruntime, "cv2": _opencv}
