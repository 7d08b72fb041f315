"""How long each layer takes in PyTorch's engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cspdet.bench.report import Case
from cspdet.engines.torch import TorchEngine
from cspdet.graph import Graph
from cspdet.lowering import lower
from cspdet.program.operations import Floats


def layer_times(graph: Graph, arrays: Mapping[str, Floats], batch: int, rounds: int) -> dict[int, float]:
    """Seconds of each layer, the least of all rounds; what was taken into another layer counts there."""
    engine = TorchEngine(lower(graph, arrays))
    images = np.random.default_rng(0).random((batch, *graph.input.dimensions), np.float32)
    best: dict[int, float] = {}
    for number in range(rounds + 1):
        times: dict[int, float] = {}
        for layer, seconds in engine.timed(images):
            times[layer] = times.get(layer, 0.0) + seconds
        if number:  # the first round allocates
            best = {layer: min(seconds, best.get(layer, seconds)) for layer, seconds in times.items()}
    return best


def layer_table(case: Case, times: Mapping[int, float]) -> Iterator[str]:
    """Lines of a table: each layer's time and share of it, beside its operations and how many of them it does in a second."""
    total = sum(times.values())
    yield f"{'layer':>5} {'':16}{'output':>16}{'ms':>9}{'share':>8}{'BFLOPs':>9}{'GFLOP/s':>9}"
    for node in case.graph.nodes:
        seconds = times.get(node.index)
        if seconds is None:
            continue
        operations = node.operations * case.batch
        speed = f"{operations / seconds / 1e9:9.1f}" if operations else ""
        share = f"{100 * seconds / total:.1f} %"
        yield f"{node.index:5} {node.name:16}{node.output!s:>16}{1e3 * seconds:9.3f}{share:>8}{operations / 1e9:9.3f}{speed}"
    yield f"{'':5} {'all':16}{'':>16}{1e3 * total:9.3f}"


def layers_as_json(case: Case, times: Mapping[int, float]) -> dict[str, Any]:
    """The same, in seconds and operations."""
    rows = [
        {
            "index": node.index,
            "name": node.name,
            "output": str(node.output),
            "seconds": times[node.index],
            "operations": node.operations * case.batch,
        }
        for node in case.graph.nodes
        if node.index in times
    ]
    return {**case.as_json(), "seconds": sum(times.values()), "layers": rows}
