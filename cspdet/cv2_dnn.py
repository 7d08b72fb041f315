"""Darknet networks in OpenCV 5, which reads them no more: a program changes one line.

>>> net = cv2.dnn.readNetFromDarknet("X.cfg", "X.weights")  # doctest: +SKIP
>>> net = cspdet.cv2_dnn.read_net_from_darknet("X.cfg", "X.weights")  # doctest: +SKIP

OpenCV 5 has lost the importer, but not the layer that decodes boxes, `Region`. It is in the graph as it was in OpenCV 4's, so
that `cv2.dnn.DetectionModel`, batches and other sizes are OpenCV's own affair, and the net is a `cv2.dnn.Net` like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.cfg.dialect import ALEXEYAB
from cspdet.errors import ExportError, UsageError
from cspdet.export.model import has_size, lowered_heads, place_of, raw_program
from cspdet.formats.onnx import OnnxWriter
from cspdet.graph import Graph, Node
from cspdet.layers.connected import Connected
from cspdet.layers.pooling import Pooling
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo
from cspdet.loading import load
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Dimensions, Operation, Pool, Program, Reduce

# What is read: a path, the name of a model, or what is in a file.
File = str | Path | bytes | bytearray | NDArray[np.uint8]

# In batch normalisation, OpenCV 4 adds this to the variance, and Darknet 1e-5.
_OPENCV = ALEXEYAB._replace(epsilon=1e-6)

# A number as C++ reads it from the start of a text.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def read_net_from_darknet(
    cfg: File | None = None,
    weights: File | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
    cfgFile: File | None = None,  # noqa: N803 - OpenCV's names
    darknetModel: File | None = None,  # noqa: N803
    bufferCfg: File | None = None,  # noqa: N803
    bufferModel: File | None = None,  # noqa: N803
) -> Any:
    """The network as a `cv2.dnn.Net`, in place of OpenCV 4's `cv2.dnn.readNetFromDarknet`.

    Its input is `data`. For each [yolo] of index i there is an output `yolo_i`, and for a [region] `detection_out`: (boxes, 5 +
    classes), of more images than one (images, boxes, 5 + classes), of centre x, centre y, width and height relative to the
    network's input, objectness, and scores, which are objectness times class probability, or 0 up to `thresh` (.2; of
    [region] .001). Other networks have one output, of their last layer, named after its section and index. Batch normalisation
    adds 1e-6, as OpenCV 4 does, not Darknet's 1e-5.

    Heads that OpenCV 4 does not read have such rows, too, of a batch image after image, and all their scores.

    `docs/export.md` lists what OpenCV 5 itself does in another way.

    Args:
        cfg: path of a cfg, the name of a model, or the bytes of a cfg file. It and the weights may change places.
        weights: path or bytes of a weights file; a named model has its own.
        width: width of the network's input in pixels, in place of the cfg's, for networks that run in one size only.
        height: height of the network's input in pixels, in place of the cfg's.
        cfgFile: OpenCV's name of `cfg`.
        darknetModel: OpenCV's name of `weights`.
        bufferCfg: OpenCV's name of `cfg`.
        bufferModel: OpenCV's name of `weights`.

    Raises:
        CfgError: the cfg cannot be run.
        WeightsError: the weights do not fit.
        UsageError: a file is missing, or `onnx` or OpenCV; or this is OpenCV 4.
        ExportError: a layer or head cannot be written for OpenCV, or OpenCV cannot read it.
    """
    try:
        import cv2
        import onnx  # noqa: F401 - the writer needs it
    except ImportError as error:
        raise UsageError(f"the package `{error.name}` is not installed", f"pip install {error.name}") from None
    if hasattr(cv2.dnn, "readNetFromDarknet"):
        message = f"OpenCV {cv2.__version__} reads Darknet's files itself"
        raise UsageError(message, "use `cv2.dnn.readNetFromDarknet`, or OpenCV 5")
    cfg = _given("cfg", cfg, cfgFile, bufferCfg)
    weights = _given("weights", weights, darknetModel, bufferModel)
    if _suffix(cfg) == ".weights" != _suffix(weights):
        cfg, weights = weights, cfg
    if cfg is None:
        raise UsageError("there is no cfg to read", "name a cfg file first")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trained = None if weights is None else _path(weights, Path(folder, "buffer.weights"))
        data = _read(_path(cfg, Path(folder, "buffer.cfg")), trained, width, height)
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    except cv2.error as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"OpenCV {cv2.__version__} cannot read the network: {reason}", "use OpenCV 5.0") from None
    if net.empty():
        raise ExportError(f"OpenCV {cv2.__version__} cannot read the network", "use OpenCV 5.0")
    return net


def _given(name: str, *values: File | None) -> File | None:
    """The one value that was given for a file under one of its names."""
    found = [each for each in values if each is not None]
    if len(found) > 1:
        raise UsageError(f"`{name}` is given under two names", "leave one out")
    return found[0] if found else None


def _suffix(file: File | None) -> str:
    return Path(file).suffix if isinstance(file, str | Path) else ""


def _path(file: File, place: Path) -> str | Path:
    """The path of a file, whose bytes are written to a place if they are what there is."""
    if isinstance(file, str | Path):
        return file
    place.write_bytes(bytes(file))
    return place


def _read(cfg: str | Path, weights: str | Path | None, width: int | None, height: int | None) -> bytes:
    """The bytes of an ONNX file."""
    detector = load(cfg, weights, width=width, height=height, engine="", dialect=_OPENCV)
    graph = detector.graph
    if not detector.trained or detector.ends_before is not None:
        raise UsageError(f"there are no weights for all layers of `{cfg}`", "name a weights file of the whole network")
    program = _padded(graph, raw_program(graph, detector.arrays))
    if program.states:
        message = f"{place_of(graph, program.operations[program.states[0][0]].layer)} keeps a state from image to image"
        raise ExportError(
            f"{message}, which a `cv2.dnn.Net` cannot", "`cspdet export` writes it with its states as inputs and outputs"
        )
    return _onnx(graph, program)


def _padded(graph: Graph, program: Program) -> Program:
    """The same with all padding of poolings: what lies behind the last window in the cfg's size may not in another."""
    operations: list[Operation] = []
    for operation in program.operations:
        layer = graph.nodes[operation.layer].layer
        if isinstance(operation, Pool) and isinstance(layer, Pooling):
            top, left, _, _ = operation.border
            border = top, left, layer.total_padding - top, layer.total_padding - left
            operation = replace(operation, border=border)
        operations.append(operation)
    return replace(program, operations=tuple(operations))


