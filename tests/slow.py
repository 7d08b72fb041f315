"""Slow, plain versions of what cspdet computes fast: oracles for the tests, and what `tests.around_speed` measures against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Candidates, Floats, Objects, Suppression, sigmoid
from cspdet.image import Pixels
from cspdet.preprocess import Profile


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


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def suppress(found: Candidates, threshold: float, kind: Suppression = "default", beta: float = 0.6) -> Candidates:
    """`cspdet.boxes.suppress`, class by class and box by box."""
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


def objects(entries: Floats, threshold: float, *, logistic: bool = True) -> Objects:
    """`cspdet.boxes.objects`, with every sigmoid computed."""
    objectness = sigmoid(entries) if logistic else entries
    cell, anchor = np.nonzero((objectness > threshold).T)
    return Objects(cell, anchor, objectness[anchor, cell])


def scale(image: Pixels, width: int, height: int, profile: Profile) -> Floats:
    """`cspdet.preprocess.scaled` as (height, width, C), a whole image at a time."""
    if profile.scaling == "opencv":
        import cv2

        scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)
        return scaled.reshape(height, width, -1).astype(np.float32) / np.float32(255)
    return resize(image, width, height)


def resize(image: Pixels, width: int, height: int) -> Floats:
    """`cspdet.preprocess.resize`, a whole image at a time."""
    axes = [(0, height), (1, width)]
    if height * image.shape[1] > width * image.shape[0]:
        axes.reverse()
    scaled: NDArray[np.uint8] | Floats = image
    for axis, extent in axes:
        scaled = _resize_axis(scaled, axis, extent)
    return np.asarray(scaled * np.float32(1 / 255), np.float32)


def _resize_axis(image: NDArray[np.uint8] | Floats, axis: int, extent: int) -> NDArray[np.uint8] | Floats:
    """Bilinear scaling along one axis. In float32 throughout, so that the places where rounding tips over are Darknet's."""
    there = image.shape[axis]
    if there == extent:
        return image
    place = np.arange(extent, dtype=np.float32) * np.float32((there - 1) / max(extent - 1, 1))
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32)
    after = np.minimum(before + 1, there - 1)
    if axis == 1 or there == 1:
        before[-1], share[-1] = there - 1, 0  # the last column is copied
    weight = share.reshape([-1 if each == axis else 1 for each in range(image.ndim)])
    left = np.take(image, before, axis).astype(np.float32, copy=False)
    right = np.take(image, after, axis).astype(np.float32, copy=False)
    mixed: Floats = left * (1 - weight) + right * weight
    if axis == 0:
        # The last row gets nothing from the next. Where its place falls short of it by rounding, it is dark, as Darknet's.
        mixed[-1] = left[-1] * (1 - weight[-1])
    return mixed
