"""What counts as found: Darknet's rules and those of PASCAL VOC."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Floats
from cspdet.evaluate.matching import best, first_of, intersection_over_union
from cspdet.evaluate.precision import Curve, curve, rank, ranked_hits
from cspdet.evaluate.records import Collected, Mask, Numbers


class Outcome(NamedTuple):
    """What a protocol makes of each detection, and of each class.

    `truth` (n,) is the object that a detection is about, -1 for none, and `overlap` how well it fits. `hit` and `false` are the
    detections above the confidence threshold that count as right and as wrong. `truths` (classes,) is how many objects there
    are, and `curves` has one for each class, of all detections.
    """

    truth: Numbers
    overlap: NDArray[np.float64]
    hit: Mask
    false: Mask
    truths: Numbers
    curves: tuple[Curve, ...]


Rules = Callable[[Collected, int, float, float], Outcome]


def darknet(seen: Collected, classes: int, iou_threshold: float, threshold: float) -> Outcome:
    """Darknet's rules (`detector.c:validate_detector_map`).

    A detection is about the object of its class that it overlaps most, if by more than the threshold. Down the ranking, the
    first about an object is right and the others are wrong. A detection about none that overlaps a difficult object is left out
    of the ranking.

    What is above the confidence threshold is counted as Darknet counts it, which is not quite the same: image by image, in the
    order in which suppression leaves the boxes, a detection is right if none before it, however unsure, is about the same
    object; and those on difficult objects are wrong.
    """
    found, truth = seen.found, seen.truth
    keys, things = _keys(seen, classes)

    def measure(one: Numbers, other: Numbers) -> Floats:
        return intersection_over_union(found.xywh[one], truth.xywh[other])

    least = np.float32(iou_threshold)
    about, overlap = best(keys, np.where(truth.difficult, -1, things), measure)
    about[overlap <= least] = -1
    ignored = (about < 0) & (best(keys, np.where(truth.difficult, things, -1), measure).overlap > least)
    ranks = _ranks(seen, classes, ~ignored)
    sure = found.confidence > np.float32(threshold)
    hit = first_of(about) & sure
    return Outcome(about, overlap, hit, sure & ~hit, *_curves(seen, classes, ranks, ranked_hits(about, ranks)))


def voc(seen: Collected, classes: int, iou_threshold: float, threshold: float) -> Outcome:
    """The rules of PASCAL VOC (`VOCevaldet.m` of its development kit).

    Boxes are pixels from the first to the last, and those found end at the image's edges, as in the files that `detector valid`
    of Darknet writes. A detection is about the object of its class that it overlaps most, difficult ones included, if by the
    threshold or more. Of those about an object the surest is right and the others are wrong; those about a difficult one do not
    count.
    """
    found, truth = seen.found, seen.truth
    edges = np.tile(seen.sizes[seen.place_of(found.image)] - 1, 2)
    boxes = _corners(seen, found.image, found.xywh).clip(0, edges)
    there = _corners(seen, truth.image, truth.xywh)
    about, overlap = best(*_keys(seen, classes), lambda one, other: _inclusive(boxes[one], there[other]))
    about[overlap < iou_threshold] = -1
    counts = ~np.append(truth.difficult, False)[about]
    ranks = _ranks(seen, classes, counts)
    hits = ranked_hits(about, ranks)
    sure = counts & (found.confidence > np.float32(threshold))
    return Outcome(about, overlap, hits & sure, sure & ~hits, *_curves(seen, classes, ranks, hits))


def _keys(seen: Collected, classes: int) -> tuple[Numbers, Numbers]:
    """The same number for detections and objects of the same class in the same image."""
    found, truth = seen.found, seen.truth
    return seen.place_of(found.image) * classes + found.class_id, seen.place_of(truth.image) * classes + truth.class_id


def _ranks(seen: Collected, classes: int, counts: Mask) -> list[Numbers]:
    rows = np.flatnonzero(counts)
    return [rows[each] for each in rank(seen.found.class_id[rows], seen.found.confidence[rows], classes)]


def _curves(seen: Collected, classes: int, ranks: list[Numbers], hits: Mask) -> tuple[Numbers, tuple[Curve, ...]]:
    truths = np.bincount(seen.truth.class_id[~seen.truth.difficult], minlength=classes)
    confidence = seen.found.confidence
    return truths, tuple(curve(hits[rows], confidence[rows], int(number)) for rows, number in zip(ranks, truths, strict=True))


def _corners(seen: Collected, image: Numbers, xywh: Floats) -> NDArray[np.float64]:
    """Left, top, right and bottom in pixels."""
    boxes = xywh.astype(np.float64)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    return corners * np.tile(seen.sizes[seen.place_of(image)], 2)


def _inclusive(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes, pair by pair, whose last pixels belong to them."""
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]) + 1
    intersection = sides.clip(0).prod(1)
    areas = [(each[:, 2:] - each[:, :2] + 1).clip(0).prod(1) for each in (one, other)]
    union = areas[0] + areas[1] - intersection
    likeness: NDArray[np.float64] = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return likeness
