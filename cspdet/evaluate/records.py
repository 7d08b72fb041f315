"""What was found in images and what is there, as plain arrays that processes can send each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Floats

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Found(NamedTuple):
    """Detections, a row each: number of the image, class, box (centre x, y, width, height; relative to the image), confidence.

    The rows of an image stand together, in the order in which the detector gave them.
    """

    image: Numbers
    class_id: Numbers
    xywh: Floats
    confidence: Floats

    def kept(self, rows: Mask | Numbers) -> Found:
        """Those that `rows` selects."""
        return Found(self.image[rows], self.class_id[rows], self.xywh[rows], self.confidence[rows])


class Truth(NamedTuple):
    """Objects that are there, a row each; finding a `difficult` one is no merit, and missing it no fault."""

    image: Numbers
    class_id: Numbers
    xywh: Floats
    difficult: Mask

    def kept(self, rows: Mask | Numbers) -> Truth:
        """Those that `rows` selects."""
        return Truth(self.image[rows], self.class_id[rows], self.xywh[rows], self.difficult[rows])


class Collected(NamedTuple):
    """All that is needed to judge a detector, or a part of it.

    `images` (n,) are the numbers of the images looked at, ascending, `sizes` (n, 2) their widths and heights in pixels, and
    `skipped` the numbers of those that could not be read.
    """

    images: Numbers
    sizes: Numbers
    found: Found
    truth: Truth
    skipped: Numbers

    def place_of(self, image: Numbers) -> Numbers:
        """Which of `images` these numbers are."""
        return np.searchsorted(self.images, image).astype(np.int64)


def nothing(skipped: Sequence[int] = ()) -> Collected:
    """No image looked at; some may have been skipped."""
    number, box = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    found, truth = Found(number, number, box, np.zeros(0, np.float32)), Truth(number, number, box, np.zeros(0, np.bool_))
    return Collected(number, np.zeros((0, 2), np.int64), found, truth, np.array(skipped, np.int64))


def join(parts: Iterable[Collected]) -> Collected:
    """Parts that have no image in common as one, in the order of the images' numbers."""
    several = [nothing(), *parts]
    images = np.concatenate([each.images for each in several])
    found = Found(*(np.concatenate(columns) for columns in zip(*(each.found for each in several), strict=True)))
    truth = Truth(*(np.concatenate(columns) for columns in zip(*(each.truth for each in several), strict=True)))
    skipped = np.unique(np.concatenate([each.skipped for each in several]))
    order = np.argsort(images, kind="stable")
    return Collected(
        images[order],
        np.concatenate([each.sizes for each in several])[order],
        found.kept(np.argsort(found.image, kind="stable")),
        truth.kept(np.argsort(truth.image, kind="stable")),
        skipped[~np.isin(skipped, images)],
    )


def merge(parts: Iterable[Collected]) -> Collected:
    """What several processes collected as one.

    An image that several of them have counts once: what shares images out evenly may repeat some.
    """
    kept = [nothing()]
    for part in parts:
        images = part.images[~np.isin(part.images, np.concatenate([each.images for each in kept]))]
        kept.append(
            Collected(
                images,
                part.sizes[np.isin(part.images, images)],
                part.found.kept(np.isin(part.found.image, images)),
                part.truth.kept(np.isin(part.truth.image, images)),
                part.skipped,
            )
        )
    return join(kept)
