"""Measure how fast a network runs, by all engines that are installed, in turn.

  cspdet bench X.cfg X.weights
  cspdet bench yolov4-tiny --size 320,416x256,608 --batch 1,8 --json speed.json --plot speed.png
  cspdet bench X.cfg X.weights --peers --peer-python other/bin/python
  cspdet bench X.cfg X.weights --layers
  cspdet bench X.cfg X.weights X.onnx X.xml     exported files beside the engines; or these alone

Each engine has a process of its own; all are alive at once and asked in turn, round by round, so that what else the machine
does disturbs all alike. The least time of a run is what to compare; the median tells how disturbed the run was. Memory is the
most that the process had resident, libraries included. Only the network is measured: no image is read or scaled, no box
decoded. Without weights, initial ones are used. Several sizes and batches are measured one after the other.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cspdet.cfg.dialect import ALEXEYAB
from cspdet.commands.common import add_dialect, dialect_of, graph_or_diagnostics, network_files, read_cfg
from cspdet.commands.loading import cfg_of, positive, sort_files
from cspdet.errors import CfgError, CspdetError, UsageError
from cspdet.text import printable

if TYPE_CHECKING:
    from cspdet.bench.contender import Contender, Subject
    from cspdet.bench.measure import Failure
    from cspdet.bench.report import Measured
    from cspdet.graph import Graph

T = TypeVar("T")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    from cspdet.bench.contender import describe

    parser.epilog = "\n".join(["engines:", *describe()])
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="cfg and weights, or the name of a model; exported files")
    add("--model", "-model", metavar="NAME", help="model to use: `cspdet models` lists them")
    about = "engines to measure (default: all that are installed)"
    add("--engines", type=_several(str), default=[], metavar="NAME,…", help=about)
    about = "size of the network's input in pixels (default: that of the cfg)"
    add("--size", type=_several(_size), default=[(None, None)], metavar="W[xH],…", help=about)
    add("--batch", type=_several(positive), default=[1], metavar="N,…", help="images at a time (default: 1)")
    add("--rounds", type=positive, default=7, metavar="N", help="how often each is asked (default: 7)")
    add("--device", default="cpu", help="where PyTorch runs it: cpu, cuda, … (default: cpu)")
    add("--peers", action="store_true", help="also OpenCV 4's Darknet importer, and `darknet` if it is on the PATH")
    add("--peer-python", metavar="FILE", help="the Python that has OpenCV 4, if it is another one")
    add("--layers", action="store_true", help="the time of each layer in PyTorch's engine instead")
    add("--json", metavar="FILE", help="write all times as JSON; - for standard output")
    add("--plot", metavar="FILE", help="draw them: .png, .svg, .pdf or .jpg")
    add_dialect(parser)


class _Files(NamedTuple):
    """The positional arguments, sorted out: without a cfg, exported files alone."""

    cfg: str | None
    weights: str | None
    exported: list[str]


class _Wanted(NamedTuple):
    """Who is to be measured; `opencv` is the version that the peers' `python` has."""

    engines: list[str]
    exported: list[str]
    python: str
    opencv: str


def run(arguments: Namespace) -> int:
    """Measure and print."""
    from cspdet.models import find
    from cspdet.weights.reader import read_any

    files = _sorted_out(arguments)
    networks = [*([files.cfg] if files.cfg else []), *files.exported]
    _check_outputs(arguments, [*(each for name in networks for each in network_files(name)), files.weights])
    _check_effect(arguments, files)
    wanted = _wanted(arguments, files)
    if files.cfg is None:
        return _compare(arguments, _graphs_of_exported(arguments, files.exported), None, wanted)
    graphs = _graphs(arguments, files.cfg)
    if graphs is None:
        return 1
    for path in files.exported:
        _check_same(path, graphs)
    model, weights = find(files.cfg), files.weights
    if weights is None and model.trained:
        weights = str(model.fetch_weights())
    for graph in graphs if weights else ():
        read_any(weights or "", graph)  # says what is wrong with them
    return _layers(arguments, graphs, weights) if arguments.layers else _compare(arguments, graphs, weights, wanted)


def _sorted_out(arguments: Namespace) -> _Files:
    """The cfg or name of the model, the weights, and exported files, by their endings."""
    from cspdet.export import is_exported

    exported = [word for word in arguments.files if is_exported(word)]
    found, others = sort_files([word for word in arguments.files if word not in exported])
    cfg = cfg_of(arguments, found, others)
    if others or (cfg is None and (not exported or "weights" in found)):
        fact = f"`{others[0]}` is no cfg, weights file or model" if others else "no network was named"
        raise UsageError(fact, "cspdet bench X.cfg X.weights, or the name of a model")
    for kind in ("data", "names"):
        if kind in found:
            raise UsageError(f"`{found[kind]}` has nothing to do with how fast a network is", "leave it out")
    for place, path in enumerate(exported):
        if path in exported[:place]:
            raise UsageError(f"`{path}` is named twice", "name it once")
    return _Files(cfg, found.get("weights"), exported)


