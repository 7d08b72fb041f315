"""What could stand at a place: sections, options, words of choice, names of layers, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from cspdet.assist.hover import LANGUAGE, documentation, layer_line
from cspdet.assist.page import Page
from cspdet.cfg.definitions import KEYWORDS
from cspdet.cfg.expression import FUNCTIONS
from cspdet.cfg.syntax import Section
from cspdet.describe import default_text, option_text
from cspdet.layers import LAYERS
from cspdet.layers.base import Option
from cspdet.layers.net import Net


class Completion(NamedTuple):
    """A text that could stand in place of the word that was begun, and what to say of it."""

    text: str
    kind: Literal["section", "block", "option", "word", "layer", "variable", "function"]
    detail: str = ""
    # How many characters before the place it takes the place of.
    begun: int = 0


def completions(page: Page, offset: int) -> list[Completion]:
    """What could stand at a place, of what begins like the word before it."""
    before = page.line_before(offset)
    # Names of layers within blocks have points.
    begun = re.search(r"(?<=@)[\w.]*$|[\w-]*$", before, re.ASCII)
    word = begun[0] if begun else ""
    found = [each for each in _all(page, offset, before) if each.text.lower().startswith(word.lower())]
    return [each._replace(begun=len(word)) for each in found]


def _all(page: Page, offset: int, before: str) -> Iterator[Completion]:
    stripped = before.strip()
    if stripped.startswith(("#", ";")) or (stripped.startswith("[") and "]" in stripped):
        return
    if stripped.startswith("["):
        yield from _sections(page)
        return
    section = page.section_at(offset)
    if section is None:
        return
    if "=" in before:
        yield from _values(page, section, before)
    else:
        yield from _options(page, section, offset)


def _sections(page: Page) -> Iterator[Completion]:
    for block in page.expansion.blocks.values():
        yield Completion(block.name, "block", "a block of this file")
    for kind in LAYERS:
        yield Completion(kind.names[0], "section", documentation(kind).split("\n")[0])
    yield Completion(Net.names[0], "section", "the input, and the recipe of the training")
    for name in KEYWORDS:
        yield Completion(name, "section", LANGUAGE[name])


def _options(page: Page, section: Section, offset: int) -> Iterator[Completion]:
    line = page.source.place(offset)[0]
    given = {entry.key for entry in section.entries if entry.key_span.line != line}
    if section.name == "include":
        yield Completion("file=", "option", LANGUAGE["file"])
        return
    if section.name in ("block", "define", "end"):
        return
    if block := page.block(section):
        for name, entry in block.parameters.items():
            if name not in given:
                yield Completion(f"{name}=", "option", "no default" if entry.value == "?" else f"default {entry.value}")
    elif kind := page.kind(section):
        for option in kind.options.values():
            if option.name not in given:
                default = default_text(option)
                yield Completion(f"{option.name}=", "option", f"{option.doc} ({default})" if default else option.doc)
    if section.name not in Net.names:
        for name in ("name", "repeat"):
            if name not in given:
                yield Completion(f"{name}=", "option", LANGUAGE[name])


def _values(page: Page, section: Section, before: str) -> Iterator[Completion]:
    key, _, value = before.partition("=")
    key = "".join(key.split())
    if re.search(r"@[\w.]*$", value, re.ASCII):
        yield from _layers(page, section)
        return
    if re.search(r"\$\w*$|\$\([^)]*$", value, re.ASCII):
        yield from _variables(page, section)
        if "$(" in value:
            yield from (Completion(name, "function", each.doc) for name, each in FUNCTIONS.items())
        return
    kind = page.kind(section)
    option = kind.options.get(key) if kind else None
    if option is not None and (option.choices or not value.strip()):
        yield from _choices(option)


def _choices(option: Option) -> Iterator[Completion]:
    if option.kind == "bool":
        yield Completion("0", "word", "no")
        yield Completion("1", "word", "yes")
    described = option.choices if isinstance(option.choices, dict) else {}
    for word in option.choices:
        yield Completion(word, "word", described.get(word, option_text(option)))


def _layers(page: Page, section: Section) -> Iterator[Completion]:
    """The layers further up that have names."""
    nodes = {node.index: node for node in (page.graph.nodes if page.graph else ())}
    here = page.nodes(section) or page.made_by(section)
    last = here[0].index if here else len(nodes)
    around = page.definition_around(section)
    if around is not None:
        yield Completion("in", "layer", "what the block reads")
        for each in _sections_of(page, around):
            if each is section:
                break
            for entry in each.entries:
                if entry.key == "name":
                    yield Completion(entry.value, "layer", f"[{each.name}]")
    for name, index in page.expansion.names.items():
        if index < last and not name[0].isdigit():
            yield Completion(name, "layer", layer_line(nodes[index]).replace("*", "") if index in nodes else "")


def _sections_of(page: Page, block: Section) -> Iterator[Section]:
    inside = False
    for section in page.document.sections:
        if section is block:
            inside = True
        elif section.name == "end" and inside:
            return
        elif inside:
            yield section


def _variables(page: Page, section: Section) -> Iterator[Completion]:
    around = page.definition_around(section)
    for entry in around.entries if around else ():
        if entry.key != "name":
            yield Completion(entry.key, "variable", "a parameter of this block")
    for name, variable in page.expansion.variables.items():
        yield Completion(name, "variable", variable.value)
    if any(entry.key == "repeat" for entry in section.entries):
        yield Completion("index", "variable", "which repetition this is, from 0")
