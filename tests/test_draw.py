"""Boxes on images: what changes, what does not, and what must not fail."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from cspdet import Detections
from cspdet.draw import color_of, draw
from cspdet.image import Pixels


def found(*boxes: Any, names: tuple[str, ...] = ("dog",), class_id: int = 0, confidence: float = 0.9) -> Detections:
    return Detections(boxes, [confidence] * len(boxes), [class_id] * len(boxes), names, (100, 80))


def ground(*shape: int) -> Pixels:
    return np.full(shape or (80, 100, 3), 90, np.uint8)


def changed(before: Pixels, after: Pixels) -> Any:
    return (before != after).any(2)


def has_colour(pixel: Any, class_id: int) -> bool:
    """Whether it has a class's colour; thin lines are blended with the ground a little."""
    return bool(np.abs(pixel.astype(int) - color_of(class_id)).max() <= 25)


def test_a_box_is_drawn_where_it_is() -> None:
    picture = ground(400, 500, 3)
    drawn = draw(picture, found((100, 120, 300, 350)))
    where = changed(picture, drawn)
    # The middle of every edge has the class's colour; what is inside, and what is far, stays.
    for y, x in ((120, 290), (350, 200), (200, 100), (200, 300)):
        assert has_colour(drawn[y, x], 0)
    assert not where[160:340, 110:290].any()
    assert not where[360:].any()
    assert not where[:, 310:].any()
    assert not where[:, :90].any()
    # The label stands on the box.
    assert where[90:118, 100:130].all(1).any()


def test_the_input_is_not_changed() -> None:
    for picture in (ground(), ground(80, 100), ground(80, 100, 1), ground(80, 100, 4)):
        before = picture.copy()
        draw(picture, found((10, 30, 60, 70)))
        assert np.array_equal(picture, before)


@pytest.mark.parametrize("shape", [(80, 100), (80, 100, 1), (80, 100, 3), (80, 100, 4), (80, 100, 5)], ids=str)
def test_the_result_has_three_channels(shape: tuple[int, ...]) -> None:
    for rows in (found(), found((10, 30, 60, 70))):
        drawn = draw(ground(*shape), rows)
        assert drawn.shape == (80, 100, 3)
        assert drawn.dtype == np.uint8


def test_nothing_found_changes_nothing() -> None:
    picture = ground()
    drawn = draw(picture, found())
    assert np.array_equal(drawn, picture)
    assert drawn is not picture
    assert not np.shares_memory(drawn, picture)


def test_pictures_that_are_views() -> None:
    picture = np.ascontiguousarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
    rows = found((10, 30, 60, 70))
    for view in (picture[::-1], picture[:, ::-1], picture[:, :, ::-1], picture[::2, ::2]):
        assert np.array_equal(draw(view, rows), draw(view.copy(), rows))


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 50, 40),
        (50, 40, 500, 400),
        (-1e30, -1e30, 1e30, 1e30),
        (-INF, -INF, INF, INF),
        (NAN, NAN, NAN, NAN),
        (NAN, 10, 50, INF),
        (200, 200, 300, 300),
        (-300, -300, -200, -200),
        (60, 70, 10, 30),
        (20, 20, 20, 20),
        (99, 79, 100, 80),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(80, 100), (1, 1), (1, 300), (300, 1), (12, 9)], ids=str)
def test_boxes_anywhere(box: tuple[float, ...], size: tuple[int, int]) -> None:
    drawn = draw(ground(*size, 3), found(box))
    assert drawn.shape == (*size, 3)


def test_a_box_beyond_the_image_is_drawn_along_its_edge() -> None:
    picture = ground(80, 100, 3)
    drawn = draw(picture, found((-50, -50, 500, 400)))
    for y, x in ((79, 50), (40, 0), (40, 99)):
        assert has_colour(drawn[y, x], 0)
    assert not changed(picture, drawn)[40:70, 10:90].any()


@pytest.mark.parametrize("box", [(0, 0, 99, 79), (60, 0, 99, 79), (0, 60, 99, 79), (90, 70, 99, 79)], ids=str)
def test_labels_stay_in_the_image(box: tuple[int, ...]) -> None:
    """As many of the label's pixels are there as where there is room."""
    picture = ground(80, 100, 3)
    label = (draw(picture, found(box)) != draw(picture, found(box, names=("",)))).any(2).sum()
    roomy = ground(300, 300, 3)
    there = (draw(roomy, found((20, 150, 59, 179))) != draw(roomy, found((20, 150, 59, 179), names=("",)))).any(2).sum()
    assert label > 0.5 * there


@pytest.mark.parametrize("name", ["Straße", "猫", "🐈", "", "a\nb", "a" * 500, "%s {} \\", "\udcff"])
def test_names(name: str) -> None:
    picture = ground()
    drawn = draw(picture, found((10, 30, 60, 70), names=(name,)))
    assert changed(picture, drawn).any()


@pytest.mark.parametrize("class_id", [-1, 0, 79, 10**9])
def test_classes_without_a_name(class_id: int) -> None:
    drawn = draw(ground(), found((10, 30, 60, 70), names=(), class_id=class_id))
    assert has_colour(drawn[70, 30], class_id)


@pytest.mark.parametrize("confidence", [0, 1, NAN])
def test_confidences(confidence: float) -> None:
    assert changed(ground(), draw(ground(), found((10, 30, 60, 70), confidence=confidence))).any()


def test_the_surest_is_on_top() -> None:
    box = (10, 30, 60, 70)
    for confidences, sure in (((0.9, 0.3), 0), ((0.3, 0.9), 1)):
        rows = Detections([box, box], confidences, [0, 1], ("a", "b"), (100, 80))
        assert has_colour(draw(ground(), rows)[70, 30], sure)


def test_lines_are_visible_in_large_pictures() -> None:
    picture = ground(2000, 3000, 3)
    where = changed(picture, draw(picture, found((1000, 1000, 2000, 1800))))
    assert where[1400, 990:1011].sum() >= 6
    assert where[1400, 990:1011].sum() <= 12


def test_colours_can_be_told_apart() -> None:
    for one, two in combinations(range(8), 2):
        assert np.abs(np.array(color_of(one)) - color_of(two)).sum() > 60
    assert all(0 <= value <= 255 for number in range(200) for value in color_of(number))
