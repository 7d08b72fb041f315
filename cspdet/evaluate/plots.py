"""Pictures of a report: precision over recall, and the confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UsageError
from cspdet.evaluate.precision import Curve, at_recalls, envelope
from cspdet.evaluate.report import Report
from cspdet.files import temporary
from cspdet.fonts import families
from cspdet.text import counted, printable, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Up to so many classes each has a colour and a line in the legend.
_NAMED = 12
_LONGEST_NAME = 24
# Up to so many classes all are in the confusion matrix, also those with nothing in their row and column.
_WHOLE = 30
# With more classes, only shares are drawn: no names, no counts.
_LEGIBLE = 120
_INK, _FAINT = "#202020", "#b0b0b0"


def check_plot(path: str | Path) -> None:
    """See that a plot could be made, before the work whose result it shows.

    Raises:
        UsageError: matplotlib is not installed, or the ending of the file's name is no format that it writes.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("plots need the package `matplotlib`, which is not installed", "pip install matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if Path(path).suffix.lower().removeprefix(".") not in FigureCanvasAgg.filetypes:
        raise UsageError(f"cannot write `{path}`: `{Path(path).suffix}` is no format of plots", "use `.png`, `.svg` or `.pdf`")


def plot_precision(report: Report, path: str | Path) -> None:
    """Draw precision over recall of each class, and their mean, into a file; its ending says how.

    Warns of letters in names that no font has.

    Raises:
        UsageError: it cannot be written.
    """
    figure = _figure(8.4, 6)
    axes = figure.add_subplot()
    there = [number for number, each in enumerate(report.classes) if each.truths]
    recalls = np.linspace(0, 1, 101)
    mean = np.mean([at_recalls(report.curves[number], recalls) for number in there], axis=0)
    (line,) = axes.plot(recalls, mean, color=_INK, linewidth=2.4, linestyle=(0, (4, 1.5)), zorder=5)
    whole = f"{100 * report.map:5.1f} %  {'AP' if report.protocol == 'coco' else 'mAP'}"
    if len(there) > _NAMED:
        _many_curves(figure, axes, report, there)
        axes.legend([line], [whole], loc="upper right", facecolor="white", edgecolor="none", framealpha=0.9)
    else:
        named = _named_curves(axes, report, there)
        beside: Any = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "frameon": False, "alignment": "left"}
        handles, labels = zip((line, whole), *named, strict=True)
        font = {"family": families(labels, "DejaVu Sans Mono"), "size": 8.5}
        axes.legend(handles, labels, title="average precision", prop=font, title_fontsize=9, **beside)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(f"Precision over recall, IoU {report.iou_threshold:g}", loc="left", color=_INK)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _named_curves(axes: Any, report: Report, there: Sequence[int]) -> list[tuple[Any, str]]:
    """Each class in a colour of its own, and a dot where confidence is at the threshold; gives the lines of the legend."""
    from matplotlib import colormaps

    palette = colormaps["tab20" if len(there) > 10 else "tab10"]
    dot: Any = {"marker": "o", "markersize": 6, "markeredgecolor": "white", "linestyle": "", "zorder": 6}
    whole: Any = {"clip_on": False, "in_layout": False}  # also at the axes' ends
    named = []
    for place, number in enumerate(there):
        curve, each, color = report.curves[number], report.classes[number], palette(place)
        (line,) = axes.step(*_steps(curve), where="pre", linewidth=1.6, color=color)
        axes.plot(curve.recall, curve.precision, linewidth=0.6, alpha=0.5, color=color)
        sure = int((curve.confidence > np.float32(report.threshold)).sum())
        if sure:
            axes.plot(curve.recall[sure - 1], curve.precision[sure - 1], color=color, **dot, **whole)
        named.append((line, f"{100 * (each.average_precision or 0):5.1f} %  {_name(each.name)}"))
    return [*named, (axes.plot([], [], color=_FAINT, **dot)[0], f"confidence {report.threshold:g}")]


