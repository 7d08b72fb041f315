"""What was measured, as a table, as JSON, and as a chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cspdet.bench.measure import Figures
from cspdet.files import temporary

# What the product of two square matrices of this side takes, in floating point operations (`worker._product`).
PEAK_OPERATIONS = 2 * 2048**3


def table(figures: Sequence[Figures], operations: float, peak: float | None) -> Iterator[str]:
    """Lines of a table: least and median time of a batch, ratios to the best, speed, its share of the peak, start, memory.

    `operations` is what a batch takes, `peak` the operations per second of a large matrix product in the same run.
    """
    columns = ("", "least ms", "ratio", "median ms", "ratio", "GFLOP/s", "of peak", "start s", "MiB")
    widths = (-18, 10, 7, 11, 7, 9, 9, 9, 7)

    def row(*words: str) -> str:
        return "".join(
            word.ljust(-width) if width < 0 else word.rjust(width) for word, width in zip(words, widths, strict=True)
        )

    yield row(*columns)
    least, middle = min(each.least for each in figures), min(each.middle for each in figures)
    for each in sorted(figures, key=lambda one: one.least):
        speed = operations / each.least
        share = f"{100 * speed / peak:.0f} %" if peak else ""
        times = (
            f"{1e3 * each.least:.2f}",
            f"{each.least / least:.2f}",
            f"{1e3 * each.middle:.2f}",
            f"{each.middle / middle:.2f}",
        )
        memory = "" if each.memory is None else f"{each.memory / 2**20:.0f}"
        yield row(each.name, *times, f"{speed / 1e9:.1f}", share, f"{each.start:.2f}", memory)


def as_json(figures: Sequence[Figures], about: Mapping[str, Any], operations: float, peak: float | None) -> dict[str, Any]:
    """All of it, in seconds, bytes and operations."""
    rows = [
        {
            "name": each.name,
            "least": each.least,
            "median": each.middle,
            "times": each.times,
            "operations_per_second": operations / each.least,
            "start": each.start,
            "memory": each.memory,
        }
        for each in figures
    ]
    return {**about, "operations": operations, "peak_operations_per_second": peak, "contenders": rows}


def plot(path: str | Path, figures: Sequence[Figures], title: str) -> None:
    """Draw a bar for each contender, the least time filled, the median as a mark.

    Raises:
        UsageError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ranked = sorted(figures, key=lambda one: -one.least)
    figure = Figure(figsize=(8, 1.1 + 0.42 * len(ranked)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(ranked))
    axes.barh(places, [1e3 * each.least for each in ranked], 0.62, color="#3b73b9")
    axes.plot([1e3 * each.middle for each in ranked], places, "|", color="#202020", markersize=14, label="median")
    for place, each in zip(places, ranked, strict=True):
        right = max(each.least, each.middle)
        axes.annotate(
            f"{1e3 * each.least:.1f}", (1e3 * right, place), (6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(places, [each.name for each in ranked])
    axes.set_xlabel("milliseconds, least of all runs")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.legend(loc="lower right", frameon=False)
    axes.set_xlim(0, 1.15e3 * max(max(each.least, each.middle) for each in ranked))
    axes.spines[["top", "right"]].set_visible(False)
    with temporary(path) as file:
        figure.savefig(file)
