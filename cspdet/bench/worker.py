"""One engine in a process of its own: `python -m cspdet.bench.worker SPECIFICATION`, a line of JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

started = time.perf_counter()


def main() -> None:
    """Load, and answer."""
    from cspdet.bench.protocol import say, serve
    from cspdet.errors import CspdetError, UnsupportedError

    wanted: dict[str, Any] = json.loads(sys.argv[1])
    try:
        run = {"engine": _engine, "exported": _exported, "peak": _product}[wanted["kind"]](wanted)
        serve(run, started, time.perf_counter())
    except CspdetError as error:
        say({"failure": error.message, "limit": isinstance(error, UnsupportedError)})
    except MemoryError:
        say({"failure": "there is not enough memory", "limit": False})


def _engine(wanted: dict[str, Any]) -> Callable[[], object]:
    """The engine itself: `load` would hand networks that it does not take over to another."""
    import numpy as np

    from cspdet.engines import make_engine
    from cspdet.loading import load

    how = {name: wanted[name] for name in ("width", "height", "device", "dialect", "settings")}
    detector = load(wanted["cfg"], wanted["weights"], engine="", **how)
    engine = make_engine(wanted["engine"], detector.graph, detector.arrays, wanted["device"]).engine
    images = np.random.default_rng(0).random((wanted["batch"], *detector.graph.input.dimensions), np.float32)
    return lambda: engine(images)


def _exported(wanted: dict[str, Any]) -> Callable[[], object]:
    """An exported file. Its states, if it has some, are kept from run to run."""
    import numpy as np

    from cspdet.export import open_network

    opened, noted = open_network(wanted["path"], width=wanted["width"], height=wanted["height"])
    images = np.random.default_rng(0).random((wanted["batch"], *noted.graph.input.dimensions), np.float32)
    return lambda: opened.run(images)


def _product(wanted: dict[str, Any]) -> Callable[[], object]:
    """A product of two matrices of 2048 x 2048, which is as near to the machine's peak as software gets."""
    import torch

    left, right = (
        torch.rand(2048, 2048, generator=torch.Generator().manual_seed(seed)).to(wanted["device"]) for seed in (0, 1)
    )
    # A device has computed it when it gives a number of it away.
    return lambda: (left @ right)[0, 0].item()


if __name__ == "__main__":
    main()
