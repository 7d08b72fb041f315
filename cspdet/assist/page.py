"""A cfg in an editor: its text as it is now, finished or not, and all that is known of it."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from cspdet.build import build
from cspdet.cfg.definitions import KEYWORDS, Block
from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.expand import Expansion, expand
from cspdet.cfg.source import Source, Span
from cspdet.cfg.syntax import Document, Entry, Section, parse
from cspdet.graph import Graph, Node
from cspdet.layers import BY_NAME
from cspdet.layers.base import Layer
from cspdet.layers.net import Net
from cspdet.rules import with_rules


class Spot(NamedTuple):
    """What is at a place of the text: a section's line, or the key or the value of an entry."""

    section: Section
    entry: Entry | None
    span: Span


class Page:
    """The text, and what it comes to as far as it can be read."""

    def __init__(self, source: Source, dialect: Dialect = ALEXEYAB) -> None:
        self.source = source
        self.dialect = dialect

    @cached_property
    def document(self) -> Document:
        """The sections as they are written."""
        return parse(self.source, self.dialect)[0]

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything there is to say, in the order of the text."""
        return with_rules(*self._built)

    @cached_property
    def graph(self) -> Graph | None:
        """The layers that are known; of unfinished text, not all."""
        return self._built[0]

    @cached_property
    def _built(self) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
        return build(self.source, self.dialect)

    @cached_property
    def expansion(self) -> Expansion:
        """Names, variables and blocks."""
        return expand(self.document, self.dialect, BY_NAME, Net.names)[0]

    @cached_property
    def _nodes(self) -> dict[int, list[Node]]:
        """By the place of the section they were written as, the layers made of it."""
        found: dict[int, list[Node]] = {}
        for node in self.graph.nodes if self.graph else ():
            span = node.section.name_span
            if span.source.path == self.source.path:
                found.setdefault(span.start, []).append(node)
        return found

    def nodes(self, section: Section) -> list[Node]:
        """The layers that a section of the text became; of one in a block, those of all its uses."""
        return self._nodes.get(section.name_span.start, [])

    def made_by(self, section: Section) -> list[Node]:
        """The layers that the use of a block became."""
        place = (section.name_span.start, self.source.path)
        return [
            node
            for node in (self.graph.nodes if self.graph else ())
            if any((use.start, use.source.path) == place for use in node.section.name_span.through)
        ]

    def kind(self, section: Section) -> type[Layer] | None:
        """What the section is, if it is Darknet's."""
        return BY_NAME.get(section.name)

    def block(self, section: Section) -> Block | None:
        """The block that the section uses."""
        return self.expansion.blocks.get(section.name)

    def section_at(self, offset: int) -> Section | None:
        """The section that a place belongs to."""
        before = [each for each in self.document.sections if self._line_start(each.name_span) <= offset]
        return before[-1] if before else None

    def definition_around(self, section: Section) -> Section | None:
        """The `[block]` that a section stands in."""
        opened = None
        for each in self.document.sections:
            if each.name == "block":
                opened = each
            elif each.name == "end":
                opened = None
            if each is section:
                return opened if section.name not in KEYWORDS else None
        return None

    def spot(self, offset: int) -> Spot | None:
        """What is at a place; None between things."""
        section = self.section_at(offset)
        if section is None:
            return None
        if section.name_span.start <= offset <= section.name_span.end:
            return Spot(section, None, section.name_span)
        for entry in section.entries:
            for span in (entry.key_span, entry.value_span):
                if span.start <= offset <= span.end:
                    return Spot(section, entry, span)
        return None

    def _line_start(self, span: Span) -> int:
        return self.source.line_starts[span.line - 1]

    def line_before(self, offset: int) -> str:
        """The text of the line up to a place."""
        line, column = self.source.place(offset)
        return self.source.line(line)[: column - 1]
