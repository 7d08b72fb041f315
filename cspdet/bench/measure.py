"""Measuring in turn: every contender has a process, all are alive at once, and each is asked for a few runs in every round.

What disturbs the machine so disturbs all alike. The least time is what a machine without others takes; the median says how far
that was from the truth while measuring.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from statistics import median
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from cspdet.bench.contender import Contender, environment

# A round asks for as many runs as take about so long, in seconds, and for at most so many.
_ROUND = 0.5
_MOST = 50
# How long a process that has said its last may take to end, in seconds.
_PATIENCE = 10


class Figures(NamedTuple):
    """What was measured of a contender: seconds for a run of the whole batch, of start-up, and bytes of memory."""

    name: str
    times: tuple[float, ...]
    # From the process's start to the end of its first run.
    start: float
    # The peak of its process; None where the system does not say.
    memory: int | None

    @property
    def least(self) -> float:
        """The least time."""
        return min(self.times)

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.times)


class Failure(NamedTuple):
    """Why a contender was not measured; `limit` if it is made so that it does not take such a network."""

    name: str
    reason: str
    limit: bool = False

    def __str__(self) -> str:
        return f"`{self.name}` cannot run this network: {self.reason}"


class _ContenderError(Exception):
    """A process that does not do what it is asked."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class _Process:
    """A contender's process."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.times: list[float] = []
        self.memory: int | None = None
        self.start = 0.0
        self.runs = 1
        # In a pipe that nobody empties, whoever says much is stuck.
        self.errors = TemporaryFile()  # noqa: SIM115 - until it is closed with the process
        self.began = time.perf_counter()
        # The session is for `close`, and so that Ctrl-C is for us alone.
        self.process = subprocess.Popen(  # noqa: S603 - it is ours, or what the user names
            contender.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf-8",
            errors="replace",
            env=environment(contender.command[0]),
            start_new_session=True,
        )

    def begin(self) -> None:
        """Wait for the first run. That compiles and allocates; how many fit into a round is seen on the next ones."""
        self.answer()
        self.start = time.perf_counter() - self.began
        self.runs = max(1, min(_MOST, int(_ROUND / max(min(self.ask(2)), 1e-6))))

    def take_turn(self) -> None:
        """A run that does not count, and then some that do."""
        self.times += self.ask(self.runs + 1)[1:]

    def ask(self, runs: int) -> list[float]:
        """Times of so many runs."""
        assert self.process.stdin
        with suppress(OSError):  # the answer, or that there is none, says more
            self.process.stdin.write(f"{runs}\n")
            self.process.stdin.flush()
        answer = self.answer()
        self.memory = answer["memory"]
        times: list[float] = answer["times"]
        return times

    def answer(self) -> dict[str, Any]:
        """The next answer among the lines that are put out, for libraries may print some, too."""
        assert self.process.stdout
        for line in iter(self.process.stdout.readline, ""):
            found = None
            with suppress(ValueError):
                found = json.loads(line)
            if isinstance(found, dict):
                if "failure" in found:
                    raise _ContenderError(Failure(self.contender.name, found["failure"], found["limit"]))
                return found
        raise _ContenderError(Failure(self.contender.name, self.last_words()))

    def last_words(self) -> str:
        """What became of a process that does not answer."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE)
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace").splitlines()
        code = self.process.returncode
        if code is not None and code < 0:
            killed = f"it was ended by {signal.Signals(-code).name}"
            return f"{killed}: is there enough memory?" if killed.endswith("SIGKILL") else killed
        return next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")

    def close(self) -> None:
        """End it, and what it started."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self.process.pid, signal.SIGKILL)
                else:
                    self.process.kill()
        self.process.communicate()
        self.errors.close()


def measure(
    contenders: Sequence[Contender], rounds: int, advance: Callable[[int], object] = lambda _: None
) -> tuple[list[Figures], list[Failure]]:
    """Figures of those that run the network, and why others do not. `advance` is called after each round.

    In every round each is asked in turn, for a run that does not count and then for some that do.
    """
    with ExitStack() as stack:
        processes: list[_Process] = []
        failures: list[Failure] = []

        def tell(process: _Process, do: Callable[[], object]) -> None:
            """Let it do that; one that fails is out."""
            try:
                do()
            except _ContenderError as error:
                failures.append(error.failure)
                processes.remove(process)
                process.close()

        for contender in contenders:
            process = _Process(contender)
            stack.callback(process.close)
            processes.append(process)
            tell(process, process.begin)
        for _ in range(rounds):
            for process in [*processes]:
                tell(process, process.take_turn)
            advance(1)
        return [Figures(each.contender.name, tuple(each.times), each.start, each.memory) for each in processes], failures
