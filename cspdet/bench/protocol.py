"""What a measured process says and is asked, a line of JSON each.

It imports nothing of cspdet: peers run it by Pythons of their own.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path


def serve(run: Callable[[], object], started: float, loaded: float) -> None:
    """Answer on standard output what is asked on standard input, until that ends; the times are those of calls of `run`."""

    def timed() -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    serve_times(timed, started, loaded)


def serve_times(run: Callable[[], float], started: float, loaded: float, process: int | str = "self") -> None:
    """Likewise, where `run` gives the seconds itself.

    The first line says how many seconds loading took, from `started` to `loaded`, and the first run. Every number asked for is
    answered with as many times of a run, in seconds, and the peak memory of the `process` that computes.
    """
    begin = time.perf_counter()
    run()
    say({"loading": loaded - started, "first": time.perf_counter() - begin})
    for line in sys.stdin:
        say({"times": [run() for _ in range(int(line))], "memory": peak_memory(process)})


def peak_memory(process: int | str = "self") -> int | None:
    """The most memory that a process had resident so far, in bytes, with its libraries; None where nobody says.

    On Linux, this is not `ru_maxrss`, which begins with what the process that started this one had.
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.M)
    except OSError:
        found = None
    if found:
        return 1024 * int(found[1])
    try:
        import resource
    except ImportError:  # there is none on Windows
        return None
    if process != "self":
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def say(answer: object) -> None:
    """Put out a line. What libraries print may stand before it, without an end of its own."""
    print(f"\n{json.dumps(answer)}", flush=True)
