"""YOLOv7's assignment and loss, written out for one number at a time: what `cspdet.train.losses.simota` is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]
# Image, anchor, row, column.
Place = tuple[int, int, int, int]


class Truth(NamedTuple):
    image: int
    kind: int
    box: Box


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def truths_of(truth: Floats, classes: int, network: Shape) -> list[Truth]:
    found = []
    for image, rows in enumerate(truth):
        for kind, x, y, w, h in rows.tolist():
            if 0 <= kind < classes and w > 0 and h > 0:
                found.append(
                    Truth(image, int(kind), (x * network.width, y * network.height, w * network.width, h * network.height))
                )
    return found


def entry(head: Yolo, raw: Floats, place: Place) -> list[float]:
    """Box in units of its own, objectness and classes of one box."""
    image, anchor, row, column = place
    size = 5 + head.classes
    return [float(each) for each in raw[image, anchor * size : (anchor + 1) * size, row, column]]


def scores(head: Yolo, values: list[float]) -> list[float]:
    return values[4:] if head.new_coords else [logistic(each) for each in values[4:]]


def decode(head: Yolo, raw: Floats, place: Place, network: Shape) -> Box:
    x, y, w, h = entry(head, raw, place)[:4]
    _, anchor, row, column = place
    if not head.new_coords:
        x, y = logistic(x), logistic(y)
    wide, high = head.anchor(head.used[anchor])
    x, y = (each * head.scale_x_y - (head.scale_x_y - 1) / 2 for each in (x, y))
    w, h = ((2 * w) ** 2, (2 * h) ** 2) if head.new_coords else (math.exp(w), math.exp(h))
    return (column + x) * network.width / raw.shape[3], (row + y) * network.height / raw.shape[2], w * wide, h * high


def iou(one: Box, two: Box) -> float:
    sides = [
        max(0.0, min(one[i] + one[i + 2] / 2, two[i] + two[i + 2] / 2) - max(one[i] - one[i + 2] / 2, two[i] - two[i + 2] / 2))
        for i in (0, 1)
    ]
    shared = sides[0] * sides[1]
    return shared / (one[2] * one[3] + two[2] * two[3] - shared + 1e-7)


def shape_term(one: Box, two: Box) -> float:
    return 4 / math.pi**2 * (math.atan(one[2] / (one[3] + 1e-7)) - math.atan(two[2] / (two[3] + 1e-7))) ** 2


def shape_share(one: Box, two: Box) -> float:
    """The α of CIoU."""
    return shape_term(one, two) / (1 - iou(one, two) + shape_term(one, two) + 1e-6)


def ciou(one: Box, two: Box, alpha: float) -> float:
    low = [min(one[i] - one[i + 2] / 2, two[i] - two[i + 2] / 2) for i in (0, 1)]
    high = [max(one[i] + one[i + 2] / 2, two[i] + two[i + 2] / 2) for i in (0, 1)]
    diagonal = (high[0] - low[0]) ** 2 + (high[1] - low[1]) ** 2 + 1e-7
    apart = (one[0] - two[0]) ** 2 + (one[1] - two[1]) ** 2
    return iou(one, two) - apart / diagonal - alpha * shape_term(one, two)


def near(head: Yolo, raw: Floats, truth: Truth, network: Shape) -> set[Place]:
    """The candidates for one truth."""
    height, width = raw.shape[2:]
    x, y = truth.box[0] * width / network.width, truth.box[1] * height / network.height
    column, row = min(int(x), width - 1), min(int(y), height - 1)
    cells = [(row, column)]
    neighbours = head.neighbours or (5 if head.aux else 3)
    if neighbours > 1:
        whole = neighbours == 5
        left, right = (whole or x % 1 < 0.5) and x > 1, (whole or x % 1 > 0.5) and x < width - 1
        above, below = (whole or y % 1 < 0.5) and y > 1, (whole or y % 1 > 0.5) and y < height - 1
        cells += [(row, column - 1)] * left + [(row, column + 1)] * right
        cells += [(row - 1, column)] * above + [(row + 1, column)] * below
    found = set()
    for anchor, number in enumerate(head.used):
        sides = [(truth.box[2 + i], head.anchor(number)[i]) for i in (0, 1)]
        if all(max(one / two, two / one) < head.anchor_t for one, two in sides):
            found |= {(truth.image, anchor, *cell) for cell in cells}
    return found


def cost(head: Yolo, raw: Floats, place: Place, truth: Truth, network: Shape) -> float:
    objectness, *classes = scores(head, entry(head, raw, place))
    total = -3 * math.log(iou(decode(head, raw, place, network), truth.box) + 1e-8)
    for kind, each in enumerate(classes):
        y = math.sqrt(each * objectness)
        total -= math.log(y if kind == truth.kind else 1 - y)
    return total


class Assigned(NamedTuple):
    # For each head, the truth's number by place.
    matches: list[dict[Place, int]]
    # How often a candidate was taken by several truths, and how often it then went to one that had not taken it.
    collisions: int
    taken_away: int


def share_out(
    looking: Sequence[Yolo], reading: Sequence[tuple[Yolo, Floats]], truths: list[Truth], network: Shape, topk: int
) -> Assigned:
    matches: list[dict[Place, int]] = [{} for _ in looking]
    collisions = taken_away = 0
    for image in sorted({truth.image for truth in truths}):
        mine = [number for number, truth in enumerate(truths) if truth.image == image]
        pool = []
        for place, (head, (_, raw)) in enumerate(zip(looking, reading, strict=True)):
            cells: set[Place] = set().union(*(near(head, raw, truths[number], network) for number in mine))
            pool += [(place, cell) for cell in sorted(cells)]
        costs = [[cost(*reading[p], cell, truths[number], network) for p, cell in pool] for number in mine]
        takers: dict[int, list[int]] = {}
        for row, number in enumerate(mine):
            overlaps = sorted((iou(decode(*reading[p], cell, network), truths[number].box) for p, cell in pool), reverse=True)
            k = max(1, int(sum(overlaps[:topk])))
            for index in sorted(range(len(pool)), key=lambda each, row=row: costs[row][each])[:k]:  # type: ignore[misc]
                takers.setdefault(index, []).append(row)
        for index, rows in takers.items():
            winner = rows[0] if len(rows) == 1 else min(range(len(mine)), key=lambda each, index=index: costs[each][index])  # type: ignore[misc]
            collisions += len(rows) > 1
            taken_away += winner not in rows
            place, cell = pool[index]
            matches[place][cell] = mine[winner]
    return Assigned(matches, collisions, taken_away)


def assign(heads: Sequence[Yolo], raws: Sequence[Floats], truths: list[Truth], network: Shape) -> Assigned:
    number = {head.index: place for place, head in enumerate(heads)}
    auxiliary = [place for place, head in enumerate(heads) if head.aux]
    leads = [place for place, head in enumerate(heads) if not head.aux]
    matches: list[dict[Place, int]] = [{} for _ in heads]
    collisions = taken_away = 0
    for group in (leads, auxiliary):
        if not group:
            continue
        reading = [
            place if not heads[place].aux else number[heads[place].lead.resolve(heads[place].index)[0]] for place in group
        ]
        topk = heads[group[0]].topk or (20 if auxiliary else 10)
        part = share_out([heads[p] for p in group], [(heads[p], raws[p]) for p in reading], truths, network, topk)
        for place, found in zip(group, part.matches, strict=True):
            matches[place] = found
        collisions, taken_away = collisions + part.collisions, taken_away + part.taken_away
    return Assigned(matches, collisions, taken_away)


class Frozen(NamedTuple):
    """What no gradient flows through: the matches, their objectness targets, and the α of their CIoU, by place."""

    matches: dict[Place, int]
    targets: dict[Place, float]
    alphas: dict[Place, float]


def freeze(head: Yolo, raw: Floats, matches: dict[Place, int], truths: list[Truth], network: Shape) -> Frozen:
    boxes = {place: decode(head, raw, place, network) for place in matches}
    alphas = {place: shape_share(boxes[place], truths[number].box) for place, number in matches.items()}
    targets = {place: max(0.0, ciou(boxes[place], truths[number].box, alphas[place])) for place, number in matches.items()}
    return Frozen(matches, targets, alphas)


def entropy(head: Yolo, probability: float, target: float) -> float:
    loss = -(target * math.log(probability) + (1 - target) * math.log(1 - probability))
    if head.focal_loss:
        right = target * probability + (1 - target) * (1 - probability)
        loss *= (target * 0.25 + (1 - target) * 0.75) * (1 - right) ** 1.5
    return loss


def terms(head: Yolo, raw: Floats, frozen: Frozen, truths: list[Truth], network: Shape) -> tuple[float, float, float]:
    """Box, objectness and class loss of one head: means."""
    box = classes = objectness = 0.0
    for place, number in frozen.matches.items():
        box += 1 - ciou(decode(head, raw, place, network), truths[number].box, frozen.alphas[place])
        for kind, each in enumerate(scores(head, entry(head, raw, place))[1:]):
            wanted = 1.0 if kind == truths[number].kind else 0.0
            smooth = wanted * (1 - head.label_smooth_eps) + 0.5 * head.label_smooth_eps
            classes += entropy(head, each, smooth)
    images, _, height, width = raw.shape
    places: Any = np.ndindex(images, head.anchor_count, height, width)
    for place in places:
        objectness += entropy(head, scores(head, entry(head, raw, place))[0], frozen.targets.get(place, 0.0))
    count = max(1, len(frozen.matches))
    return box / count, objectness / (images * head.anchor_count * height * width), classes / (count * head.classes)
