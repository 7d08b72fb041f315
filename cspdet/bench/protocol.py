"""What a measured process says and is asked, a line of JSON each.

It imports nothing of cspdet: peers run it by Pythons of their own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def serve(run: Callable[[], object], started: float, loaded: float) -> None:
    """Answer on standard output what is asked on standard input, until that ends; the times are those of calls of `run`."""

    def timed() -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    serve_times(timed, started, loaded)


def serve_times(run: Callable[[], float], started: float, loaded: float) -> None:
    """Likewise, where `run` gives the seconds itself.

    The first line says how many seconds loading took, from `started` to `loaded`, and the first run. Every number asked for is
    answered with as many times of a run, in seconds, and the process's largest memory so far, in bytes.
    """
    begin = time.perf_counter()
    run()
    _say({"loading": loaded - started, "first": time.perf_counter() - begin})
    for line in sys.stdin:
        _say({"times": [run() for _ in range(int(line))], "memory": _memory()})


def _memory() -> int:
    try:
        import resource
    except ImportError:  # there is none on Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)
