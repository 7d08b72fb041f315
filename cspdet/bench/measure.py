"""Measuring in turn: every contender has a process, all are alive at once, and each is asked for a few runs in every round.

What disturbs the machine so disturbs all alike. The least time is what a machine without others takes; the median says how far
that was from the truth while measuring.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

from cspdet.bench.contender import Contender
from cspdet.errors import CspdetError

# A round asks for as many runs as take about so long, in seconds, and for at most so many.
_ROUND = 0.5
_MOST = 50


class Figures(NamedTuple):
    """What was measured of a contender: seconds for a run of the whole batch, of start-up, and bytes of memory."""

    name: str
    times: tuple[float, ...]
    # From the process's start to the end of its first run.
    start: float
    memory: int

    @property
    def least(self) -> float:
        """The least time."""
        return min(self.times)

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.times)


class _Process:
    """A contender's process."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.times: list[float] = []
        self.memory = 0
        begin = time.perf_counter()
        # The process has the interpreter's own packages, and ours.
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(  # noqa: S603 - it is ours, or what the user names
            contender.command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=_environment()
        )
        self.answer()
        self.start = time.perf_counter() - begin
        self.runs = 1

    def ask(self, runs: int) -> list[float]:
        """Times of so many runs."""
        assert self.process.stdin
        try:
            self.process.stdin.write(f"{runs}\n")
            self.process.stdin.flush()
        except OSError:
            raise self.failure() from None
        answer = self.answer()
        self.memory = answer["memory"]
        times: list[float] = answer["times"]
        return times

    def answer(self) -> dict[str, Any]:
        """The next line that the process says."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise self.failure()
        found: dict[str, Any] = json.loads(line)
        return found

    def failure(self) -> CspdetError:
        """What became of a process that does not answer."""
        _, said = self.process.communicate()
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
        return CspdetError(f"`{self.contender.name}` cannot run this network: {last}", "leave it out, or look into it alone")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def measure(
    contenders: Sequence[Contender], rounds: int, advance: Callable[[int], object] = lambda _: None
) -> tuple[list[Figures], list[str]]:
    """Figures of those that run the network, and why others do not. `advance` is called after each round.

    In every round each is asked in turn, for a run that does not count and then for some that do.
    """
    with ExitStack() as stack:
        processes, failures = [], []
        for contender in contenders:
            try:
                process = _Process(contender)
                stack.callback(process.close)
                # The first run compiles and allocates; how many fit into a round is seen on the next ones.
                process.runs = max(1, min(_MOST, int(_ROUND / max(min(process.ask(2)), 1e-6))))
            except CspdetError as error:
                failures.append(error.message)
                continue
            processes.append(process)
        for _ in range(rounds):
            for process in processes:
                process.times += process.ask(process.runs + 1)[1:]
            advance(1)
        return [Figures(each.contender.name, tuple(each.times), each.start, each.memory) for each in processes], failures


def _environment() -> dict[str, str]:
    """That of this process, without its own way to wait.

    Threads that sleep at once, as `cspdet`'s do, make small layers slow; those that never sleep disturb the other contenders.
    """
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    return {**others, "PYTHONUNBUFFERED": "1"}
