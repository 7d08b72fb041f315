"""A picture of what a data set holds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdet.data.description import Description
from cspdet.data.statistics import Part
from cspdet.files import check_ending, temporary
from cspdet.fonts import families
from cspdet.text import counted, printable, shortened

# So many classes have a bar each; of more, the most frequent. Up to so many, all panels are of one size.
_MOST_BARS = 100
_FEW_BARS = 25
_MOST_BINS = 30
_FORMATS = (".png", ".jpg", ".svg", ".pdf")
_COLORS = ("#3b6ea8", "#d98b3a")


def write_chart(path: str | Path, description: Description, parts: Sequence[Part]) -> None:
    """Draw objects per class, sizes and places of boxes, and objects per image; the ending of `path` says how it is written.

    Raises:
        UsageError: it cannot be written, or the ending names no format.
    """
    check_chart(path)
    bars = min(description.classes, _MOST_BARS)
    figure, (classes, sizes, places, several) = _panels(bars)
    rows = np.concatenate([part.rows for part in parts])
    _classes(classes, description, parts, bars)
    _histogram(sizes, rows[:, 3], rows[:, 4], "sizes of boxes", "width", "height")
    _histogram(places, rows[:, 1], rows[:, 2], "centres of boxes", "x", "y")
    places.invert_yaxis()  # as in the image, y goes down
    _per_image(several, parts)
    with warnings.catch_warnings(), temporary(path) as beside:
        warnings.filterwarnings("ignore", message="Glyph")  # letters that no font has, of which a word was said
        figure.savefig(beside)


def check_chart(path: str | Path) -> None:
    """See that a chart could be written.

    Raises:
        UsageError: it cannot.
    """
    check_ending(path, _FORMATS, "charts")


def _panels(bars: int) -> tuple[Any, list[Any]]:
    """A figure and its four axes: in a square, or the bars of many classes beside the other three."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    few = bars <= _FEW_BARS
    figure = Figure(figsize=(13, 10) if few else (14, 2 + 0.17 * bars), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    if few:
        return figure, [*figure.subplots(2, 2).ravel()]
    grid = figure.add_gridspec(3, 2, width_ratios=(1.7, 1))
    return figure, [figure.add_subplot(grid[:, 0]), *(figure.add_subplot(grid[row, 1]) for row in range(3))]


def _classes(axes: Any, description: Description, parts: Sequence[Part], bars: int) -> None:
    counts = np.stack([part.per_class(description.classes) for part in parts])
    shown = np.sort(np.argsort(-counts.sum(0), kind="stable")[:bars])
    counts = counts[:, shown]
    at = np.arange(len(shown))
    thickness = 0.8 / len(parts)
    most = max(1, int(counts.max()))
    size = 10 if bars <= _FEW_BARS else 8
    for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
        offset = (number - (len(parts) - 1) / 2) * thickness
        axes.barh(at + offset, count, thickness, color=_COLORS[number % 2], label=part.name)
    for y, column in zip(at, counts.T.tolist(), strict=True):
        axes.text(max(column) + 0.01 * most, y, " / ".join(f"{value:,}" for value in column), va="center", fontsize=size)
    names = [shortened(printable(description.class_name(int(number))), 24) for number in shown]
    axes.set_yticks(at, names, fontsize=size, parse_math=False, family=families(names))
    axes.set(xlim=(0, 1.2 * most), ylim=(len(shown) - 0.4, -0.6))
    hidden = description.classes > len(shown)
    axes.set_title("objects per class" + (f" (the {bars} most frequent of {description.classes:,})" if hidden else ""))
    axes.spines[["top", "right"]].set_visible(False)
    if len(parts) > 1:
        axes.legend(loc="lower right", frameon=False)


def _histogram(axes: Any, x: Any, y: Any, title: str, x_label: str, y_label: str) -> None:
    """How often each pair occurs; logarithmic where a few cells hold most."""
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import FuncFormatter, NullFormatter

    bins = int(np.clip(np.sqrt(len(x)) / 2, 10, 50))
    grid, _, _ = np.histogram2d(x, y, bins, ((0, 1), (0, 1)))
    if grid.any():
        norm = LogNorm(1, grid.max()) if grid.max() > 20 else Normalize(0, grid.max())
        cells = np.where(grid > 0, grid, np.nan).T
        drawn = axes.imshow(cells, origin="lower", extent=(0, 1, 0, 1), cmap="viridis_r", norm=norm, interpolation="nearest")
        bar = axes.figure.colorbar(
            drawn, ax=axes, label="objects", shrink=0.8, format=FuncFormatter(lambda value, _: f"{value:g}")
        )
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.text(0.5, 0.5, "no objects", ha="center", va="center")
    axes.set(title=title, xlabel=f"{x_label}, as a share of the image's", ylabel=f"{y_label}, as a share of the image's")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")


def _per_image(axes: Any, parts: Sequence[Part]) -> None:
    most = max(int(part.per_image.max()) for part in parts)
    step = -(-(most + 1) // _MOST_BINS)
    edges = np.arange(0, most + 1 + step, step) - 0.5
    counts = [part.per_image for part in parts]
    labels = [f"{part.name}: {counted(len(part.per_image), 'image')}" for part in parts]
    found, _, _ = axes.hist(counts, edges, color=_COLORS[: len(parts)], label=labels)
    axes.set(title="objects per image", xlabel="objects", ylabel="images", ylim=(0, 1.25 * np.max(found)))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False)
