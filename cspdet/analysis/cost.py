"""All figures of a network together."""

from __future__ import annotations

from typing import NamedTuple

from cspdet.analysis.access import Access, access
from cspdet.analysis.activations import Activations, activations
from cspdet.analysis.convolutions import convolutions
from cspdet.analysis.gradient import Path, gradient_paths, has_weights
from cspdet.analysis.receptive import Fields, receptive_fields
from cspdet.analysis.traffic import traffic
from cspdet.graph import Graph, Node


class LayerCost(NamedTuple):
    """The figures of one layer, for one image except `alive`."""

    node: Node
    access: Access
    traffic: int
    # Bytes for the batch while the layer runs; None for a head, or where nothing needs the layer.
    alive: int | None
    # None where the layer is not computed from the image.
    field: Fields | None
    # None where no gradient comes.
    path: Path | None


class Cost(NamedTuple):
    """The figures of a network."""

    graph: Graph
    layers: tuple[LayerCost, ...]
    activations: Activations
    batch: int

    @property
    def access(self) -> Access:
        """Memory access cost of all convolutions, and the sum of the bounds."""
        return Access(sum(each.access.cost for each in self.layers), sum(each.access.bound for each in self.layers))

    @property
    def traffic(self) -> int:
        """CIO."""
        return sum(each.traffic for each in self.layers)

    @property
    def convolutions_traffic(self) -> int:
        """CIO of the convolutions alone."""
        return sum(each.traffic for each in self.layers if convolutions(each.node))

    @property
    def bottleneck(self) -> LayerCost:
        """The first of the layers with the most operations: the highest bar of CSPNet's figure 7 (1911.11929, section 4.3).

        CSPNet calls its BFLOPs the computational bottleneck: while it runs, other units wait.
        """
        return max(self.layers, key=lambda each: each.node.operations)

    @property
    def longest_path(self) -> int:
        """The longest gradient path of any layer with weights."""
        return max((each.longest for each in self._weighted()), default=0)

    @property
    def longest_shortest_path(self) -> int:
        """The longest of the shortest gradient paths of the layers with weights."""
        return max((each.shortest for each in self._weighted()), default=0)

    @property
    def field(self) -> LayerCost | None:
        """The output with the largest receptive field."""
        outputs = self.graph.outputs
        ends = [each for each in self.layers if each.node.index in outputs and each.field]
        return max(ends, key=lambda each: each.field.size if each.field else (0, 0), default=None)

    def _weighted(self) -> list[Path]:
        return [each.path for each in self.layers if each.path and has_weights(each.node)]


def cost(graph: Graph, batch: int = 1) -> Cost:
    """The figures of a network that runs `batch` images at a time."""
    memory, fields, paths = activations(graph, batch), receptive_fields(graph), gradient_paths(graph)
    layers = tuple(
        LayerCost(node, access(node), traffic(node), memory.alive.get(node.index), fields[node.index], paths.get(node.index))
        for node in graph.nodes
    )
    return Cost(graph, layers, memory, batch)
