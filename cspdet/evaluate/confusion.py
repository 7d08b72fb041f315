"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspdet.evaluate.matching import first_of, intersection_over_union, pairs
from cspdet.evaluate.records import Collected, Numbers


def confusion(seen: Collected, classes: int, iou_threshold: float = 0.5, threshold: float = 0.25) -> NDArray[np.int64]:
    """(classes + 1, classes + 1): how often an object of a class (row) was taken for one of a class (column).

    The last row holds detections where nothing is, the last column objects that nothing was found at. Detections above the
    confidence threshold and objects of any class that overlap by more than `iou_threshold` are paired one to one, the closest
    first; of equals those of the same class, then the surest. What is paired with a difficult object does not count.
    """
    found, truth = seen.found, seen.truth
    sure = np.flatnonzero(found.confidence > np.float32(threshold))
    partner = _partners(seen, sure, iou_threshold)
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    rows = np.append(truth.class_id, classes)[partner]
    counts = ~np.append(truth.difficult, False)[partner]
    np.add.at(matrix, (rows[counts], found.class_id[sure][counts]), 1)
    missed = ~truth.difficult
    missed[partner[partner >= 0]] = False
    matrix[:-1, -1] = np.bincount(truth.class_id[missed], minlength=classes)
    return matrix


def _partners(seen: Collected, sure: Numbers, iou_threshold: float) -> Numbers:
    """The object that each of these detections is paired with, -1 for none."""
    found, truth = seen.found.kept(sure), seen.truth
    several = [np.zeros((2, 0), np.int64)]
    overlaps = [np.zeros(0, np.float32)]
    for one, other, _ in pairs(seen.place_of(found.image), seen.place_of(truth.image)):
        overlap = intersection_over_union(found.xywh[one], truth.xywh[other])
        close = overlap > np.float32(iou_threshold)
        several.append(np.stack([one[close], other[close]]))
        overlaps.append(overlap[close])
    detection, thing = np.concatenate(several, 1)
    wrong = found.class_id[detection] != truth.class_id[thing]
    order = np.lexsort((-found.confidence[detection], wrong, -np.concatenate(overlaps)))
    detection, thing = detection[order], thing[order]
    partner = np.full(len(sure), -1, np.int64)
    while len(detection):
        # A pair that comes first for both of its sides is closer than any other of either.
        chosen = first_of(detection) & first_of(thing)
        partner[detection[chosen]] = thing[chosen]
        left = ~np.isin(detection, detection[chosen]) & ~np.isin(thing, thing[chosen])
        detection, thing = detection[left], thing[left]
    return partner
