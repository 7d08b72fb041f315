"""Darknet's losses as loops over images, cells, anchors and truths: slow, obvious, and in double precision.

Each gives the delta, as an array like `raw`, the cost that Darknet prints, the number of assigned boxes, and the sum of their
intersection over union.
"""

from __future__ import annotations

from math import atan, exp, inf, isfinite, log, pi, sqrt
from typing import Any, NamedTuple

import numpy as np

from cspdet.layers.base import Shape
from cspdet.layers.gaussian_yolo import GaussianYolo
from cspdet.layers.yolo import Yolo


class Box(NamedTuple):
    x: float
    y: float
    w: float
    h: float


class Outcome(NamedTuple):
    delta: Any
    cost: float
    count: int
    iou: float


def logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x > -700 else 0.0


def exponential(x: float) -> float:
    return exp(x) if x < 700 else inf


def repaired(value: float) -> float:
    return value if isfinite(value) else 0.0


def limited(value: float, limit: float) -> float:
    return max(-limit, min(limit, repaired(value)))


# -- boxes ---------------------------------------------------------------------------------------------------------------


def extent(one: Box, two: Box, axis: int) -> float:
    low = max(one[axis] - one[axis + 2] / 2, two[axis] - two[axis + 2] / 2)
    return min(one[axis] + one[axis + 2] / 2, two[axis] + two[axis + 2] / 2) - low


def enclosing(one: Box, two: Box, axis: int) -> float:
    low = min(one[axis] - one[axis + 2] / 2, two[axis] - two[axis + 2] / 2)
    return max(one[axis] + one[axis + 2] / 2, two[axis] + two[axis + 2] / 2) - low


def areas(one: Box, two: Box) -> tuple[float, float]:
    wide, high = extent(one, two, 0), extent(one, two, 1)
    intersection = 0.0 if wide < 0 or high < 0 else wide * high
    return intersection, one.w * one.h + two.w * two.h - intersection


def iou(one: Box, two: Box) -> float:
    intersection, union = areas(one, two)
    return intersection / union if intersection and union else 0.0


def likeness(one: Box, two: Box, kind: str) -> float:
    found = iou(one, two)
    wide, high = enclosing(one, two, 0), enclosing(one, two, 1)
    if kind == "giou" and wide * high:
        found -= 1 - areas(one, two)[1] / (wide * high)
    if kind in ("diou", "ciou") and wide**2 + high**2:
        found -= ((one.x - two.x) ** 2 + (one.y - two.y) ** 2) / (wide**2 + high**2)
    if kind == "ciou":
        aspect = 4 / pi**2 * (atan(two.w / two.h) - atan(one.w / one.h)) ** 2
        found -= aspect * aspect / (1 - iou(one, two) + aspect + 1e-6)
    return found


