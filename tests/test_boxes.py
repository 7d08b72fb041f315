"""Boxes, against one pair at a time, as Darknet's `box.c` computes them."""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet import boxes
from cspdet.boxes import Candidates, Suppression, gather, objects, sigmoid, suppress
from tests import slow
from tests.slow import distance, overlap

KINDS: tuple[Suppression, ...] = ("default", "greedynms", "diounms", "cornersnms")

Box = tuple[float, float, float, float]


def edges(box: Any) -> tuple[float, float, float, float]:
    x, y, w, h = (float(each) for each in box)
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def naive_overlap(a: Any, b: Any) -> float:
    (a1, a2, a3, a4), (b1, b2, b3, b4) = edges(a), edges(b)
    w, h = min(a3, b3) - max(a1, b1), min(a4, b4) - max(a2, b2)
    shared = 0.0 if w < 0 or h < 0 else w * h
    union = float(a[2]) * float(a[3]) + float(b[2]) * float(b[3]) - shared
    return shared / union if shared and union else 0.0


def naive_distance(a: Any, b: Any) -> float:
    (a1, a2, a3, a4), (b1, b2, b3, b4) = edges(a), edges(b)
    diagonal = (max(a3, b3) - min(a1, b1)) ** 2 + (max(a4, b4) - min(a2, b2)) ** 2
    centres = (float(a[0]) - float(b[0])) ** 2 + (float(a[1]) - float(b[1])) ** 2
    return centres / diagonal if diagonal else 0.0


def likeness(a: Any, b: Any, kind: str, beta: float) -> float:
    if kind in ("default", "cornersnms"):
        return naive_overlap(a, b)
    return naive_overlap(a, b) - naive_distance(a, b) ** (0.6 if kind == "greedynms" else beta)


def naive_suppress(found: Candidates, threshold: float, kind: str, beta: float = 0.6) -> list[tuple[int, list[float]]]:
    """What is left, as (number of the box, scores): every class in turn sorts all boxes, then drops the weaker of two."""
    boxes = [(index, found.xywh[index], [float(score) for score in found.scores[index]]) for index in range(len(found.xywh))]
    for each in range(found.scores.shape[1]):
        boxes.sort(key=lambda box: -box[2][each])
        for first in range(len(boxes)):
            if boxes[first][2][each] == 0:
                continue
            for second in range(first + 1, len(boxes)):
                if likeness(boxes[first][1], boxes[second][1], kind, beta) > threshold:
                    boxes[second][2][each] = 0
    return [(index, scores) for index, _, scores in boxes if any(scores)]


def candidates(boxes: Any, scores: Any) -> Candidates:
    """Candidates whose objectness is their number, so that they can be told apart."""
    xywh = np.array(boxes, np.float32).reshape(-1, 4)
    return Candidates(xywh, np.arange(len(xywh), dtype=np.float32), np.array(scores, np.float32))


def random_candidates(count: int, classes: int, seed: int, share: float = 0.4) -> Candidates:
    generator = np.random.default_rng(seed)
    boxes = np.concatenate([generator.uniform(0, 1, (count, 2)), generator.uniform(0.05, 0.6, (count, 2))], 1)
    scores = generator.uniform(0.25, 1, (count, classes)) * (generator.uniform(size=(count, classes)) < share)
    return candidates(boxes, scores)


# Sixteenths are exact in float32, and so is what is computed of them.
sixteenths = st.integers(-8, 24).map(lambda number: number / 16)
lengths = st.integers(0, 16).map(lambda number: number / 16)
box = st.tuples(sixteenths, sixteenths, lengths, lengths)


