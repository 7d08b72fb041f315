"""The protocols against slow versions of them, on boxes that touch, coincide and tie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cspdet.evaluate import Collected, judge, matching
from cspdet.evaluate.confusion import confusion
from cspdet.evaluate.protocols import darknet
from tests.evaluate import slow
from tests.evaluate.material import Thing, collected

CLASSES = 3
NAMES = ("a", "b", "c")

# Corners on a coarse grid, so that boxes touch, and overlap by the threshold exactly; and a few that often coincide.
_grid = st.tuples(*[st.integers(-1, 5)] * 2, *[st.integers(1, 4)] * 2).map(
    lambda box: (16.0 * box[0], 16.0 * box[1], 16.0 * (box[0] + box[2]), 16.0 * (box[1] + box[3]))
)
_same = st.sampled_from([(0.0, 0.0, 16.0, 16.0), (0.0, 0.0, 16.0, 20.0), (0.0, 0.0, 31.0, 15.0), (0.0, 0.0, 15.0, 15.0)])
_corners = st.one_of(_grid, _same)
_sureness = st.sampled_from([0.01, 0.2, 0.25, 0.26, 0.5, 0.9])
_image, _class = st.integers(1, 3), st.integers(0, CLASSES - 1)
_found = st.lists(st.builds(Thing, _image, _class, _corners, _sureness), max_size=24)
_truth = st.lists(st.builds(Thing, _image, _class, _corners, st.just(1.0), st.sampled_from([False, False, True])), max_size=14)
_overlap = st.sampled_from([0.0, 0.3, 0.5, 0.75, 1 / 3])
_points = st.sampled_from([0, 2, 11, 101])
SIZES = dict.fromkeys(range(1, 4), (64, 80))


@pytest.mark.parametrize("protocol", ["darknet", "voc"])
@settings(max_examples=150, deadline=None)
@given(found=_found, truth=_truth, iou=_overlap, threshold=st.sampled_from([0.0, 0.25, 0.5]), points=_points)
def test_the_slow_version_agrees(
    protocol: str, found: list[Thing], truth: list[Thing], iou: float, threshold: float, points: int
) -> None:
    assume(any(not each.difficult for each in truth))
    seen = collected(found, truth, range(1, 4), SIZES)
    oracle: Callable[..., slow.Figures] = getattr(slow, protocol)
    expected = oracle(seen, CLASSES, iou, threshold, points)
    report = judge(seen, NAMES, protocol=protocol, iou_threshold=iou, threshold=threshold, points=points)
    assert [each.tp for each in report.classes] == expected.tp
    assert [each.fp for each in report.classes] == expected.fp
    assert report.detections == expected.detections
    there = [each.average_precision or 0.0 for each in report.classes]
    assert there == pytest.approx(expected.precisions, abs=1e-12)
    total = report.tp + report.fp
    assert report.average_iou * total == pytest.approx(expected.overlaps, abs=1e-6)
    counted = [each for each in report.classes if protocol == "darknet" or each.truths]
    assert report.map == pytest.approx(sum(each.average_precision or 0.0 for each in counted) / len(counted), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(found=_found, truth=_truth, iou=_overlap, threshold=st.sampled_from([0.0, 0.25]))
def test_the_slow_confusion_agrees(found: list[Thing], truth: list[Thing], iou: float, threshold: float) -> None:
    seen = collected(found, truth, range(1, 4), SIZES)
    assert np.array_equal(confusion(seen, CLASSES, iou, threshold), slow.confusion(seen, CLASSES, iou, threshold))


def test_many_pairs_are_taken_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a crowd has more pairs than are measured at a time, nothing changes."""
    rng = np.random.default_rng(1)

    def things(count: int) -> list[Thing]:
        corner, side = rng.integers(0, 40, (count, 2)), rng.integers(8, 24, (count, 2))
        boxes = np.concatenate([corner, corner + side], 1).astype(float).tolist()
        return [Thing(int(rng.integers(1, 4)), int(rng.integers(0, 2)), tuple(box), float(rng.random())) for box in boxes]

    seen = collected(things(300), things(80), (), SIZES)
    before = _outcome(seen)
    for limit in (1, 7, 1000):
        monkeypatch.setattr(matching, "_AT_A_TIME", limit)
        for one, other in zip(_outcome(seen), before, strict=True):
            assert np.array_equal(one, other)


def _outcome(seen: Collected) -> tuple[Any, ...]:
    return darknet(seen, 2, 0.5, 0.25)[:4]


