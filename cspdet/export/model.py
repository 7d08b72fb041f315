"""What is exported: a network's program, with names for its outputs, and the boxes' decoding where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cspdet.errors import ExportError, UsageError
from cspdet.graph import Graph, Node
from cspdet.layers.decoding import LoweredBoxes
from cspdet.layers.head import Head
from cspdet.lowering import lower
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import (
    Constant,
    Floats,
    Join,
    Operation,
    Pad,
    Part,
    Product,
    Program,
    Reshape,
    State,
    Transpose,
    Unpool,
)
from cspdet.program.rewrites import simplified
from cspdet.program.states import dimensions_of, names_of

OUTPUTS = {
    "raw": "what the heads read, as Darknet's layers put it out",
    "boxes": "decoded boxes and the scores of their classes",
    "nms": "these, and the detections left after non-maximum suppression",
}


class Options(NamedTuple):
    """How a network is exported."""

    # One of `OUTPUTS`.
    outputs: str = "raw"
    # Height and width are free, besides the batch.
    dynamic_size: bool = False
    # Weights, and what is computed before the decoding, are of 16 bits.
    half: bool = False
    # The least score, and the overlap from which the weaker box is dropped, of `nms`.
    threshold: float = 0.25
    nms: float = 0.45


def make_options(
    outputs: str, *, dynamic_size: bool = False, half: bool = False, threshold: float | None = None, nms: float | None = None
) -> Options:
    """How a network is to be exported; a threshold or overlap that is None has its default.

    Raises:
        UsageError: there are no such outputs, or a number is out of range or without effect.
    """
    if outputs not in OUTPUTS:
        raise UsageError(f"there are no outputs `{outputs}` of an exported network", "one of: " + ", ".join(OUTPUTS))
    given = {name: value for name, value in (("threshold", threshold), ("nms", nms)) if value is not None}
    for name, value in given.items():
        flag = {"threshold": "--thresh"}.get(name, f"--{name}")
        if outputs != "nms":
            message = f"`{flag}` has no effect with `--outputs {outputs}`: such a file suppresses no boxes"
            raise UsageError(message, f"leave it out, or add `--outputs nms`; `cspdet detect` has a `{flag}` of its own")
        if not 0 <= value <= 1:
            raise UsageError(f"`{flag}` is {value:g}; it goes from 0 to 1")
    return Options(outputs, dynamic_size, half, **given)


class Model(NamedTuple):
    """A network ready to be written."""

    graph: Graph
    arrays: Mapping[str, Floats]
    program: Program
    # The program's outputs.
    names: tuple[str, ...]
    # The numbers of the raw outputs, and how many operations come before the decoding: those that may be of 16 bits.
    raw: tuple[int, ...]
    plain: int
    # What the file says of itself.
    notes: Mapping[str, str]
    options: Options


def make_model(graph: Graph, arrays: Mapping[str, Floats], notes: Mapping[str, str], options: Options) -> Model:
    """A network as its program.

    Raises:
        ExportError: a layer or head has no operations.
        UsageError: there are no heads whose boxes could be decoded, or the size cannot be free.
    """
    program = raw_program(graph, arrays)
    if options.dynamic_size:
        _check_dynamic(graph, program, options)
    raw, plain = program.outputs, len(program.operations)
    names = tuple(f"output_{place}" for place in range(len(program.outputs)))
    if options.outputs != "raw":
        program = with_boxes(graph, program)
        names = ("boxes", "scores")
    return Model(graph, arrays, program, names, raw, plain, notes, options)


def describe(model: Model) -> str:
    """What goes in and out, in words."""
    channels, *sides = map(str, model.program.input)
    if model.options.dynamic_size:
        sides = ["height", "width"]
    given = [f"images ({', '.join(['batch', channels, *sides])})"]
    names = [*(("detections",) if model.options.outputs == "nms" else ()), *model.names]
    for (before, after), dimensions in zip(names_of(model.program), dimensions_of(model.program), strict=True):
        given.append(f"{before} ({', '.join(['batch', *map(str, dimensions)])})")
        names.append(after)
    return f"{', '.join(given)} → {', '.join(names)}"


def raw_program(graph: Graph, arrays: Mapping[str, Floats]) -> Program:
    """The program of the raw outputs, as files hold it."""
    return simplified(lower(graph, arrays))


def with_boxes(graph: Graph, program: Program) -> Program:
    """A program of raw outputs, continued to the boxes (boxes, 4) and scores (boxes, classes) of all heads."""
    build = Builder(program)
    parts = [each for _, each in lowered_heads(graph, program, build)]
    classes = max(each.scores.dimensions[1] for each in parts)
    scores = [build.pad(each.scores, (0, 0), (0, classes - each.scores.dimensions[1])) for each in parts]
    found = build.join([each.xywh for each in parts]), build.join(scores)
    return build.program(program.input, found)


def lowered_heads(graph: Graph, program: Program, build: Builder) -> Sequence[tuple[Node, LoweredBoxes]]:
    """The boxes of each head.

    Raises:
        UsageError: there is no head.
        ExportError: a head has no operations.
    """
    if not graph.heads:
        message = f"`{graph.source.path}` has no detection head, so it finds no boxes"
        raise UsageError(message, "export its raw outputs: `--outputs raw`")
    found = []
    for node, number in zip(graph.heads, program.outputs, strict=True):
        assert isinstance(node.layer, Head)
        build.layer = node.index
        lowered = node.layer.lower_boxes(build, Value(number, program.dimensions(number)), graph.input)
        if lowered is None:
            message = f"{place_of(graph, node.index)} has a tree of classes, whose boxes only cspdet decodes"
            raise ExportError(message, "export its raw outputs: `--outputs raw`")
        found.append((node, lowered))
    return found


def _check_dynamic(graph: Graph, program: Program, options: Options) -> None:
    if options.outputs != "raw":
        message = f"`--dynamic-size` with `--outputs {options.outputs}`: boxes are computed for one size"
        raise UsageError(message, "export the raw outputs, or leave `--dynamic-size` out")
    if not graph.input.image:
        raise UsageError(f"`{graph.source.path}` reads vectors, which have no height and width", "leave `--dynamic-size` out")
    for operation in program.operations:
        if has_size(operation):
            message = f"{place_of(graph, operation.layer)} is computed for one size, so height and width cannot be free"
            raise UsageError(message, "leave `--dynamic-size` out; `--width` and `--height` give another size")


def has_size(operation: Operation) -> bool:
    """Whether an operation has the map's height or width in it."""
    match operation:
        case Reshape() | Transpose() | Product() | Unpool() | State():
            return True
        case Constant(dimensions=dimensions):
            return any(side > 1 for side in dimensions[1:])
        case Pad(before=before, behind=behind):
            return any((*before[1:], *behind[1:]))
        case Part(axis=axis) | Join(axis=axis):
            return axis > 0
    return False


def place_of(graph: Graph, layer: int) -> str:
    """A layer in words, with its place in the cfg."""
    node = graph.nodes[layer]
    return f"layer {layer}, `[{node.name}]` in {graph.source.path}:{node.section.name_span.line},"
