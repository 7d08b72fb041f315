"""Say in what two networks differ: layers added, removed and changed, whatever their numbers and however they are written.

  cspdet diff A.cfg B.cfg
  cspdet diff yolov4-tiny mine.cfg --no-training       leave out what matters to training only
  cspdet diff X.cfg X.cfg --set-b width=0.5            one cfg with two values of a variable

Exit code: 0 if they are the same network, 1 if they differ, 2 if one of them cannot be read or run.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

from cspdet.commands.common import add_dialect, add_settings, dialect_of, graph_or_diagnostics, read_cfg, totals
from cspdet.comparison.difference import Change, Difference, Layers, difference
from cspdet.errors import UsageError
from cspdet.graph import Graph, Node
from cspdet.layers.base import Shape
from cspdet.layers.head import Head
from cspdet.text import counted, printable

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "affected": " "}
_COLORS = {"+": "32", "-": "31", "~": "33", " ": "2"}
_WIDEST = 60
# The least number of BFLOPs that three digits show.
_VISIBLE = 0.0005


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", metavar="A", help="cfg file or model name; - for standard input")
    parser.add_argument("second", metavar="B", help="the other")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--no-training", dest="training", action="store_false", help="leave out options that matter to training only"
    )
    add_dialect(parser)
    for which in ("a", "b"):
        add_settings(parser, f"--set-{which}", f"settings_{which}", f"as --set, of {which.upper()} alone")


def run(arguments: Namespace) -> int:
    """Compare the networks."""
    if arguments.first == arguments.second == "-":
        raise UsageError("standard input cannot be both networks", "give one of them as a file")
    graphs = []
    for name, settings in ((arguments.first, arguments.settings_a), (arguments.second, arguments.settings_b)):
        source = read_cfg(name, arguments)
        source = source.set({**source.settings, **dict(settings)})
        graphs.append(graph_or_diagnostics(source, dialect_of(arguments)))
    first, second = graphs
    if first is None or second is None:
        return 2
    found = difference(first, second, training=arguments.training)
    if arguments.json:
        print(json.dumps(_to_json(found), indent=2, ensure_ascii=False))
    else:
        color = sys.stdout.isatty()
        for row in _rows(found):
            print(f"\x1b[{_COLORS[row.sign]}m{printable(row.text)}\x1b[0m" if color and row.sign else printable(row.text))
    return int(not found.same)


# -- for people -------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """A line, and what its colour says."""

    text: str
    sign: str = ""


def _rows(found: Difference) -> Iterator[_Row]:
    first, second = found.first, found.second
    if found.same:
        yield _Row(f"the same network: {_size(first)}")
        return
    names = [graph.source.path for graph in (first, second)]
    width = max(map(len, names))
    yield _Row(f"--- {names[0]:{width}}  {_size(first)}", "-")
    yield _Row(f"+++ {names[1]:{width}}  {_size(second)}", "+")
    if found.net:
        yield _Row("[net]")
        yield from (_Row(f"~ {_said(change)}", "~") for change in found.net)
    yield from _layer_rows(found)
    heads = [_heads(graph) for graph in (first, second)]
    if heads[0] != heads[1]:
        yield _Row(f"heads       {heads[0]} → {heads[1]}")
    yield from map(_Row, totals(first, second))
    if found.trained_otherwise:
        yield _Row("both compute the same; only training differs")


def _layer_rows(found: Difference) -> Iterator[_Row]:
    """A line for each layer that differs itself, or has other weights; the rest is counted."""
    differing = [each for each in found.layers if each.status != "same"]
    reshaped = [each for each in differing if each.status == "affected" and not each.parameters]
    if len(reshaped) < len(differing):
        yield _Row("     A     B  layer")
    for each in differing:
        if each.status == "affected" and not each.parameters:
            continue
        sign = _SIGNS[each.status]
        numbers = "".join(f"{'' if node is None else node.index:>6}" for node in (each.first, each.second))
        about = _described(each.node) if each.first is None or each.second is None else _changed(each)
        yield _Row(f"{sign}{numbers[1:]}  {each.node.layer.names[0]:14} {about}{_cost(each)}", sign)
    if reshaped:
        operations = sum(each.operations for each in reshaped) / 1e9
        also = f" ({operations:+.3f} BF)" if abs(operations) >= _VISIBLE else ""
        yield _Row(f"{counted(len(reshaped), 'more layer')} with maps of another shape{also}", " ")


def _described(node: Node) -> str:
    filters, kernel = node.layer.columns()
    activation = getattr(node.layer, "activation", "")
    return " ".join([*" ".join((filters, kernel.replace(" ", ""), activation)).split(), "->", str(node.output)])


def _changed(each: Layers) -> str:
    if each.changes:
        return "; ".join(map(_said, each.changes))
    assert each.first
    assert each.second
    channels = [_channels(node.inputs) for node in (each.first, each.second)]
    return f"reads {channels[0]} → {channels[1]} channels" if channels[0] != channels[1] else "reads maps of another size"


def _channels(inputs: tuple[Shape, ...]) -> str:
    return " + ".join(str(x.channels) for x in inputs)


def _said(change: Change) -> str:
    before, after = (_short(text) or "none" for text in (change.before, change.after))
    if change.gone != change.new and "," in change.before + change.after:
        # Of several references, those that are others; of the rest, only the numbers are.
        named = {"out": change.gone, "in": change.new}
        return f"{change.option}: " + ", ".join(f"{' '.join(map(str, each))} {word}" for word, each in named.items() if each)
    return f"{change.option}: {before} → {after}{' (training)' if change.training else ''}"


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def _cost(each: Layers) -> str:
    operations = each.operations / 1e9
    facts = [f"{operations:+.3f} BF"] if abs(operations) >= _VISIBLE else []
    facts += [f"{each.parameters:+,} parameters"] if each.parameters else []
    return f"  ({', '.join(facts)})" if facts else ""


def _size(graph: Graph) -> str:
    return f"{counted(len(graph.nodes), 'layer')}, {graph.operations / 1e9:.3f} BFLOPs, {graph.parameters:,} parameters"


def _heads(graph: Graph) -> str:
    found = []
    for node in graph.heads:
        head = node.layer
        assert isinstance(head, Head)
        x = node.inputs[0]
        found.append(f"{node.name} {x.width}x{x.height}, {counted(head.classes, 'class', 'classes')}")
    return "; ".join(found) or "none"


# -- for machines -----------------------------------------------------------------------------------------------------


def _to_json(found: Difference) -> dict[str, Any]:
    """What differs, as a plain dictionary; `shape` is (channels, height, width)."""
    return {
        "same": found.same,
        "a": _graph_to_json(found.first),
        "b": _graph_to_json(found.second),
        "net": [_change_to_json(change) for change in found.net],
        "layers": [_layers_to_json(each) for each in found.layers if each.status != "same"],
    }


def _graph_to_json(graph: Graph) -> dict[str, Any]:
    heads = [
        {"index": node.index, "type": node.name, "classes": node.layer.classes, "shape": [*node.inputs[0][:3]]}
        for node in graph.heads
        if isinstance(node.layer, Head)
    ]
    return {
        "file": graph.source.path,
        "layers": len(graph.nodes),
        "bflops": graph.operations / 1e9,
        "parameters": graph.parameters,
        "heads": heads,
    }


def _change_to_json(change: Change) -> dict[str, Any]:
    return {"option": change.option, "a": change.before, "b": change.after, "training": change.training}


def _layers_to_json(each: Layers) -> dict[str, Any]:
    nodes = {"a": each.first, "b": each.second}
    return {
        "status": each.status,
        "type": each.node.layer.names[0],
        "changes": [_change_to_json(change) for change in each.changes],
        **{
            name: node
            and {
                "index": node.index,
                "shape": [*node.output[:3]],
                "bflops": node.operations / 1e9,
                "parameters": node.parameters,
            }
            for name, node in nodes.items()
        },
    }
