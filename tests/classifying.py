"""A classifier that tells red from green from blue, and pictures of these colours."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

COLOURS = ("red", "green", "blue")


def write_classifier(
    folder: Path,
    name: str = "tell",
    *,
    size: tuple[int, int] = (16, 16),
    end: str = "[softmax]\n",
    names: Sequence[str] = COLOURS,
) -> tuple[Path, Path]:
    """A cfg whose outputs before its end are 10 times the mean of each channel, red first; weights; and names beside them."""
    cfg = folder / f"{name}.cfg"
    cfg.write_text(
        f"[net]\nwidth={size[0]}\nheight={size[1]}\nchannels=3\n"
        f"[convolutional]\nfilters=3\nsize=1\nstride=1\nactivation=linear\n[avgpool]\n{end}"
    )
    weights = folder / f"{name}.weights"
    values = np.concatenate([np.zeros(3), 10 * np.eye(3).reshape(-1)])
    weights.write_bytes(struct.pack("<iiiQ", 0, 2, 5, 0) + values.astype("<f4").tobytes())
    if names:
        (folder / f"{name}.names").write_text("\n".join(names) + "\n")
    return cfg, weights


def paint(path: Path, colour: int | Sequence[int], size: tuple[int, int] = (40, 30)) -> Path:
    """A picture of one colour: a class, or blue, green and red of 0 … 255."""
    values = [255 * (2 - each == colour) for each in range(3)] if isinstance(colour, int) else [*colour]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), values, np.uint8))
    return path


def write_classified(folder: Path) -> Path:
    """A `.data` file with nine pictures in a folder for each class. Two of the three blue ones are rather green."""
    for number, name in enumerate(COLOURS):
        for each in range(3):
            greenish = name == "blue" and each
            paint(folder / "all" / name / f"{each}.png", (100, 200, 0) if greenish else number)
    (folder / "colours.names").write_text("\n".join(COLOURS) + "\n")
    data = folder / "colours.data"
    data.write_text("classes=3\ntrain=all\nvalid=all\nnames=colours.names\ntop=2\n")
    return data