@settings(deadline=None, max_examples=100)
@given(box, st.lists(box, max_size=6))
def test_overlap_and_distance(one: Box, others: list[Box]) -> None:
    first, rest = np.array(one, np.float32), np.array(others, np.float32).reshape(-1, 4)
    assert overlap(first, rest).tolist() == pytest.approx([naive_overlap(one, each) for each in others], abs=1e-6)
    assert distance(first, rest).tolist() == pytest.approx([naive_distance(one, each) for each in others], abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.5, 0.5, 1, 1), (0.5, 0.5, 1, 1), 1),
        ((0.5, 0.5, 1, 1), (1.5, 0.5, 1, 1), 0),
        ((0.5, 0.5, 1, 1), (1.0, 0.5, 1, 1), 1 / 3),
        ((0.5, 0.5, 1, 1), (0.5, 0.5, 0.5, 0.5), 0.25),
        ((0.5, 0.5, 0, 0), (0.5, 0.5, 0, 0), 0),
        ((0.5, 0.5, 1, 1), (5, 5, 1, 1), 0),
    ],
)
def test_overlap_by_hand(one: Box, other: Box, expected: float) -> None:
    assert overlap(np.array(one, np.float32), np.array([other], np.float32))[0] == pytest.approx(expected)


def test_distance_by_hand() -> None:
    """Centres 3 and 4 apart; both boxes lie in one of 4 x 5."""
    found = distance(np.array([0, 0, 1, 1], np.float32), np.array([[3, 4, 1, 1]], np.float32))
    assert found[0] == pytest.approx(25 / (16 + 25))


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10_000), st.integers(0, 9), st.integers(1, 4), st.sampled_from(KINDS), st.sampled_from([0.05, 0.45, 0.8]))
def test_suppression(seed: int, count: int, classes: int, kind: Suppression, threshold: float) -> None:
    found = random_candidates(count, classes, seed)
    beta = 0.3 + seed % 7 / 10
    left = suppress(found, threshold, kind, beta)
    expected = naive_suppress(found, threshold, kind, beta)
    assert [int(number) for number in left.objectness] == [number for number, _ in expected]
    assert [row.tolist() for row in left.scores] == [scores for _, scores in expected]
    assert np.array_equal(left.xywh, found.xywh[left.objectness.astype(int)])


@pytest.mark.parametrize("kind", KINDS)
def test_suppression_of_many(kind: Suppression) -> None:
    found = random_candidates(80, 4, 7, share=0.6)
    left = suppress(found, 0.45, kind)
    expected = naive_suppress(found, 0.45, kind)
    assert 5 < len(expected) < 80
    assert [int(number) for number in left.objectness] == [number for number, _ in expected]
    assert [row.tolist() for row in left.scores] == [scores for _, scores in expected]


def exactly(found: Candidates, threshold: float, kind: Suppression, beta: float = 0.6) -> Candidates:
    """What is left, which is to the bit what one box at a time gives."""
    left = suppress(found, threshold, kind, beta)
    for one, two in zip(left, slow.suppress(found, threshold, kind, beta), strict=True):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two, equal_nan=True)
    return left


