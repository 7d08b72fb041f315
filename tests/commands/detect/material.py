"""The network of `tests.test_detector`, whose boxes can be told from the picture, and what the tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2

from tests.test_detector import picture

Run = Callable[..., tuple[int, str, str]]

NET = ("colours.cfg", "colours.weights")
# What is printed of `TWO`, from left to right.
LINES = [
    "red: 100%\t(left_x:   16   top_y:   32   width:   16   height:   16)",
    "green: 100%\t(left_x:   48   top_y:    0   width:   16   height:   16)",
]


def make_video(name: str, frames: int = 4) -> None:
    """A red square goes from left to right."""
    writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture((number % 4, 1, 0)))
    writer.release()


def new_files(folder: Path) -> set[str]:
    """What the command wrote, anywhere, hidden files too."""
    given = {*NET, "colours.names", "two.png", "blue.png", "black.png"}
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()} - given


def boxes_of(out: str) -> list[str]:
    return [line for line in out.splitlines() if "left_x" in line]


def frames_of(path: str) -> int:
    capture = cv2.VideoCapture(path)
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count
