"""Trying many cases in several processes."""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2
import torch

import tests.fuzz
from cspdet.graph import Node
from tests.fuzz.cfgs import Cfgs
from tests.fuzz.common import HUNG, LARGEST, PACKAGE, BrokenError, Case, Finding, Kind, Random, Watch, _memory
from tests.fuzz.files import Files
from tests.fuzz.images import Images
from tests.fuzz.weights import Weights

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Cfgs, Weights, Images, Files)}


def make_case(kind: Kind, seed: int, number: int) -> Case:
    """The case of that number."""
    return kind.make(Random(f"{seed}:{kind.name}:{number}"))


def try_case(kind: Kind, case: Case, watch: Watch) -> tuple[str, str] | None:
    """What is wrong with a case: the cause, the same for all cases that have it, and more about this one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ResourceWarning)
            kind.check(case, watch)
    except BrokenError as error:
        return error.what, error.text
    except Exception as error:
        return _cause(error), f"{error}"[:400]
    return None


def _cause(error: Exception) -> str:
    """The exception's type, the place in cspdet that it passed last, and the section that was worked on."""
    place = section = ""
    trace = error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if PACKAGE in path.parents:
            place = f" in {path.relative_to(PACKAGE)}:{trace.tb_frame.f_code.co_name}"
        node = trace.tb_frame.f_locals.get("node")
        if isinstance(node, Node):
            section = f" of [{node.layer.names[0]}]"
        trace = trace.tb_next
    return f"{type(error).__name__}{place}{section}"


def fuzz_one(kind: Kind, seed: int, number: int, watch: Watch) -> Finding | None:
    """Make and try the case of that number."""
    case = make_case(kind, seed, number)
    found = try_case(kind, case, watch)
    if found and found[0].startswith("slow"):
        found = try_case(kind, case, Watch())  # the machine may have been busy elsewhere
    return Finding(kind.name, seed, number, *found) if found else None


def fuzz(name: str, seed: int, count: int, folder: Path) -> tuple[list[Finding], Watch]:
    """Try `count` cases in this process."""
    kind, watch = KINDS[name](folder), Watch()
    fuzz_one(kind, 0, 0, Watch())  # what is imported on first use does not count
    found = (fuzz_one(kind, seed, number, watch) for number in range(count))
    return [each for each in found if each], watch


