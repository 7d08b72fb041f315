"""A network as it is drawn: boxes, each of them a layer or the same layer of all rounds of a repeated stretch."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from cspdet.analysis.kinds import Kind, kind_of
from cspdet.diagram.repeats import repeats
from cspdet.graph import Graph, Node
from cspdet.layers.base import Shape, attribute
from cspdet.layers.implicit import Constant
from cspdet.layers.route import Route

INPUT = -1


class Role(Enum):
    """What a line is for its reader."""

    PLAIN = "plain"
    CONCAT = "concatenated"
    RESIDUAL = "added"
    GATE = "scales or is scaled"


class Read(NamedTuple):
    """A line from another box."""

    source: int
    role: Role


class Box(NamedTuple):
    """One box. `key`, the number of its first layer, names it."""

    key: int
    # The layer in each round; none for the network's input.
    nodes: tuple[Node, ...]
    # Layers that are not drawn, but counted here: routes to one layer, which are lines.
    taps: tuple[int, ...]
    reads: tuple[Read, ...]
    shape: Shape
    # The repeated stretch that it belongs to.
    stretch: int | None = None

    @property
    def layers(self) -> list[int]:
        """The layers that it stands for, in order."""
        return sorted([*self.taps, *(node.index for node in self.nodes)])


class Sketch(NamedTuple):
    """All boxes in order, the input first; and how often each stretch repeats."""

    boxes: tuple[Box, ...]
    rounds: dict[int, int]

    @property
    def readers(self) -> dict[int, list[Box]]:
        """Who reads each box."""
        found: dict[int, list[Box]] = {box.key: [] for box in self.boxes}
        for box in self.boxes:
            for read in box.reads:
                found[read.source].append(box)
        return found


def sketch(graph: Graph) -> Sketch:
    """What to draw of a network."""
    taps = _taps(graph)
    through = {INPUT: INPUT} | {node.index: node.index for node in graph.nodes}
    for node in graph.nodes:
        if node.index in taps:
            through[node.index] = through[node.sources[0]]
    drawn = [node for node in graph.nodes if node.index not in taps]
    places = {INPUT: -1} | {node.index: place for place, node in enumerate(drawn)}
    rows = [[places[through[source]] for source in _sources(node)] for node in drawn]
    found = repeats([_sign(node) for node in drawn], rows)
    # Of each place, the first round's place that stands for it.
    stands = [*range(len(drawn))]
    stretches: dict[int, int] = {}
    for number, each in enumerate(found):
        for place in range(each.start, each.stop):
            stands[place] = each.start + (place - each.start) % each.length
            stretches[place] = number
    alike: dict[int, list[Node]] = {}
    for place, node in enumerate(drawn):
        alike.setdefault(stands[place], []).append(node)
    absorbed: dict[int, list[int]] = {}
    for tap, reader in taps.items():
        absorbed.setdefault(stands[places[reader]], []).append(tap)
    boxes = [Box(INPUT, (), (), (), graph.input)]
    for place, nodes in alike.items():
        sources = dict.fromkeys(drawn[stands[each]].index if each >= 0 else INPUT for each in rows[place])
        reads = tuple(Read(source, _role(nodes[0], number)) for number, source in enumerate(sources))
        own = tuple(sorted(absorbed.get(place, ())))
        boxes.append(Box(nodes[0].index, tuple(nodes), own, reads, nodes[-1].output, stretches.get(place)))
    return Sketch(tuple(boxes), {number: each.rounds for number, each in enumerate(found)})


def _sources(node: Node) -> list[int]:
    """The layers whose values count; constants are told their batch by the layer before, and nothing else."""
    return [] if isinstance(node.layer, Constant) else [*node.sources]


def _taps(graph: Graph) -> dict[int, int]:
    """Routes that hand on one whole layer, and the first layer that reads each and is none."""
    taps: dict[int, int] = {}
    readers: dict[int, int] = {}
    for node in reversed(graph.nodes):
        one = isinstance(node.layer, Route) and len(node.sources) == node.layer.groups == 1
        if one and node.index in readers:
            taps[node.index] = readers[node.index]
        for source in node.sources:
            readers[source] = taps.get(node.index, node.index)
    return taps


def _sign(node: Node) -> object:
    """What must be equal for layers to be alike: all that they compute, but not how much they read."""
    layer = node.layer
    kinds = {name: each for name, each in layer.options.items() if not each.training and "Source" not in each.kind}
    return type(layer), node.output[1:], *(getattr(layer, attribute(name)) for name in kinds)


def _role(node: Node, number: int) -> Role:
    kind = kind_of(node)
    if kind is Kind.SCALE:
        return Role.GATE
    if kind is Kind.SUM and number > 0:
        return Role.RESIDUAL
    return Role.CONCAT if kind is Kind.CONCAT and len(node.sources) > 1 else Role.PLAIN
