"""Darknet networks in OpenCV 5, which reads them no more: a program changes one line.

>>> net = cv2.dnn.readNetFromDarknet("X.cfg", "X.weights")  # doctest: +SKIP
>>> net = cspdet.cv2_dnn.read_net_from_darknet("X.cfg", "X.weights")  # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cspdet.errors import ExportError, UsageError
from cspdet.export.model import lowered_heads, place_of, raw_program
from cspdet.formats.onnx import OnnxWriter
from cspdet.graph import Graph
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo
from cspdet.loading import load
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Activation, Dimensions, Program

# Scores up to this are 0: `thresh` of OpenCV's region layer, which [region] sets and [yolo] does not.
_THRESHOLDS = {Yolo: 0.2, Region: 0.001}


def read_net_from_darknet(cfg: str | Path, weights: str | Path | None = None) -> Any:
    """The network as a `cv2.dnn.Net`, in place of OpenCV 4's `cv2.dnn.readNetFromDarknet`.

    For each [yolo] of index i there is an output `yolo_i`, and for a [region] `detection_out`: (boxes, 5 + classes) of
    centre x, centre y, width and height relative to the network's input, objectness, and scores, which are objectness times
    class probability, or 0 up to a threshold (.2; .001 for [region]). Other networks have one output, of their last layer,
    named after its section and index.

    It differs from OpenCV 4 in this: batch normalisation adds Darknet's epsilon, not 1e-6; of a batch, the boxes of its
    images follow each other in the rows; boxes of [region] are not suppressed yet; and OpenCV 5 wants all outputs asked for
    at once: `net.forward(net.getUnconnectedOutLayersNames())`.

    Args:
        cfg: path of a cfg, or the name of a model.
        weights: path of a weights file; a named model has its own.

    Raises:
        CfgError: the cfg cannot be run.
        WeightsError: the weights do not fit.
        UsageError: a file is missing, or `onnx` or a version of OpenCV that reads ONNX.
        ExportError: a layer or head cannot be written for OpenCV, or OpenCV cannot read it.
    """
    try:
        import cv2
        import onnx  # noqa: F401 - the writer needs it
    except ImportError as error:
        raise UsageError(f"the package `{error.name}` is not installed", f"pip install {error.name}") from None
    detector = load(cfg, weights, engine="")
    if not detector.trained or detector.ends_before is not None:
        raise UsageError(f"there are no weights for all layers of `{cfg}`", "name a weights file of the whole network")
    program = raw_program(detector.graph, detector.arrays)
    if program.states:
        layer = program.operations[program.states[0][0]].layer
        message = f"{place_of(detector.graph, layer)} keeps a state from image to image, which a `cv2.dnn.Net` cannot"
        raise ExportError(message, "`cspdet export` writes it with its states as inputs and outputs")
    data = _onnx(detector.graph, program)
    try:
        return cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    except cv2.error as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"OpenCV {cv2.__version__} cannot read the network: {reason}", "use OpenCV 5") from None


def _onnx(graph: Graph, program: Program) -> bytes:
    """The bytes of an ONNX file whose outputs are those of OpenCV's importer."""
    if not graph.heads:
        return _classifier(graph, program)
    build = Builder(program)
    found: dict[str, Value] = {}
    for node, boxes in lowered_heads(graph, program, build):
        threshold = next((value for kind, value in _THRESHOLDS.items() if isinstance(node.layer, kind)), 0.0)
        above = build.function(build.affine(boxes.scores, 1, -threshold), Activation("sign"))
        scores = build.combine("multiply", boxes.scores, build.affine(above, 0.5, 0.5))
        name = "detection_out" if isinstance(node.layer, Region) else f"{node.name}_{node.index}"
        found[name] = build.join([boxes.xywh, boxes.objectness, scores], 1)
    writer = OnnxWriter(build.program(program.input, [*found.values()]))
    outputs: dict[str, tuple[str, Dimensions]] = {}
    for name, value in found.items():
        entries = value.dimensions[1:]
        shape = writer.integers(name, "shape", [-1, *entries])
        outputs[name] = writer.node("Reshape", [writer.name(value.number), shape], f"{name}.rows"), entries
    model = writer.model(outputs)
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = f"{output.name}.rows"
    return bytes(model.SerializeToString())


def _classifier(graph: Graph, program: Program) -> bytes:
    """The same of a network without heads, whose output has four dimensions."""
    build = Builder(program)
    (number,) = program.outputs
    last = Value(number, program.dimensions(number))
    last = build.reshape(last, -1, 1, 1) if len(last.dimensions) == 1 else last
    writer = OnnxWriter(build.program(program.input, [last]))
    name = f"{graph.nodes[graph.outputs[0]].name}_{graph.outputs[0]}"
    return bytes(writer.model({name: (writer.name(last.number), last.dimensions)}).SerializeToString())
