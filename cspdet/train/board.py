"""The log for TensorBoard."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from cspdet.errors import UsageError
from cspdet.train.log import Row

# What is shown, by its name there; the rest of a row is about time and place.
_SCALARS = {
    "loss/step": "loss",
    "loss/average": "average_loss",
    "loss/box": "box",
    "loss/objectness": "objectness",
    "loss/classes": "classes",
    "rate": "learning_rate",
    "IoU": "iou",
    "mAP": "mean_average_precision",
    "images per second": "images_per_second",
    "waiting": "waiting",
}


class Board:
    """Writes TensorBoard's files into a folder."""

    def __init__(self, folder: Path) -> None:
        """Open them.

        Raises:
            UsageError: TensorBoard is not installed.
        """
        try:
            module: Any = import_module("torch.utils.tensorboard")
        except ImportError:
            raise UsageError("`--tensorboard` needs TensorBoard", "`pip install tensorboard`") from None
        self.writer: Any = module.SummaryWriter(str(folder))

    def add(self, row: Row) -> None:
        """One more step or evaluation."""
        for name, field in _SCALARS.items():
            value = getattr(row, field)
            if value is not None:
                self.writer.add_scalar(name, value, row.iteration)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