def _check_effect(arguments: Namespace, files: _Files) -> None:
    """See that the options have an effect on exported files."""
    if not files.exported:
        return
    path, device = files.exported[0], arguments.device
    if device != "cpu":
        raise UsageError(f"`{path}` runs on CPUs, not on `{device}`", f"leave out `--device {device}`, or the file")
    if arguments.layers:
        raise UsageError(f"`{path}` has no effect with `--layers`: that times PyTorch's engine", "leave out one")
    vain = {
        "--engines": arguments.engines,
        "--peers": arguments.peers,
        "--set": arguments.settings,
        f"--dialect {arguments.dialect}": dialect_of(arguments) is not ALEXEYAB,
    }
    for option in (option for option, given in vain.items() if given and files.cfg is None):
        raise UsageError(f"`{option}` has no effect on exported files alone", "name the cfg and the weights, too")


def _graphs_of_exported(arguments: Namespace, paths: Sequence[str]) -> list[Graph]:
    """The network of exported files, in each size.

    Raises:
        UsageError: a file has no such size, or another network.
        ExportError: a file is damaged, or another program's.
    """
    from cspdet.export import open_network

    graphs = [open_network(paths[0], width=width, height=height)[1].graph for width, height in arguments.size]
    for path in paths[1:]:
        _check_same(path, graphs)
    return graphs


def _check_same(path: str, graphs: Sequence[Graph]) -> None:
    """See that an exported file holds a network, as far as its operations tell, in each of the sizes."""
    from cspdet.export import open_network

    for graph in graphs:
        there = open_network(path, width=graph.input.width, height=graph.input.height)[1].graph
        if (there.input, there.operations) != (graph.input, graph.operations):
            numbers = " and ".join(f"{each.operations / 1e9:.6g} BFLOPs" for each in (there, graph))
            fact = f"`{path}` and `{graph.source.path}` are different networks: {numbers} at {there.input} and {graph.input}"
            raise UsageError(fact, "measure them one by one")


def _check_outputs(arguments: Namespace, reads: Sequence[str | None]) -> None:
    """See that everything asked for can be written, before the work."""
    from cspdet.analysis.bars import check_plot
    from cspdet.files import check_unread, check_writable, real_path

    written = [each for each in (arguments.json, arguments.plot) if each and each != "-"]
    for path in written:
        check_writable(path)
        check_unread(path, reads)
    if arguments.plot:
        check_plot(arguments.plot)
    if len(written) > len({*map(real_path, written)}):
        raise UsageError(f"`{arguments.plot}` would be written twice", "name two files")


def _wanted(arguments: Namespace, files: _Files) -> _Wanted:
    """Who is to be measured, after seeing that they are there and that all options have an effect."""
    from cspdet.bench.contender import engines, has_importer, opencv_version

    device, python = arguments.device, arguments.peer_python or sys.executable
    names, left_out = engines(arguments.engines, device) if files.cfg else ([], [])
    if arguments.layers:
        others = [name for name in arguments.engines if name != "torch"]
        vain = {
            "--peers": arguments.peers,
            "--plot": arguments.plot,
            f"--device {device}": device != "cpu",
            f"--engines {','.join(others)}": others,
        }
        for option in (option for option, given in vain.items() if given):
            raise UsageError(
                f"`{option}` has no effect with `--layers`: that times PyTorch's engine on the CPU", "leave out one"
            )
    if arguments.peer_python and not arguments.peers:
        raise UsageError("`--peer-python` has no effect without `--peers`", "add `--peers`")
    if device != "cpu":
        from cspdet.network import usable_device

        if arguments.peers:
            raise UsageError(f"peers run on CPUs, not on `{device}`", "leave out `--peers`")
        usable_device(device)
    if left_out:
        print(f"note: left out, for they run on CPUs: {', '.join(left_out)}", file=sys.stderr)
    version = opencv_version(python) if arguments.peers else ""
    if arguments.peer_python and not has_importer(version):
        fact = f"`{python}` has OpenCV {version}" if version else f"`{python}` has no OpenCV"
        raise UsageError(fact, "name a Python with OpenCV 4, the last with a Darknet importer")
    return _Wanted(names, files.exported, python, version)


def _graphs(arguments: Namespace, cfg: str) -> list[Graph] | None:
    """The network in each size; None after it was said what is wrong with it.

    Raises:
        UsageError: a size is impossible.
    """
    from cspdet.rules import load

    source, dialect = read_cfg(cfg, arguments), dialect_of(arguments)
    graphs: list[Graph] = []
    for width, height in arguments.size:
        graph = None
        with suppress(CfgError):
            graph, _ = load(source, dialect, width=width, height=height)
        if graph is None or not graphs:
            graph = graph_or_diagnostics(source, dialect, width=width, height=height)  # has a word about warnings, too
        if graph is None:
            return None
        graphs.append(graph)
    return graphs