def likeness_gradient(box: Box, truth: Box, kind: str) -> tuple[float, float, float, float]:
    """What `box.c:dx_box_iou` says of x, y, width and height, side by side."""
    left, right, top, bottom = box.x - box.w / 2, box.x + box.w / 2, box.y - box.h / 2, box.y + box.h / 2
    true_left, true_right = truth.x - truth.w / 2, truth.x + truth.w / 2
    true_top, true_bottom = truth.y - truth.h / 2, truth.y + truth.h / 2
    wide, high = extent(box, truth, 0), extent(box, truth, 1)
    shared = wide * high
    union = box.w * box.h + truth.w * truth.h - shared
    hull_wide, hull_high = enclosing(box, truth, 0), enclosing(box, truth, 1)
    hull = hull_wide * hull_high
    apart = wide <= 0 or high <= 0

    # Of the sides, in the order left, right, top, bottom.
    d_shared = [
        -high if left > true_left else 0.0,
        high if right < true_right else 0.0,
        -wide if top > true_top else 0.0,
        wide if bottom < true_bottom else 0.0,
    ]
    d_area = [-box.h, box.h, -box.w, box.w]
    d_union = [a - s for a, s in zip(d_area, d_shared, strict=True)]
    sides = [0.0] * 4
    if union > 0:
        sides = [(union * s - shared * u) / union**2 for s, u in zip(d_shared, d_union, strict=True)]
    if kind == "giou":
        d_hull = [
            -hull_high if left < true_left else 0.0,
            hull_high if right > true_right else 0.0,
            -hull_wide if top < true_top else 0.0,
            hull_wide if bottom > true_bottom else 0.0,
        ]
        more = [(hull * u - union * c) / hull**2 for u, c in zip(d_union, d_hull, strict=True)]
        sides = more if apart else [s + m for s, m in zip(sides, more, strict=True)]
    found = [sides[0] + sides[1], sides[2] + sides[3], sides[1] - sides[0], sides[3] - sides[2]]
    if kind in ("diou", "ciou"):
        diagonal = hull_wide**2 + hull_high**2
        squared = (box.x - truth.x) ** 2 + (box.y - truth.y) ** 2
        out = [float(left < true_left), float(right > true_right), float(top < true_top), float(bottom > true_bottom)]
        more = [
            (2 * (truth.x - box.x) * diagonal - 2 * hull_wide * (out[1] - out[0]) * squared) / diagonal**2,
            (2 * (truth.y - box.y) * diagonal - 2 * hull_high * (out[3] - out[2]) * squared) / diagonal**2,
            2 * hull_wide * 0.5 * (out[0] + out[1]) * squared / diagonal**2,
            2 * hull_high * 0.5 * (out[2] + out[3]) * squared / diagonal**2,
        ]
        if kind == "ciou":
            turn = atan(truth.w / truth.h) - atan(box.w / box.h)
            aspect = 4 / pi**2 * turn**2
            alpha = aspect / (1 - shared / union + aspect + 1e-6)
            more[2] += alpha * 8 / pi**2 * turn * box.h
            more[3] -= alpha * 8 / pi**2 * turn * box.w
        found = more if apart else [f + m for f, m in zip(found, more, strict=True)]
    return found[0], found[1], found[2], found[3]


# -- what all heads do with truths ---------------------------------------------------------------------------------------


class Truth(NamedTuple):
    box: Box
    label: int  # after `map`
    multiplier: float


def truths_of(head: Any, rows: Any) -> list[Truth]:
    multipliers = [1.0] * head.classes
    if getattr(head, "counters_per_class", ()):
        counters = [max(1, each) for each in head.counters_per_class]
        multipliers = [min(max(counters) / each, head.max_delta) for each in counters]
    found = []
    for label, *numbers in rows.tolist():
        box = Box(*numbers)
        if not 0 <= label < head.classes or not (0 <= box.x <= 1 and 0 <= box.y <= 1 and box.w > 0 and box.h > 0):
            continue
        mapped = head.class_map[int(label)] if head.map else int(label)
        if 0 <= mapped < head.classes:
            found.append(Truth(box, mapped, multipliers[mapped]))
    return found


def cell_of(share: float, cells: int) -> int:
    return min(cells - 1, max(0, int(share * cells)))


# -- [yolo] --------------------------------------------------------------------------------------------------------------


