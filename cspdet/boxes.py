"""Boxes in numpy: candidates, and the four kinds of non-maximum suppression.

Boxes are rows of (centre x, centre y, width, height), relative to the image unless said otherwise.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Suppression = Literal["default", "greedynms", "diounms", "cornersnms"]

# Boxes whose pairs are looked at together.
_BLOCK = 128
# So many boxes may be scattered: then, one has on average at most so many others near it, by a sample of every so many. Those
# are looked up in strips, of which a picture has at most so many; and so many pairs are looked at together that they stay in
# the cache.
_MANY = 1024
_SCATTERED = 24
_SAMPLE = 16
_STRIPS = 1024
_AT_ONCE = 2**14
# What a round of suppressing leaves open is mostly nothing; of long chains, it is nearly all.
_ROUNDS = 30


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


class Objects(NamedTuple):
    """The boxes of a map that may hold an object: their cells, counted row by row, their anchors, and their objectness."""

    cell: NDArray[np.intp]
    anchor: NDArray[np.intp]
    objectness: Floats


def objects(entries: Floats, threshold: float, *, logistic: bool = True) -> Objects:
    """The boxes of (anchors, cells) whose objectness passes the threshold: cell by cell, the anchors of one after the other.

    With `logistic`, the objectness is the sigmoid of `entries`, which is computed only where it may pass.
    """
    # The sigmoid's inverse, less what rounding may make of it; where the sigmoid is nearly 1, rounding makes much.
    share = min(threshold, 1 - 2**-12)
    least = math.log(share / (1 - share)) - 0.01 if logistic and share > 0 else -math.inf
    anchor, cell = np.divmod(np.flatnonzero(~(entries < least) if logistic else entries > threshold), max(entries.shape[1], 1))
    order = np.argsort(cell, kind="stable")
    cell, anchor = cell[order], anchor[order]
    objectness = entries[anchor, cell]
    if logistic:
        objectness = sigmoid(objectness)
        passed = np.flatnonzero(objectness > threshold)
        cell, anchor, objectness = cell[passed], anchor[passed], objectness[passed]
    return Objects(cell, anchor, objectness)


def gather(parts: list[Candidates]) -> Candidates:
    """The candidates of all heads, in the heads' order; a head of fewer classes gets zeros for the others."""
    classes = max((part.scores.shape[1] for part in parts), default=0)
    scores = [np.pad(part.scores, ((0, 0), (0, classes - part.scores.shape[1]))) for part in parts]
    return Candidates(
        np.concatenate([part.xywh for part in parts] or [np.zeros((0, 4), np.float32)]),
        np.concatenate([part.objectness for part in parts] or [np.zeros(0, np.float32)]),
        np.concatenate(scores or [np.zeros((0, 0), np.float32)]),
    )


def suppress(found: Candidates, threshold: float, kind: Suppression = "default", beta: float = 0.6) -> Candidates:
    """Non-maximum suppression, class by class: a box loses the class of a stronger box that it overlaps too much.

    A suppressed box keeps its other classes. `default` and `cornersnms` compare the intersection over union. `greedynms` does
    not, for all its name: it subtracts the normalised distance of the centres to the power .6 first; `diounms` takes the power
    `beta`. Source: `box.c:do_nms_sort`, `diounms_sort`.

    What is left comes in Darknet's order: it sorts the boxes by each class in turn, before it suppresses that class, so the
    last class that any box had rules, then the one before.
    """
    power = {"greedynms": np.float32(0.6), "diounms": np.float32(beta)}.get(kind)
    classes = found.scores.shape[1]
    there = found.scores != 0
    row = np.repeat(np.arange(len(there)), np.count_nonzero(there, 1))
    number = np.flatnonzero(there) - row * classes
    score = found.scores[row, number]
    order = np.lexsort((-score, number))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lost = np.zeros(len(row), bool)
        lost[order] = _Pairs(found.xywh, row[order], number[order], threshold, power).lost()
    left = _in_order(found.scores, row, score, number, lost)
    place = np.full(len(found.scores), -1)
    place[left] = np.arange(len(left))
    scores = found.scores[left]
    gone = lost & (place[row] >= 0)
    scores[place[row[gone]], number[gone]] = 0
    return Candidates(found.xywh[left], found.objectness[left], scores)


