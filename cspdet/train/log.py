"""What training tells while it runs: a line on the screen, `log.csv`, TensorBoard."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.files import replacing, unwritable
from cspdet.paths import is_file

# Rows kept in memory, for the chart.
_MOST = 50_000
# The columns of whole numbers.
_WHOLE = ("iteration", "images", "width", "height")


class Row(NamedTuple):
    """One step, or one evaluation, as it stands in the log."""

    iteration: int
    images: int
    loss: float
    average_loss: float
    learning_rate: float
    box: float
    objectness: float
    classes: float
    # Mean overlap of assigned boxes with their truths, and how many there were.
    iou: float
    assigned: float
    width: int
    height: int
    images_per_second: float
    # Share of the time that the network waited for pictures.
    waiting: float
    seconds: float
    # Empty where nothing was evaluated.
    mean_average_precision: float | None = None


class Log:
    """The rows so far, in memory and in a file that is added to as training goes."""

    def __init__(self, path: Path | None, iteration: int = 0) -> None:
        """Go on with the log at `path` from step `iteration`; rows behind it are of steps that are made again."""
        self.path = path
        self.rows: list[Row] = []
        if path is None:
            return
        if iteration and is_file(path):
            self.rows = [row for row in _read(path) if row.iteration <= iteration]
        with replacing(path) as file:
            file.write(_text([Row._fields, *map(_words, self.rows)]).encode())

    def add(self, row: Row) -> None:
        """One more row. Without a file, none is kept; of very many, every second one.

        Raises:
            UsageError: it cannot be written.
        """
        if self.path is None:
            return
        self.rows.append(row)
        if len(self.rows) > _MOST:
            self.rows = [each for place, each in enumerate(self.rows) if place % 2 or each.mean_average_precision is not None]
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_text([_words(row)]))
        except OSError as error:
            raise unwritable(self.path, error) from None


def _words(row: Row) -> list[str]:
    return ["" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value) for value in row]


def _text(rows: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read(path: Path) -> list[Row]:
    """The whole rows of a log; the last may have been cut."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        whole = [words for words in csv.reader(file) if len(words) == len(Row._fields) and words[0].isdecimal()]
    rows = []
    for words in whole:
        with suppress(ValueError):  # edited by hand
            rows.append(_row(words))
    return rows


def _row(words: list[str]) -> Row:
    values = [
        int(word) if name in _WHOLE else float(word) if word else None for name, word in zip(Row._fields, words, strict=True)
    ]
    return Row(*values)  # type: ignore[arg-type]