@st.composite
def crowds(draw: st.DrawFn) -> Candidates:
    """Boxes around a few places, of one class or several, with scores that are often equal; some of no size, or wild ones."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, classes = draw(st.sampled_from([1, 2, 9, 100, 300, 700])), draw(st.sampled_from([1, 2, 20, 80]))
    places, spread = draw(st.sampled_from([1, 5, 60])), draw(st.sampled_from([0, 0.01, 0.1, 0.5]))
    at = generator.uniform(0, 1, (places, 4)) * [1, 1, 0.4, 0.4]
    boxes = at[generator.integers(0, places, count)] * (1 + spread * generator.normal(size=(count, 4)))
    levels = draw(st.sampled_from([2, 8, 10_000]))
    scores = np.ceil(generator.uniform(0, 1, (count, classes)) * levels) / levels
    scores *= generator.uniform(size=(count, classes)) < draw(st.sampled_from([1 / classes, 0.5]))
    odd = draw(st.sampled_from([(), (0.0,), (1e-9,), (-0.2,), (np.nan,), (np.inf,), (-np.inf, np.inf, 3e38, 0.0)]))
    if odd:
        wild = generator.uniform(size=boxes.shape) < 0.05
        boxes[wild] = generator.choice(odd, wild.sum())
    return candidates(boxes, scores)


@settings(deadline=None, max_examples=60)
@given(
    crowds(),
    st.sampled_from(KINDS),
    st.sampled_from([0.0, 1e-6, 0.3, 0.45, 0.9, 1.0, -0.5]),
    st.sampled_from([0.0, 0.5, 0.6, 1.0, 2.0]),
)
def test_suppression_is_exact(found: Candidates, kind: Suppression, threshold: float, beta: float) -> None:
    exactly(found, threshold, kind, beta)


@settings(deadline=None, max_examples=80)
@given(
    crowds(),
    st.sampled_from(KINDS),
    st.sampled_from([0.0, 1e-6, 0.3, 0.45, 0.9, 1.0, -0.5]),
    st.sampled_from([(1, 10**9, 1), (1, 10**9, 7), (3, 24, 2), (40, 3, 16)]),
    st.sampled_from([1, 1024]),
    st.sampled_from([7, 2**14]),
    st.sampled_from([0, 1, 30]),
)
def test_suppression_in_strips_is_exact(
    found: Candidates, kind: Suppression, threshold: float, limits: tuple[int, int, int], strips: int, pairs: int, rounds: int
) -> None:
    """Also of boxes that are too few, or too crowded, to look up what is near them."""
    many, scattered, sample = limits
    with patch.multiple(
        boxes, _MANY=many, _SCATTERED=scattered, _SAMPLE=sample, _STRIPS=strips, _AT_ONCE=pairs, _ROUNDS=rounds
    ):
        exactly(found, threshold, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("classes", "size"), [(1, 0.01), (1, 0.03), (80, 0.1)])
def test_scattered_boxes(kind: Suppression, classes: int, size: float) -> None:
    """Of which nearly all stay; some are as wide or as high as the picture."""
    generator = np.random.default_rng(5)
    there = np.concatenate([generator.uniform(-0.1, 1.1, (3000, 2)), size * generator.uniform(0.3, 1.5, (3000, 2))], 1)
    there[::100, 2] = 1
    there[50::100, 3] = 1
    scores = np.zeros((3000, classes))
    scores[np.arange(3000), generator.integers(0, classes, 3000)] = generator.uniform(0.1, 1, 3000)
    assert len(exactly(candidates(there, scores), 0.45, kind).xywh) > 2000


def test_boxes_more_crowded_than_a_sample_of_them() -> None:
    """Every sixteenth, by score, lies alone; all others are in one place."""
    generator = np.random.default_rng(5)
    there = np.full((3200, 4), 0.1) + 0.05 * generator.uniform(size=(3200, 4))
    there[::16] = [0, 0, 0.001, 0.001]
    there[::16, 0] = np.linspace(0.3, 1, 200)
    exactly(candidates(there, np.linspace(1, 0.5, 3200)[:, None]), 0.999, "default")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(box, st.sampled_from([0, 0.25, 0.5, 1])), max_size=40), st.integers(1, 16), st.sampled_from(KINDS))
def test_suppression_at_the_threshold_is_exact(boxes: list[tuple[Box, float]], sixteenth: int, kind: Suppression) -> None:
    """Boxes of whole sixteenths, whose overlaps are often the threshold to the bit."""
    found = candidates([each for each, _ in boxes], [[score] for _, score in boxes] or np.zeros((0, 1)))
    exactly(found, sixteenth / 16, kind)
    exactly(found, 1 / 3, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-7, 1e-4, 1e-2])
def test_boxes_whose_sizes_are_rounding(kind: Suppression, size: float) -> None:
    generator = np.random.default_rng(3)
    boxes = np.concatenate([0.5 + size * generator.normal(size=(400, 2)), size * generator.uniform(0.1, 2, (400, 2))], 1)
    for threshold in (0.05, 0.5, 0.99):
        exactly(candidates(boxes, generator.uniform(0.1, 1, (400, 2))), threshold, kind)


@pytest.mark.parametrize("count", [128, 129, 257, 400])
@pytest.mark.parametrize("classes", [1, 7, 100])
def test_blocks_of_all_sizes(count: int, classes: int) -> None:
    assert len(exactly(random_candidates(count, classes, count, share=2 / classes), 0.45, "default").xywh) > 1


def test_a_chain() -> None:
    """Each box overlaps the next too much, not the one behind that: every second is left."""
    for count in (1000, 2000):
        there = [(number, 0.5, 3, 1) for number in range(count)]
        found = candidates(there, np.linspace(1, 0.5, count)[:, None])
        assert exactly(found, 0.4, "default").objectness.tolist() == [*range(0, count, 2)]


def test_kinds_differ() -> None:
    """Two boxes of overlap .6 whose centres are apart."""
    found = candidates([(0.5, 0.5, 0.4, 0.4), (0.6, 0.5, 0.4, 0.4)], [[0.9], [0.8]])
    assert naive_overlap(*found.xywh) == pytest.approx(0.6, abs=1e-6)
    assert [len(suppress(found, 0.5, kind).xywh) for kind in KINDS] == [1, 2, 2, 1]
    # The larger the power, the less the distance counts.
    penalty = naive_distance(*found.xywh)
    assert len(suppress(found, 0.5, "diounms", beta=2 * math.log(0.1) / math.log(penalty)).xywh) == 1


def test_a_suppressed_box_keeps_its_other_classes() -> None:
    same = (0.5, 0.5, 0.4, 0.4)
    left = suppress(candidates([same, same], [[0.9, 0.3], [0.8, 0.6]]), 0.45)
    assert {int(number): row.tolist() for number, row in zip(left.objectness, left.scores, strict=True)} == {
        0: pytest.approx([0.9, 0]),
        1: pytest.approx([0, 0.6]),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_threshold_is_not_too_much(kind: Suppression) -> None:
    """Halves of one another: the overlap is .5 to the bit."""
    found = candidates([(0.5, 0.5, 1, 1), (0.5, 0.5, 1, 0.5)], [[0.9], [0.8]])
    assert len(suppress(found, 0.5, kind).xywh) == 2
    assert len(suppress(found, np.nextafter(0.5, 0, dtype=np.float32), kind).xywh) == 1


def test_the_order_is_that_of_the_last_class() -> None:
    apart = [(0.1, 0.1, 0.1, 0.1), (0.5, 0.5, 0.1, 0.1), (0.9, 0.9, 0.1, 0.1), (0.1, 0.9, 0.1, 0.1)]
    left = suppress(candidates(apart, [[0.3, 0, 0], [0.9, 0, 0], [0, 0.4, 0], [0, 0.5, 0]]), 0.45)
    assert left.objectness.tolist() == [3, 2, 1, 0]


def test_equal_scores_keep_the_heads_order() -> None:
    apart = [(number / 10, 0.5, 0.05, 0.05) for number in range(8)]
    left = suppress(candidates(apart, [[0.5, 0.7]] * 8), 0.45)
    assert left.objectness.tolist() == [*range(8)]


def test_of_equal_boxes_the_first_is_left() -> None:
    left = suppress(candidates([(0.5, 0.5, 0.4, 0.4)] * 300, [[0.5], [0.7], [0.6]] * 100), 0.45)
    assert left.objectness.tolist() == [1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [0, 1, 3])
def test_nothing(kind: Suppression, classes: int) -> None:
    left = suppress(candidates(np.zeros((0, 4)), np.zeros((0, classes))), 0.45, kind)
    assert left.xywh.shape == (0, 4)
    assert left.scores.shape[0] == 0


def test_boxes_without_a_class_are_dropped() -> None:
    assert len(suppress(candidates([(0.5, 0.5, 1, 1)] * 3, [[0, 0]] * 3), 0.45).xywh) == 0


def test_the_input_is_not_changed() -> None:
    found = random_candidates(50, 3, 1)
    before = [each.copy() for each in found]
    suppress(found, 0.1)
    assert all(np.array_equal(one, two) for one, two in zip(found, before, strict=True))


@pytest.mark.parametrize(("kind", "count"), [("default", 25_000), ("greedynms", 5_000)])
def test_a_detector_that_sees_boxes_everywhere(kind: Suppression, count: int) -> None:
    """A loop over pairs in Python would take half an hour."""
    left = suppress(random_candidates(count, 2, 3, share=0.7), 0.45, kind)
    assert 10 < len(left.xywh) < count / 2
    for number in range(2):
        rows = left.xywh[left.scores[:, number] > 0][:40]
        assert all(likeness(a, b, kind, 0.6) <= 0.4501 for at, a in enumerate(rows) for b in rows[at + 1 :])


# -- gather -----------------------------------------------------------------------------------------------------------


def test_gather_keeps_the_heads_order_and_pads_classes() -> None:
    first, second = random_candidates(2, 3, 1), random_candidates(3, 5, 2)
    found = gather([first, second])
    assert np.array_equal(found.xywh, np.concatenate([first.xywh, second.xywh]))
    assert found.objectness.tolist() == [0, 1, 0, 1, 2]
    assert found.scores.shape == (5, 5)
    assert np.array_equal(found.scores[:2, :3], first.scores)
    assert not found.scores[:2, 3:].any()
    assert np.array_equal(found.scores[2:], second.scores)


def test_gather_nothing() -> None:
    found = gather([])
    assert (found.xywh.shape, found.objectness.shape, found.scores.shape) == ((0, 4), (0,), (0, 0))
    assert len(suppress(found, 0.45).xywh) == 0
    one = random_candidates(2, 3, 1)
    assert len(gather([one.kept(np.zeros(2, bool)), one]).xywh) == 2


def test_kept() -> None:
    found = random_candidates(4, 2, 1)
    assert found.kept(np.array([True, False, False, True])).objectness.tolist() == [0, 3]
    assert found.kept(np.array([2, 0])).objectness.tolist() == [2, 0]


def test_sigmoid() -> None:
    x = np.array([-1000, -88, -1, 0, 1, 20, 1000], np.float32)
    found = sigmoid(x)
    assert found.dtype == np.float32
    expected = [0, math.exp(-88), 1 / (1 + math.e), 0.5, math.e / (1 + math.e), 1, 1]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


# -- objects ----------------------------------------------------------------------------------------------------------

THRESHOLDS = [0.0, 1.0, -1.0, 0.5, 0.005, 0.25, 1e-30, 1e-45, 1 - 2**-24, 1 - 2**-30, np.float64(1 - 1e-12), np.float32(0.3)]


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 4).flatmap(
        lambda anchors: st.lists(
            st.lists(
                st.one_of(
                    st.floats(width=32),
                    st.floats(-20, 20, width=32),
                    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 16.6355, -88.7, -103.9, 104.0]),
                ),
                min_size=anchors,
                max_size=anchors,
            ),
            max_size=12,
        )
    ),
    st.one_of(st.sampled_from(THRESHOLDS), st.floats(0, 1)),
    st.booleans(),
)
def test_objects(rows: list[list[float]], threshold: float, logistic: bool) -> None:
    entries = np.array(rows, np.float32).reshape(len(rows), -1 if rows else 2).T
    with np.errstate(invalid="ignore"):
        found, expected = (each(entries, threshold, logistic=logistic) for each in (objects, slow.objects))
    assert all(np.array_equal(one, two, equal_nan=True) for one, two in zip(found, expected, strict=True))


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 2**24), st.sampled_from([24, 20, 40, 90]))
def test_objects_around_the_threshold(number: int, power: int) -> None:
    """Every float32 near the sigmoid's inverse, where the comparison tips over."""
    threshold = float(np.float32(number / 2**24 if power == 24 else number / 2.0 ** (24 + power)))
    middle = np.float32(math.log(threshold) - math.log1p(-threshold)) if threshold < 1 else np.float32(17)
    bits = middle.view(np.int32) + np.arange(-400, 401, dtype=np.int32) * (1 if abs(middle) > 1e-3 else 10_000)
    entries = bits.astype(np.int32).view(np.float32)[None]
    for each in (threshold, float(np.nextafter(np.float32(threshold), np.float32(0))), threshold * (1 + 1e-9)):
        with np.errstate(invalid="ignore"):
            found, expected = objects(entries, each), slow.objects(entries, each)
        assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))
