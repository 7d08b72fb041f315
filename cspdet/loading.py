"""Cfg, weights and names, or an exported file → `Detector`."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cspdet.boxes import Floats
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, Dialect
from cspdet.cfg.source import Source
from cspdet.detector import Detector, Exported, Weighted
from cspdet.errors import CfgWarning, UsageError, WeightsWarning
from cspdet.graph import Graph
from cspdet.layers.head import Head
from cspdet.names import beside, check_names, read_names
from cspdet.rules import load as load_graph
from cspdet.weights.codec import layout

if TYPE_CHECKING:
    from cspdet.network import Network


def load(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    names: str | Path | Sequence[str] | None = None,
    width: int | None = None,
    height: int | None = None,
    device: str = "cpu",
    engine: str = "auto",
    dialect: str | Dialect = ALEXEYAB,
    settings: Mapping[str, object] | None = None,
) -> Detector:
    """Load a network: a cfg file or the name of a model, and its weights; or a file that `cspdet export` wrote.

    Args:
        cfg: path of a cfg, or the name of a model that cspdet ships, such as `yolov4-tiny`; or of an exported file, which
            needs none of the other arguments.
        weights: path of a `.weights` or `.safetensors` file. If this is None, a named model gets its own: those that
            ship with it, or the official ones, downloaded on first use, and a cfg file the weights that training starts with.
        names: path of a `.names` file, or the names; by default those of the model, or of a `.names` file beside cfg or
            weights.
        width: width of the network's input in pixels, in place of the cfg's.
        height: height of the network's input in pixels, in place of the cfg's.
        device: where it runs; all but `cpu` need PyTorch.
        engine: what runs it, of `cspdet.engines.ENGINES`; `auto` is the fastest one that is installed. Without weights,
            `auto` is PyTorch's module. `compiled` is that module through torch.compile.
        dialect: the program the cfg and weights were made for: alexeyab, pjreddie, hank-ai or pytorch.
        settings: values of variables, in place of what the cfg's [define] says.

    Raises:
        CfgError: the cfg cannot be run; it carries all diagnostics.
        WeightsError: the weights do not fit, and why.
        UsageError: a file is missing, or an argument is wrong.
        ExportError: an exported file is damaged, or another program's.
        DownloadError: the official weights could not be fetched.
    """
    from cspdet.export import is_exported
    from cspdet.models import find

    if isinstance(dialect, str):
        if dialect not in DIALECTS:
            raise UsageError(f"there is no dialect `{dialect}`", "one of: " + ", ".join(DIALECTS))
        dialect = DIALECTS[dialect]
    if is_exported(cfg):
        if weights is not None or settings:
            what = "weights" if weights is not None else "variables"
            raise UsageError(f"`{cfg}` is an exported network, which takes no other {what}", "leave them out")
        detector = _load_exported(cfg, names, width, height, device, engine)
        if dialect not in (ALEXEYAB, detector.graph.dialect):
            there = detector.graph.dialect.name
            raise UsageError(f"`{cfg}` was exported from the dialect {there}, not {dialect.name}", "leave the dialect out")
        return detector
    model = find(cfg)
    source = Source.read(model.cfg).set({name: str(value) for name, value in (settings or {}).items()})
    graph, diagnostics = load_graph(source, dialect, width=width, height=height)
    if device != "cpu":
        from cspdet.network import usable_device

        usable_device(device)
    if weights is None and model.trained:
        weights = model.fetch_weights()
    detector = _with_weights(graph, weights, engine, device)
    detector.diagnostics = diagnostics
    loud = [each for each in diagnostics if each.severity == "warning"]
    if loud:
        more = (
            f" (and {len(loud) - 1} more warnings: see `detector.diagnostics` or run `cspdet check`)" if len(loud) > 1 else ""
        )
        warnings.warn(f"{loud[0].label.span}: {loud[0].message}{more}", CfgWarning, stacklevel=2)
    detector.names = _names(graph, names, model.names, Path(model.cfg), Path(weights) if weights is not None else None)
    return detector


def _load_exported(
    path: str | Path, names: str | Path | Sequence[str] | None, width: int | None, height: int | None, device: str, engine: str
) -> Detector:
    """A detector that runs an exported file."""
    from cspdet.export import open_network
    from cspdet.export.ends import wanted_outputs

    opened, noted = open_network(path, width=width, height=height)
    if engine not in ("", "auto", opened.engine):
        raise UsageError(f"`{path}` runs with `{opened.engine}`, not with `{engine}`", "leave the engine out")
    if device != "cpu":
        raise UsageError(f"`{path}` runs on CPUs, not on `{device}`", "load the cfg and the weights that it was made of")
    wanted = wanted_outputs(noted)

    def run(images: Floats) -> list[Floats]:
        found = opened.run(images)
        return [found[name] for name in wanted]

    detector = Detector(Exported(noted.graph, run, opened.engine, noted.like, noted.boxes))
    detector.names = noted.names if names is None else _names(noted.graph, names, None, Path(path), None)
    return detector


def _with_weights(graph: Graph, weights: str | Path | None, engine: str, device: str) -> Detector:
    """A detector whose network has the weights of a file, or initial ones."""
    from cspdet.weights.reader import read_any

    loaded = read_any(weights, graph) if weights is not None else None
    missing = {slot.key for slot in layout(graph, "all")} - {*(loaded.arrays if loaded else ())}
    if loaded and not missing:
        network: Network | Weighted = Weighted(graph, loaded.arrays)
    else:
        network = _initialised(graph, loaded.arrays if loaded else {}, missing, device)
    if loaded is None:
        detector = Detector(network, engine="" if engine == "auto" else engine, device=device)
        detector.trained = False
        return detector
    detector = Detector(network, (), loaded.header, loaded.extent, engine=engine, device=device)
    detector.ends_before = loaded.ends_before
    if loaded.ends_before is not None:
        message = f"`{weights}` ends before layer {loaded.ends_before} of {len(graph.nodes)}"
        warnings.warn(f"{message}: the layers from there on have initial weights", WeightsWarning, stacklevel=3)
    if loaded.doubt:
        warnings.warn(loaded.doubt, WeightsWarning, stacklevel=3)
    return detector


def _initialised(graph: Graph, arrays: Mapping[str, Floats], missing: Collection[str], device: str) -> Network:
    """A network with these arrays, and what training starts with in place of those that are missing."""
    from cspdet.network import Network

    network = Network(graph, empty=True)
    network.load_arrays(arrays)
    network.initialise(missing)
    return network.to(device)


def _names(
    graph: Graph, given: str | Path | Sequence[str] | None, of_model: Path | None, cfg: Path, weights: Path | None
) -> tuple[str, ...]:
    """The names of the heads' classes: those given, else the model's, else those of a file beside cfg or weights."""
    heads = [node.layer for node in graph.heads]
    classes = max((head.classes for head in heads if isinstance(head, Head)), default=0)
    if given is not None and not isinstance(given, str | Path):
        return check_names(given, classes, "the list") if classes else tuple(given)
    path = given or of_model or next(beside(cfg, weights), None)
    if path is None:
        return ()
    names = read_names(path)
    return check_names(names, classes, f"`{path}`") if classes else names
