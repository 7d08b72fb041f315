"""What a training shows on the screen."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cspdet.text import counted, printable

if TYPE_CHECKING:
    from cspdet.train.log import Row
    from cspdet.train.trainer import Trainer

# Warnings that are shown.
_MOST_WARNINGS = 20
# Seconds between two lines, where there is no terminal.
_PAUSE = 10.0


class View:
    """A table that is kept up to date on a terminal; elsewhere, a line now and then, as Darknet prints it."""

    def __init__(self, trainer: Trainer, *, visible: bool) -> None:
        self.trainer = trainer
        self.visible = visible
        self.started = time.monotonic()
        self.first = trainer.iteration
        self.printed = 0.0
        self.warnings = 0
        self.live: Any = None

    def __enter__(self) -> Self:
        from cspdet.train.inert import idle

        trainer = self.trainer
        trainer.on_skipped = self.warn  # type: ignore[method-assign]
        if self.visible:
            net = trainer.graph.net
            void = {each.option for each in idle(trainer.graph) if each.section == net.names[0]}
            kinds = ("mosaic", "mixup", "cutmix", "flip", "letter_box")
            augmented = [each for each in kinds if getattr(net, each) and each not in void]
            batch = f"batches of {trainer.batch} in {trainer.subdivisions}"
            steps = f"steps {trainer.iteration + 1:,} to {net.max_batches:,} on {trainer.device}"
            if trainer.iteration >= net.max_batches:
                steps = f"all {net.max_batches:,} steps are made"
            how = f" with {', '.join(augmented)}" if augmented else ""
            print(printable(f"{trainer.settings.name}: {counted(len(trainer.task.pictures), 'image')}, {batch}, {steps}{how}"))
        if self.visible and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self.live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.live:
            self.live.stop()
        if self.warnings > _MOST_WARNINGS:
            print(f"warning: of {self.warnings:,} files, something was left out", file=sys.stderr)

    def warn(self, word: str) -> None:
        """Something of a file was left out. After a few, there are too many to tell."""
        self.warnings += 1
        if self.warnings <= _MOST_WARNINGS:
            print(f"warning: {printable(word)}", file=sys.stderr)
        if self.warnings == _MOST_WARNINGS:
            check = "cspdet data check" if self.trainer.graph.heads else "cspdet data check --classify"
            print(f"warning: what else is left out is not shown; `{check}` lists it", file=sys.stderr)

    def show(self, row: Row) -> None:
        """A step is done. Where nobody reads any more, training goes on in silence."""
        try:
            self._show(row)
        except OSError:
            self.visible = False
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as we live

    def _show(self, row: Row) -> None:
        if not self.visible:
            return
        if self.live:
            self.live.update(self._table(row))
        now = time.monotonic()
        scored = row.mean_average_precision is not None
        due = now - self.printed >= _PAUSE or row.iteration == self.trainer.graph.net.max_batches
        if scored or (due and not self.live):
            self.printed = now
            print(self._line(row), flush=True)

    def _hours_left(self, row: Row) -> float:
        done = max(row.iteration - self.first, 1)
        return (time.monotonic() - self.started) / done * (self.trainer.graph.net.max_batches - row.iteration) / 3600

    def _line(self, row: Row) -> str:
        if row.mean_average_precision is not None:
            best = max(self.trainer.best, 0)
            what = "mAP" if self.trainer.graph.heads else "top-1"
            return f" {row.iteration}: {what} {100 * row.mean_average_precision:.2f} %, best {100 * best:.2f} %"
        return (
            f" {row.iteration}: {row.loss:.4f}, {row.average_loss:.4f} avg loss, {row.learning_rate:.6f} rate, "
            f"{row.seconds:.2f} seconds, {row.images} images, {self._hours_left(row):.2f} hours left, "
            f"{row.images_per_second:.1f} images/s, {100 * row.waiting:.1f} % waiting"
        )

    def _table(self, row: Row) -> Any:
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        cells = {
            "step": f"{row.iteration:,}/{self.trainer.graph.net.max_batches:,}",
            "loss": f"{row.loss:.4g}",
            "average": f"{row.average_loss:.4g}",
            "box": f"{row.box:.3g}",
            "objectness": f"{row.objectness:.3g}",
            "class": f"{row.classes:.3g}",
            "IoU": f"{row.iou:.3f}",
            "rate": f"{row.learning_rate:.3g}",
            "size": f"{row.width}x{row.height}",
            "images/s": f"{row.images_per_second:.1f}",
            "waiting": f"{100 * row.waiting:.1f} %",
            "best mAP": f"{100 * self.trainer.best:.1f} %" if self.trainer.best >= 0 else "–",
            "hours left": f"{self._hours_left(row):.2f}",
        }
        for name in cells:
            table.add_column(name, justify="right")
        table.add_row(*cells.values())
        return table
