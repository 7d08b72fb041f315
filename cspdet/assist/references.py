"""Words within values: names of layers, numbers of layers, and variables."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from cspdet.assist.page import Page, Spot
from cspdet.cfg.source import Span
from cspdet.cfg.syntax import Entry, Section
from cspdet.graph import Node

_WORDS = re.compile(
    r"@(?P<layer>[A-Za-z_][\w.]*)|\$(?P<variable>[A-Za-z_]\w*)|\$\((?P<expression>[^$]*)\)|(?P<number>-?\d+)", re.ASCII
)
_NAMES = re.compile(r"[A-Za-z_]\w*(?!\w*\()", re.ASCII)


class Word(NamedTuple):
    """A word that stands for something else, and where it stands."""

    kind: Literal["layer", "variable", "number"]
    text: str
    span: Span


def word_at(page: Page, spot: Spot, offset: int) -> Word | None:
    """The word of a value at a place; of numbers, only those of layers."""
    if spot.entry is None or spot.span is not spot.entry.value_span:
        return None
    return next((each for each in words(page, spot.section, spot.entry) if each.span.start <= offset <= each.span.end), None)


def words(page: Page, section: Section, entry: Entry) -> list[Word]:
    """All words of a value."""
    found: list[Word] = []
    start = entry.value_span.start
    for match in _WORDS.finditer(entry.value_span.text):
        group = match.lastgroup or ""
        begin, end = match.span(group)
        if group == "expression":
            for name in _NAMES.finditer(match[group]):
                span = Span(page.source, start + begin + name.start(), start + begin + name.end())
                found.append(Word("variable", name[0], span))
        elif group != "number" or _names_layers(page, section, entry):
            kind: Literal["layer", "variable", "number"] = (
                "layer" if group == "layer" else "variable" if group == "variable" else "number"
            )
            found.append(Word(kind, match[group], Span(page.source, start + begin, start + end)))
    return found


def layer_of(page: Page, section: Section, word: Word) -> Node | None:
    """The layer that a word names, seen from a section."""
    nodes = {node.index: node for node in (page.graph.nodes if page.graph else ())}
    if word.kind == "number":
        number = int(word.text)
        here = page.nodes(section) or page.made_by(section)
        index = number if number >= 0 else (here[0].index + number if here else None)
        return nodes.get(index) if index is not None else None
    name = name_of(page, section, word)
    return nodes.get(page.expansion.names[name]) if name else None


def name_of(page: Page, section: Section, word: Word) -> str | None:
    """The name that a word means, as the file has it from the top, seen from a section."""
    if word.kind != "layer" or word.text == "in":
        return None
    names = page.expansion.names
    here = page.nodes(section) or page.made_by(section)
    if page.definition_around(section) is not None:
        # The names of a block's layers begin with those of its uses; the first use stands for all.
        for full, index in names.items():
            if full.endswith(f".{word.text}") and here and index < here[-1].index:
                return full
    return word.text if word.text in names else None


def _names_layers(page: Page, section: Section, entry: Entry) -> bool:
    kind = page.kind(section)
    option = kind.options.get(entry.key) if kind else None
    return option is not None and option.kind in ("Sources", "OneSource")
