"""A picture of where a network computes: one bar for each layer, two networks side by side."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspdet.analysis.kinds import COLORS, Kind, kind_of
from cspdet.files import check_ending, temporary
from cspdet.graph import Graph, Node
from cspdet.layers.convolutional import Convolutional
from cspdet.text import brief, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = (".png", ".svg", ".pdf", ".jpg")
_INK, _FAINT = "#202020", "#8a8a8a"
_BANDS = ("#f4f5f7", "#e6e9ee")


def check_plot(path: str | Path) -> None:
    """See that a plot could be written.

    Raises:
        UsageError: it cannot, or the ending names no format.
    """
    check_ending(path, _FORMATS, "plots")


def plot_bars(path: str | Path, graphs: Sequence[Graph], names: Sequence[str]) -> None:
    """Draw the BFLOPs of every layer, as CSPNet's figure 7 does (1911.11929); of one network or two, to one scale.

    The highest bar is the computational bottleneck. Bands behind the bars are maps of one size.

    Raises:
        UsageError: the file cannot be written.
    """
    check_plot(path)
    figure, inches = _figure(graphs)
    panels = figure.subplots(1, len(graphs), sharey=True, squeeze=False, width_ratios=[*map(_columns, graphs)])[0]
    highest = [max(graph.nodes, key=lambda node: node.operations) for graph in graphs]
    top = max([node.operations for node in highest]) / 1e9 or 1.0
    for axes, graph, name, worst in zip(panels, graphs, names, highest, strict=True):
        _bands(axes, graph, 1.2 * top, inches)
        _bars(axes, graph, worst, top)
        change = 100 * (worst.operations / highest[0].operations - 1) if highest[0].operations else 0.0
        compared = f" ({change:+.1f} %)".replace("-", "−") if graph is not graphs[0] else ""
        axes.set_title(_plain(name), loc="left", color=_INK, fontsize=12, fontweight="bold", pad=22)
        facts = f"{graph.operations / 1e9:.3f} BFLOPs in {len(graph.nodes)} layers, at most {worst.operations / 1e9:.4f} in one"
        axes.text(0, 1.02, facts + compared, transform=axes.transAxes, color=_INK, fontsize=10, va="bottom")
    panels[0].set_ylabel("BFLOPs")
    _legend(figure, graphs, top)
    with temporary(path) as beside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in letters that the font does not have
        figure.savefig(beside)


def _columns(graph: Graph) -> int:
    """Bars that a panel has room for."""
    return max(20, len(graph.nodes))


def _figure(graphs: Sequence[Graph]) -> tuple[Figure, float]:
    """A figure, and the inches that a bar takes in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = sum(map(_columns, graphs))
    width = min(26.0, max(5.0 + 4 * len(graphs), 2 + 0.045 * columns))
    figure = Figure((width, 5.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, (width - 0.8) / columns


def _bands(axes: Any, graph: Graph, y: float, inches: float) -> None:
    """A band behind each run of maps of one size, with the size where there is room."""
    for number, (start, end, label) in enumerate(_stages(graph)):
        axes.axvspan(start - 0.5, end + 0.5, color=_BANDS[number % 2], linewidth=0, zorder=0)
        if (end - start + 1) * inches > 0.08 * len(label):
            axes.text((start + end) / 2, y, label, ha="center", va="center", fontsize=7.5, color=_FAINT)


def _bars(axes: Any, graph: Graph, worst: Node, top: float) -> None:
    """The bars, and a line at the highest."""
    for kind in Kind:
        nodes = [node for node in graph.nodes if kind_of(node) is kind and node.operations]
        axes.bar([node.index for node in nodes], [node.operations / 1e9 for node in nodes], 0.86, color=COLORS[kind], zorder=2)
    height = worst.operations / 1e9
    if not height:
        words = "Darknet counts no operations\nof these layers"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=_INK, fontsize=10)
    else:
        axes.axhline(height, color=_INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=3)
        side = "right" if worst.index > 0.6 * len(graph.nodes) else "left"
        axes.text(worst.index, height + 0.015 * top, _about(worst), ha=side, va="bottom", fontsize=8.5, color=_INK, zorder=4)
    axes.set(xlim=(-0.8, _columns(graph) - 0.2), ylim=(0, 1.25 * top), xlabel="layer")
    axes.grid(axis="y", color="white", linewidth=1)
    axes.set_axisbelow(True)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _stages(graph: Graph) -> list[tuple[int, int, str]]:
    """First and last layer of each run of maps of one size, and the size."""
    runs = [[*run] for _, run in groupby(graph.nodes, key=lambda node: node.output[1:])]
    return [(run[0].index, run[-1].index, f"{run[0].output.width}×{run[0].output.height}") for run in runs]


def _about(node: Node) -> str:
    x, out = node.inputs[0], node.output
    what = f"[{node.name}]"
    if isinstance(node.layer, Convolutional):
        height, width = node.layer.sizes
        what = f"{width}×{height}, {x.channels} to {out.channels} channels"
    return f"layer {node.index}: {what}\nat {out.width}×{out.height}: {node.operations / 1e9:.4f} BFLOPs"


def _legend(figure: Figure, graphs: Sequence[Graph], top: float) -> None:
    """The kinds whose bars can be seen."""
    from matplotlib.patches import Patch

    there = {kind_of(node) for graph in graphs for node in graph.nodes if node.operations > 0.003e9 * top}
    patches = [Patch(color=COLORS[kind], label=kind.value) for kind in Kind if kind in there]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9)


def _plain(name: str) -> str:
    """A name as matplotlib takes it: between dollar signs there would be formulas."""
    return brief(printable(name), 60).replace("$", r"\$")
