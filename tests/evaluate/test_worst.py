"""The images with the most mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from cspdet.evaluate.protocols import darknet, voc
from cspdet.evaluate.worst import draw_mistakes, worst
from cspdet.image import Pixels
from tests.evaluate.material import Thing, collected

A, B, C = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0), (40.0, 40.0, 60.0, 60.0)
FOUND = [
    Thing(1, 0, A, 0.9),  # right
    Thing(2, 1, A, 0.9),  # wrong: another class
    Thing(3, 0, B, 0.6),  # wrong: nothing there
    Thing(4, 0, C, 0.8),  # wrong: nothing there, and surer
    Thing(5, 0, A, 0.2),  # not sure enough
]
TRUTH = [Thing(1, 0, A), Thing(2, 0, A), Thing(2, 0, B), Thing(5, 0, A), Thing(6, 0, A, difficult=True)]


def test_the_worst_come_first() -> None:
    seen = collected(FOUND, TRUTH, range(1, 8))
    chosen = worst(seen, darknet(seen, 2, 0.5, 0.25), 10)
    # Of those with one mistake, the surer one comes first; images without any are not among them.
    assert [each.image for each in chosen] == [2, 4, 3, 5]
    two = chosen[0]
    assert [[int(row) for row in rows] for rows in two[1:]] == [[], [1, 2], [], [1]]
    assert [each.image for each in worst(seen, darknet(seen, 2, 0.5, 0.25), 2)] == [2, 4]
    assert [each.image for each in worst(seen, voc(seen, 2, 0.5, 0.95), 10)] == [2, 1, 5]


def test_a_perfect_detector() -> None:
    seen = collected(FOUND[:1], TRUTH[:1])
    assert worst(seen, darknet(seen, 2, 0.5, 0.25), 5) == []


def near(picture: Pixels, row: float, column: float, color: tuple[int, int, int]) -> bool:
    """Whether a pixel, or one beside it, has this colour."""
    there = picture[max(0, round(row) - 1) : round(row) + 2, max(0, round(column) - 1) : round(column) + 2]
    return bool((np.abs(there.astype(int) - color).max(2) <= 40).any())


@pytest.mark.parametrize("size", [(64, 64), (600, 300), (3000, 2000), (20, 900), (900, 20)], ids=str)
def test_mistakes_are_drawn(size: tuple[int, int]) -> None:
    width, height = size

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * width, top * height, right * width, bottom * height

    sides = {"right": box(0.05, 0.05, 0.25, 0.4), "wrong": box(0.7, 0.05, 0.9, 0.4), "missed": box(0.05, 0.6, 0.25, 0.95)}
    found = [Thing(1, 0, sides["right"], 0.9), Thing(1, 1, sides["wrong"], 0.8)]
    seen = collected(found, [Thing(1, 0, sides["right"]), Thing(1, 1, sides["missed"])], (), {1: size})
    (each,) = worst(seen, darknet(seen, 2, 0.5, 0.25), 1)
    before = np.full((height, width, 3), 128, np.uint8)
    drawn = draw_mistakes(before, each, seen, ("cat", "dog"), "x.jpg")
    assert (before == 128).all()
    scale = min(1280 / max(size), 5)
    inside = drawn[52:, : max(1, round(width * scale))]
    assert inside.shape[0] == max(1, round(height * scale))
    assert drawn.shape[1] >= 480
    if min(size) > 100:
        # Detections are drawn over objects.
        for name, color in (("right", (220, 130, 20)), ("wrong", (40, 30, 220)), ("missed", (0, 190, 255))):
            left, top, right, bottom = (value * scale for value in sides[name])
            x, y = (left + right) / 2, (top + bottom) / 2
            assert near(inside, y, right, color), name
            assert near(inside, bottom, x, color), name
            assert near(inside, y, x, (128, 128, 128)), name
    # The line above is on paper, and says something.
    assert (drawn[2] == 245).all()
    assert (drawn[:52] < 100).any()


def test_long_and_foreign_titles() -> None:
    seen = collected(FOUND, TRUTH, (), dict.fromkeys(range(1, 8), (64, 64)))
    (each,) = worst(seen, darknet(seen, 2, 0.5, 0.25), 1)
    drawn = draw_mistakes(np.zeros((64, 64, 3), np.uint8), each, seen, ("猫", "dog"), "很长\n" * 80)
    # The paper ends the line, not the edge.
    assert (drawn[:30, -3:] == 245).all()
    assert (drawn[:30] < 100).any()