def _many_curves(figure: Figure, axes: Any, report: Report, there: Sequence[int]) -> None:
    """Each class in the colour of its average precision, with a scale of these beside."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    for number in there:
        color = colormaps["viridis"](report.classes[number].average_precision or 0.0)
        axes.step(*_steps(report.curves[number]), where="pre", linewidth=0.8, alpha=0.7, color=color)
    scale = ScalarMappable(Normalize(0, 1), "viridis")
    figure.colorbar(scale, ax=axes, label="average precision of the class", fraction=0.05, pad=0.02)


def _steps(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recalls and the best precision from there on, from the axis to where the curve ends, as the area below is counted."""
    if not len(curve.recall):
        return np.zeros(1), np.zeros(1)
    best = envelope(curve.precision)
    return np.concatenate([[0], curve.recall, curve.recall[-1:]]), np.concatenate([best[:1], best, [0]])


def plot_confusion(matrix: NDArray[np.int64], names: Sequence[str], path: str | Path, title: str = "") -> None:
    """Draw a confusion matrix, as `confusion` gives it or a classifier's, which has no background; the file's ending says how.

    Colours are shares of the row, numbers are counts; of more than 120 classes, there are colours alone. Warns of letters in
    names that no font has.

    Raises:
        UsageError: it cannot be written.
    """
    background = len(matrix) > len(names)
    labels = [*map(_name, names), *(["background"] if background else [])]
    used = matrix.sum(0) + matrix.sum(1) > 0
    used[len(names) :] = True
    if used.sum() > _LEGIBLE:
        _plot_many(matrix, path, title)
        return
    if len(matrix) > _WHOLE and not used.all():
        left_out = counted(int((~used).sum()), "class", "classes")
        title = f"{title}; without {left_out} that nothing is or was found as"
        matrix, labels = matrix[used][:, used], [label for label, each in zip(labels, used, strict=True) if each]
    many = len(matrix)
    cell = min(0.62, max(0.21, 7 / many))
    figure = _figure(cell * many + 3, cell * many + 2.6)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = min(10.0, 26 * cell)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        color = "white" if shares[row, column] > 0.55 else _INK
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=size, color=color)
    font: Any = {"fontsize": size + 0.5, "family": families(labels)}
    axes.set_xticks(range(many), labels, rotation=90, **font)
    axes.set_yticks(range(many), labels, **font)
    axes.tick_params(length=0)
    for lines in (axes.hlines, axes.vlines):
        lines(np.arange(1, many) - 0.5, -0.5, many - 0.5, color="#e6e6e6", linewidth=0.5)
    for edge in (axes.axhline, axes.axvline) if background else ():
        edge(many - 1.5, color=_INK, linewidth=1)
    large = 11 + many / 8
    axes.set_xlabel("found as", fontsize=large)
    axes.set_ylabel("is", fontsize=large)
    axes.set_title(title, loc="left", color=_INK, fontsize=large)
    _save(figure, path)


def _plot_many(matrix: NDArray[np.int64], path: str | Path, title: str) -> None:
    """A confusion matrix without names and counts, which would be too many."""
    figure = _figure(9, 9)
    axes = figure.add_subplot()
    axes.imshow(matrix / np.maximum(matrix.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, interpolation="antialiased")
    axes.set(xlabel="found as: number of the class", ylabel="is: number of the class")
    axes.set_title(title, loc="left", color=_INK)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    """A figure of its own, which no backend or window knows of; sides in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | Path) -> None:
    with temporary(path) as beside, warnings.catch_warnings():
        # Of letters that no font has, we have warned in fewer words.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(beside)


def _name(name: str) -> str:
    """A name as matplotlib takes it: between dollar signs there would be formulas."""
    return shortened(printable(name), _LONGEST_NAME).replace("$", r"\$")
