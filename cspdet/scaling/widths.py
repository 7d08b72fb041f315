"""New numbers of channels for all layers of a network, such that everything still fits together."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from fractions import Fraction
from math import ceil, gcd, lcm

from cspdet.errors import CspdetError
from cspdet.graph import Graph, Node
from cspdet.layers.base import Layer, Shape
from cspdet.layers.connected import Connected
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.deconvolutional import Deconvolutional
from cspdet.layers.implicit import Constant
from cspdet.layers.local import Local
from cspdet.layers.maxpool import Maxpool
from cspdet.layers.route import Route, RouteLhalf

# Channels come in multiples of this where they did before: `make_divisible` in YOLOv7's `utils/general.py`, which rounds up.
_DIVISOR = 8
# Joins of joins are settled in so many rounds, or not at all.
_ROUNDS = 30


def width_option(layer: Layer) -> str | None:
    """The option that says how many channels the layer puts out; None where what it reads does."""
    if isinstance(layer, Convolutional | Deconvolutional | Local | Constant):
        return "filters"
    if isinstance(layer, Connected):
        return "output"
    return "out_channels" if isinstance(layer, Maxpool) and layer.maxpool_depth else None


def rounded(filters: int, factor: Fraction, multiple: int = 1) -> int:
    """The scaled number, rounded up to a multiple of 8, or of 4 or 2 where the number itself is a multiple of that only.

    One channel stays one: it is a mask or a sum, and no feature. `multiple` must divide the result too.
    """
    if filters == 1 or factor == 1:
        return filters
    step = lcm(gcd(_DIVISOR, filters), multiple)
    return max(1, ceil(filters * factor / step)) * step


def widened(graph: Graph, factors: Mapping[int, Fraction]) -> dict[tuple[int, str], int]:
    """New numbers for options of layers, by layer and option, where they change. `factors` has that of every layer.

    What the heads read and the network puts out stays. A depthwise convolution stays one. Where layers meet channel by channel,
    the later one takes the number of the earlier, or the earlier that of the later, where that joins others.

    Raises:
        CspdetError: a layer is of a kind whose width cannot be scaled.
    """
    if all(factor == 1 for factor in factors.values()):
        return {}
    widths = _Widths(graph)
    return widths.new(factors)


class _Widths:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = graph.nodes
        for node in self.nodes:
            recurrent = next((name for name in ("hidden", "output") if name in node.layer.options), None)
            if recurrent and width_option(node.layer) is None:
                message = f"{node.section.name_span}: the width of `[{node.name}]` cannot be scaled"
                raise CspdetError(message, "convolutional and fully connected networks can be scaled")
        # Layers that must put out as many channels as another one, an earlier one.
        self.equal: dict[int, int] = {}
        for one, two in pairs(graph):
            first, second = sorted((self.trace(one), self.trace(two)))
            if first != second:
                self.equal.setdefault(second, first)
        self.fixed = self.kept()
        # What the channels must be multiples of, for those who read them in groups.
        self.multiples = dict.fromkeys(range(len(self.nodes)), 1)
        for node in self.nodes:
            for source in node.sources:
                self.require(source, _groups(node))
            self.require(node.index, node.layer.groups if isinstance(node.layer, Convolutional) else 1)

    def require(self, index: int, groups: int) -> None:
        index = self.trace(index)
        if groups > 1 and index >= 0 and self.nodes[index].output.channels % groups == 0:
            self.multiples[index] = lcm(self.multiples[index], groups)

    def trace(self, index: int) -> int:
        """The layer that decides how many channels `index` puts out; -1 for the input."""
        while index >= 0 and width_option(self.nodes[index].layer) is None:
            node = self.nodes[index]
            if isinstance(node.layer, Route | RouteLhalf) and len(node.sources) > 1:
                break
            equal = [source for source in node.sources if self.channels(source) == node.output.channels]
            if not equal:
                break
            index = equal[0]
        return index

    def channels(self, index: int) -> int:
        return self.nodes[index].output.channels if index >= 0 else self.graph.input.channels

    def kept(self) -> set[int]:
        """The layers that decide what heads read and the network puts out, and those that must equal them."""
        heads = [node.sources[0] for node in self.nodes if node.layer.is_head]
        open_ends = [*heads, *self.graph.outputs]
        found: set[int] = set()
        while open_ends:
            index = self.trace(open_ends.pop())
            if index < 0 or index in found:
                continue
            found.add(index)
            if width_option(self.nodes[index].layer) is None:
                open_ends += self.nodes[index].sources
            open_ends += [other for pair in self.equal.items() if index in pair for other in pair]
        return found

    def new(self, factors: Mapping[int, Fraction]) -> dict[tuple[int, str], int]:
        """The numbers, found again as long as layers that join others change those that they meet."""
        asked: dict[int, int] = {}
        for _ in range(_ROUNDS):
            found, outputs = self.forward(factors, asked)
            more: dict[int, int] = {}
            for one, two in pairs(self.graph):
                first, second = sorted((self.trace(one), self.trace(two)))
                free = first >= 0 and width_option(self.nodes[first].layer) and first not in self.fixed
                if free and outputs[first].channels != outputs[second].channels:
                    more.setdefault(first, outputs[second].channels)
            if not more:
                break
            asked |= more
        return found

    def forward(
        self, factors: Mapping[int, Fraction], asked: Mapping[int, int]
    ) -> tuple[dict[tuple[int, str], int], list[Shape]]:
        """The numbers, with those of some layers given, and what every layer then puts out."""
        found: dict[tuple[int, str], int] = {}
        outputs: list[Shape] = []
        for node in self.nodes:
            inputs = tuple(outputs[source] if source >= 0 else self.graph.input for source in node.sources)
            layer = copy(node.layer)
            option = width_option(layer)
            if isinstance(layer, Convolutional) and depthwise(node) and node.index not in self.fixed:
                wanted = inputs[0].channels * (layer.filters // layer.groups)
                found |= self.change(layer, "groups", inputs[0].channels)
                found |= self.change(layer, "filters", wanted)
            elif option and node.index not in self.fixed:
                other = self.equal.get(node.index)
                if node.index in asked:
                    wanted = asked[node.index]
                elif other is not None:
                    wanted = outputs[other].channels if other >= 0 else self.graph.input.channels
                else:
                    wanted = rounded(getattr(layer, option), factors[node.index], self.multiples[node.index])
                found |= self.change(layer, option, wanted)
            outputs.append(layer.shape(*inputs))
        return found, outputs

    def change(self, layer: Layer, option: str, number: int) -> dict[tuple[int, str], int]:
        """Set an option of a layer, and say so where it is another number than before."""
        if getattr(layer, option) == number:
            return {}
        setattr(layer, option, number)
        return {(layer.index, option): number}


def pairs(graph: Graph) -> list[tuple[int, int]]:
    """Layers that meet channel by channel: what a layer reads that does not join them, as far as their channels are equal."""
    found = []
    for node in graph.nodes:
        if isinstance(node.layer, Route | RouteLhalf):
            continue
        first, *others = node.sources
        for other, shape in zip(others, node.inputs[1:], strict=True):
            if shape.channels == node.inputs[0].channels:
                found.append((first, other))
        if node.shares is not None:
            found.append((node.shares, node.index))
    return found


def depthwise(node: Node) -> bool:
    """Whether every channel of what a convolution reads is convolved alone."""
    return isinstance(node.layer, Convolutional) and node.layer.groups == node.inputs[0].channels > 1


def _groups(node: Node) -> int:
    """Into how many equal parts a layer splits the channels that it reads."""
    if isinstance(node.layer, RouteLhalf):
        return 2
    if isinstance(node.layer, Convolutional | Route) and not depthwise(node):
        return node.layer.groups
    return 1
