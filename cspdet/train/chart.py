"""The chart of a training: loss, learning rate and mean average precision over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cspdet.files import replacing
from cspdet.train.log import Row

# More points than this are not seen.
_POINTS = 2000


def draw(path: Path, rows: Sequence[Row], title: str, max_batches: int, largest_loss: float) -> None:
    """Write the chart as PNG, whole or not at all (`image_opencv.cpp:draw_train_loss`).

    The loss is cut at `largest_loss`, which is `max_chart_loss` in the cfg; Darknet cuts at 20 where the cfg does not say.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    every = rows[:: max(1, len(rows) // _POINTS)]
    steps = [row.iteration for row in every]
    losses.plot(steps, [row.loss for row in every], color="#b8cdf0", linewidth=0.6, label="loss of a step")
    losses.plot(steps, [row.average_loss for row in every], color="#1f4fd8", linewidth=1.5, label="average loss")
    losses.set_ylim(0, _top([row.average_loss for row in every], largest_loss))
    losses.set_ylabel("loss")
    losses.grid(alpha=0.3)
    lines = losses.get_legend_handles_labels()
    scored = [(row.iteration, row.mean_average_precision) for row in rows if row.mean_average_precision is not None]
    if scored:
        lines = _precision(losses, scored, lines)
    losses.legend(*lines, loc="center right")
    last = rows[-1]
    heading = f"{title}: step {last.iteration:,} of {max_batches:,}, average loss {last.average_loss:.4g}"
    if scored:
        heading += f", mAP {100 * scored[-1][1]:.1f} % (best {100 * max(each for _, each in scored):.1f} %)"
    losses.set_title(heading, fontsize=11)
    rates.plot(steps, [row.learning_rate for row in every], color="#777777", linewidth=1)
    rates.set_ylabel("learning rate")
    rates.set_xlabel("step")
    rates.set_xlim(0, max(max_batches, last.iteration))
    rates.set_ylim(bottom=0)
    rates.grid(alpha=0.3)
    with replacing(path) as file:
        canvas.print_png(file)


def _precision(losses: Any, scored: list[tuple[int, float]], lines: Any) -> Any:
    """The precision, on an axis of its own."""
    precision = losses.twinx()
    precision.plot(
        *zip(*((step, 100 * value) for step, value in scored), strict=True), "o-", color="#c22f2f", markersize=3, label="mAP"
    )
    precision.set_ylim(0, 100)
    precision.set_ylabel("mAP, %")
    more = precision.get_legend_handles_labels()
    return lines[0] + more[0], lines[1] + more[1]


def _top(averages: Sequence[float], largest: float) -> float:
    """Where the loss's axis ends: losses of the first steps may be far above all others."""
    settled = sorted(averages[len(averages) // 20 :])
    wanted = 1.5 * settled[int(0.98 * (len(settled) - 1))] if settled else 1.0
    return max(min(wanted, largest), 1e-6)
