"""Records of several processes put together."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.evaluate import Collected, judge, merge
from cspdet.evaluate.records import nothing
from tests.evaluate.material import Thing, collected

IMAGES = 12


def _things(seed: int, count: int) -> list[Thing]:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 500, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(20, 200, (count, 2))], 1).astype(float)
    return [
        Thing(int(image), int(kind), tuple(box), float(sureness))
        for image, kind, box, sureness in zip(
            rng.integers(1, IMAGES, count), rng.integers(0, 3, count), boxes.tolist(), rng.random(count).round(1), strict=True
        )
    ]


def _part(seen: Collected, images: list[int]) -> Collected:
    """What a process has that looks at these images, in its own order."""

    def rows(column: np.ndarray) -> np.ndarray:
        return np.concatenate([np.flatnonzero(column == each) for each in images] or [np.zeros(0, np.int64)])

    order = np.array(sorted(range(len(images)), key=images.__getitem__), np.int64)
    numbers = np.array(images, np.int64)[order]
    return Collected(
        numbers,
        seen.sizes[seen.place_of(numbers)],
        seen.found.kept(rows(seen.found.image)),
        seen.truth.kept(rows(seen.truth.image)),
        nothing().skipped,
    )


def equal(one: Collected, other: Collected) -> bool:
    def flat(seen: Collected) -> list[np.ndarray]:
        return [seen.images, seen.sizes, *seen.found, *seen.truth, seen.skipped]

    return all(
        np.array_equal(a, b) and a.dtype == b.dtype and a.shape == b.shape for a, b in zip(flat(one), flat(other), strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.permutations(range(1, IMAGES + 1)), st.integers(1, 5), st.lists(st.integers(1, IMAGES)))
def test_parts_make_the_whole(seed: int, order: list[int], processes: int, again: list[int]) -> None:
    whole = collected(_things(seed, 60), _things(seed + 1, 40), range(1, IMAGES + 1))
    shares = [order[place::processes] for place in range(processes)]
    parts = [_part(whole, share) for share in shares] + [_part(whole, sorted({*again}))]
    merged = merge(parts)
    assert equal(merged, whole)
    assert equal(merge([merged]), whole)
    one, other = judge(merged, ("a", "b", "c")), judge(whole, ("a", "b", "c"))
    assert one == other
    assert one.to_json() == other.to_json()


def test_what_was_skipped() -> None:
    there = collected([], [Thing(2, 0, (0, 0, 8, 8))])
    merged = merge([nothing([5, 3]), there, nothing([3, 2])])
    # One process could read image 2, the other not.
    assert merged.skipped.tolist() == [3, 5]
    assert merged.images.tolist() == [2]


def test_nothing_makes_nothing() -> None:
    assert equal(merge([]), nothing())
    assert equal(merge([nothing(), nothing()]), nothing())


def test_a_record_can_be_sent() -> None:
    seen = collected(_things(3, 20), _things(4, 20))
    assert equal(pickle.loads(pickle.dumps(seen)), seen)
