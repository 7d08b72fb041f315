"""What of a network repeats, and so can be repeated more often: found by its graph, not by where it stands in the text.

Three forms are known:

- a *concatenation*: convolutions in a chain, and a [route] that joins the outputs of equal groups of them (the one-shot
  aggregation of VoVNet, 1904.09730; ELAN and its kin, YOLOv7, 2207.02696, figure 2). A longer chain makes a wider output.
- a *residual* stage: equal blocks one after the other, each closed by a [shortcut] from its own input (ResNet, Darknet-53, and
  the stages of CSPResNe(X)t and CSPDarknet, 1911.11929).
- a *chain*: equal groups of convolutions on one side of a cross stage partial block, of which only the last is joined with the
  other side (the necks of Scaled-YOLOv4, 2011.08036, section 3).

What DenseNet does, where every layer reads all before it, is none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from cspdet.comparison.meaning import Value, meaning, references
from cspdet.graph import Graph, Node
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.dropout import Dropout
from cspdet.layers.route import Route
from cspdet.layers.shortcut import Shortcut


@dataclass(frozen=True, slots=True)
class Stage:
    """Equal units, one after the other."""

    kind: Literal["concatenation", "residual", "chain"]
    # The first layer of the first unit, how many layers a unit has, and how many units there are.
    first: int
    length: int
    count: int
    # What counts as a unit of the stage too, but is not repeated: the first block of a stage that changes the map.
    before: int = 0
    # Of a concatenation, the routes that join the units' outputs, and all layers whose outputs only they make up.
    joins: tuple[int, ...] = ()
    inner: frozenset[int] = frozenset()

    @property
    def end(self) -> int:
        """The layer behind the last unit."""
        return self.first + self.length * self.count

    @property
    def layers(self) -> range:
        """The layers of all units."""
        return range(self.first, self.end)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The last layer of every unit."""
        return tuple(range(self.first + self.length - 1, self.end, self.length))

    def units(self, depth: Fraction) -> int:
        """How many units there are after scaling: the nearest number, of two the larger, and at least one."""
        return max(1, int((self.count + self.before) * depth + Fraction(1, 2)) - self.before)

    def growth(self, graph: Graph, depth: Fraction) -> Fraction:
        """By what scaling multiplies the channels of the joined output, at equal filters."""
        if not self.joins:
            return Fraction(1)
        nodes = graph.nodes
        now = sum(nodes[source].output.channels for source in nodes[self.joins[0]].sources)
        more = (self.units(depth) - self.count) * nodes[self.end - 1].output.channels
        return Fraction(now + more, now)


def stages(graph: Graph) -> tuple[Stage, ...]:
    """What repeats, in the order of the layers. No layer is in two of them; of stages within stages, the inner ones count."""
    finder = _Finder(graph)
    found = [*finder.concatenations()]
    found += dict.fromkeys(finder.chains(taken(found)))  # several routes may join one chain
    inner = taken(found)
    residual = [stage for stage in finder.residuals() if not inner & {*stage.layers}]
    # A block around blocks is not repeated.
    found += [stage for stage in residual if not any(other != stage and _within(other, stage) for other in residual)]
    return tuple(sorted(found, key=lambda stage: stage.first))


def taken(found: Sequence[Stage]) -> set[int]:
    """The layers of several stages."""
    return {layer for stage in found for layer in stage.layers}


