"""Graph and weights → the program that computes the network's outputs."""

from __future__ import annotations

from collections.abc import Mapping

from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Floats, Program


class NotLoweredError(UsageError):
    """A layer that cannot be written as operations."""


def lower(graph: Graph, arrays: Mapping[str, Floats]) -> Program:
    """The program of a network whose arrays are named as in its state_dict, batch normalisation folded.

    Raises:
        NotLoweredError: a layer that the outputs need has no such form; the message names it and its line.
    """
    build = Builder()
    values: dict[int, Value] = {-1: Value(-1, graph.input.dimensions)}
    for node in graph.needed(graph.outputs):
        build.layer = node.index
        home = node.index if node.shares is None else node.shares
        own = {name: arrays[f"layers.{home}.{name}"] for name in graph.nodes[home].arrays}
        value = node.layer.lower(build, own, *(values[source] for source in node.sources))
        if value is None:
            where = f"{graph.source.path}:{node.section.name_span.line}"
            message = f"only PyTorch runs layer {node.index}, `[{node.name}]` in {where}"
            raise NotLoweredError(message, "run it with `--engine torch`")
        if value.dimensions != node.output.dimensions:
            raise AssertionError(f"layer {node.index} [{node.name}]: {value.dimensions} instead of {node.output.dimensions}")
        values[node.index] = value
    return build.program(graph.input.dimensions, [values[index] for index in graph.outputs])
