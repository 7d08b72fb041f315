"""Measure how fast a network runs, by all engines that are installed, in turn.

  cspdet bench X.cfg X.weights
  cspdet bench yolov4-tiny --size 416 --batch 8 --json speed.json --plot speed.png
  cspdet bench X.cfg X.weights --peers --peer-python other/bin/python
  cspdet bench X.cfg X.weights --layers

Each engine has a process of its own; all are alive at once and asked in turn, round by round, so that what else the machine
does disturbs all alike. The least time of a run is what to compare; the median tells how disturbed the run was. Only the
network is measured: no image is read or scaled, no box decoded. Without weights, initial ones are used.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from cspdet.commands.common import add_dialect, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.commands.loading import cfg_of, positive, sort_files
from cspdet.errors import CspdetError, UsageError
from cspdet.text import printable

if TYPE_CHECKING:
    from cspdet.bench.contender import Contender, Subject
    from cspdet.graph import Graph


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="cfg and weights files, or the name of a model")
    add("--model", "-model", metavar="NAME", help="model to use: `cspdet models` lists them")
    add("--engines", default="", metavar="NAME,…", help="engines to measure (default: all that are installed)")
    add("--size", type=_size, default=(None, None), metavar="W[xH]", help="size of the network's input in pixels")
    add("--batch", type=positive, default=1, metavar="N", help="images at a time (default: 1)")
    add("--rounds", type=positive, default=7, metavar="N", help="how often each is asked (default: 7)")
    add("--device", default="cpu", help="where PyTorch runs it: cpu, cuda, … (default: cpu)")
    add("--peers", action="store_true", help="also OpenCV 4's Darknet importer, and `darknet` if it is on the PATH")
    add("--peer-python", default=sys.executable, metavar="FILE", help="the Python that has OpenCV 4, if it is another one")
    add("--layers", action="store_true", help="print the time of each layer in PyTorch's engine instead")
    add("--json", metavar="FILE", help="write all times as JSON; - for standard output")
    add("--plot", metavar="FILE", help="draw them: .png, .svg, .pdf or .jpg")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Measure and print."""
    from cspdet.analysis.bars import check_plot
    from cspdet.bench.contender import engines, subject
    from cspdet.files import check_writable
    from cspdet.models import find

    found, others = sort_files(arguments.files)
    cfg = cfg_of(arguments, found, others)
    if others or cfg is None:
        fact = f"`{others[0]}` is no cfg, weights file or model" if others else "no network was named"
        raise UsageError(fact, "cspdet bench X.cfg X.weights, or the name of a model")
    if arguments.plot:
        check_plot(arguments.plot)
    if arguments.json and arguments.json != "-":
        check_writable(arguments.json)
    names, _ = engines([name.strip() for name in arguments.engines.split(",") if name.strip()], arguments.device)
    width, height = arguments.size
    graph = graph_or_diagnostics(read_cfg(cfg, arguments), dialect_of(arguments), width=width, height=height)
    if graph is None:
        return 1
    model = find(cfg)
    weights = found.get("weights") or (str(model.fetch_weights()) if model.trained else None)
    with subject(graph, weights, arguments.batch, arguments.device) as what:
        return _layers(arguments, what) if arguments.layers else _compare(arguments, what, names)


def _compare(arguments: Namespace, what: Subject, names: list[str]) -> int:
    """Measure engines and peers in turn."""
    from cspdet.bench.contender import PEAK, engine, opencv_version, peak, peers
    from cspdet.bench.measure import measure
    from cspdet.bench.report import PEAK_OPERATIONS, as_json, plot, table
    from cspdet.commands.progress import progress
    from cspdet.outputs import write_text

    contenders: list[Contender] = [engine(name, what) for name in names]
    python = arguments.peer_python
    for each in peers(what, python, opencv_version(python)) if arguments.peers else ():
        if isinstance(each, str):
            print(printable(f"note: {each}"), file=sys.stderr)
        else:
            contenders.append(each)
    with progress(arguments.rounds, "measuring", "rounds") as advance:
        measured, failures = measure([*contenders, peak(what.device)], arguments.rounds, advance)
    for failure in failures:
        print(printable(f"warning: {failure}"), file=sys.stderr)
    figures = [each for each in measured if each.name != PEAK]
    if not figures:
        raise CspdetError("nothing could be measured", "the warnings above say why")
    fastest = next((PEAK_OPERATIONS / each.least for each in measured if each.name == PEAK), None)
    operations = what.graph.operations * what.batch
    title = _title(what.graph, what.batch)
    if arguments.json != "-":
        print(title)
        for line in table(figures, operations, fastest):
            print(printable(line))
        if fastest:
            print(f"peak: {fastest / 1e9:.0f} GFLOP/s in a product of two 2048 x 2048 matrices")
    if arguments.json:
        about = {"cfg": what.graph.source.path, "input": str(what.graph.input), "batch": what.batch}
        text = json.dumps(as_json(figures, about, operations, fastest), indent=1) + "\n"
        if arguments.json == "-":
            print(text, end="")
        else:
            write_text(arguments.json, text)
    if arguments.plot:
        plot(arguments.plot, figures, title)
        print(f"saved: {arguments.plot}")
    # An engine that does not take such networks is at fault only where somebody asked for it.
    return 1 if any(arguments.engines or not failure.limit for failure in failures) else 0


def _layers(arguments: Namespace, what: Subject) -> int:
    """Print the time of each layer."""
    from cspdet.bench.layers import layer_table, layer_times
    from cspdet.loading import load

    detector = load(
        what.graph.source.path,
        what.weights,
        width=what.graph.input.width,
        height=what.graph.input.height,
        engine="torch",
        dialect=what.graph.dialect,
        settings=what.graph.source.settings,
    )
    times = layer_times(detector.graph, detector.arrays, what.batch, arguments.rounds)
    print(_title(what.graph, what.batch))
    for line in layer_table(detector.graph, times, what.batch):
        print(printable(line))
    return 0


def _title(graph: Graph, batch: int) -> str:
    from pathlib import Path

    many = f", {batch} images at a time" if batch > 1 else ""
    return f"{Path(graph.source.path).stem}, {graph.input}{many}, {graph.operations * batch / 1e9:.3f} BFLOPs"


def _size(text: str) -> tuple[int, int]:
    """Width and height."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < len(side) < 6 for side in sides):
        raise ArgumentTypeError(f"`{text}` is no size: write 416, or 640x384")
    return int(sides[0]), int(sides[-1])
