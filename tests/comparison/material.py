"""Networks written anew, in other words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Source
from cspdet.graph import Graph
from cspdet.layers.base import attribute
from cspdet.rules import examine, load

Lines = list[tuple[str, list[tuple[str, str]]]]


def network(text: str, dialect: Dialect = ALEXEYAB, folder: Path = Path()) -> Graph:
    return load(Source(str(folder / "X.cfg"), text), dialect)[0]


def read(path: Path) -> Graph | None:
    """The network of a file, or None where it is not one."""
    return examine(Source.read(path))[0]


def lines(graph: Graph, number: Callable[[int, int], int]) -> Lines:
    """The sections with their entries; `number` says what is written for the layer that another one names."""
    found: Lines = []
    for layer, section in zip(graph.layers, graph.sections, strict=True):
        entries = []
        for entry in section.entries:
            value = entry.value
            if entry.key in layer.options and layer.options[entry.key].kind in ("Sources", "OneSource"):
                named = getattr(layer, attribute(entry.key)).resolve(layer.index)
                value = ",".join(str(number(layer.index, each)) for each in named)
            entries.append((entry.key, value))
        found.append((section.name, entries))
    return found


def text(sections: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    return "\n".join(f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in entries) for name, entries in sections)


def inserted(graph: Graph, place: int, name: str, entries: Sequence[tuple[str, str]]) -> str:
    """The text with one layer more as number `place`; all others read what they read before, or the one before them."""
    sections = lines(graph, lambda _, named: named + (named >= place))
    return text([*sections[: place + 1], (name, entries), *sections[place + 1 :]])
