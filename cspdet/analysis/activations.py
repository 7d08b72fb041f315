"""The memory that activations take: at inference while layers run one after the other, and in training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cspdet.graph import Graph, Node

FLOAT = 4


class Activations(NamedTuple):
    """Bytes for a batch of float32. Weights, and what a kernel needs for itself while it runs, are not in them."""

    # While each layer runs, by its number: what it reads and writes, and what waits for a later one. Heads do not run.
    alive: dict[int, int]
    # The network's input and the outputs of all layers, which training keeps for the way back.
    kept: int

    @property
    def peak(self) -> int:
        """The most at any time."""
        return max(self.alive.values(), default=0)


def activations(graph: Graph, batch: int = 1) -> Activations:
    """Live memory of a network as `Network.forward` runs it.

    Outputs are freed after the last layer that reads them has run; the network's input and the outputs it returns stay.
    Layers that are not needed for these do not run. A route to one layer, or to a part of it, lies in that layer's memory,
    and keeps all of it alive.

    In training, auxiliary heads' layers run too, and nothing is freed. It is the least: normalisation and most activations
    keep what they read besides, with which PyTorch holds 1.3 to 2.2 times as much.
    """
    nodes = graph.needed(graph.outputs)
    owners = _owners(nodes)
    last = {-1: len(graph.nodes)}
    for node in nodes:
        for index in (node.index, *node.sources):
            last[owners[index]] = max(last.get(owners[index], -1), node.index)
    for index in graph.outputs:
        last[owners[index]] = len(graph.nodes)
    sizes = {-1: graph.input.size} | {node.index: node.output.size for node in nodes}
    alive, held, total = {}, {-1}, sizes[-1]
    for node in nodes:
        if owners[node.index] == node.index:
            held.add(node.index)
            total += sizes[node.index]
        alive[node.index] = FLOAT * batch * total
        spent = {owner for owner in {owners[index] for index in (node.index, *node.sources)} if last[owner] == node.index}
        total -= sum(sizes[owner] for owner in spent & held)
        held -= spent
    trained = graph.needed(graph.outputs + graph.auxiliary_outputs)
    owned = _owners(trained)
    kept = graph.input.size + sum(node.output.size for node in trained if owned[node.index] == node.index)
    return Activations(alive, FLOAT * batch * kept)


def _owners(nodes: Iterable[Node]) -> dict[int, int]:
    """In whose memory each output lies."""
    owners = {-1: -1}
    for node in nodes:
        owners[node.index] = owners[node.sources[0]] if node.layer.passes_on(*node.inputs) else node.index
    return owners
