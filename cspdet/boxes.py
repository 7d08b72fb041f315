"""Boxes in numpy: intersection over union, the four kinds of non-maximum suppression, coordinates.

Boxes are rows of (centre x, centre y, width, height), relative to the image unless said otherwise.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Suppression = Literal["default", "greedynms", "diounms", "cornersnms"]


class Candidates(NamedTuple):
    """What heads find before suppression.

    `xywh` is (n, 4); `objectness` (n,); `scores` (n, classes), 0 where a class did not pass the threshold.
    """

    xywh: Floats
    objectness: Floats
    scores: Floats

    def kept(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        """Those that `mask` selects."""
        return Candidates(self.xywh[mask], self.objectness[mask], self.scores[mask])


def gather(parts: list[Candidates]) -> Candidates:
    """The candidates of all heads, in the heads' order; a head of fewer classes gets zeros for the others."""
    classes = max((part.scores.shape[1] for part in parts), default=0)
    scores = [np.pad(part.scores, ((0, 0), (0, classes - part.scores.shape[1]))) for part in parts]
    return Candidates(
        np.concatenate([part.xywh for part in parts] or [np.zeros((0, 4), np.float32)]),
        np.concatenate([part.objectness for part in parts] or [np.zeros(0, np.float32)]),
        np.concatenate(scores or [np.zeros((0, 0), np.float32)]),
    )


def overlap(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of `others` (n, 4); 0 where both are empty (`box.c:box_iou`)."""
    width, height = (
        np.minimum(box[axis] + box[axis + 2] / 2, others[:, axis] + others[:, axis + 2] / 2)
        - np.maximum(box[axis] - box[axis + 2] / 2, others[:, axis] - others[:, axis + 2] / 2)
        for axis in (0, 1)
    )
    intersection = np.where((width < 0) | (height < 0), 0, width * height)
    union = box[2] * box[3] + others[:, 2] * others[:, 3] - intersection
    likeness: Floats = np.divide(intersection, union, out=np.zeros_like(union), where=union != 0)
    return likeness


def distance(box: Floats, others: Floats) -> Floats:
    """Squared distance of the centres over the squared diagonal of the enclosing box; 0 where that is a point."""
    sides = [
        np.maximum(box[axis] + box[axis + 2] / 2, others[:, axis] + others[:, axis + 2] / 2)
        - np.minimum(box[axis] - box[axis + 2] / 2, others[:, axis] - others[:, axis + 2] / 2)
        for axis in (0, 1)
    ]
    diagonal = sides[0] ** 2 + sides[1] ** 2
    apart = (box[0] - others[:, 0]) ** 2 + (box[1] - others[:, 1]) ** 2
    share: Floats = np.divide(apart, diagonal, out=np.zeros_like(diagonal), where=diagonal != 0)
    return share


def suppress(found: Candidates, threshold: float, kind: Suppression = "default", beta: float = 0.6) -> Candidates:
    """Non-maximum suppression, class by class: a box loses the class of a stronger box that it overlaps too much.

    A suppressed box keeps its other classes. `default` and `cornersnms` compare the intersection over union. `greedynms` does
    not, for all its name: it subtracts the normalised distance of the centres to the power .6 first; `diounms` takes the power
    `beta`. Source: `box.c:do_nms_sort`, `diounms_sort`.

    What is left comes in Darknet's order: it sorts the boxes by each class in turn, before it suppresses that class, so the
    last class that any box had rules, then the one before.
    """
    power = {"greedynms": np.float32(0.6), "diounms": np.float32(beta)}.get(kind)
    scores = found.scores.copy()
    for each in np.flatnonzero(scores.any(0)):
        rows = np.flatnonzero(scores[:, each])
        rows = rows[np.argsort(-scores[rows, each], kind="stable")]
        while len(rows) > 1:
            first, rest = found.xywh[rows[0]], found.xywh[rows[1:]]
            likeness = overlap(first, rest)
            if power is not None:
                likeness = likeness - distance(first, rest) ** power
            hit = likeness > threshold
            scores[rows[1:][hit], each] = 0
            rows = rows[1:][~hit]
    left = np.flatnonzero(scores.any(1))
    before = found.scores[left]
    order = np.lexsort([-column for column in before[:, before.any(0)].T]) if len(left) else left
    return Candidates(found.xywh, found.objectness, scores).kept(left[order])


def passing(score: Floats, threshold: float) -> Floats:
    """The scores above the threshold, 0 for all others, and for what is not a number."""
    return np.where(score > threshold, score, np.float32(0))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), in float32."""
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-x))
