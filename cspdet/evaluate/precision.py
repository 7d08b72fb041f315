"""Precision over recall, and the area below."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Floats
from cspdet.evaluate.matching import first_of
from cspdet.evaluate.records import Mask, Numbers


class Curve(NamedTuple):
    """One class: a row for each detection, the surest first, with precision and recall down to it."""

    confidence: Floats
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def rank(class_id: Numbers, confidence: Floats, classes: int) -> list[Numbers]:
    """For each class the rows of its detections, the surest first; equals in their order."""
    order = np.lexsort((-confidence, class_id))
    ends = np.searchsorted(class_id[order], np.arange(classes + 1))
    return [order[start:end] for start, end in pairwise(ends)]


def ranked_hits(things: Numbers, ranks: list[Numbers]) -> Mask:
    """Which detections are the surest of the object they overlap; `things` are these objects, -1 for none."""
    hits = np.zeros(len(things), np.bool_)
    for rows in ranks:
        hits[rows] = first_of(things[rows])
    return hits


def curve(hits: Mask, confidence: Floats, truths: int) -> Curve:
    """The curve of a class, from its ranked detections: which are right, and how sure they are."""
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    return Curve(confidence, precision, right / truths if truths else np.zeros(len(hits)))


def envelope(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision from each rank on."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def at_recalls(each: Curve, recalls: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision with at least these recalls, 0 where they are not reached."""
    best = np.append(envelope(each.precision), 0)
    return best[np.searchsorted(each.recall, recalls, "left")]


def average_precision(each: Curve, recalls: NDArray[np.float64] | None = None) -> float:
    """The mean of the best precision at these recalls; without them the area below the envelope."""
    if recalls is not None:
        return float(at_recalls(each, recalls).mean())
    return float((np.diff(each.recall, prepend=0) * envelope(each.precision)).sum())
