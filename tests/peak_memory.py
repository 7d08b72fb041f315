"""Peak memory of a network with initial weights, above what Python and torch take: `python -m tests.peak_memory yolov4`.

Prints peak, limit and weights in MiB. The limit is one and a half times the weights, and the two largest outputs.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

import cspdet
from cspdet.cfg.source import Source
from cspdet.models import find
from cspdet.rules import load


def status(key: str) -> float:
    """A line of the process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def main(name: str) -> None:
    warnings.simplefilter("ignore")
    graph, _ = load(Source.read(find(name).cfg))
    torch.nn.functional.conv2d(torch.rand(1, 3, 64, 64), torch.rand(8, 3, 3, 3))  # loads the library's code
    before = status("VmRSS")
    network = cspdet.Network(graph)
    x = torch.rand(1, *graph.input.dimensions)
    with torch.inference_mode():
        for _ in range(2):
            network(x)
    peak = status("VmHWM") - before
    weights = 4 * graph.parameters / 2**20
    largest = sorted(4 * node.output.size / 2**20 for node in graph.nodes)[-2:]
    print(f"{peak:.1f} {1.5 * weights + sum(largest):.1f} {weights:.1f}")


if __name__ == "__main__":
    main(sys.argv[1])
