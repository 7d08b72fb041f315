"""Which object a detection overlaps most, for all detections of all images at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Floats
from cspdet.evaluate.records import Mask, Numbers

# Overlaps of paired rows: of detection i with object i.
Measure = Callable[[Numbers, Numbers], NDArray[np.floating]]

# Pairs that are measured at a time, so that crowded images do not fill the memory.
_AT_A_TIME = 2**20


class Best(NamedTuple):
    """For each detection, the object that it overlaps most (the first of equals), -1 if there is none, and by how much."""

    truth: Numbers
    overlap: NDArray[np.float64]


def intersection_over_union(one: Floats, other: Floats) -> Floats:
    """Of each box (centre x, y, width, height) of `one` (n, 4) with that of `other`, in float32 (`box.c:box_iou`)."""
    width, height = (
        np.minimum(one[:, axis] + one[:, axis + 2] / 2, other[:, axis] + other[:, axis + 2] / 2)
        - np.maximum(one[:, axis] - one[:, axis + 2] / 2, other[:, axis] - other[:, axis + 2] / 2)
        for axis in (0, 1)
    )
    intersection = np.where((width < 0) | (height < 0), np.float32(0), width * height)
    union = one[:, 2] * one[:, 3] + other[:, 2] * other[:, 3] - intersection
    likeness: Floats = np.divide(intersection, union, out=np.zeros_like(union), where=union != 0)
    return likeness


def pairs(found: Numbers, truth: Numbers) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Every detection with every object of the same key, many at a time.

    Args:
        found: (n,) the key of each detection, say its image.
        truth: (m,) that of each object.

    Yields:
        Rows of detections and of objects, pair by pair: all objects of a detection stand together, in their order; and where
        in these the objects of each detection start.
    """
    order = np.argsort(truth, kind="stable")
    keys = truth[order]
    start = np.searchsorted(keys, found, "left")
    count = np.searchsorted(keys, found, "right") - start
    rows = np.flatnonzero(count)
    total = np.cumsum(count[rows])
    cuts = np.searchsorted(total, np.arange(_AT_A_TIME, total[-1] if len(total) else 0, _AT_A_TIME))
    for part in np.split(rows, cuts):
        if not len(part):
            continue
        many = count[part]
        first = np.cumsum(many) - many
        within = np.arange(many.sum()) - np.repeat(first, many)
        yield np.repeat(part, many), order[np.repeat(start[part], many) + within], first


def best(found: Numbers, truth: Numbers, measure: Measure) -> Best:
    """For each detection, the object of the same key that it overlaps most.

    Args:
        found: (n,) the key of each detection: image and class.
        truth: (m,) that of each object; what is negative is nobody's.
        measure: how much detections overlap objects, given rows of both.
    """
    chosen, overlap = np.full(len(found), -1, np.int64), np.zeros(len(found), np.float64)
    for detection, thing, first in pairs(found, truth):
        likeness = measure(detection, thing)
        highest = np.maximum.reduceat(likeness, first)
        many = np.diff(np.append(first, len(likeness)))
        top = np.flatnonzero(likeness == np.repeat(highest, many))
        rows, where = np.unique(detection[top], return_index=True)
        chosen[rows], overlap[rows] = thing[top[where]], highest
    overlap[overlap <= 0] = 0
    chosen[overlap == 0] = -1
    return Best(chosen, overlap)


def first_of(things: Numbers) -> Mask:
    """Which rows are the first of their number; negative ones never are."""
    mask = np.zeros(len(things), np.bool_)
    mask[np.unique(things, return_index=True)[1]] = True
    return mask & (things >= 0)
