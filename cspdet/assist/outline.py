"""The sections of a page, for an overview."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cspdet.assist.hover import layer_line
from cspdet.assist.page import Page
from cspdet.cfg.definitions import BLOCK
from cspdet.cfg.source import Span
from cspdet.cfg.syntax import Section
from cspdet.text import counted


class Item(NamedTuple):
    """A section: what it is called, a word about it, its name, and all of it."""

    name: str
    detail: str
    span: Span
    whole: Span


def outline(page: Page) -> Iterator[Item]:
    """All sections in their order."""
    sections = page.document.sections
    ends = [each.name_span.start - 1 for each in sections[1:]] + [len(page.source.text)]
    for section, end in zip(sections, ends, strict=True):
        named = next((entry.value for entry in section.entries if entry.key == "name"), "")
        title = f"[{section.name}] {named}".strip()
        whole = Span(page.source, section.name_span.start - 1, max(end, section.name_span.end))
        yield Item(title, _detail(page, section), section.name_span, whole)


def _detail(page: Page, section: Section) -> str:
    if section.name == BLOCK:
        return "a block"
    nodes = page.nodes(section)
    if len(nodes) == 1:
        return layer_line(nodes[0]).replace("*", "").replace("`", "")
    made = nodes or page.made_by(section)
    return counted(len(made), "layer") if made else ""