def reduced(kind: Kind, case: Case, what: str, seconds: float = 60) -> Case:
    """The same case with fewer lines, in which the same goes wrong."""
    lines = case.data.split(b"\n")
    end = time.monotonic() + seconds
    size = max(1, len(lines) // 2)
    while size:
        start = 0
        while start < len(lines) and time.monotonic() < end:
            fewer = lines[:start] + lines[start + size :]
            found = try_case(kind, case._replace(data=b"\n".join(fewer)), Watch())
            if found and found[0] == what:
                lines = fewer
            else:
                start += size
        size //= 2
    return case._replace(data=b"\n".join(lines))


def _prepare_process() -> None:
    """One thread, and an end to memory before the machine's."""
    import resource

    torch.set_num_threads(1)  # the sum over several threads would count as one step's time
    cv2.setNumThreads(1)
    faulthandler.enable()
    limit = _memory("VmSize") + 8 * LARGEST
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _work(name: str, seed: int, numbers: range, current: Any, connection: Connection) -> None:
    """Try cases in a process of its own, and tell what is found."""
    _prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        kind, watch = KINDS[name](Path(folder)), Watch()
        fuzz_one(kind, 0, 0, Watch())  # what is imported on first use does not count
        slowest, largest = (0.0, "", 0), (0, "", 0)
        parent = multiprocessing.parent_process()
        for number in numbers:
            if parent is not None and not parent.is_alive():
                return  # it was killed, and nobody waits
            current.value = number
            watch.slowest, watch.largest = (0.0, ""), (0, "")
            found = fuzz_one(kind, seed, number, watch)
            slowest, largest = max(slowest, (*watch.slowest, number)), max(largest, (*watch.largest, number))
            if found:
                connection.send(found)
        connection.send((slowest, largest, watch.counts))


class _Worker:
    """A process that tries some of the cases; another takes its place when it dies."""

    def __init__(self, name: str, seed: int, numbers: range) -> None:
        context = multiprocessing.get_context("spawn")
        self.numbers = numbers
        self.connection, far = context.Pipe()
        self.current = context.Value("q", -1)
        self.seen, self.since = -1, time.monotonic()
        self.process = context.Process(target=_work, args=(name, seed, numbers, self.current, far), daemon=True)
        self.process.start()
        far.close()

    def rest(self) -> range:
        """The cases behind the one that it died of."""
        return range(self.current.value + self.numbers.step, self.numbers.stop, self.numbers.step)

    def is_hung(self) -> bool:
        if self.current.value != self.seen:
            self.seen, self.since = self.current.value, time.monotonic()
        return time.monotonic() - self.since > HUNG


def run_kind(name: str, seed: int, count: int, processes: int, start: int = 0) -> dict[str, list[Finding]]:
    """Try `count` cases in several processes; prints as it goes, and gives the findings by cause."""
    began = told = time.monotonic()
    workers = [_Worker(name, seed, range(start + first, start + count, processes)) for first in range(processes)]
    causes: dict[str, list[Finding]] = {}
    slowest, largest, counts = (0.0, "", 0), (0, "", 0), Counter[str]()

    def note(found: Finding) -> None:
        known = causes.setdefault(found.what, [])
        known.append(found)
        print(found if len(known) == 1 else f"{found.kind}:{found.number} {found.what}", flush=True)

    while workers:
        ready = wait([worker.connection for worker in workers], 1)
        for worker in [*workers]:
            dead = ""
            if worker.connection in ready:
                try:
                    message = worker.connection.recv()
                except EOFError:
                    worker.process.join()
                    dead = f"the process died: {worker.process.exitcode}"
                else:
                    if isinstance(message, Finding):
                        note(message)
                        continue
                    slowest, largest = max(slowest, message[0]), max(largest, message[1])
                    counts += message[2]
                    workers.remove(worker)
            elif worker.is_hung():
                worker.process.kill()
                dead = "hung"
            if dead:
                if worker.current.value < 0:
                    raise RuntimeError(f"a process for {name} cannot start: {dead}")
                note(Finding(name, seed, worker.current.value, dead, ""))
                workers.remove(worker)
                if worker.rest():
                    workers.append(_Worker(name, seed, worker.rest()))
        if time.monotonic() - told > 30:
            told = time.monotonic()
            done = max((worker.current.value for worker in workers), default=start + count) - start
            print(f"… {name}: {done:,} of {count:,}, {done / (told - began):.0f}/s, {len(causes)} causes", flush=True)
    seconds = time.monotonic() - began
    print(f"\n{name}, seed {seed}: {count:,} cases in {seconds:.0f} s, {count / seconds:.0f}/s")
    print(f"  slowest: {slowest[0]:.2f} s, {slowest[1]}, {name}:{slowest[2]}")
    print(f"  largest: {largest[0] / 2**20:,.0f} MiB, {largest[1]}, {name}:{largest[2]}")
    print("  " + ", ".join(f"{what} {number:,}" for what, number in sorted(counts.items())))
    print(f"  {sum(map(len, causes.values()))} findings of {len(causes)} causes\n", flush=True)
    return causes


def show_case(name: str, seed: int, number: int, *, try_it: bool = True) -> bool:
    """Make one case again and print what goes wrong; whether anything does."""
    with tempfile.TemporaryDirectory() as folder:
        kind = KINDS[name](Path(folder))
        case = make_case(kind, seed, number)
        found = try_case(kind, case, Watch()) if try_it else ("not tried", "")
        if found is None:
            print(f"{name}:{number} is good")
            return False
        print(Finding(name, seed, number, *found))
        if name == "cfgs" and try_it and not found[0].startswith(("slow", "large")):
            case = reduced(kind, case, found[0])
        if name == "cfgs":
            print(f"{case.options}\n{case.data.decode('utf-8', 'replace')[:4000]}")
        else:
            print(f"{case.options}\n{len(case.data)} bytes: {case.data[:400]!r}")
        if try_it:
            try:
                kind.check(case, Watch())
            except Exception:
                traceback.print_exc()
        return True


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz", description=tests.fuzz.__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in KINDS:
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=f"try N {name}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--case", metavar="KIND:NUMBER", help="make one case again")
    arguments = parser.parse_args(argv)
    if arguments.case:
        torch.set_num_threads(1)
        name, number = arguments.case.split(":")
        return int(show_case(name, arguments.seed, int(number)))
    failed = False
    for name in KINDS:
        count = getattr(arguments, name)
        if count:
            causes = run_kind(name, arguments.seed, count, arguments.processes, arguments.start)
            failed |= bool(causes)
            for found in causes.values():
                print(f"-- {len(found)} x {found[0].what}")
                show_case(
                    name, found[0].seed, found[0].number, try_it=not found[0].what.startswith(("the process died", "hung"))
                )
    return int(failed)
