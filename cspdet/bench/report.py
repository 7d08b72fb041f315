"""What was measured, as a table, as JSON, and as a chart."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.bench.measure import Figures
from cspdet.files import temporary
from cspdet.graph import Graph
from cspdet.text import printable

# What the product of two square matrices of this side takes, in floating point operations (`worker._product`).
PEAK_OPERATIONS = 2 * 2048**3
_INK = "#202020"
# Of less, in seconds, a chart says hundredths of milliseconds.
_SHORT = 0.01


class Case(NamedTuple):
    """A network of one size, a batch, and the device that it runs on."""

    graph: Graph
    batch: int
    device: str

    @property
    def operations(self) -> float:
        """Floating point operations of a batch."""
        return self.graph.operations * self.batch

    @property
    def size(self) -> str:
        """What tells it from others of the same network."""
        return f"{self.graph.input}, batch {self.batch}"

    @property
    def title(self) -> str:
        """All of it, in a line."""
        many = f", {self.batch} images at a time" if self.batch > 1 else ""
        where = f", {self.device}" if self.device != "cpu" else ""
        name = printable(Path(self.graph.source.path).stem)
        return f"{name}, {self.graph.input}{many}, {self.operations / 1e9:.3f} BFLOPs{where}"

    def as_json(self) -> dict[str, Any]:
        """All of it, in numbers."""
        return {
            "cfg": self.graph.source.path,
            "input": str(self.graph.input),
            "batch": self.batch,
            "device": self.device,
            "operations": self.operations,
        }


class Measured(NamedTuple):
    """A case, the figures of all contenders, and the operations per second of a large matrix product in the same run."""

    case: Case
    figures: Sequence[Figures]
    peak: float | None


def table(found: Measured) -> Iterator[str]:
    """Lines of a table: least and median time of a batch, ratios to the best, speed, its share of the peak, start, memory."""
    columns = ("", "least ms", "ratio", "median ms", "ratio", "GFLOP/s", "of peak", "start s", "MiB")
    names = max(17, *(len(each.name) for each in found.figures))
    widths = (-names - 1, 10, 7, 11, 7, 9, 9, 9, 7)

    def row(*words: str) -> str:
        return "".join(
            word.ljust(-width) if width < 0 else word.rjust(width) for word, width in zip(words, widths, strict=True)
        )

    yield row(*columns)
    least, middle = min(each.least for each in found.figures), min(each.middle for each in found.figures)
    for each in sorted(found.figures, key=lambda one: one.least):
        speed = found.case.operations / each.least
        # Darknet counts no operations of some layers.
        rate = f"{speed / 1e9:.1f}" if speed else ""
        share = f"{100 * speed / found.peak:.0f} %" if speed and found.peak else ""
        times = (
            f"{1e3 * each.least:.2f}",
            f"{each.least / least:.2f}",
            f"{1e3 * each.middle:.2f}",
            f"{each.middle / middle:.2f}",
        )
        memory = "" if each.memory is None else f"{each.memory / 2**20:.0f}"
        yield row(each.name, *times, rate, share, f"{each.start:.2f}", memory)
    if found.peak:
        yield f"peak: {found.peak / 1e9:.0f} GFLOP/s in a product of two 2048 x 2048 matrices"
        if round(100 * found.case.operations / least / found.peak) > 100:
            yield "more than 100 % of it: operations are counted as of ordinary convolutions; Winograd's algorithm takes fewer"


def as_json(found: Measured) -> dict[str, Any]:
    """All of it, in seconds, bytes and operations."""
    rows = [
        {
            "name": each.name,
            "least": each.least,
            "median": each.middle,
            "times": each.times,
            "operations_per_second": found.case.operations / each.least,
            "start": each.start,
            "memory": each.memory,
        }
        for each in found.figures
    ]
    return {**found.case.as_json(), "peak_operations_per_second": found.peak, "contenders": rows}


def plot(path: str | Path, runs: Sequence[Measured]) -> None:
    """Draw a bar for each contender, the least time filled, the median as a mark; a panel for each case.

    Raises:
        UsageError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [1.1 + 0.42 * len(each.figures) for each in runs]
    figure = Figure(figsize=(8, sum(heights)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(runs), squeeze=False, height_ratios=heights)[:, 0]
    for axes, each in zip(panels, runs, strict=True):
        _panel(axes, each)
    with temporary(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in letters that the font does not have
        figure.savefig(file)


def _panel(axes: Any, found: Measured) -> None:
    """The bars of one case."""
    ranked = sorted(found.figures, key=lambda one: -one.least)
    places = range(len(ranked))
    axes.barh(places, [1e3 * each.least for each in ranked], 0.62, color="#3b73b9")
    axes.plot([1e3 * each.middle for each in ranked], places, "|", color=_INK, markersize=14)
    for place, each in zip(places, ranked, strict=True):
        words = f"{_milliseconds(each.least)}  (median {_milliseconds(each.middle)})"
        at = (1e3 * max(each.least, each.middle), place)
        axes.annotate(words, at, (7, 0), textcoords="offset points", va="center", fontsize=9, color=_INK)
    axes.set_yticks(places, [each.name for each in ranked])
    axes.set_xlabel("milliseconds, least of all runs")
    axes.set_title(found.case.title, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    axes.set_xlim(0, 1.3e3 * max(max(each.least, each.middle) for each in ranked))
    axes.spines[["top", "right"]].set_visible(False)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}" if seconds > _SHORT else f"{1e3 * seconds:.2f}"