BOX, NEAR, FAR = (0.0, 0.0, 10.0, 10.0), (1.0, 0.0, 11.0, 10.0), (50.0, 50.0, 60.0, 60.0)


def test_darknet_counts_in_the_order_of_the_boxes() -> None:
    """The unsure box comes first, so the sure one is a second find of the same object, though it ranks first."""
    truth = [Thing(1, 0, BOX)]
    seen = collected([Thing(1, 0, NEAR, 0.1), Thing(1, 0, BOX, 0.9)], truth)
    report = judge(seen, ("a",))
    assert (report.tp, report.fp, report.fn, report.map) == (0, 1, 1, 1.0)
    assert judge(seen, ("a",), threshold=0.05).tp == 1
    turned = judge(collected([Thing(1, 0, BOX, 0.9), Thing(1, 0, NEAR, 0.1)], truth), ("a",))
    assert (turned.tp, turned.fp, turned.fn, turned.map) == (1, 0, 0, 1.0)
    counted = judge(seen, ("a",), protocol="voc")
    assert (counted.tp, counted.fp, counted.fn) == (1, 0, 0)


def test_a_detection_on_a_difficult_object_does_not_rank() -> None:
    found = [Thing(1, 0, BOX, 0.9), Thing(1, 0, FAR, 0.5)]
    seen = collected(found, [Thing(1, 0, BOX, difficult=True), Thing(1, 0, FAR)])
    report = judge(seen, ("a",))
    # Darknet counts it as wrong all the same.
    assert (report.map, report.detections, report.tp, report.fp, report.truths) == (1.0, 1, 1, 1, 1)
    report = judge(seen, ("a",), protocol="voc")
    assert (report.map, report.detections, report.tp, report.fp, report.truths) == (1.0, 1, 1, 0, 1)
    assert judge(collected(found, [Thing(1, 0, FAR)]), ("a",)).map == 0.5


def test_what_is_on_an_object_and_a_difficult_one_ranks() -> None:
    seen = collected([Thing(1, 0, BOX, 0.9)], [Thing(1, 0, NEAR), Thing(1, 0, BOX, difficult=True)])
    report = judge(seen, ("a",))
    assert (report.map, report.detections, report.tp, report.fp) == (1.0, 1, 1, 0)
    # To VOC it is about the one that it overlaps most.
    report = judge(seen, ("a",), protocol="voc")
    assert (report.map, report.detections, report.tp, report.fp) == (0.0, 0, 0, 0)


def test_the_threshold_itself_is_enough_for_voc() -> None:
    """5 columns of pixels of 10, the last one included."""
    seen = collected([Thing(1, 0, (0, 0, 4, 9), 0.9)], [Thing(1, 0, (0, 0, 9, 9))], (), {1: (64, 64)})
    assert judge(seen, ("a",), protocol="voc").map == 1
    assert judge(seen, ("a",), protocol="voc", iou_threshold=0.51).map == 0


def test_the_threshold_itself_is_too_little() -> None:
    half = (0.0, 0.0, 10.0, 5.0)
    seen = collected([Thing(1, 0, half, 0.25)], [Thing(1, 0, BOX)], (), {1: (64, 64)})
    assert judge(seen, ("a",), iou_threshold=0.5).map == 0
    assert judge(seen, ("a",), iou_threshold=0.49).map == 1
    assert judge(seen, ("a",), iou_threshold=0.49, threshold=0.25).tp == 0
    assert judge(seen, ("a",), iou_threshold=0.49, threshold=0.24).tp == 1


def test_an_image_is_its_own_world() -> None:
    seen = collected([Thing(1, 0, BOX, 0.9)], [Thing(2, 0, BOX)])
    assert judge(seen, ("a",)).map == 0
    assert judge(collected([Thing(2, 0, BOX, 0.9)], [Thing(2, 0, BOX)], [1]), ("a",)).map == 1


@pytest.mark.parametrize(("protocol", "mean"), [("darknet", 0.5), ("voc", 1.0)])
def test_classes_that_are_not_there(protocol: str, mean: float) -> None:
    seen = collected([Thing(1, 0, BOX, 0.9), Thing(1, 1, FAR, 0.8)], [Thing(1, 0, BOX)])
    report = judge(seen, ("a", "b"), protocol=protocol)
    assert report.map == mean
    assert report.classes[1].average_precision == (0 if protocol == "darknet" else None)
    assert (report.classes[1].fp, report.classes[1].recall, report.classes[1].precision) == (1, 0, 0)
