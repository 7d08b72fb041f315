"""Who is measured: engines of ours, and peers, each as the command of a process that speaks `cspdet.bench.protocol`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from cspdet.cfg.source import Source
from cspdet.engines import ENGINES, check_engine, check_name, installed
from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.plain import plain_problems, plain_text

if TYPE_CHECKING:
    from cspdet.detector import Detector

_HERE = Path(__file__).parent
# What the product of large matrices is called among the contenders.
PEAK = "peak"


class Contender(NamedTuple):
    """A name, and the command that measures it."""

    name: str
    command: tuple[str, ...]


class Subject(NamedTuple):
    """What all of them run: a network, its weights, its size, and a folder for what they need as files."""

    graph: Graph
    weights: str
    device: str
    folder: Path
    batch: int = 1


@contextmanager
def subject(graph: Graph, weights: str | None, device: str) -> Iterator[Subject]:
    """What is to be run.

    Where there are no Darknet weights of the whole network, a file of them is made, with those that training starts with in
    place of what is missing.

    Raises:
        UsageError: the weights cannot be read.
        WeightsError: they do not fit.
    """
    from cspdet.weights.reader import read_any

    with TemporaryDirectory(prefix="cspdet-bench-") as name:
        folder = Path(name)
        if weights is None or Path(weights).suffix == ".safetensors" or read_any(weights, graph).ends_before is not None:
            detector = load_quietly(graph, weights)
            weights = str(folder / "whole.weights")
            detector.save_weights(weights)
        yield Subject(graph, weights, device, folder)


def load_quietly(graph: Graph, weights: str | None) -> Detector:
    """The detector, of which nothing is said that does not matter for its speed.

    Raises:
        UsageError: the weights cannot be read.
        WeightsError: they do not fit.
    """
    from cspdet.loading import load

    with warnings.catch_warnings(action="ignore"):
        return load(
            graph.source.path,
            weights,
            width=graph.input.width,
            height=graph.input.height,
            engine="",
            dialect=graph.dialect,
            settings=graph.source.settings,
        )


def engines(wanted: Sequence[str], device: str) -> tuple[list[str], list[str]]:
    """The engines of these names, or all that are installed and run on the device; and those that are left out for it.

    Raises:
        UsageError: there is none of a name, it is not installed, or it does not run on the device.
    """
    if not wanted:
        there = installed()
        fit = [name for name in there if device == "cpu" or ENGINES[name].devices]
        return fit, [name for name in there if name not in fit]
    for name in wanted:
        check_name(name, ENGINES, " to measure")
        check_engine(name, device)
    return [*wanted], []


def describe() -> Iterator[str]:
    """A line on every engine."""
    width, there = max(map(len, ENGINES)), installed()
    for name, kind in ENGINES.items():
        yield f"  {name:{width}}  {kind.about}{'' if name in there else ' (not installed)'}"


def engine(name: str, what: Subject) -> Contender:
    """An engine of ours."""
    wanted = {
        "kind": "engine",
        "engine": name,
        "cfg": what.graph.source.path,
        "settings": dict(what.graph.source.settings),
        "weights": what.weights,
        "width": what.graph.input.width,
        "height": what.graph.input.height,
        "batch": what.batch,
        "device": what.device,
        "dialect": what.graph.dialect.name,
    }
    return Contender(name, (sys.executable, "-m", "cspdet.bench.worker", json.dumps(wanted)))


def exported(path: str, what: Subject) -> Contender:
    """A file that `cspdet export` wrote, in what runs such files."""
    size = {"width": what.graph.input.width, "height": what.graph.input.height}
    wanted = {"kind": "exported", "path": path, "batch": what.batch} | size
    return Contender(path, (sys.executable, "-m", "cspdet.bench.worker", json.dumps(wanted)))


def peak(device: str) -> Contender:
    """A product of large matrices, for the share of what the machine can do."""
    return Contender(PEAK, (sys.executable, "-m", "cspdet.bench.worker", json.dumps({"kind": "peak", "device": device})))


def peers(what: Subject, python: str, version: str) -> Iterator[Contender | str]:
    """Peers that are installed, and for each that is not, why.

    `version` is that of the OpenCV that the interpreter `python` has. Networks that Darknet cannot read have no peers.
    """
    if plain_problems(what.graph):
        yield "there are no peers: no Darknet reads this network"
        return
    cfg = what.folder / "plain.cfg"
    cfg.write_bytes(what.graph.source.encode_plain(_resized(what.graph)))
    shape = (what.graph.input.width, what.graph.input.height, what.graph.input.channels)
    if has_importer(version):
        words = (python, str(_HERE / "opencv.py"), str(cfg), what.weights, *map(str, (*shape, what.batch)))
        yield Contender(f"opencv {version}", words)
    else:
        found = f"has OpenCV {version}" if version else "has no OpenCV"
        yield f"OpenCV 4, the last with a Darknet importer, is not there: `{python}` {found}; name another by `--peer-python`"
    if binary := shutil.which("darknet"):
        words = (sys.executable, str(_HERE / "darknet.py"), binary, str(cfg), what.weights, *map(str, shape[:2]))
        if what.batch == 1:
            yield Contender("darknet", words)
        else:
            yield "`darknet` takes one image at a time: it is left out"
    else:
        yield "there is no `darknet` on the PATH"


def has_importer(version: str) -> bool:
    """Whether OpenCV of this version reads Darknet's files."""
    return version.startswith("4.")


def _resized(graph: Graph) -> str:
    """The plain text, with the size that is measured."""
    from cspdet.cfg.syntax import parse

    text = plain_text(graph)
    source = Source(graph.source.path, text)
    section = next(each for each in parse(source)[0].sections if each.name in ("net", "network"))
    for entry in reversed(section.entries):
        if entry.key in ("width", "height"):
            value = str(getattr(graph.input, entry.key))
            text = text[: entry.value_span.start] + value + text[entry.value_span.end :]
    return text


def opencv_version(python: str) -> str:
    """The version of an interpreter's OpenCV; nothing where it has none.

    Raises:
        UsageError: there is no such interpreter.
    """
    code = "try:\n import cv2\nexcept Exception:\n print('OpenCV:')\nelse:\n print('OpenCV:', cv2.__version__)"
    cure = "name a Python, such as `other/bin/python`"
    try:
        done = subprocess.run(  # noqa: S603 - the user names it
            [python, "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env=environment(python),
        )
    except OSError as error:
        raise UsageError(f"cannot run `{python}`: {(error.strerror or str(error)).lower()}", cure) from None
    answer = next((line for line in done.stdout.splitlines() if line.startswith("OpenCV:")), None)
    if done.returncode or answer is None:
        raise UsageError(f"`{python}` is no Python", cure)
    return answer.removeprefix("OpenCV:").strip()


def environment(python: str) -> dict[str, str]:
    """That of this process, without what only some heed; for another interpreter, without what would show it our packages.

    Threads that sleep at once, as `cspdet`'s do, make small layers slow, and those that never sleep disturb the other
    contenders. How many there are, each sees from the cores that it may use.
    """
    ours = () if python == sys.executable else ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    left_out = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", *ours)
    return {name: value for name, value in os.environ.items() if name not in left_out}
