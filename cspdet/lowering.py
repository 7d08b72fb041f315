"""Graph and weights → the program that computes the network's outputs."""

from __future__ import annotations

from collections.abc import Mapping

from cspdet.graph import Graph
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Floats, Program


def lower(graph: Graph, arrays: Mapping[str, Floats]) -> Program:
    """The program of a network whose arrays are named as in its state_dict, batch normalisation folded."""
    build = Builder()
    values: dict[int, Value] = {-1: Value(-1, graph.input.dimensions)}
    for node in graph.needed(graph.outputs):
        build.layer = node.index
        home = node.index if node.shares is None else node.shares
        own = {name: arrays[f"layers.{home}.{name}"] for name in graph.nodes[home].arrays}
        value = node.layer.lower(build, own, *(values[source] for source in node.sources))
        if value.dimensions != node.output.dimensions:
            raise AssertionError(f"layer {node.index} [{node.name}]: {value.dimensions} instead of {node.output.dimensions}")
        values[node.index] = value
    return build.program(graph.input.dimensions, [values[index] for index in graph.outputs])
