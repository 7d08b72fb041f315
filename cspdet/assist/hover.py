"""What to say of the thing under the pointer: an option's meaning, a layer's shape, what a name stands for. As Markdown."""

from __future__ import annotations

import inspect
from typing import NamedTuple

from cspdet.assist.page import Page, Spot
from cspdet.assist.references import Word, layer_of, word_at
from cspdet.cfg.definitions import KEYWORDS
from cspdet.cfg.source import Span
from cspdet.cfg.syntax import Entry, Section
from cspdet.describe import option_text
from cspdet.graph import Node
from cspdet.layers.base import Layer
from cspdet.text import brief, counted

# What the sections and options of the language do; docs/language.md says more.
LANGUAGE = {
    "define": "Variables for the whole file, one in each line: `$name` stands for the text, `$(…)` for arithmetic.",
    "block": "A section of your own: `name`, its parameters with their defaults (`?`: none), and the sections up to `[end]`.",
    "end": "The end of a `[block]`.",
    "include": "Another file in the place of this section: `file=blocks.inc`, counted from this file's folder.",
    "name": "What `@name` stands for elsewhere: this layer.",
    "repeat": "How many times this section is put here; `$index` counts from 0.",
    "file": "The file to include, counted from this file's folder.",
}
# The layers of a block that are listed one by one.
_MOST = 12


class Hover(NamedTuple):
    """What to say, and of what."""

    span: Span
    text: str


def hover(page: Page, offset: int) -> Hover | None:
    """What to say of a place; None where there is nothing."""
    spot = page.spot(offset)
    if spot is None:
        return None
    if spot.entry is None:
        text = _section(page, spot.section)
    elif spot.span is spot.entry.key_span:
        text = _option(page, spot.section, spot.entry)
    else:
        if word := word_at(page, spot, offset):
            meaning = _word(page, spot, word)
            if meaning:
                return Hover(word.span, meaning)
        text = _value(page, spot)
    return Hover(spot.span, text) if text else None


def layer_line(node: Node) -> str:
    """One layer: its number, what it reads and puts out, and what it costs."""
    reads = ", ".join(str(shape) for shape in node.inputs)
    cost = f", {node.operations / 1e9:.3f} BFLOPs" if node.operations else ""
    learnt = f", {counted(node.parameters, 'parameter')}" if node.parameters else ""
    return f"layer {node.index} `[{node.layer.names[0]}]`: {reads} → **{node.output}**{cost}{learnt}"


def documentation(kind: type[Layer]) -> str:
    """What a section does."""
    return inspect.cleandoc(kind.__doc__ or "")


def _section(page: Page, section: Section) -> str:
    if section.name in KEYWORDS:
        return LANGUAGE[section.name]
    if block := page.block(section):
        made = page.made_by(section)
        known = ", ".join(f"`{name}={entry.value}`" for name, entry in block.parameters.items())
        parts = [f"the block `{block.name}`" + (f" with {known}" if known else "")]
        parts += [f"- {layer_line(node)}" for node in made[:_MOST]]
        parts += [f"- … and {len(made) - _MOST} more"] if len(made) > _MOST else []
        return "\n".join(parts)
    kind = page.kind(section)
    if kind is None:
        return ""
    nodes = page.nodes(section)
    parts = [layer_line(node) for node in nodes[:_MOST]]
    parts += [f"… and {len(nodes) - _MOST} more uses"] if len(nodes) > _MOST else []
    return "\n\n".join([*parts, documentation(kind)])


def _option(page: Page, section: Section, entry: Entry) -> str:
    kind, block = page.kind(section), page.block(section)
    if entry.key in ("name", "repeat") and section.name not in ("define", "include"):
        return LANGUAGE[entry.key]
    if block and entry.key in block.parameters:
        default = block.parameters[entry.key].value
        return f"a parameter of the block `{block.name}`, " + (
            "which has no default" if default == "?" else f"`{default}` unless given"
        )
    if section.name == "define":
        return f"a variable: `${entry.key}`"
    if section.name in LANGUAGE and entry.key in LANGUAGE:
        return LANGUAGE[entry.key]
    option = kind.options.get(entry.key) if kind else None
    return option_text(option) if option else ""


def _value(page: Page, spot: Spot) -> str:
    """What a value with variables comes to, or what a word of choice means."""
    assert spot.entry is not None
    key = spot.entry.key
    kind = page.kind(spot.section)
    option = kind.options.get(key) if kind else None
    if "$" in spot.entry.value or "@" in spot.entry.value:
        found = dict.fromkeys(
            entry.value for node in page.nodes(spot.section) for entry in node.section.entries if entry.key == key
        )
        return f"`{key}={'`, `'.join(brief(value) for value in found)}`" if found else ""
    if option and isinstance(option.choices, dict) and spot.entry.value in option.choices:
        return f"`{spot.entry.value}`: {option.choices[spot.entry.value]}"
    return ""


def _word(page: Page, spot: Spot, word: Word) -> str:
    if word.kind == "variable":
        block = page.definition_around(spot.section)
        parameter = next((entry for entry in block.entries if entry.key == word.text), None) if block else None
        if parameter:
            return f"`{word.text}`: a parameter of this block, `{parameter.value}` unless given"
        variable = page.expansion.variables.get(word.text)
        return f"`{word.text}` = `{variable.value}`" if variable else ""
    node = layer_of(page, spot.section, word)
    return layer_line(node) if node else ""
