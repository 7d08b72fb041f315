"""List the models that can be named in place of a cfg, and whether their official weights are there."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from cspdet.cfg.source import Source
from cspdet.download import cache
from cspdet.models import DEFAULT, known
from cspdet.paths import is_file
from cspdet.rules import load
from cspdet.shipped import folder


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: Namespace) -> int:
    """Print the list."""
    rows = []
    for name, model in known().items():
        graph, _ = load(Source.read(model.cfg))
        official = model.official
        there = official is not None and any(is_file(place / official.file) for place in (folder("weights"), cache()))
        rows.append(
            {
                "name": name,
                "cfg": str(model.cfg),
                "input": str(graph.input),
                "bflops": graph.operations / 1e9,
                "parameters": graph.parameters,
                "weights": None if official is None else {"file": official.file, "bytes": official.bytes, "downloaded": there},
            }
        )
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        weights = row["weights"]
        state = "no official weights"
        if isinstance(weights, dict):
            state = (
                "weights downloaded" if weights["downloaded"] else f"weights of {weights['bytes'] / 1e6:.0f} MB on first use"
            )
        mark = " (default)" if row["name"] == DEFAULT else ""
        print(
            f"{row['name']:16} {row['input']:>12} {row['bflops']:8.2f} BFLOPs "
            f"{row['parameters']:>12,} parameters  {state}{mark}"
        )
    return 0