class YoloCells:
    """The entries of a [yolo] head, one image, with Darknet's activations."""

    coordinates = (0, 1, 2, 3)
    objectness = 4

    def __init__(self, head: Yolo, raw: Any, network: Shape) -> None:
        self.head, self.network = head, network
        _, self.rows, self.columns = raw.shape
        self.out = raw.astype(np.float64).reshape(len(head.used), -1, self.rows, self.columns)
        self.delta = np.zeros_like(self.out)
        for index in np.ndindex(*self.out.shape):
            entry = index[1]
            if self.is_logistic(entry):
                self.out[index] = logistic(self.out[index]) if isfinite(self.out[index]) else self.out[index]
            if entry in self.coordinates[:2]:
                self.out[index] = self.out[index] * head.scale_x_y - 0.5 * (head.scale_x_y - 1)
        objectness = self.out[:, self.objectness]
        objectness[~np.isfinite(objectness)] = 0

    def is_logistic(self, entry: int) -> bool:
        return not self.head.new_coords and entry not in (2, 3)

    def box(self, n: int, j: int, i: int) -> Box:
        x, y, w, h = (float(self.out[n, entry, j, i]) for entry in self.coordinates)
        anchor = self.head.anchor(self.head.used[n])
        size = [4 * w * w, 4 * h * h] if self.head.new_coords else [exponential(w), exponential(h)]
        wide, high = size[0] * anchor[0] / self.network.width, size[1] * anchor[1] / self.network.height
        return Box((i + x) / self.columns, (j + y) / self.rows, wide, high)

    def classes(self, n: int, j: int, i: int) -> Any:
        return self.out[n, self.objectness + 1 :, j, i]

    def train_class(self, n: int, j: int, i: int, truth: Truth) -> None:
        """`delta_yolo_class`."""
        head, p, delta = self.head, self.classes(n, j, i), self.delta[n, self.objectness + 1 :, j, i]
        eps, multiplier = head.label_smooth_eps, truth.multiplier
        if delta[truth.label]:
            delta[truth.label] = repaired(1 - eps + 0.5 * eps - p[truth.label]) * multiplier
            return
        for c in range(head.classes):
            target = float(c == truth.label)
            if head.focal_loss and not isinstance(head, GaussianYolo):
                pt = p[truth.label] + 1e-15
                delta[c] = (target - p[c]) * 0.5 * -(1 - pt) * (2 * pt * log(pt) + pt - 1)
            else:
                delta[c] = repaired(target * (1 - eps) + 0.5 * eps - p[c])
                if c == truth.label and head.counters_per_class:
                    delta[c] *= multiplier * head.cls_normalizer

    def train_box(self, n: int, j: int, i: int, truth: Truth) -> Box:
        """`delta_yolo_box`; the box as it is."""
        head, box = self.head, self.box(n, j, i)
        normalizer = head.iou_normalizer * truth.multiplier
        values = [float(self.out[n, entry, j, i]) for entry in range(4)]
        anchor = head.anchor(head.used[n])
        if head.iou_loss == "mse":
            sizes = [truth.box.w * self.network.width / anchor[0], truth.box.h * self.network.height / anchor[1]]
            sizes = [sqrt(size / 4) if head.new_coords else log(size) for size in sizes]
            targets = [truth.box.x * self.columns - i, truth.box.y * self.rows - j, *sizes]
            scale = 2 - truth.box.w * truth.box.h
            found = [scale * (target - value) * normalizer for target, value in zip(targets, values, strict=True)]
            found = [repaired(each) for each in found]
        else:
            filled = box._replace(w=box.w or 1.0, h=box.h or 1.0)
            found = list(likeness_gradient(filled, truth.box, head.iou_loss))
            if not head.new_coords:
                found[2] *= exponential(values[2])
                found[3] *= exponential(values[3])
            found = [limited(each * normalizer, head.max_delta) for each in found]
        self.delta[n, :4, j, i] += found
        return box

    def cell(self, truth: Truth) -> tuple[int, int]:
        return cell_of(truth.box.y, self.rows), cell_of(truth.box.x, self.columns)

    def train_unassigned(self, n: int, j: int, i: int, truths: list[Truth]) -> None:
        head, box, obj = self.head, self.box(n, j, i), float(self.out[n, self.objectness, j, i])
        seen = any(p > 0.25 for p in self.classes(n, j, i))
        best, best_truth = 0.0, None
        for truth in truths:
            found = iou(box, truth.box)
            if found > best:
                best, best_truth = found, truth
        delta = head.obj_normalizer * (0 - obj)
        if seen and best > head.ignore_thresh:
            delta = self.ignored(n, j, i, delta, best, best_truth)
        self.delta[n, self.objectness, j, i] = delta
        if best_truth and best > head.truth_thresh:
            target = best * best if head.objectness_smooth else 1
            self.delta[n, self.objectness, j, i] = head.obj_normalizer * (target - obj)
            self.train_class(n, j, i, best_truth)
            if head.objectness_smooth:
                p = self.classes(n, j, i)[best_truth.label]
                self.delta[n, self.objectness + 1 + best_truth.label, j, i] = best_truth.multiplier * (target - p)
            self.train_box(n, j, i, best_truth)

    def ignored(self, n: int, j: int, i: int, delta: float, best: float, truth: Truth | None) -> float:
        if not self.head.objectness_smooth:
            return 0.0
        return max(delta, self.head.obj_normalizer * (best - float(self.out[n, self.objectness, j, i])))

    def train_assigned(self, n: int, j: int, i: int, truth: Truth) -> float:
        box = self.train_box(n, j, i, truth)
        delta = truth.multiplier * self.head.obj_normalizer * (1 - float(self.out[n, self.objectness, j, i]))
        if not self.keeps_objectness() or self.delta[n, self.objectness, j, i] == 0:
            self.delta[n, self.objectness, j, i] = delta
        self.train_class(n, j, i, truth)
        return self.reported(box, truth)

    def keeps_objectness(self) -> bool:
        return self.head.objectness_smooth

    def reported(self, box: Box, truth: Truth) -> float:
        return iou(box, truth.box)

    def average(self) -> None:
        if self.head.iou_thresh >= 1:
            return
        for n, j, i in np.ndindex(len(self.out), self.rows, self.columns):
            positive = int((self.delta[n, 5:, j, i] > 0).sum())
            if self.delta[n, 4, j, i] != 0 and positive:
                self.delta[n, :4, j, i] /= positive

    def train(self, truths: list[Truth]) -> list[tuple[Box, Truth]]:
        """Fill the delta; the assigned boxes and their truths."""
        head = self.head
        for j, i, n in np.ndindex(self.rows, self.columns, len(head.used)):
            self.train_unassigned(n, j, i, truths)
        found = []
        for truth in truths:
            j, i = self.cell(truth)
            shape = Box(0, 0, truth.box.w, truth.box.h)
            anchors = []
            for number in range(max(head.num, *(each + 1 for each in head.used))):
                wide, high = head.anchor(number)
                anchors.append(Box(0, 0, wide / self.network.width, high / self.network.height))
            best_n, best = 0, 0.0
            for number in range(head.num):
                if iou(anchors[number], shape) > best:
                    best_n, best = number, iou(anchors[number], shape)
            wanted = [best_n]
            if head.iou_thresh < 1:
                others = [number for number in range(head.num) if number != best_n]
                wanted += [each for each in others if likeness(anchors[each], shape, head.iou_thresh_kind) > head.iou_thresh]
            for number in wanted:
                if number in head.used:
                    n = head.used.index(number)
                    found.append((self.box(n, j, i), truth))
                    self.train_assigned(n, j, i, truth)
        self.average()
        return found


