"""A cfg as one edits it: the sections of its text, the layers that each stands for, and who names whom."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from cspdet.build import net_of
from cspdet.cfg.definitions import BLOCK, END, KEYWORDS
from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import Dialect
from cspdet.cfg.expand import Expansion, expand
from cspdet.cfg.number import LARGEST_INTEGER, atoi
from cspdet.cfg.source import Source, Span
from cspdet.cfg.syntax import BLANK, Document, Entry, Section, parse
from cspdet.errors import CfgError
from cspdet.layers import BY_NAME, LAYERS
from cspdet.layers.net import Net

# The options that name layers, of each section type; and of sections of unknown type, all that any section has.
_NAMING = {
    name: {key: option.kind for key, option in kind.options.items() if option.kind in ("Sources", "OneSource")}
    for name, kind in BY_NAME.items()
}
_ANY = {key: kind for layer in LAYERS for key, kind in _NAMING[layer.names[0]].items()} | {"from": "Sources"}

_NUMBER = re.compile(r"[\v\f]*[-+]?(?:[ \t\r]*[0-9])+")


class Reference(NamedTuple):
    """An option of a layer names another layer."""

    layer: int
    option: str
    # As it is written, below zero if it counts back; and the number of the layer it comes to, which may not exist.
    written: int
    target: int
    # Which of the section's entries it stands in, and where: None if it is worked out and stands nowhere.
    entry: int
    span: Span | None
    # Whether it is named `@…`, so that it needs no number.
    named: bool


class Outline(NamedTuple):
    """The sections of a text, and what they come to."""

    source: Source
    document: Document
    expansion: Expansion
    # What is wrong with the text, before any section of it is looked at.
    diagnostics: tuple[Diagnostic, ...]
    # The section about the input; and those of all layers, by their numbers.
    net: Section | None
    layers: tuple[Section, ...]
    # Of [net], if there is one, and of each layer, the number of the document's section that it comes from, in rising order.
    net_owner: int | None
    owners: tuple[int, ...]

    def layers_of(self, section: int) -> range:
        """The layers that a section of the document stands for: one, many for a block, none for [net] or [define]."""
        return range(bisect_left(self.owners, section), bisect_right(self.owners, section))

    def movable(self) -> frozenset[int]:
        """The sections of the document that stand among the layers, be it for none of them."""
        found, within = set(), False
        for number, section in enumerate(self.document.sections):
            within = section.name == BLOCK or (within and section.name != END)
            if not within and section.name not in KEYWORDS and section.name not in Net.names:
                found.add(number)
        return frozenset(found | {*self.owners}) - {self.net_owner}

    def references(self, dialect: Dialect) -> Iterator[Reference]:
        """Every number that names a layer, also where another entry of the same option counts."""
        for layer, section in enumerate(self.layers):
            naming = _NAMING.get(section.name, _ANY)
            for number, entry in enumerate(section.entries):
                if entry.key in naming:
                    for item, span, named in _items(entry, naming[entry.key], dialect):
                        written = atoi(item)[0]
                        if abs(written) <= LARGEST_INTEGER:
                            target = layer + written if written < 0 else written
                            yield Reference(layer, entry.key, written, target, number, span, named)


def outline(source: Source, dialect: Dialect) -> Outline:
    """The sections and layers of a text.

    Raises:
        CfgError: there are none, or its blocks and repetitions come to no end.
    """
    document, diagnostics = parse(source, dialect)
    expansion, found = expand(document, dialect, BY_NAME, Net.names)
    if not document.sections or not expansion.complete:
        raise CfgError((*diagnostics, *found))
    sections = expansion.document.sections
    net = net_of(sections)
    places = [place for place, section in enumerate(sections) if section is not net]
    net_owner = next((owner for section, owner in zip(sections, expansion.origins, strict=True) if section is net), None)
    layers, owners = tuple(sections[place] for place in places), tuple(expansion.origins[place] for place in places)
    return Outline(source, document, expansion, (*diagnostics, *found), net, layers, net_owner, owners)


def _read(text: str) -> str:
    """As much of a text as Darknet reads for a whole number; blanks within it count for nothing."""
    found = _NUMBER.match(text)
    return found.group() if found else ""


def _items(entry: Entry, kind: str, dialect: Dialect) -> Iterator[tuple[str, Span | None, bool]]:
    """The numbers of an entry, where each stands, and whether it is named."""
    items, span = entry.value.split(","), entry.value_span
    written = span.text.split(",")
    one = 1 if kind == "OneSource" else None
    named = entry.named or (False,) * len(items)
    # A variable may hold several, and a comma may part what a function is given.
    if len(written) != len(items) or any(text.count("(") != text.count(")") for text in written):
        yield from [(item, None, by_name) for item, by_name in zip(items, named, strict=True)][:one]
        return
    start = span.start
    for item, text, by_name in [*zip(items, written, named, strict=True)][:one]:
        first = start + len(text) - len(text.lstrip(BLANK))
        place = span._replace(start=first, end=first + len(_read(text.lstrip(BLANK))))
        yield item, None if "$" in text else place, by_name or "@" in text
        start += len(text) + 1
    if one is None and not dialect.comments:  # Darknet reads on behind the commas of a comment
        yield from ((item, None, False) for item in entry.comment.split(",")[1:])
