"""Where what a word names was written."""

from __future__ import annotations

from pathlib import Path

from cspdet.assist.page import Page
from cspdet.assist.references import layer_of, name_of, word_at
from cspdet.cfg.definitions import BLOCK, DEFINE
from cspdet.cfg.source import Source, Span
from cspdet.errors import UsageError


def definition(page: Page, offset: int) -> Span | None:
    """The place that what is at a place comes from; None if it comes from nowhere else."""
    spot = page.spot(offset)
    if spot is None:
        return None
    if spot.entry is None:
        block = page.block(spot.section)
        return block.span if block else None
    if spot.section.name == "include" and spot.entry.key == "file":
        return _start_of(Path(page.source.path).parent / spot.entry.value_span.text)
    word = word_at(page, spot, offset)
    if word is None:
        block = page.block(spot.section)
        return block.parameters[spot.entry.key].key_span if block and spot.entry.key in block.parameters else None
    if word.kind == "variable":
        around = page.definition_around(spot.section)
        entry = next((each for each in around.entries if each.key == word.text), None) if around else None
        variable = page.expansion.variables.get(word.text)
        return entry.key_span if entry else variable.span if variable else None
    if name := name_of(page, spot.section, word):
        return page.expansion.places[name]
    node = layer_of(page, spot.section, word)
    if node is None:
        return None
    # Of a layer that a block makes, where the block is used; from within blocks, where the layer is written.
    span = node.section.name_span
    return span.through[0] if span.through and page.definition_around(spot.section) is None else span


def name_at(page: Page, offset: int) -> str | None:
    """The name of a layer, a variable or a block at a place, as `rewrite.renaming.rename` takes it."""
    spot = page.spot(offset)
    if spot is None:
        return None
    if spot.entry is None:
        return f"[{spot.section.name}]" if page.block(spot.section) else None
    entry = spot.entry
    if spot.span is entry.key_span:
        return f"${entry.key}" if spot.section.name == DEFINE else None
    if entry.key == "name":
        return f"[{entry.value}]" if spot.section.name == BLOCK else f"@{entry.value}"
    word = word_at(page, spot, offset)
    if word is None or word.kind == "number":
        return None
    return f"@{word.text.split('.')[0]}" if word.kind == "layer" else f"${word.text}"


def _start_of(path: Path) -> Span | None:
    try:
        return Span(Source.read(path), 0, 0)
    except UsageError:
        return None
