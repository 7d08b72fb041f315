"""Print a network's layer table as Darknet does, its BFLOPs and its parameters."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from cspdet.commands.common import add_dialect, add_size, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.describe import layer_table
from cspdet.graph import Graph


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cfg", metavar="CFG", help="cfg file or model name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_size(parser)
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Print the table."""
    graph = graph_or_diagnostics(
        read_cfg(arguments.cfg, arguments), dialect_of(arguments), width=arguments.width, height=arguments.height
    )
    if graph is None:
        return 1
    if not arguments.json:
        print(layer_table(graph))
        return 0
    print(json.dumps(table(graph), indent=2))
    return 0


def table(graph: Graph) -> dict[str, Any]:
    """The layer table for machines; `shape` is (channels, height, width)."""
    layers = [
        {
            "index": node.index,
            "type": node.name,
            "shape": [node.listed.channels, node.listed.height, node.listed.width],
            "outputs": node.listed.size,
            "bflops": node.operations / 1e9,
            "parameters": node.parameters,
            "sources": list(node.sources),
        }
        for node in graph.nodes
    ]
    return {"layers": layers, "bflops": graph.operations / 1e9, "parameters": graph.parameters}
