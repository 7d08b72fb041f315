"""What all kinds of cases share: how one is measured, and what is found."""

from __future__ import annotations

import io
import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import cspdet
from cspdet.cli import main as command_line
from cspdet.errors import CspdetError

Random = random.Random

# What a step of a case may take: seconds of processor time, and bytes beyond what was held before.
LONGEST = 1.0
LARGEST = 2**30
# A process that says nothing for so long is taken for hung.
HUNG = 120.0

PACKAGE = Path(cspdet.__file__).parent


class BrokenError(Exception):
    """Something that must hold does not. `what` is the same for all cases of one cause."""

    def __init__(self, what: str, text: str = "") -> None:
        super().__init__(what, text)
        self.what = what
        self.text = text


def expect(good: bool, what: str, text: str = "") -> None:
    """Say that something must hold."""
    if not good:
        raise BrokenError(what, text)


class Case(NamedTuple):
    """An input: the bytes of the file, and how it is used."""

    data: bytes
    options: dict[str, Any]


class Finding(NamedTuple):
    """A case that went wrong."""

    kind: str
    seed: int
    number: int
    what: str
    text: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzz --seed {self.seed} --case {self.kind}:{self.number}"
        return f"{self.kind}:{self.number} {self.what}\n  again: {again}\n  {self.text}".rstrip()


class Watch:
    """Measures the steps of cases: processor time, memory, and what came out."""

    def __init__(self) -> None:
        self.slowest = (0.0, "")
        self.largest = (0, "")
        self.counts: Counter[str] = Counter()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step, which must be quick and small."""
        _forget_peak()
        before, began = _memory("VmRSS"), time.process_time()
        yield
        seconds, grown = time.process_time() - began, _memory("VmHWM") - before
        self.slowest = max(self.slowest, (seconds, name))
        self.largest = max(self.largest, (grown, name))
        expect(seconds <= LONGEST, f"slow: {name}", f"{seconds:.2f} s")
        expect(grown <= LARGEST, f"large: {name}", f"{grown / 2**20:,.0f} MiB")


def _memory(field: str) -> int:
    """Bytes of a line of Linux's account of this process; 0 elsewhere."""
    try:
        found = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _forget_peak() -> None:
    """Let the peak (VmHWM) start again at what is held now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


class Kind:
    """One kind of input: how its cases are made, and what must hold of each."""

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        """Prepare the material; `folder` is for files."""
        self.folder = folder

    def make(self, chance: Random) -> Case:
        raise NotImplementedError

    def check(self, case: Case, watch: Watch) -> None:
        raise NotImplementedError


def is_printable(text: str) -> bool:
    """Whether a text leaves the terminal alone that shows it."""
    return all(each.isprintable() or each in "\n\t" for each in text)


def check_error(error: CspdetError) -> None:
    """An error must say something, and leave the terminal alone."""
    expect(bool(error.message.strip()), f"{type(error).__name__} without a message")
    expect(is_printable(str(error)), f"control characters in a {type(error).__name__}", repr(str(error)))


def run_command(*words: object) -> tuple[int, str, str]:
    """A command in this process. It must end in an exit code, say why if that is not 0, and leave the terminal alone."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO())
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore", cspdet.CfgWarning)
            warnings.simplefilter("ignore", cspdet.WeightsWarning)
            code = command_line([str(word) for word in words])
    except SystemExit as error:
        raise BrokenError(f"`cspdet {words[0]}` does not take its arguments", str(words)) from error
    finally:
        sys.stdin = stdin
    printed, said = (each.buffer.getvalue().decode() for each in (out, err))  # type: ignore[attr-defined]
    name = f"`cspdet {words[0]}`"
    expect(code in (0, 1, 2), f"exit code of {name}", str(code))
    expect(code == 0 or bool(printed + said), f"{name} fails and says nothing")
    expect("Traceback" not in said, f"traceback of {name}", said)
    expect(is_printable(printed + said), f"control characters from {name}", repr(printed + said)[:2000])
    return code, printed, said