def yolo(head: Yolo, raw: Any, truth: Any, network: Shape, cells: type[YoloCells] = YoloCells) -> Outcome:
    images = [cells(head, one, network) for one in raw]
    assigned = [each for image, rows in zip(images, truth, strict=True) for each in image.train(truths_of(head, rows))]
    delta = np.stack([image.delta.reshape(raw.shape[1:]) for image in images])
    total = sum(iou(box, one.box) for box, one in assigned)
    rest = sum(float((image.delta[:, 4:] ** 2).sum()) for image in images)
    cost = float((delta**2).sum())
    if head.show_details and head.iou_loss != "mse" and not isinstance(head, GaussianYolo):
        kind = "giou" if head.iou_loss == "giou" else "iou"
        lost = [1 - likeness(box, one.box, kind) for box, one in assigned]
        cost = head.iou_normalizer * sum(lost) / max(1, len(lost)) + head.obj_normalizer * rest
    return Outcome(delta, cost, len(assigned), total)


# -- [Gaussian_yolo] -----------------------------------------------------------------------------------------------------


class GaussianCells(YoloCells):
    """The entries of a [Gaussian_yolo] head: means at 0, 2, 4 and 6, deviations behind each."""

    coordinates = (0, 2, 4, 6)
    objectness = 8
    head: GaussianYolo

    def is_logistic(self, entry: int) -> bool:
        return entry not in (4, 6)

    def shift(self) -> float:
        return {"center": 0.0, "left_top": 0.5, "right_bottom": -0.5}[self.head.yolo_point]

    def box(self, n: int, j: int, i: int) -> Box:
        x, y, w, h = (float(self.out[n, entry, j, i]) for entry in self.coordinates)
        anchor = self.head.anchor(self.head.used[n])
        wide, high = exponential(w) * anchor[0] / self.network.width, exponential(h) * anchor[1] / self.network.height
        return Box((i + x) / self.columns + self.shift() * wide, (j + y) / self.rows + self.shift() * high, wide, high)

    def point(self, truth: Truth) -> tuple[float, float]:
        return truth.box.x - self.shift() * truth.box.w, truth.box.y - self.shift() * truth.box.h

    def cell(self, truth: Truth) -> tuple[int, int]:
        x, y = self.point(truth)
        return cell_of(y, self.rows), cell_of(x, self.columns)

    def ignored(self, n: int, j: int, i: int, delta: float, best: float, truth: Truth | None) -> float:
        if not self.head.objectness_smooth:
            return 0.0
        assert truth is not None
        self.train_class(n, j, i, truth)
        return self.head.obj_normalizer * (best * best - float(self.out[n, self.objectness, j, i]))

    def keeps_objectness(self) -> bool:
        return False

    def train_box(self, n: int, j: int, i: int, truth: Truth) -> Box:
        """`delta_gaussian_yolo_box`."""
        head, box = self.head, self.box(n, j, i)
        anchor = head.anchor(head.used[n])
        x, y = self.point(truth)
        targets = [x * self.columns - i, y * self.rows - j]
        targets += [log(truth.box.w * self.network.width / anchor[0]), log(truth.box.h * self.network.height / anchor[1])]
        scale = 2 - truth.box.w * truth.box.h
        means, deviations = [], []
        for target, entry in zip(targets, self.coordinates, strict=True):
            deviation = float(self.out[n, entry + 1, j, i])
            distance = (target - float(self.out[n, entry, j, i])) / deviation
            density = exp(-(distance**2) / 2) / (sqrt(2 * pi) * (deviation + 0.3))
            factor = 0.5 * density / (density + 1e-9) * scale
            means.append(factor * distance / deviation)
            deviations.append(factor * (distance**2 / deviation - 1 / (deviation + 0.3)))
        if head.iou_loss != "mse":
            filled = box._replace(w=box.w or 1.0, h=box.h or 1.0)
            means = list(likeness_gradient(filled, truth.box, head.iou_loss))
            means[0] -= self.shift() * means[2]
            means[1] -= self.shift() * means[3]
            means[2] *= exponential(float(self.out[n, 4, j, i]))
            means[3] *= exponential(float(self.out[n, 6, j, i]))
        for k, entry in enumerate(self.coordinates):
            normalizer = head.iou_normalizer * truth.multiplier
            self.delta[n, entry, j, i] += limited(means[k] * normalizer, head.max_delta)
            self.delta[n, entry + 1, j, i] += limited(deviations[k] * head.uc_normalizer, head.max_delta)
        return box

    def average(self) -> None:
        for n, j, i in np.ndindex(len(self.out), self.rows, self.columns):
            positive = int((self.delta[n, 9:, j, i] > 0).sum())
            if positive:
                self.delta[n, :8, j, i] /= positive


def gaussian_yolo(head: GaussianYolo, raw: Any, truth: Any, network: Shape) -> Outcome:
    return yolo(head, raw, truth, network, GaussianCells)
