"""In what two networks differ, layer by layer, with layers recognised by what they are and not by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from cspdet.comparison.alignment import Item, align
from cspdet.comparison.meaning import Value, meaning, references
from cspdet.graph import Graph, Node

# `affected` is a layer that is the same itself, but reads or puts out maps of another shape.
Status = Literal["same", "affected", "changed", "added", "removed"]


class Change(NamedTuple):
    """An option that comes to something else; empty where it comes to nothing. References name layers by their own numbers."""

    option: str
    before: str
    after: str
    training: bool = False
    # Of references, the layers of the first that are named no more, and those of the second that are named newly.
    gone: tuple[int, ...] = ()
    new: tuple[int, ...] = ()


class Layers(NamedTuple):
    """A layer of the first network and the same layer of the second; one of them is None where it has none."""

    status: Status
    first: Node | None
    second: Node | None
    changes: tuple[Change, ...] = ()

    @property
    def operations(self) -> float:
        """Floating point operations that the second has more."""
        return (self.second.operations if self.second else 0) - (self.first.operations if self.first else 0)

    @property
    def parameters(self) -> int:
        """Parameters that the second has more."""
        return (self.second.parameters if self.second else 0) - (self.first.parameters if self.first else 0)

    @property
    def node(self) -> Node:
        """The layer, of the second network where it is in both."""
        node = self.second or self.first
        assert node
        return node


class Difference(NamedTuple):
    """Two networks side by side."""

    first: Graph
    second: Graph
    # What differs in [net].
    net: tuple[Change, ...]
    # All layers of both, in order.
    layers: tuple[Layers, ...]

    @property
    def same(self) -> bool:
        """Whether both are the same network."""
        return not self.net and all(each.status == "same" for each in self.layers)

    @property
    def trained_otherwise(self) -> bool:
        """Whether both compute the same, and only their training differs."""
        changes = [*self.net, *(change for each in self.layers for change in each.changes)]
        counted = all(each.status in ("same", "changed") for each in self.layers)
        return bool(changes) and counted and all(change.training for change in changes)


def difference(first: Graph, second: Graph, *, training: bool = True) -> Difference:
    """How `first` becomes `second`; without `training`, what matters to training only is left aside."""
    ours = [meaning(node.layer) for node in first.nodes]
    theirs = [meaning(node.layer) for node in second.nodes]
    pairs = align(_items(first, ours), _items(second, theirs))
    there = {a: b for a, b in pairs if a is not None and b is not None}
    layers = []
    for a, b in pairs:
        if a is None or b is None:
            node_a, node_b = None if a is None else first.nodes[a], None if b is None else second.nodes[b]
            layers.append(Layers("added" if a is None else "removed", node_a, node_b))
            continue
        node_a, node_b = first.nodes[a], second.nodes[b]
        changes = (*_changes(ours[a], theirs[b]), *_moved(node_a, node_b, there))
        changes = tuple(each for each in changes if training or not each.training)
        shapes = [(node.inputs, node.output, node.operations, node.parameters) for node in (node_a, node_b)]
        status: Status = "changed" if changes else "affected" if shapes[0] != shapes[1] else "same"
        layers.append(Layers(status, node_a, node_b, changes))
    net = tuple(each for each in _changes(meaning(first.net), meaning(second.net)) if training or not each.training)
    return Difference(first, second, net, tuple(layers))


def _items(graph: Graph, options: Sequence[Mapping[str, Value]]) -> list[Item]:
    types = [node.layer.names[0] for node in graph.nodes]
    readers: list[list[str]] = [[] for _ in types]
    for node in graph.nodes:
        for source in node.sources:
            if source >= 0:
                readers[source].append(types[node.index])
    found = []
    for node, values in zip(graph.nodes, options, strict=True):
        counting = tuple((name, value.text) for name, value in values.items() if not value.training)
        read = tuple(types[source] if source >= 0 else "" for source in node.sources)
        found.append(Item(types[node.index], counting, node.stride, (read, tuple(readers[node.index])), node.sources))
    return found


def _changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> tuple[Change, ...]:
    found = []
    for name in dict.fromkeys((*before, *after)):
        one, two = before.get(name, Value("")), after.get(name, Value(""))
        if one.text != two.text:
            found.append(Change(name, one.text, two.text, (before.get(name) or two).training))
    return tuple(found)


def _moved(one: Node, two: Node, there: Mapping[int, int]) -> tuple[Change, ...]:
    """References to other layers than before, whatever their numbers; -1 is the network's input."""
    mine, others = references(one.layer), references(two.layer)
    found = []
    for name, (named, training) in mine.items():
        now = others[name][0]
        moved = tuple(there.get(each) for each in named)
        if moved != now:
            before, after = (", ".join(map(str, each)) for each in (named, now))
            gone = tuple(each for each, place in zip(named, moved, strict=True) if place not in now)
            new = tuple(each for each in now if each not in moved)
            found.append(Change(name, before, after, training, gone, new))
    return tuple(found)
