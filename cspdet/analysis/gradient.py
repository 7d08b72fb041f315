"""Gradient paths: how many layers with weights a gradient passes on its way from the loss."""

from __future__ import annotations

from typing import NamedTuple

from cspdet.graph import Graph, Node


class Path(NamedTuple):
    """Layers with weights between a layer's output and the loss, on the shortest way and on the longest."""

    shortest: int
    longest: int


def has_weights(node: Node) -> bool:
    """Whether what passes a layer is multiplied with weights: convolutions and matrix products, of their own or shared.

    Normalisation, weighted shortcuts and learnt constants are none.
    """
    return node.shares is not None or any(array.role == "weights" for array in node.arrays.values())


def gradient_paths(graph: Graph) -> dict[int, Path]:
    """The paths of all layers that a gradient reaches, by number.

    The loss is at the network's outputs, and in training at those of auxiliary heads: what heads read, or the last layer
    that computes something. A path goes from there against the arrows of the graph to the layer's output; its length is the
    number of layers with weights that it passes, neither the layer itself nor heads counted. So the last convolution has
    (0, 0), and a layer whose output is an input of the k-th last of a chain has k.

    Of a whole network, ELAN (2211.04800) and YOLOv7 (2207.02696) look at the longest of the layers' shortest paths, which
    shall grow less than the depth. `stopbackward` and `onlyforward` are not looked at.
    """
    paths = dict.fromkeys((*graph.outputs, *graph.auxiliary_outputs), Path(0, 0))
    for node in reversed(graph.nodes):
        own = paths.get(node.index)
        if own is None:
            continue
        more = int(has_weights(node))
        for source, windows in zip(node.sources, node.layer.reach(*node.inputs), strict=True):
            if source < 0 or windows is None:
                continue
            shortest, longest = own.shortest + more, own.longest + more
            there = paths.get(source)
            paths[source] = (
                Path(min(shortest, there.shortest), max(longest, there.longest)) if there else Path(shortest, longest)
            )
    return paths