def _in_order(
    scores: Floats, row: NDArray[np.intp], score: Floats, number: NDArray[np.intp], lost: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """The boxes that have a class left, in Darknet's order; `row`, `score` and `number` are of each class of each box."""
    last = np.append(row[1:] != row[:-1], True)[: len(row)]  # the last class of each box
    some = np.zeros(len(scores), bool)
    some[row[~lost]] = True
    last &= some[row]
    left: NDArray[np.intp] = row[last]
    score, number = score[last], number[last]
    order = np.lexsort((-score, -number))
    left, score, number = left[order], score[order], number[order]
    same = (score[1:] == score[:-1]) & (number[1:] == number[:-1])
    if same.any():
        # Where the last class leaves it open, the classes before decide.
        run = np.append(0, np.cumsum(~same))
        open_ = np.append(same, False) | np.append(False, same)
        rows = np.sort(left[open_])
        run_of = np.zeros(len(scores), np.intp)
        run_of[left] = run
        columns = scores[rows]
        left[open_] = rows[np.lexsort(np.vstack([-columns[:, columns.any(0)].T, run_of[rows]]))]
    return left


class _Pairs:
    """Boxes class by class, the stronger first, and which of them a stronger one of its class suppresses."""

    def __init__(
        self, xywh: Floats, row: NDArray[np.intp], number: NDArray[np.intp], threshold: float, power: np.float32 | None
    ) -> None:
        x, y, w, h = xywh.T
        self.numbers = number
        self.threshold = threshold
        self.power = power
        left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        table = np.stack([left, top, right, bottom, w * h, *((x, y) if power is not None else ())]).astype(np.float32)
        self.table = table.take(row, 1)
        # Of two boxes that overlap by more than the threshold, each reaches over more than that share of the other's width
        # and height; a bit less here, because of rounding, and nothing of boxes so small that rounding makes their size.
        reach = np.abs(table[:4]).max(0)
        share = 0.99 * threshold if (np.minimum(w, h) > reach / 1024).all() else 0
        self.inner = np.stack([left + share * w, top + share * h]).astype(np.float32).take(row, 1)

    def lost(self) -> NDArray[np.bool_]:
        """Whether each of them is suppressed.

        As long as that suppresses many, the strongest box of each class is compared with all others. Then, where boxes are
        scattered, those near each other are looked up. Elsewhere, blocks of the strongest boxes that are left are compared with
        each other; those of them that stay, with all others. A block may have several small classes.
        """
        lost = np.zeros(len(self.numbers), bool)
        left = self._after_heads(lost)
        if (hits := self._scattered_hits(left)) is not None:
            lost[left[_resolved(*hits, len(left))]] = True
            return lost
        for group in self._groups(left):
            rest = group
            while len(rest) > 1:
                block, rest = rest[:_BLOCK], rest[_BLOCK:]
                gone = _resolved(*self._hits(block, block), len(block))
                lost[block[gone]] = True
                if len(rest):
                    hit = np.zeros(len(rest), bool)
                    hit[self._hits(block[~gone], rest)[1]] = True
                    lost[rest[hit]] = True
                    rest = rest[~hit]
        return lost

    def _after_heads(self, lost: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The boxes that are left when the strongest ones of each class have suppressed what they can, noted in `lost`."""
        rest = np.arange(len(self.numbers))
        while len(rest) > 2 * _BLOCK:
            numbers = self.numbers[rest]
            new = np.append(True, numbers[1:] != numbers[:-1])
            head = rest[new][np.cumsum(new) - 1]
            near = ~new
            if self.threshold >= 0:
                for axis in (0, 1):
                    near &= self.inner[axis, head] < self.table[axis + 2, rest]
                    near &= self.inner[axis, rest] < self.table[axis + 2, head]
            place = np.flatnonzero(near)
            place = place[self._likeness(self.table.take(head[place], 1), self.table.take(rest[place], 1)) > self.threshold]
            lost[rest[place]] = True
            new[place] = True
            rest = rest[~new]
            if 32 * len(place) < len(new):
                break
        return rest

    def _groups(self, rest: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Whole classes, together at most a block long unless it is one."""
        ends = [*(np.flatnonzero(np.diff(self.numbers[rest])) + 1).tolist(), len(rest)]
        groups = []
        start = before = 0
        for end in ends:
            if end - start > _BLOCK and before > start:
                groups.append(rest[start:before])
                start = before
            before = end
        return [*groups, rest[start:before]]

    def _hits(self, some: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The places in `some` and in `others` of all pairs whose second is too much like its first, which is the stronger."""
        one, two = self.table.take(some, 1), self.table.take(others, 1)
        if self.threshold >= 0:  # then only boxes that share some area are too much alike
            inner = self.inner.take(some, 1)[:, :, None], self.inner.take(others, 1)
            near = inner[0][0] < two[2]
            near &= inner[0][1] < two[3]
            near &= inner[1][0] < one[2, :, None]
            near &= inner[1][1] < one[3, :, None]
        else:
            near = np.ones((len(some), len(others)), bool)
        if self.numbers[some[0]] != self.numbers[others[-1]]:
            near &= self.numbers[some, None] == self.numbers[others]
        first = np.repeat(np.arange(len(some)), np.count_nonzero(near, 1))
        second = np.flatnonzero(near) - first * len(others)
        if some[-1] >= others[0]:
            later = some[first] < others[second]
            first, second = first[later], second[later]
        hit = self._likeness(one.take(first, 1), two.take(second, 1)) > self.threshold
        return first[hit], second[hit]

    def _scattered_hits(self, some: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """The same of all of them with each other, where few pairs are near; None where that is not so, or they are few."""
        if self.threshold < 0 or len(some) < _MANY:
            return None
        if _SAMPLE * self._in_strips(some[::_SAMPLE])[1].sum() > _SCATTERED * len(some) / _SAMPLE:
            return None
        order, behind = self._in_strips(some)
        if behind.sum() > 2 * _SCATTERED * len(some):
            return None
        table = self.table.take(some[order], 1)
        top, bottom = self.inner[1].take(some[order]), table[3]
        firsts, seconds = [], []
        cuts = np.searchsorted(np.cumsum(behind), np.arange(_AT_ONCE, behind.sum(), _AT_ONCE)).tolist()
        for start, stop in pairwise([0, *cuts, len(order)]):
            one, step = _runs(behind[start:stop])
            one += start
            two = one + 1 + step
            near = np.flatnonzero((top[one] < bottom[two]) & (top[two] < bottom[one]))
            one, two = one[near], two[near]
            hit = np.flatnonzero(self._likeness(table.take(one, 1), table.take(two, 1)) > self.threshold)
            one, two = order[one[hit]], order[two[hit]]
            firsts.append(np.minimum(one, two))
            seconds.append(np.maximum(one, two))
        return np.concatenate(firsts), np.concatenate(seconds)

    def _in_strips(self, some: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places in `some` in an order, and how many behind each have a box that may be near; one may stand there repeatedly.

        The picture is cut into strips about as high as boxes are, and a box is in all those that it reaches into. In each, the
        boxes of a class are sorted by where they begin: those that begin before another one ends stand behind it.
        """
        order = np.argsort(self.inner[0].take(some))
        some, count = some[order], len(some)
        left, top = self.inner.take(some, 1)
        right, bottom = self.table[2:4].take(some, 1)
        strips = int(np.fmin(np.fmax(1 / np.median(bottom - top), 1), _STRIPS))
        # What is not a number is near nothing, wherever it lies.
        first, last = (np.fmin(np.fmax(edge * strips, 0), strips - 1).astype(np.intp) for edge in (top, bottom))
        reached = np.maximum(last - first + 1, 0)
        if reached.sum() > 4 * count:
            strips, first, reached = 1, np.zeros_like(first), np.ones_like(first)
        begun = np.where(np.isnan(right), 0, np.searchsorted(left, right))
        box, step = _runs(reached)
        strip = ((self.numbers[some] * strips + first)[box] + step) * count
        place = np.argsort(strip + box)
        box, strip = box[place], strip[place]
        behind = np.searchsorted(strip + box, strip + begun[box]) - np.arange(1, len(box) + 1)
        return order[box], np.maximum(behind, 0)

    def _likeness(self, one: Floats, two: Floats) -> Floats:
        """How much boxes are alike, pair by pair; both are columns of the table.

        Intersection over union, 0 where both are empty (`box.c:box_iou`), less a power of the squared distance of the centres
        over the squared diagonal of the enclosing box, 0 where that is a point.
        """
        width, height = np.minimum(one[2:4], two[2:4]) - np.maximum(one[:2], two[:2])
        intersection = np.where((width < 0) | (height < 0), 0, width * height)
        union = one[4] + two[4] - intersection
        likeness: Floats = np.divide(intersection, union, out=np.zeros_like(union), where=union != 0)
        if self.power is not None:
            sides = np.maximum(one[2:4], two[2:4]) - np.minimum(one[:2], two[:2])
            diagonal = sides[0] ** 2 + sides[1] ** 2
            apart = (one[5] - two[5]) ** 2 + (one[6] - two[6]) ** 2
            likeness -= np.divide(apart, diagonal, out=np.zeros_like(diagonal), where=diagonal != 0) ** self.power
        return likeness


def _runs(lengths: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Runs of these lengths, one behind the other: for each of their members, the run it is in, and its place therein."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _resolved(first: NDArray[np.intp], second: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Which of `count` boxes are suppressed, where each first would suppress its second, unless it is suppressed itself."""
    lost = np.zeros(count, bool)
    for _ in range(_ROUNDS):
        if not len(first):
            return lost
        threatened = np.zeros(count, bool)
        threatened[second] = True
        sure = ~threatened[first]
        lost[second[sure]] = True
        open_ = ~(lost[first] | lost[second])
        first, second = first[open_], second[open_]
    order = np.argsort(first)
    for one, two in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if not lost[one]:
            lost[two] = True
    return lost


def passing(score: Floats, threshold: float) -> Floats:
    """The scores above the threshold, 0 for all others, and for what is not a number."""
    return np.where(score > threshold, score, np.float32(0))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), in float32."""
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-x))
