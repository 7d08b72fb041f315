"""One engine in a process of its own: `python -m cspdet.bench.worker SPECIFICATION`, a line of JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

started = time.perf_counter()


def main() -> None:
    """Load, and answer."""
    from cspdet.bench.protocol import serve

    wanted: dict[str, Any] = json.loads(sys.argv[1])
    run = _product() if wanted["kind"] == "peak" else _engine(wanted)
    serve(run, started, time.perf_counter())


def _engine(wanted: dict[str, Any]) -> Any:
    import numpy as np

    from cspdet.loading import load

    how = {name: wanted[name] for name in ("width", "height", "device", "dialect", "settings")}
    detector = load(wanted["cfg"], wanted["weights"], engine=wanted["engine"], **how)
    engine = detector.engine
    images = np.random.default_rng(0).random((wanted["batch"], *detector.graph.input.dimensions), np.float32)
    return lambda: engine(images)


def _product() -> Any:
    """A product of two matrices of 2048 x 2048, which is as near to the machine's peak as software gets."""
    import torch

    left, right = (torch.rand(2048, 2048, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    return lambda: left @ right


if __name__ == "__main__":
    main()
