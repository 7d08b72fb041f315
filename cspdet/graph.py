"""The graph of a network: its layers in order, what each reads and what it puts out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cspdet.cfg.diagnostic import Label
from cspdet.cfg.dialect import Dialect
from cspdet.cfg.source import Edit, Source, Span
from cspdet.cfg.syntax import Section
from cspdet.layers.base import Array, Layer, Shape
from cspdet.layers.net import Net


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in its place: what it reads, and what it puts out."""

    index: int
    layer: Layer
    section: Section
    # The layers read, -1 being the network's input; and their shapes.
    sources: tuple[int, ...]
    inputs: tuple[Shape, ...]
    output: Shape
    # The layer whose weights this one uses, if it has none of its own.
    shares: int | None = None
    # Pixels of the network's input for one pixel of the output, downwards and to the right.
    stride: tuple[float, float] = (1.0, 1.0)

    @property
    def name(self) -> str:
        """The section's name, as written."""
        return self.section.name

    def place(self, option: str) -> Span:
        """Where an option was written, or the section's name where it was not."""
        return place(self.section, option, self.layer.dialect)

    def setting(self, option: str, text: str) -> Edit:
        """The edit that gives an option another text."""
        return setting(self.section, option, text, self.layer.dialect)

    def labels(self, *options: tuple[str, str]) -> Iterator[Label]:
        """Labels on options, given with what to say there, where they are written."""
        for option, text in options:
            span = self.place(option)
            if span is not self.section.name_span:
                yield Label(span, text)

    @property
    def arrays(self) -> dict[str, Array]:
        """The layer's arrays in `.weights` order."""
        return self.layer.arrays(*self.inputs)

    @property
    def parameters(self) -> int:
        """How many numbers the arrays hold, the statistics of batch normalisation included."""
        return sum(array.size for array in self.arrays.values())

    @property
    def listed(self) -> Shape:
        """The output as Darknet's layer table shows it."""
        return self.layer.listed_shape(*self.inputs)

    @property
    def operations(self) -> float:
        """Floating point operations for one image, as Darknet counts them."""
        return self.layer.operations(*self.inputs)


class Graph(NamedTuple):
    """A network that can be run: [net] and the nodes, each reading only nodes before it."""

    net: Net
    net_section: Section
    input: Shape
    nodes: tuple[Node, ...]
    source: Source
    dialect: Dialect
    # The numbers of the layers that have names; None where the text is plain.
    names: Mapping[str, int] | None = None

    @property
    def sections(self) -> tuple[Section, ...]:
        """[net] and the sections of all layers, with all values worked out."""
        return (self.net_section, *(node.section for node in self.nodes))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """[net] and all layers."""
        return (self.net, *(node.layer for node in self.nodes))

    @property
    def heads(self) -> tuple[Node, ...]:
        """The detection heads, in order."""
        return tuple(node for node in self.nodes if node.layer.is_head and not node.layer.is_auxiliary)

    @property
    def auxiliary_heads(self) -> tuple[Node, ...]:
        """The heads that only training needs, in order."""
        return tuple(node for node in self.nodes if node.layer.is_head and node.layer.is_auxiliary)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The nodes whose outputs the network returns: what each head reads, or the last layer that computes something.

        Darknet's `get_network_output` skips trailing [cost] layers.
        """
        if self.heads:
            return tuple(head.sources[0] for head in self.heads)
        last = len(self.nodes) - 1
        while last > 0 and self.nodes[last].layer.names[0] == "cost":
            last -= 1
        return (last,)

    @property
    def auxiliary_outputs(self) -> tuple[int, ...]:
        """The nodes that the auxiliary heads read."""
        return tuple(head.sources[0] for head in self.auxiliary_heads)

    def needed(self, outputs: Collection[int]) -> tuple[Node, ...]:
        """The nodes that must run for the outputs of these nodes, in order."""
        needed = {*outputs}
        for node in reversed(self.nodes):
            if node.index in needed:
                needed.update(node.sources)
        return tuple(node for node in self.nodes if node.index in needed)

    @property
    def operations(self) -> float:
        """Floating point operations for one image."""
        return sum(node.operations for node in self.nodes)

    @property
    def parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(node.parameters for node in self.nodes)

    def place(self, option: str) -> Span:
        """Where an option of [net] was written, or the section's name where it was not."""
        return place(self.net_section, option, self.dialect)

    @property
    def stride(self) -> tuple[int, int]:
        """Pixels of the input for one pixel of the smallest map that a head reads, downwards and to the right.

        1 without heads, or with heads that read no maps.
        """
        nodes = {node.index: node for node in self.nodes}
        read = [nodes[head.sources[0]].stride for head in self.heads if head.inputs[0].image and head.sources[0] in nodes]
        vertical, horizontal = (max([1.0, *each]) for each in zip(*read, strict=True)) if read else (1.0, 1.0)
        return round(min(vertical, LARGEST_STRIDE)), round(min(horizontal, LARGEST_STRIDE))


# Thousands of poolings in a row, each of one pixel, would make it infinite.
LARGEST_STRIDE = 2**31


def place(section: Section, option: str, dialect: Dialect) -> Span:
    """Where the value of an option stands that counts in the dialect; the section's name where it is not written."""
    found = [entry for entry in section.entries if entry.key == option]
    if not found:
        return section.name_span
    entry = found[0 if dialect.duplicates == "first" else -1]
    return entry.value_span if entry.value_span.start < entry.value_span.end else entry.key_span


def setting(section: Section, option: str, text: str, dialect: Dialect) -> Edit:
    """The edit that gives an option another text: where the one is written that counts, or else on a line of its own."""
    written = [entry for entry in section.entries if entry.key == option]
    if written:
        return Edit(written[0 if dialect.duplicates == "first" else -1].value_span, text)
    last = section.entries[-1].value_span if section.entries else section.name_span
    end = last.rest.end
    return Edit(Span(last.source, end, end, last.through), f"{last.source.line_end}{option}={text}")
