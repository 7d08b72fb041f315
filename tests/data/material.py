"""Small data sets, made where they are needed: images of one colour each, no two with the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

GOOD = "0 0.5 0.5 0.25 0.5\n"


def make_image(path: Path, number: int = 0, size: tuple[int, int] = (40, 20)) -> Path:
    """An image of (width, height), whose colour is its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (number % 256, number // 256 % 256, 7)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), colour, np.uint8))
    return path


def make_set(
    folder: Path, labels: Mapping[str, str | None], valid: Mapping[str, str | None] | None = None, names: str = "cat\ndog\n"
) -> Path:
    """A data set in `folder`: images with those labels (None for no file), lists, names. Gives the `.data` file."""
    number = 0
    lines = [f"classes = {len(names.splitlines())}", "names = made.names"]
    for part, given in (("train", labels), ("valid", valid)):
        if given is None:
            continue
        for stem, text in given.items():
            make_image(folder / "JPEGImages" / f"{stem}.png", number)
            number += 1
            if text is not None:
                (folder / "labels").mkdir(exist_ok=True)
                (folder / "labels" / f"{stem}.txt").write_text(text, "utf-8")
        (folder / f"{part}.txt").write_text("".join(f"JPEGImages/{stem}.png\n" for stem in given), "utf-8")
        lines.append(f"{part} = {part}.txt")
    (folder / "made.names").write_text(names, "utf-8")
    data = folder / "made.data"
    data.write_text("\n".join([*lines, ""]), "utf-8")
    return data
