"""How far a mean average precision can be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from cspdet.evaluate import Collected, judge
from cspdet.evaluate.confidence import confidence_interval, redrawn
from cspdet.evaluate.records import Found, Truth


def seen(images: int, right: int) -> Collected:
    """One object in every image, which is found in the first `right` of them; two misses in the third."""
    numbers = np.arange(images, dtype=np.int64) * 3 + 5
    box = np.tile(np.float32([0.5, 0.5, 0.4, 0.4]), (images, 1))
    zeros = np.zeros(images, np.int64)
    of = np.sort(np.concatenate([numbers[:right], numbers[2:3], numbers[2:3]]))
    found = np.tile(np.float32([0.5, 0.5, 0.4, 0.4]), (len(of), 1))
    found[of == numbers[2], :2] += np.float32([[0, 0], [0.3, 0.3], [0.3, 0.3]])
    confidence = np.linspace(0.9, 0.3, len(of)).astype(np.float32)
    return Collected(
        numbers,
        np.full((images, 2), 100),
        Found(of, np.zeros(len(of), np.int64), found, confidence),
        Truth(numbers, zeros, box, np.zeros(images, np.bool_)),
        np.zeros(0, np.int64),
    )


def test_the_images_drawn_keep_what_is_in_them() -> None:
    whole = seen(6, 4)
    part = redrawn(whole, np.array([2, 5, 2, 0]))
    assert part.images.tolist() == [0, 1, 2, 3]
    assert part.found.image.tolist() == [0, 0, 0, 2, 2, 2, 3]
    assert part.truth.image.tolist() == [0, 1, 2, 3]
    third = whole.found.confidence[whole.found.image == whole.images[2]]
    assert part.found.confidence.tolist() == [*third, *third, whole.found.confidence[0]]
    assert judge(redrawn(whole, np.arange(6)), ["thing"]).map == judge(whole, ["thing"]).map


def test_the_interval_is_that_of_a_share() -> None:
    """Where every detection is right, the precision is the share that is found: its deviation is known."""
    whole = seen(400, 300)
    whole = whole._replace(found=whole.found.kept(np.abs(whole.found.xywh[:, 0] - 0.5) < 0.1))
    low, high = confidence_interval(whole, ["thing"], resamples=400)
    deviation = (0.75 * 0.25 / 400) ** 0.5
    assert low == pytest.approx(0.75 - 1.96 * deviation, abs=0.4 * deviation)
    assert high == pytest.approx(0.75 + 1.96 * deviation, abs=0.4 * deviation)
    assert confidence_interval(whole, ["thing"], resamples=50) == confidence_interval(whole, ["thing"], resamples=50)
    assert confidence_interval(seen(40, 40), ["thing"], resamples=20).high <= 1
