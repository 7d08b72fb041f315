"""Anchors that fit boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.data.anchors import anchor_text, fit, rate, rounded
from cspdet.data.description import read_description
from cspdet.data.statistics import boxes_of
from cspdet.errors import UsageError
from tests.conftest import REFERENCE

SIDE = st.integers(1, 64).map(lambda value: value / 64)
BOXES = st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=60)


def overlap(box: tuple[float, float], anchor: tuple[float, float]) -> float:
    """IoU of two boxes with a common corner, as `detector.c:calc_anchors` writes it."""
    shared = min(box[0], anchor[0]) * min(box[1], anchor[1])
    return shared / (box[0] * box[1] + anchor[0] * anchor[1] - shared)


@given(BOXES, st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=9))
def test_the_rating_is_the_mean_of_the_best_overlaps(
    boxes: list[tuple[float, float]], anchors: list[tuple[float, float]]
) -> None:
    found = rate(np.array(boxes), np.array(anchors))
    best = [max(overlap(box, anchor) for anchor in anchors) for box in boxes]
    assert found.overlap == pytest.approx(np.mean(best))
    assert found.counts.sum() == len(boxes)


@given(BOXES, st.data())
@settings(deadline=None)
def test_what_holds_of_every_fit(boxes: list[tuple[float, float]], data: st.DataObject) -> None:
    number = data.draw(st.integers(1, min(9, len({*boxes}))))
    found = fit(np.array(boxes), number, rounds=3)
    assert found.sizes.shape == (number, 2)
    areas = found.sizes.prod(1)
    assert (np.diff(areas) >= 0).all()
    assert found.counts.sum() == len(boxes)
    again = rate(np.array(boxes), found.sizes)
    assert again.overlap == pytest.approx(found.overlap)
    # Within the boxes, and no worse than one anchor for all.
    assert (found.sizes >= np.min(boxes, 0) - 1e-12).all()
    assert (found.sizes <= np.max(boxes, 0) + 1e-12).all()
    mean = rate(np.array(boxes), np.mean(boxes, 0, keepdims=True))
    assert found.overlap >= mean.overlap - 1e-12 or number == 1


def test_groups_that_lie_apart_are_found() -> None:
    generator = np.random.default_rng(0)
    centres = np.array([(0.05, 0.1), (0.1, 0.05), (0.3, 0.3), (0.8, 0.4), (0.5, 0.9)])
    counts = (50, 400, 100, 20, 300)
    boxes = np.concatenate([centre * generator.uniform(0.97, 1.03, (n, 2)) for centre, n in zip(centres, counts, strict=True)])
    found = fit(boxes, 5)
    order = np.lexsort((found.sizes[:, 0], found.sizes.prod(1).round(3)))
    np.testing.assert_allclose(found.sizes[order], centres, rtol=0.02)
    assert sorted(found.counts) == sorted(counts)


def test_as_many_anchors_as_sizes_fit_exactly() -> None:
    boxes = np.array([(0.1, 0.2), (0.3, 0.2), (0.1, 0.2), (0.5, 0.5)])
    found = fit(boxes, 3)
    assert found.overlap == pytest.approx(1)
    np.testing.assert_allclose(found.sizes, [(0.1, 0.2), (0.3, 0.2), (0.5, 0.5)])
    assert found.counts.tolist() == [2, 1, 1]


def test_more_anchors_than_sizes() -> None:
    with pytest.raises(UsageError, match="the boxes have 2 different sizes, too few for 3 anchors"):
        fit(np.array([(0.1, 0.2), (0.3, 0.2), (0.1, 0.2)]), 3)
    with pytest.raises(UsageError, match="1 size, too few"):
        fit(np.array([(0.1, 0.2)]), 2)


def test_sizes_that_can_hardly_be_told_apart() -> None:
    boxes = np.array([(0.5, 0.5), (np.nextafter(0.5, 1), 0.5), (0.5, np.nextafter(0.5, 1))])
    assert fit(boxes, 3).overlap == pytest.approx(1)


def test_the_same_call_gives_the_same_anchors() -> None:
    boxes = np.random.default_rng(0).uniform(0.01, 1, (500, 2))
    assert (fit(boxes, 9, rounds=1).sizes == fit(boxes, 9, rounds=1).sizes).all()
    assert (fit(boxes, 9, rounds=1, seed=1).sizes != fit(boxes, 9, rounds=1).sizes).any()


def test_the_order_of_the_boxes_makes_no_difference() -> None:
    boxes = np.random.default_rng(0).uniform(0.01, 1, (500, 2))
    np.testing.assert_allclose(fit(boxes, 5).sizes, fit(boxes[::-1], 5).sizes)


@pytest.mark.parametrize("scale", [(416, 416), (13, 26)])
def test_scaling_width_and_height_changes_no_cluster(scale: tuple[float, float]) -> None:
    boxes = np.random.default_rng(0).uniform(0.01, 1, (300, 2))
    plain, scaled = fit(boxes, 6), fit(boxes * scale, 6)
    assert scaled.overlap == pytest.approx(plain.overlap)
    np.testing.assert_allclose(scaled.sizes, plain.sizes * scale)


def test_many_boxes_settle_on_all_of_them() -> None:
    """Beyond 10,000 sizes, starts are compared on some of them; the answer is about all."""
    boxes = np.random.default_rng(0).uniform(0.01, 1, (30_000, 2))
    found = fit(boxes, 5, rounds=2)
    assert found.counts.sum() == len(boxes)
    assert rate(boxes, found.sizes).overlap == pytest.approx(found.overlap)
    assert found.overlap > fit(boxes[:200], 1).overlap


@pytest.mark.parametrize(
    ("anchors", "width", "text"),
    [
        ([(10.4, 13.6), (99.5, 100.5)], 416, "10,14, 100,100"),
        ([(0.2, 13)], 416, "1,13"),
        ([(1.08456, 1.68549), (11, 12)], 13, "1.0846,1.6855, 11.0000,12.0000"),
        ([(0.000001, 3)], 32, "0.0001,3.0000"),
        ([(10.4, 13.6)], 33, "10,14"),
    ],
)
def test_rounding_is_darknets(anchors: list[tuple[float, float]], width: float, text: str) -> None:
    """`%3.0f` above 32 pixels, else `%2.4f`; C rounds halves to even there, too."""
    assert anchor_text(rounded(np.array(anchors), width)) == text


@pytest.mark.reference
@pytest.mark.parametrize(("name", "least"), [("animals6", 0.735), ("bccd", 0.875), ("coco128", 0.605)])
def test_real_boxes(name: str, least: float) -> None:
    (path,) = (REFERENCE / "data" / name).glob("*.data")
    rows, left_out = boxes_of(read_description(path), "train")
    assert not left_out
    found = fit(rows[:, 3:], 9)
    assert found.overlap > least
    # No single anchor can be moved by a twentieth to the advantage of all: it is a place where clusters settle.
    for index in range(9):
        for factor in ((1.05, 1), (0.95, 1), (1, 1.05), (1, 0.95)):
            moved = found.sizes.copy()
            moved[index] *= factor
            assert rate(rows[:, 3:], moved).overlap < found.overlap + 0.002
