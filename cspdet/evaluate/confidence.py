"""How far a mean average precision can be trusted: what it would be on other images of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cspdet.evaluate.judge import judge
from cspdet.evaluate.records import Collected, Numbers

# Sets of images that are drawn, and the share of them that the interval holds.
RESAMPLES, SHARE = 500, 0.95


class Interval(NamedTuple):
    """From the lower to the upper bound, 0 … 1."""

    low: float
    high: float


def confidence_interval(
    seen: Collected,
    names: Sequence[str],
    *,
    protocol: str = "darknet",
    iou_threshold: float = 0.5,
    points: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Where the mean average precision lies for 95 % of sets of as many images, drawn from these with repetition.

    It says how much the choice of the images matters, and nothing about what another training would give.
    Source: the percentile bootstrap, Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13.

    Args:
        seen: what was found and what is there.
        names: the names of all classes.
        protocol: darknet or voc.
        iou_threshold: as for `judge`.
        points: as for `judge`.
        resamples: how many sets are drawn.
        seed: what they are drawn by.

    Raises:
        UsageError: as `judge` does.
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = random.integers(len(seen.images), size=len(seen.images))
        part = redrawn(seen, drawn)
        if not part.truth.difficult.all():
            found.append(judge(part, names, protocol=protocol, iou_threshold=iou_threshold, points=points).map)
    low, high = np.quantile(found, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(float(low), float(high))


def redrawn(seen: Collected, drawn: Numbers) -> Collected:
    """The images at these places, numbered anew; one that is drawn twice counts twice."""
    numbers = np.arange(len(drawn), dtype=np.int64)

    def rows(image: Numbers) -> tuple[Numbers, Numbers]:
        """The rows of each image in turn, and the image's new number for each of them."""
        start, end = (np.searchsorted(image, seen.images[drawn], side) for side in ("left", "right"))
        counts = end - start
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(start, counts) + offsets, np.repeat(numbers, counts)

    (of_found, found_image), (of_truth, truth_image) = rows(seen.found.image), rows(seen.truth.image)
    return Collected(
        numbers,
        seen.sizes[drawn],
        seen.found.kept(of_found)._replace(image=found_image),
        seen.truth.kept(of_truth)._replace(image=truth_image),
        np.zeros(0, np.int64),
    )
