"""List the models that can be named in place of a cfg, their figures, and whether their weights are there."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from cspdet.about import about
from cspdet.cfg.source import Source
from cspdet.download import cache
from cspdet.models import DEFAULT, Model, known
from cspdet.paths import is_file
from cspdet.rules import load
from cspdet.shipped import folder


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: Namespace) -> int:
    """Print the list."""
    rows = [_row(model) for model in known().values()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    widest = max(len(row["name"]) for row in rows)
    family = None
    for row in sorted(rows, key=lambda row: (row["family"], row["name"])):
        if row["family"] != family:
            family = row["family"]
            print(f"{family or 'our own'}:")
        mark = " (default)" if row["name"] == DEFAULT else ""
        cost, size = f"{row['bflops']:8.2f} BFLOPs", f"{row['parameters'] / 1e6:7.2f} M parameters"
        print(f"  {row['name']:{widest}} {row['input']:>14} {cost} {size}  {_state(row['weights'])}{mark}".rstrip())
    return 0


def _row(model: Model) -> dict[str, Any]:
    source = Source.read(model.cfg)
    graph, _ = load(source)
    family = model.cfg.parent.relative_to(folder("cfg"))
    return {
        "name": model.name,
        "family": "" if family.name == "" else family.as_posix(),
        "cfg": str(model.cfg),
        "input": str(graph.input),
        "bflops": graph.operations / 1e9,
        "parameters": graph.parameters,
        "about": about(source.text)._asdict(),
        "weights": _weights(model),
    }


def _weights(model: Model) -> dict[str, Any] | None:
    """The weights that there are for a model; None if there are none."""
    if model.weights:
        return {"file": model.weights.name, "bytes": model.weights.stat().st_size, "downloaded": True, "shipped": True}
    official = model.official
    if official is None:
        return None
    there = any(is_file(place / official.file) for place in (folder("weights"), cache()))
    return {"file": official.file, "bytes": official.bytes, "downloaded": there, "shipped": False}


def _state(weights: dict[str, Any] | None) -> str:
    if weights is None:
        return ""
    if weights["shipped"]:
        return "trained, weights included"
    return "trained, weights downloaded" if weights["downloaded"] else f"trained, {weights['bytes'] / 1e6:.0f} MB on first use"
