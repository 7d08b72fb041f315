"""Anchors that fit the boxes of a data set: k-means with 1 - IoU as the distance (YOLOv2, 1612.08242, section 2).

Sizes of boxes are shares of the image here: width and height are scaled apart, which changes no IoU of boxes that share a
corner, so that the same clusters serve every network size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UsageError
from cspdet.text import counted

Sizes = NDArray[np.float64]

# Darknet's own limit, and after how many steps without a gain there will be none.
_STEPS = 1000
_PATIENCE = 20
_ROUNDS = 20
# Starts are compared on so many boxes; the best of them settles on all.
_SAMPLE = 10_000
# Boxes at a time, so that the arrays between stay in the cache.
_CHUNK = 8192


class Anchors(NamedTuple):
    """Anchors, smallest area first."""

    # (k, 2): width and height.
    sizes: Sizes
    # The mean over all boxes of the IoU with the anchor that fits best, and how many boxes that is, for each anchor.
    overlap: float
    counts: NDArray[np.int64]


def fit(boxes: NDArray[np.floating], number: int, *, rounds: int = _ROUNDS, seed: int = 0) -> Anchors:
    """The `number` anchors that fit widths and heights (n, 2) best.

    As `detector.c:calc_anchors` with `k_means.c`: an anchor becomes the mean of its boxes until no box changes sides. Darknet
    starts once, with boxes drawn by the clock, so that its answer changes from call to call. Here, the best of `rounds` starts
    counts, each with boxes that lie far apart (k-means++, Arthur and Vassilvitskii 2007), drawn by `seed`.

    Raises:
        UsageError: there are fewer different boxes than anchors.
    """
    sizes, weights = np.unique(np.asarray(boxes, np.float64), axis=0, return_counts=True)
    if number > len(sizes):
        there = counted(len(sizes), "size", "different sizes")
        raise UsageError(f"the boxes have {there}, too few for {number} anchors", "ask for fewer anchors")
    generator = np.random.default_rng(seed)
    some, some_weights = sizes, weights
    if len(sizes) > _SAMPLE >= number:
        drawn = generator.choice(len(sizes), _SAMPLE, replace=False, p=weights / weights.sum())
        some, some_weights = sizes[drawn], np.ones(_SAMPLE, np.int64)
    starts = [_start(some, some_weights, number, generator) for _ in range(rounds)]
    best = max((_settle(some, some_weights, start) for start in starts), key=lambda found: found.overlap)
    return best if some is sizes else _settle(sizes, weights, best.sizes)


def rate(boxes: NDArray[np.floating], anchors: Sizes) -> Anchors:
    """How well given anchors, (k, 2), fit widths and heights (n, 2). Their order stays."""
    overlap, nearest = _nearest(np.asarray(boxes, np.float64), np.asarray(anchors, np.float64))
    return Anchors(anchors, float(overlap.mean()), np.bincount(nearest, minlength=len(anchors)))


def _start(sizes: Sizes, weights: NDArray[np.int64], number: int, generator: np.random.Generator) -> Sizes:
    """Boxes to begin with: each is drawn the more likely, the further it is from those that were drawn before."""
    chosen = [generator.choice(len(sizes), p=weights / weights.sum())]
    distance = np.full(len(sizes), np.inf)
    while len(chosen) < number:
        overlap, _ = _nearest(sizes, sizes[chosen[-1:]])
        distance = np.minimum(distance, np.maximum(1 - overlap, 0))
        distance[chosen] = 0
        share = weights * distance**2
        total = share.sum()
        if total == 0:  # sizes so close that their overlap is rounded to 1
            chosen.append(next(index for index in range(len(sizes)) if index not in chosen))
        else:
            chosen.append(generator.choice(len(sizes), p=share / total))
    return sizes[chosen]


def _settle(sizes: Sizes, weights: NDArray[np.int64], anchors: Sizes) -> Anchors:
    """Lloyd's steps. The mean is not what the IoU is best at, so a step may lose a little: the best of all counts."""
    best: Anchors | None = None
    since = 0
    before = np.full(len(sizes), -1)
    for _ in range(_STEPS):
        overlap, nearest = _nearest(sizes, anchors)
        mean = float(overlap @ weights / weights.sum())
        totals = np.bincount(nearest, weights, len(anchors))
        if best is None or mean > best.overlap:
            best, since = Anchors(anchors, mean, totals.astype(np.int64)), 0
        since += 1
        if since > _PATIENCE or (nearest == before).all():
            break
        before = nearest
        sums = np.stack([np.bincount(nearest, weights * sizes[:, side], len(anchors)) for side in range(2)], 1)
        # An anchor that has lost all its boxes stays where it is, as in Darknet.
        anchors = np.where(totals[:, None] > 0, sums / np.maximum(totals, 1)[:, None], anchors)
    assert best is not None
    order = np.argsort(best.sizes.prod(1), kind="stable")
    return Anchors(best.sizes[order], best.overlap, best.counts[order])


def _nearest(boxes: Sizes, anchors: Sizes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each box, the IoU with the anchor that fits best, and which that is."""
    overlap, nearest = np.zeros(len(boxes)), np.zeros(len(boxes), np.int64)
    for start in range(0, len(boxes), _CHUNK):
        part = slice(start, start + _CHUNK)
        width, height = boxes[part].T
        area = width * height
        for index, (wide, high) in enumerate(anchors.tolist()):
            shared = np.minimum(width, wide) * np.minimum(height, high)
            ratio = shared / (area + wide * high - shared)
            better = ratio > overlap[part]
            np.copyto(overlap[part], ratio, where=better)
            np.copyto(nearest[part], index, where=better)
    return overlap, nearest


def rounded(anchors: Sizes, width: float) -> Sizes:
    """As `calc_anchors` prints them: whole pixels, for networks of at most 32 pixels (or cells) 4 digits; never 0."""
    digits, least = (0, 1.0) if width > 32 else (4, 1e-4)
    return np.maximum(np.round(anchors, digits), least)


def anchor_text(anchors: Sizes) -> str:
    """Rounded anchors as they stand in a cfg: `10,13, 16,30`."""
    whole = (anchors == np.round(anchors)).all()
    return ", ".join(
        f"{width:.0f},{height:.0f}" if whole else f"{width:.4f},{height:.4f}" for width, height in anchors.tolist()
    )
