"""Print a network's layer table as Darknet does, its BFLOPs and its parameters.

With `--cost`, instead, what the papers measure networks by: memory access cost, convolutional input and output, live memory,
receptive fields, gradient paths, and the layer that computes most. `docs/cost.md` defines every figure.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from cspdet.analysis.cost import Cost, cost
from cspdet.analysis.table import cost_table
from cspdet.commands.common import add_dialect, add_size, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.describe import layer_table
from cspdet.errors import UsageError
from cspdet.graph import Graph


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cfg", metavar="CFG", help="cfg file or model name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--cost", action="store_true", help="print what the network costs, layer by layer")
    parser.add_argument("--batch", type=int, metavar="N", help="with --cost, images that memory is counted for (default: 1)")
    add_size(parser)
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Print the table."""
    if arguments.batch is not None and not arguments.cost:
        raise UsageError("`--batch` without `--cost`", "add `--cost`: of what is shown else, nothing depends on the batch")
    if arguments.batch is not None and arguments.batch < 1:
        raise UsageError(f"a batch of {arguments.batch} was asked for", "it has at least 1 image")
    graph = graph_or_diagnostics(
        read_cfg(arguments.cfg, arguments), dialect_of(arguments), width=arguments.width, height=arguments.height
    )
    if graph is None:
        return 1
    if not arguments.cost:
        print(json.dumps(table(graph), indent=2) if arguments.json else layer_table(graph))
        return 0
    found = cost(graph, arguments.batch or 1)
    print(json.dumps(_with_cost(table(graph), found), indent=2) if arguments.json else cost_table(found))
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


def _with_cost(found: dict[str, Any], cost: Cost) -> dict[str, Any]:
    """The table, each layer and the whole with the figures of `docs/cost.md`; fields are (height, width)."""
    for row, each in zip(found["layers"], cost.layers, strict=True):
        row |= {
            "mac": each.access.cost,
            "mac_bound": each.access.bound,
            "cio": each.traffic,
            "live_bytes": each.alive,
            "receptive_field": each.field and list(each.field.size),
            "gradient_path": each.path and list(each.path),
        }
    return found | {
        "batch": cost.batch,
        "mac": cost.access.cost,
        "mac_bound": cost.access.bound,
        "cio": cost.traffic,
        "cio_convolutions": cost.convolutions_traffic,
        "live_bytes": cost.activations.peak,
        "training_bytes": cost.activations.kept,
        "bottleneck": {"layer": cost.bottleneck.node.index, "bflops": cost.bottleneck.node.operations / 1e9},
        "receptive_field": cost.field and cost.field.field and list(cost.field.field.size),
        "longest_gradient_path": cost.longest_path,
        "longest_shortest_gradient_path": cost.longest_shortest_path,
    }