def _compare(arguments: Namespace, graphs: Sequence[Graph], weights: str | None, wanted: _Wanted) -> int:
    """Measure engines and peers in turn: in each size, by each batch."""
    from cspdet.bench.contender import Subject, subject
    from cspdet.bench.report import as_json, plot, table

    told: set[str] = set()

    def tell(line: str) -> None:
        """Say once what is so for all sizes and batches."""
        if line not in told:
            print(printable(line), file=sys.stderr)
        told.add(line)

    runs: list[Measured] = []
    failed = False
    for graph in graphs:
        alone = Subject(graph, "", arguments.device, Path())
        with subject(graph, weights, arguments.device) if wanted.engines else nullcontext(alone) as whole:
            for batch in arguments.batch:
                found, failures = _measured(arguments, whole._replace(batch=batch), wanted, tell)
                several = f"{found.case.size}: " if len(graphs) * len(arguments.batch) > 1 else ""
                for failure in failures:
                    tell(f"warning: {'' if failure.limit else several}{failure}")
                # An engine that does not take such networks is at fault only where somebody asked for it.
                failed |= not found.figures or any(arguments.engines or not failure.limit for failure in failures)
                if found.figures:
                    runs.append(found)
                    _say(arguments, [found.case.title, *table(found)], first=len(runs) == 1)
    if not runs:
        raise CspdetError("nothing could be measured", "the warnings above say why")
    _write_json(arguments, [as_json(each) for each in runs])
    if arguments.plot:
        plot(arguments.plot, runs)
        print(printable(f"saved: {arguments.plot}"), file=sys.stderr if arguments.json == "-" else sys.stdout)
    return 1 if failed else 0


def _measured(
    arguments: Namespace, what: Subject, wanted: _Wanted, tell: Callable[[str], None]
) -> tuple[Measured, list[Failure]]:
    """The figures of one size and batch, and who has none."""
    from cspdet.bench.contender import PEAK, engine, exported, peak, peers
    from cspdet.bench.measure import measure
    from cspdet.bench.report import PEAK_OPERATIONS, Case, Measured
    from cspdet.commands.progress import progress

    contenders: list[Contender] = [engine(name, what) for name in wanted.engines]
    contenders += [exported(path, what) for path in wanted.exported]
    for each in peers(what, wanted.python, wanted.opencv) if arguments.peers else ():
        if isinstance(each, str):
            tell(f"note: {each}")
        else:
            contenders.append(each)
    case = Case(what.graph, what.batch, what.device)
    with progress(arguments.rounds, f"measuring {case.size}", "rounds") as advance:
        figures, failures = measure([*contenders, peak(what.device)], arguments.rounds, advance)
    fastest = next((PEAK_OPERATIONS / each.least for each in figures if each.name == PEAK), None)
    return Measured(case, [each for each in figures if each.name != PEAK], fastest), failures


def _layers(arguments: Namespace, graphs: Sequence[Graph], weights: str | None) -> int:
    """The time of each layer, in each size, by each batch."""
    from cspdet.bench.contender import load_quietly
    from cspdet.bench.layers import layer_table, layer_times, layers_as_json
    from cspdet.bench.report import Case

    runs: list[Mapping[str, Any]] = []
    for graph, batch in product(graphs, arguments.batch):
        detector = load_quietly(graph, weights)
        case = Case(detector.graph, batch, "cpu")
        times = layer_times(detector.graph, detector.arrays, batch, arguments.rounds)
        runs.append(layers_as_json(case, times))
        _say(arguments, [case.title, *layer_table(case, times)], first=len(runs) == 1)
    _write_json(arguments, runs)
    return 0


def _say(arguments: Namespace, lines: Sequence[str], *, first: bool) -> None:
    """Print a table, unless standard output is for JSON."""
    if arguments.json != "-":
        print("\n".join([*([] if first else [""]), *map(printable, lines)]), flush=True)


def _write_json(arguments: Namespace, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write the JSON of a run, or of several a list of them, if it was asked for."""
    from cspdet.outputs import write_text

    text = json.dumps(runs[0] if len(runs) == 1 else {"runs": runs}, indent=1) + "\n"
    if arguments.json == "-":
        print(text, end="")
    elif arguments.json:
        write_text(arguments.json, text)


def _several(parse: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A function that reads values with commas between them."""

    def read(text: str) -> list[T]:
        found: list[T] = []
        for word in text.split(","):
            value = parse(word.strip())
            if value in found:
                raise ArgumentTypeError(f"`{word.strip()}` is named twice")
            found.append(value)
        return found

    return read


def _size(text: str) -> tuple[int, int]:
    """Width and height."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < len(side) < 6 for side in sides):
        raise ArgumentTypeError(f"`{text}` is no size: write 416, or 640x384")
    return int(sides[0]), int(sides[-1])
