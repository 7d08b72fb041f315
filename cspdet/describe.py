"""What there is to say about layers and networks, all of it from the declarations."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from cspdet.cfg.dialect import DIALECTS
from cspdet.graph import Graph, Node
from cspdet.layers import LAYERS
from cspdet.layers.base import REQUIRED, Layer, Option, Shape

_KINDS = {
    "int": "whole number",
    "float": "number",
    "bool": "0 or 1",
    "str": "word",
    "Sources": "layers",
    "OneSource": "layer",
    "tuple[int, ...]": "whole numbers",
    "tuple[float, ...]": "numbers",
}


def layer_table(graph: Graph) -> str:
    """Darknet's layer table, and the totals."""
    rows = ["   layer             filters  size/strd(dil)      input                output"]
    rows += [_row(node) for node in graph.nodes]
    size = 20 + 4 * graph.parameters
    rows += [
        f"Total BFLOPS {graph.operations / 1e9:.3f}",
        f"Total parameters {graph.parameters:,} (weights file of {size:,} bytes)",
    ]
    return "\n".join(rows)


def _row(node: Node) -> str:
    filters, kernel = node.layer.columns()
    reads = _size(node.inputs[0]) if node.inputs else ""
    row = f"{node.index:4} {node.name:15} {filters:>9}  {kernel:>14} {reads:>18} -> {_size(node.listed):>18}"
    return f"{row} {node.operations / 1e9:.3f} BF" if node.operations else row.rstrip()


def _size(shape: Shape) -> str:
    return f"{shape.width:4} x{shape.height:4} x{shape.channels:4}" if shape.image else f"{shape.channels}"


def all_layers() -> str:
    """One line for each section type."""
    names = {layer: ", ".join(f"[{name}]" for name in layer.names) for layer in LAYERS}
    width = max(map(len, names.values()))
    return "\n".join(f"{names[layer]:{width}}  {_summary(layer)}" for layer in LAYERS)


def one_layer(layer: type[Layer]) -> str:
    """Everything about a section type: what it does, which programs know it, and its options."""
    names = " or ".join(f"[{name}]" for name in layer.names)
    homes = [_home(name) for name in layer.known_to]
    known = "every Darknet" if len(homes) == len(DIALECTS) else ", ".join(homes)
    own = {name: each for name, each in layer.options.items() if Layer.options.get(name) is not each}
    parts = [names, "", inspect.cleandoc(layer.__doc__ or ""), "", f"Known to: {known}"]
    for title, options in (
        ("Options", {name: each for name, each in own.items() if not each.training}),
        ("Options for training", {name: each for name, each in own.items() if each.training}),
        ("Options of every section", Layer.options if layer.names[0] != "net" else {}),
    ):
        if options:
            parts += ["", f"{title}:", *(line for each in options.values() for line in _option_lines(each))]
    return "\n".join(parts)


def default_text(each: Option) -> str:
    """The default of an option as it would be written; empty where there is none to write."""
    value: Any = each.default
    if value is REQUIRED:
        return "required"
    if value is None or value in ("", ()) or value == float("inf"):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)


def option_text(each: Option) -> str:
    """An option in one line: what it means, its default and what it may be."""
    default = default_text(each)
    head = f"`{each.name}={default}`" if default not in ("", "required") else f"`{each.name}`"
    facts = _facts(each, default)
    words = f"; one of: {', '.join(each.choices)}" if each.choices else ""
    return f"{head}: {each.doc}{f' ({facts})' if facts else ''}{words}"


def _option_lines(each: Option) -> Iterator[str]:
    default = default_text(each)
    head = f"{each.name}={default}" if default not in ("", "required") else each.name
    facts = _facts(each, default)
    yield f"  {head:28} {each.doc}{f' ({facts})' if facts else ''}"
    if isinstance(each.choices, dict):
        yield from (f"  {'':28}   {name:34} {about}" for name, about in each.choices.items())
    elif each.choices:
        yield f"  {'':28}   one of: {', '.join(each.choices)}"


def _facts(each: Option, default: str) -> str:
    facts = [_KINDS[each.kind]] if not each.choices else []
    if default == "required":
        facts.append("required")
    if each.at_least is not None:
        facts.append(f"at least {each.at_least:g}")
    if len(each.known_to) == 1:
        facts.append(f"{_home(each.known_to[0])} only")
    elif each.known_to:
        facts.append(f"unknown to {', '.join(DIALECTS[name].title for name in DIALECTS if name not in each.known_to)}")
    return ", ".join(facts)


def _home(name: str) -> str:
    """Whose a section or an option is: a dialect's program, or cspdet itself."""
    return DIALECTS[name].title if name in DIALECTS else name


def _summary(layer: type[Layer]) -> str:
    return inspect.cleandoc(layer.__doc__ or "").split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")
