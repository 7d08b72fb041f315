"""Who is measured: engines of ours, and peers, each as the command of a process that speaks `cspdet.bench.protocol`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cspdet.cfg.source import Source
from cspdet.engines import ENGINES
from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.plain import plain_problems, plain_text

_HERE = Path(__file__).parent


class Contender(NamedTuple):
    """A name, and the command that measures it."""

    name: str
    command: tuple[str, ...]
    # It is measured for comparison with the machine itself, not with others.
    peak: bool = False


class Subject(NamedTuple):
    """What all of them run: a network, its weights, its size, and a folder for what they need as files."""

    graph: Graph
    weights: str
    batch: int
    device: str
    folder: Path


@contextmanager
def subject(graph: Graph, weights: str | None, batch: int, device: str) -> Iterator[Subject]:
    """What is to be run; a network without weights gets those that training starts with, in a file."""
    with TemporaryDirectory(prefix="cspdet-bench-") as name:
        folder = Path(name)
        if weights is None:
            from cspdet.detector import Detector
            from cspdet.network import Network

            weights = str(folder / "initial.weights")
            Detector(Network(graph)).save_weights(weights)
        yield Subject(graph, weights, batch, device, folder)


def engines(wanted: Sequence[str]) -> list[str]:
    """The engines of these names, or all that are installed.

    Raises:
        UsageError: there is none of a name, or it is not installed.
    """
    from cspdet.engines import check_engine

    for name in wanted:
        check_engine(name)
    return [*wanted] or [name for name, kind in ENGINES.items() if find_spec(kind.package)]


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


def peak() -> Contender:
    """A product of large matrices, for the share of what the machine can do."""
    return Contender("peak", (sys.executable, "-m", "cspdet.bench.worker", json.dumps({"kind": "peak"})), peak=True)


def peers(what: Subject, python: str) -> Iterator[Contender | str]:
    """Peers that are installed, and for each that is not, why.

    `python` is the interpreter whose OpenCV is asked. Networks that Darknet cannot read have no peers.
    """
    if plain_problems(what.graph):
        yield "there are no peers: no Darknet reads this network"
        return
    cfg = what.folder / "plain.cfg"
    cfg.write_bytes(what.graph.source.encode_plain(_resized(what.graph)))
    shape = (what.graph.input.width, what.graph.input.height, what.graph.input.channels)
    version = _opencv_of(python)
    if version.startswith("4."):
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


def _opencv_of(python: str) -> str:
    """The version of an interpreter's OpenCV; nothing where it has none.

    Raises:
        UsageError: there is no such interpreter.
    """
    code = "import cv2; print(cv2.__version__)"
    try:
        found = subprocess.run(  # noqa: S603 - the user names it
            [python, "-c", code], capture_output=True, text=True, check=False, env=_environment()
        )
    except OSError as error:
        raise UsageError(f"cannot run `{python}`: {(error.strerror or str(error)).lower()}", "name a Python") from None
    return found.stdout.strip()


def _environment() -> dict[str, str]:
    """That of this process, without what would show other interpreters our packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