def _onnx(graph: Graph, program: Program) -> bytes:
    """The bytes of an ONNX file whose input and outputs are those of OpenCV's importer."""
    from onnx import TensorProto, helper

    if graph.heads and all(map(_known, graph.heads)):
        writer = OnnxWriter(program)
        outputs = _regions(graph, program, writer)
    else:
        program, values = _others(graph, program)
        writer = OnnxWriter(program)
        outputs = _rows(graph, writer, values)
    results = []
    for name, value, dimensions in outputs:
        # Programs take `getLayerNames()[i - 1]` for an output of `getUnconnectedOutLayers()`, where OpenCV 5 counts from 0.
        # So two layers have the name: the one that computes the output, which is found by it, and one that hands it on.
        writer.node("Identity", [value], name)
        for node in writer.nodes[-2:]:
            node.name = name
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dimensions))
    checks = _checks(program, writer)
    model = writer.model({})
    nodes = [*checks, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input[0].name = "data"
    # `forward()` gives OpenCV 4's last output, and OpenCV 5's first.
    model.graph.output.extend(reversed(results))
    return bytes(model.SerializeToString())


def _checks(program: Program, writer: OnnxWriter) -> list[Any]:
    """Nodes that hand `data` on as `images`, and stop at what is not the network's size.

    OpenCV 5 computes something of too few channels, too, and cuts maps that do not fit each other. Reshaping to sides that are
    taken over, all but one, fails where that one is another.
    """
    from onnx import helper

    rank = len(program.input)
    axes = range(rank if _has_one_size(program) else 1)
    names = ["data", *(f"data.{axis}" for axis in axes[1:]), "images"]
    nodes = []
    for axis in axes:
        shape = writer.integers(
            "data", f"side{axis}", [0, *(program.input[axis] if each == axis else 0 for each in range(rank))]
        )
        nodes.append(helper.make_node("Reshape", [names[axis], shape], [names[axis + 1]]))
    return nodes


def _has_one_size(program: Program) -> bool:
    """Whether an operation is for one size of the network's input. Behind global pooling, there is only one."""
    settled: set[int] = set()
    for number, operation in enumerate(program.operations):
        if settled.issuperset(operation.inputs) or (isinstance(operation, Reduce) and {*operation.axes} == {1, 2}):
            settled.add(number)
        if has_size(operation) and not (operation.inputs and number in settled):
            return True
    return False


def _known(head: Node) -> bool:
    """Whether OpenCV's layer computes what the head does."""
    layer = head.layer
    return type(layer) is Yolo or (type(layer) is Region and layer.softmax and not layer.tree)


def _regions(graph: Graph, program: Program, writer: OnnxWriter) -> Iterator[tuple[str, str, Dimensions]]:
    """Name, value and dimensions of each head's output, from OpenCV's layer (`darknet_io.cpp`, `region_layer.cpp`)."""
    from onnx import numpy_helper

    for head, source in zip(graph.heads, program.outputs, strict=True):
        layer = head.layer
        cells = writer.node("Transpose", [writer.name(source)], f"permute_{head.index}", perm=[0, 2, 3, 1])
        if isinstance(layer, Yolo):
            name, inputs = f"yolo_{head.index}", [cells, "images"]
            anchors = [layer.anchor(number) for number in layer.used]
            options: dict[str, Any] = {
                "logistic": 1,
                "scale_x_y": layer.scale_x_y,
                "new_coords": int(layer.new_coords),
                "thresh": _written(head, "thresh", 0.2),
                "nms_threshold": _written(head, "nms_threshold", 0.0),
            }
        else:
            assert isinstance(layer, Region)
            alone = sum(isinstance(each.layer, Region) for each in graph.heads) == 1
            name, inputs = "detection_out" if alone else f"region_{head.index}", [cells]
            sides = (*layer.anchors, *(0.5,) * (2 * layer.num))[: 2 * layer.num]
            anchors = [*zip(sides[::2], sides[1::2], strict=True)]
            options = {
                "softmax": 1,
                "classfix": layer.classfix,
                "thresh": _written(head, "thresh", 0.001),
                "nms_threshold": _written(head, "nms_threshold", 0.4),
            }
        options |= {"classes": layer.classes, "anchors": len(anchors)}
        sizes = numpy_helper.from_array(np.array([each for pair in anchors for each in pair], np.float32)[None])
        value = writer.node("Region", inputs, f"{name}.rows", sizes=sizes, **options)
        yield name, value, (len(anchors) * head.inputs[0].height * head.inputs[0].width, 5 + layer.classes)


def _written(head: Node, option: str, otherwise: float) -> float:
    """An option of OpenCV's layer, where it is in the cfg. Darknet's [yolo] has none of them, and its [region] `thresh`."""
    values = [entry.value for entry in head.section.entries if entry.key == option]
    found = _NUMBER.match(values[-1]) if values else None
    return float(found.group()) if found else otherwise


def _others(graph: Graph, program: Program) -> tuple[Program, dict[str, Value]]:
    """The program of what OpenCV's layer does not compute, and its outputs by name."""
    build = Builder(program)
    if graph.heads:
        heads = lowered_heads(graph, program, build)
        values = {
            f"{node.name}_{node.index}": build.join([boxes.xywh, boxes.objectness, boxes.scores], 1) for node, boxes in heads
        }
    else:
        (index,), (number,) = graph.outputs, program.outputs
        last = Value(number, program.dimensions(number))
        values = {f"{graph.nodes[index].name}_{index}": last}
    return build.program(program.input, [*values.values()]), values


def _rows(graph: Graph, writer: OnnxWriter, values: dict[str, Value]) -> Iterator[tuple[str, str, Dimensions]]:
    """Name, value and dimensions of each output: boxes in rows, and of networks without heads what OpenCV 4 makes of it."""
    for name, (number, dimensions) in values.items():
        source = writer.name(number)
        if graph.heads:
            shape = writer.integers(name, "shape", [-1, *dimensions[1:]])
            yield name, writer.node("Reshape", [source, shape], f"{name}.rows"), dimensions
        elif len(dimensions) == 1:
            # OpenCV 4 has no height and width behind [connected], and keeps them behind [avgpool].
            whole = *dimensions, *(() if any(isinstance(node.layer, Connected) for node in graph.nodes) else (1, 1))
            shape = writer.integers(name, "shape", [0, *whole])
            yield name, writer.node("Reshape", [source, shape], f"{name}.whole"), (1, *whole)
        else:
            yield name, writer.node("Identity", [source], f"{name}.whole"), (1, *dimensions)
