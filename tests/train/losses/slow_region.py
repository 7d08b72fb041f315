"""Darknet's loss of [region] as loops, like those in `slow.py`."""

from __future__ import annotations

from math import isnan, log
from typing import Any

import numpy as np

from cspdet.layers.region import Region
from tests.train.losses.slow import Box, Outcome, cell_of, exponential, iou, logistic, repaired, truths_of


class RegionCells:
    """The entries of a [region] head, one image, with Darknet's activations."""

    def __init__(self, head: Region, raw: Any) -> None:
        self.head = head
        _, self.rows, self.columns = raw.shape
        self.out = raw.astype(np.float64).reshape(head.num, -1, self.rows, self.columns)
        self.delta = np.zeros_like(self.out)
        for n, j, i in np.ndindex(head.num, self.rows, self.columns):
            self.out[n, 4, j, i] = logistic(self.out[n, 4, j, i])
            groups = [range(head.classes)] if head.softmax and not head.hierarchy else []
            if head.hierarchy:
                groups = [self.group(each) for each in range(head.hierarchy.groups[-1] + 1)]
            for group in groups:
                chosen = [5 + c for c in group]
                powers = np.exp(self.out[n, chosen, j, i] - self.out[n, chosen, j, i].max())
                self.out[n, chosen, j, i] = powers / powers.sum()

    def group(self, number: int) -> range:
        assert self.head.hierarchy is not None
        groups = self.head.hierarchy.groups
        return range(groups.index(number), groups.index(number) + groups.count(number))

    def anchor(self, n: int) -> tuple[float, float]:
        padded = [*self.head.anchors, *[0.5] * (2 * self.head.num)]
        return padded[2 * n], padded[2 * n + 1]

    def box(self, n: int, j: int, i: int) -> Box:
        x, y, w, h = (float(each) for each in self.out[n, :4, j, i])
        wide, high = self.anchor(n)
        size = exponential(w) * wide / self.columns, exponential(h) * high / self.rows
        return Box((i + logistic(x)) / self.columns, (j + logistic(y)) / self.rows, *size)

    def train_box(self, n: int, j: int, i: int, truth: Box, scale: float) -> float:
        """`delta_region_box`."""
        x, y, w, h = (float(each) for each in self.out[n, :4, j, i])
        wide, high = self.anchor(n)
        x, y = logistic(x), logistic(y)
        self.delta[n, :4, j, i] = [
            scale * (truth.x * self.columns - i - x) * x * (1 - x),
            scale * (truth.y * self.rows - j - y) * y * (1 - y),
            scale * (log(truth.w * self.columns / wide) - w),
            scale * (log(truth.h * self.rows / high) - h),
        ]
        return iou(self.box(n, j, i), truth)

    def train_class(self, n: int, j: int, i: int, label: int, scale: float) -> None:
        """`delta_region_class`."""
        p, delta = self.out[n, 5:, j, i], self.delta[n, 5:, j, i]
        if self.head.hierarchy:
            while label >= 0:
                for c in self.group(self.head.hierarchy.groups[label]):
                    delta[c] = scale * ((c == label) - p[c])
                label = self.head.hierarchy.parents[label]
            return
        factor = 1.0
        if self.head.focal_loss:
            pt = p[label] + 1e-15
            factor = 0.5 * -(1 - pt) * (2 * pt * log(pt) + pt - 1) if pt > 0 else float("nan")
        for c in range(self.head.classes):
            delta[c] = repaired(scale * ((c == label) - p[c]) * factor)

    def probability(self, n: int, j: int, i: int, label: int) -> float:
        found = 1.0
        assert self.head.hierarchy is not None
        while label >= 0:
            found *= self.out[n, 5 + label, j, i]
            label = self.head.hierarchy.parents[label]
        return found

    def train(self, rows: Any, seen: int) -> list[float]:
        """Fill the delta; the intersections over union of the assigned boxes."""
        head = self.head
        everywhere = [(n, j, i) for j, i, n in np.ndindex(self.rows, self.columns, head.num)]
        if head.hierarchy:
            for label, x, y, _, _ in rows.tolist():
                if 0 <= label < head.classes and x > 100000 and y > 100000:
                    chosen, largest = everywhere[0], 0.0
                    for place in everywhere:
                        found = self.out[place[0], 4, place[1], place[2]] * self.probability(*place, int(label))
                        if found > largest:
                            chosen, largest = place, found
                    self.train_class(*chosen, int(label), head.class_scale)
                    return []
        labels = [int(row[0]) for row in rows.tolist()]
        kept = [k for k, row in enumerate(rows) if truths_of(head, row[None])]
        truths = [(truths_of(head, rows[k][None])[0], labels[k]) for k in kept]
        for n, j, i in everywhere:
            obj = float(self.out[n, 4, j, i])
            best, best_label = 0.0, -1
            for truth, label in truths:
                if iou(self.box(n, j, i), truth.box) > best:
                    best, best_label = iou(self.box(n, j, i), truth.box), label
            self.delta[n, 4, j, i] = head.noobject_scale * (0 - obj) * obj * (1 - obj)
            if head.classfix == -1:
                self.delta[n, 4, j, i] = head.noobject_scale * (best - obj) * obj * (1 - obj)
            elif best > head.thresh:
                self.delta[n, 4, j, i] = 0
                if head.classfix > 0:
                    self.train_class(n, j, i, best_label, head.class_scale * (obj if head.classfix == 2 else 1))
            if seen < 12800:
                wide, high = self.anchor(n)
                prior = Box((i + 0.5) / self.columns, (j + 0.5) / self.rows, wide / self.columns, high / self.rows)
                self.train_box(n, j, i, prior, 0.01)
        overlaps = []
        for truth, _ in truths:
            j, i = cell_of(truth.box.y, self.rows), cell_of(truth.box.x, self.columns)
            best_n, best = 0, 0.0
            for n in range(head.num):
                box = self.box(n, j, i)
                if head.bias_match:
                    box = box._replace(w=self.anchor(n)[0] / self.columns, h=self.anchor(n)[1] / self.rows)
                found = iou(box._replace(x=0, y=0), truth.box._replace(x=0, y=0))
                if found > best:
                    best_n, best = n, found
            overlaps.append(self.train_box(best_n, j, i, truth.box, head.coord_scale))
            obj = float(self.out[best_n, 4, j, i])
            target = overlaps[-1] if head.rescore else 1
            self.delta[best_n, 4, j, i] = head.object_scale * (target - obj) * obj * (1 - obj)
            self.train_class(best_n, j, i, truth.label, head.class_scale)
        return overlaps


def region(head: Region, raw: Any, truth: Any, seen: int) -> Outcome:
    images = [RegionCells(head, one) for one in raw]
    overlaps = [each for image, rows in zip(images, truth, strict=True) for each in image.train(rows, seen)]
    delta = np.stack([image.delta.reshape(raw.shape[1:]) for image in images])
    assert not any(isnan(each) for each in overlaps)
    return Outcome(delta, float((delta**2).sum()), len(overlaps), sum(overlaps))
