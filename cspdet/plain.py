"""A network as plain Darknet text: what the authoring language comes to, and what a strict program needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.cfg.diagnostic import Diagnostic, Findings
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.number import PLAIN_NUMBERS
from cspdet.cfg.source import Span
from cspdet.cfg.syntax import Entry, Section
from cspdet.graph import Graph
from cspdet.layers.activation import DARKNETS_NAMES
from cspdet.layers.base import Layer
from cspdet.layers.option import OWN


class Remark(NamedTuple):
    """What was done to the text, and where."""

    span: Span
    text: str


def plain_text(graph: Graph) -> str:
    """The text that Darknet reads: the file's own where it is plain, else its sections written out.

    A remark above each use of a block says where it was used. Options of cspdet's own that plain ones say are replaced.
    """
    sections = [_plainly(section, layer)[0] for section, layer in zip(graph.sections, graph.layers, strict=True)]
    if graph.names is None and all(one is other for one, other in zip(sections, graph.sections, strict=True)):
        return graph.source.text
    return _written(graph, [section._replace(entries=tuple(map(_named, section.entries))) for section in sections])


def plain_problems(graph: Graph) -> tuple[Diagnostic, ...]:
    """What of a network AlexeyAB's Darknet would compute otherwise, or not at all: sections and options of others."""
    findings = Findings()
    for section, layer in zip(graph.sections, graph.layers, strict=True):
        if ALEXEYAB.name not in layer.known_to:
            _unsaid(findings, section.name_span, f"`[{section.name}]` is no section of {ALEXEYAB.title}")
            continue
        said = layer.plain_values()
        for key, entry in _counting(section, layer).items():
            option = layer.options.get(key)
            if option and not option.training and option.known_to == OWN and key not in said and layer.changes(key):
                _unsaid(findings, entry.key_span, f"`{key}` of `[{section.name}]` is no option of {ALEXEYAB.title}")
    return tuple(findings.diagnostics)


def strict_text(graph: Graph, dialect: Dialect) -> tuple[str, tuple[Remark, ...], tuple[Diagnostic, ...]]:
    """The text without what a strict program refuses, what was dropped or rewritten, and errors.

    An error is what it cannot do without: sections and options that it does not know and that change what is computed.
    """
    findings = Findings()
    told: list[Remark] = []
    sections = []
    for section, layer in zip(graph.sections, graph.layers, strict=True):
        if dialect.name not in layer.known_to:
            _unsaid(findings, section.name_span, f"`[{section.name}]` is no section of {dialect.title}")
        name = layer.names[0]
        if name != section.name:
            told.append(Remark(section.name_span, f"`[{section.name}]` becomes `[{name}]`"))
        section, remarks = _plainly(section, layer)
        told += remarks
        sections.append(section._replace(name=name, entries=tuple(_strictly(section, layer, dialect, findings, told))))
    return _written(graph, sections), tuple(told), tuple(findings.diagnostics)


def _strictly(section: Section, layer: Layer, dialect: Dialect, findings: Findings, told: list[Remark]) -> Iterator[Entry]:
    """The entries that stay."""
    counting = _counting(section, layer)
    for entry in section.entries:
        option = layer.options.get(entry.key)
        where = f"`{entry.key}` of `[{section.name}]`"
        if counting[entry.key] is not entry:
            told.append(Remark(entry.key_span, f"{where} is dropped: another one counts"))
        elif option is None or (option.known_to and layer.dialect.name not in option.known_to and option.known_to != OWN):
            told.append(Remark(entry.key_span, f"{where} is dropped: it has no meaning"))
        elif option.known_to and dialect.name not in option.known_to:
            if option.training or not layer.changes(entry.key):
                told.append(Remark(entry.key_span, f"{where} is dropped: {dialect.title} does not know it"))
            else:
                _unsaid(findings, entry.key_span, f"{where} is no option of {dialect.title}")
        elif option.kind != "str" and not PLAIN_NUMBERS.fullmatch(entry.value):
            text = _decimal(option.parse(entry.value)[0])
            told.append(Remark(entry.value_span, f"{where} becomes `{text}`"))
            yield entry._replace(value=text)
        elif (named := _named(entry)) != entry:
            told.append(Remark(entry.value_span, f"{where} becomes `{named.value}`"))
            yield named
        else:
            yield entry


def _counting(section: Section, layer: Layer) -> dict[str, Entry]:
    """The entries that count, by key: of a doubled one, the dialect says which."""
    last = layer.dialect.duplicates == "last"
    return {entry.key: entry for entry in (section.entries if last else reversed(section.entries))}


def _plainly(section: Section, layer: Layer) -> tuple[Section, list[Remark]]:
    """The section with plain options in place of cspdet's own, where they say the same; and what was done."""
    values = layer.plain_values()
    replaced = [entry for entry in section.entries if entry.key in values]
    if not replaced:
        return section, []
    first = replaced[0]
    new = [first._replace(key=key, value=value) for key, value in values.items() if value is not None]
    entries = []
    for entry in section.entries:
        if entry is first:
            entries += new
        elif entry.key not in values:
            entries.append(entry)
    keys = ", ".join(f"`{entry.key}`" for entry in replaced)
    words = ", ".join(f"`{entry.key}={entry.value}`" for entry in new)
    remark = Remark(first.key_span, f"{keys} of `[{section.name}]` {'become' if len(replaced) > 1 else 'becomes'} {words}")
    return section._replace(entries=tuple(entries)), [remark]


def _named(entry: Entry) -> Entry:
    """An activation by the name that Darknet has for it."""
    return entry._replace(value=DARKNETS_NAMES.get(entry.value, entry.value)) if entry.key == "activation" else entry


def _decimal(value: Any) -> str:
    """What C reads, without exponents and plus signs."""
    if isinstance(value, tuple):
        return ",".join(map(_decimal, value))
    if isinstance(value, float):
        digits = f"{Decimal(repr(value)):f}"
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return str(int(value))


def _unsaid(findings: Findings, span: Span, message: str) -> None:
    findings.report("error", "not-plain", message, span, "the network cannot be said without it", "use what plain cfgs have")


# -- writing ----------------------------------------------------------------------------------------------------------


def _written(graph: Graph, sections: Sequence[Section]) -> str:
    parts = [_introduction(graph)]
    through: tuple[Span, ...] = ()
    for section in sections:
        uses = section.name_span.through
        if uses != through:
            if uses:
                words = " in ".join(f"[{use.text}]" for use in reversed(uses))
                parts.append(f"# {words}, {Path(uses[0].source.path).name}:{uses[0].line}\n")
            through = uses
        parts.append(f"[{section.name}]\n" + "".join(f"{entry.key}={entry.value}\n" for entry in section.entries) + "\n")
    return "".join(parts).rstrip("\n") + "\n"


def _introduction(graph: Graph) -> str:
    """The comment that the file begins with."""
    lines = []
    for line in graph.source.text.splitlines():
        if not line.lstrip().startswith(("#", ";")):
            break
        lines.append(f"{line.strip()}\n")
    return "".join([*lines, "\n"]) if lines else ""