def _within(inner: Stage, outer: Stage) -> bool:
    return inner.layers[0] >= outer.layers[0] and inner.layers[-1] <= outer.layers[-1]


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        self.options = [meaning(node.layer) for node in self.nodes]
        # Who reads or names each layer, in whatever way.
        self.readers: list[set[int]] = [set() for _ in self.nodes]
        for node in self.nodes:
            named = (source for sources, _ in references(node.layer).values() for source in sources)
            for source in (*node.sources, *named):
                if source >= 0:
                    self.readers[source].add(node.index)

    # -- chains of convolutions -----------------------------------------------------------------------------------------

    def concatenations(self) -> Iterator[Stage]:
        ends: dict[int, list[Node]] = {}
        for node in self.joins():
            run, points = self.longest(node)
            if len(points) > 1:
                ends.setdefault(run[-1], []).append(node)
        for end, joins in ends.items():
            run, points = self.longest(joins[0])
            if any(self.longest(each) != (run, points) for each in joins):
                continue
            length = points[-1] - points[-2]
            count = self.repeats(end, length, run[0], points)
            first = end + 1 - length * count
            if count < 2 or not self.closed(first, length, count, {each.index for each in joins}):
                continue
            units = set(range(first, end + 1))
            others = [source for source in joins[0].sources if source not in units]
            yield Stage(
                "concatenation",
                first,
                length,
                count,
                joins=tuple(each.index for each in joins),
                inner=frozenset(units | self.split(others)),
            )

    def chains(self, taken: set[int]) -> Iterator[Stage]:
        for node in self.joins():
            run, points = self.longest(node)
            if len(points) != 1 or len(node.sources) != 2 or taken & {*run}:
                continue
            (side,) = (source for source in node.sources if source != run[-1])
            if not self.way(run[-1]) & self.way(side):
                continue  # no two sides of one block
            end = run[-1]
            for length in range(1, len(run) // 2 + 1):
                count = self.repeats(end, length, run[0])
                first = end + 1 - length * count
                if count > 1 and self.closed(first, length, count, set()):
                    yield Stage("chain", first, length, count)
                    break

    def joins(self) -> Iterator[Node]:
        """The routes that join maps."""
        for node in self.nodes:
            if isinstance(node.layer, Route) and len({*node.sources}) > 1 and node.output.image:
                yield node

    def longest(self, join: Node) -> tuple[range, tuple[int, ...]]:
        """Of the chains that end in something joined, the one with most of what is joined; and that, in order."""
        best: tuple[range, tuple[int, ...]] = range(1), ()
        for source in sorted({*join.sources}):
            run = self.run(source)
            points = tuple(sorted(each for each in {*join.sources} if each in run))
            if run and len(points) >= len(best[1]):
                best = run, points
        return best

    def run(self, end: int) -> range:
        """The convolutions up to `end` that keep the map's size, each reading the one before it."""
        first = end + 1
        while first > 0 and self.keeps_size(self.nodes[first - 1]):
            first -= 1
        return range(first, end + 1)

    def keeps_size(self, node: Node) -> bool:
        x = node.inputs[0]
        return isinstance(node.layer, Convolutional) and (x.height, x.width) == (node.output.height, node.output.width)

    def repeats(self, end: int, length: int, first: int, points: Sequence[int] | None = None) -> int:
        """How often the last `length` layers up to `end` stand there; with `points`, each time up to one of them."""
        count = 1
        while (start := end + 1 - length * (count + 1)) >= first:
            if points is not None and start + length - 1 not in points:
                break
            if not self.equal(start, end + 1 - length, length):
                break
            count += 1
        return count

    def split(self, sources: Sequence[int]) -> set[int]:
        """Of layers, the convolutions that read the same: the entries of a block into its paths, not what it reads."""
        entries = [source for source in sources if source >= 0 and isinstance(self.nodes[source].layer, Convolutional)]
        origins = [self.origin(self.nodes[entry].sources[0]) for entry in entries]
        return {entry for entry, origin in zip(entries, origins, strict=True) if origins.count(origin) > 1}

    def way(self, end: int) -> set[int]:
        """The layers from which a chain comes."""
        run = self.run(end)
        return {*run, self.origin(end), self.origin(run.start - 1)}

    def origin(self, index: int) -> int:
        """The layer that a route without joining passes on, in whole or in part."""
        while index >= 0 and isinstance(self.nodes[index].layer, Route) and len(self.nodes[index].sources) == 1:
            index = self.nodes[index].sources[0]
        return index

    # -- residual blocks ------------------------------------------------------------------------------------------------

    def residuals(self) -> Iterator[Stage]:
        ends = [node.index for node in self.nodes if self.closes_block(node)]
        done: set[int] = set()
        for end in ends:
            start = self.nodes[end].sources[1]
            length = end - start
            if end in done:
                continue
            count = 1
            while (following := end + count * length) in ends and self.equal(start + 1, following + 1 - length, length):
                count += 1
            done |= {end + each * length for each in range(count)}
            yield Stage("residual", start + 1, length, count, before=self.starts_stage(start, length))

    def closes_block(self, node: Node) -> bool:
        """Whether a shortcut ends layers that read nothing but what it adds, and that nothing else reads."""
        if not isinstance(node.layer, Shortcut) or len(node.sources) != 2 or not 0 <= node.sources[1] < node.index - 1:
            return False
        start = node.sources[1]
        inside = self.nodes[start + 1 : node.index]
        return (
            self.nodes[start].output == node.output
            and all(min(self.named(each)) >= start for each in inside)
            and all(max(self.readers[each.index], default=0) <= node.index for each in inside)
        )

    def named(self, node: Node) -> set[int]:
        return {*node.sources, *(source for sources, _ in references(node.layer).values() for source in sources)}

    def starts_stage(self, start: int, length: int) -> int:
        """1 where the block before the first is of the same stage, but changes the map, so that it is unlike the others."""
        if start < 0:
            return 0
        if isinstance(self.nodes[start].layer, Shortcut):
            return int(not self.closes_block(self.nodes[start]))  # ResNet's, which adds a projection
        body = [node for node in self.nodes[start + 1 : start + length] if not isinstance(node.layer, Dropout)]
        before = self.nodes[max(0, start + 1 - len(body)) : start + 1]
        inverted = any(isinstance(node.layer, Convolutional) and node.layer.groups > 1 for node in body)
        return int(inverted and [*map(_form, before)] == [*map(_form, body)])  # MobileNetV2's, without a shortcut

    # -- what both need -------------------------------------------------------------------------------------------------

    def closed(self, first: int, length: int, count: int, joins: set[int]) -> bool:
        """Whether all that reads layers of the units is the next layer, or joins the output of every unit."""
        end = first + length * count
        outputs = range(first + length - 1, end, length)
        for index in range(first, end - 1):
            allowed = {index + 1} | (joins if index in outputs else set())
            if not self.readers[index] <= allowed:
                return False
        return all({*outputs} <= {*self.nodes[join].sources} for join in joins)

    def equal(self, one: int, two: int, length: int) -> bool:
        """Whether two stretches are the same layers that read the same, each seen from itself."""
        return all(self.seen(one + place) == self.seen(two + place) for place in range(length))

    def seen(self, index: int) -> tuple[str, dict[str, Value], list[int], dict[str, list[int]]]:
        node = self.nodes[index]
        named = {name: [each - index for each in sources] for name, (sources, _) in references(node.layer).items()}
        computing = {name: value for name, value in self.options[index].items() if not value.training}
        return node.layer.names[0], computing, [source - index for source in node.sources], named


def _form(node: Node) -> tuple[object, ...]:
    return node.layer.names[0], getattr(node.layer, "size", None), getattr(node.layer, "activation", None)
