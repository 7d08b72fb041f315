"""The protocols as their programs write them down: one thing after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cspdet.evaluate import Collected
from tests.slow import overlap


class Figures(NamedTuple):
    """What the slow versions find out."""

    precisions: list[float]
    tp: list[int]
    fp: list[int]
    overlaps: float
    detections: int


def darknet(seen: Collected, classes: int, iou_threshold: float, threshold: float, points: int) -> Figures:
    """`detector.c:validate_detector_map`."""
    found, truth = seen.found, seen.truth
    tp, fp, overlaps = [0] * classes, [0] * classes, 0.0
    ranking: list[tuple[float, int, int]] = []
    for image in seen.images:
        there = [row for row in np.flatnonzero(truth.image == image) if not truth.difficult[row]]
        difficult = [row for row in np.flatnonzero(truth.image == image) if truth.difficult[row]]
        before: list[int] = []
        for row in np.flatnonzero(found.image == image):
            kind, sureness = int(found.class_id[row]), found.confidence[row]
            index, most = -1, np.float32(0)
            for thing in there:
                likeness = overlap(found.xywh[row], truth.xywh[thing : thing + 1])[0]
                if likeness > np.float32(iou_threshold) and kind == truth.class_id[thing] and likeness > most:
                    index, most = int(thing), likeness
            dropped = index < 0 and any(
                overlap(found.xywh[row], truth.xywh[thing : thing + 1])[0] > np.float32(iou_threshold)
                and kind == truth.class_id[thing]
                for thing in difficult
            )
            if sureness > np.float32(threshold):
                if index >= 0 and index not in before:
                    tp[kind] += 1
                    overlaps += float(most)
                else:
                    fp[kind] += 1
            if not dropped:
                before.append(index)
                ranking.append((float(sureness), kind, index))
    ranking.sort(key=lambda each: -each[0])
    truths = [int(((truth.class_id == kind) & ~truth.difficult).sum()) for kind in range(classes)]
    right, wrong, flags = [0] * classes, [0] * classes, set()
    curves: list[list[tuple[float, float]]] = [[] for _ in range(classes)]
    for _, kind, index in ranking:
        if index >= 0 and index not in flags:
            flags.add(index)
            right[kind] += 1
        else:
            wrong[kind] += 1
        # Every class has a place for every rank.
        for each in range(classes):
            some = right[each] + wrong[each]
            curves[each].append((right[each] / some if some else 0, right[each] / truths[each] if truths[each] else 0))
    return Figures([_darknet_area(curve, points) for curve in curves], tp, fp, overlaps, len(ranking))


def _darknet_area(curve: Sequence[tuple[float, float]], points: int) -> float:
    if not curve:
        return 0
    total = 0.0
    if points:
        for point in range(points):
            recall = point * 1.0 / (points - 1)
            total += max((precision for precision, there in curve if there >= recall), default=0)
        return total / points
    precision, recall = curve[-1]
    for before, there in reversed(curve[:-1]):
        step, recall = recall - there, there
        precision = max(precision, before)
        total += step * precision
    return total + recall * precision


def voc(seen: Collected, classes: int, iou_threshold: float, threshold: float, points: int) -> Figures:
    """`voc_eval.py`, with the development kit's rule for what overlaps just enough."""
    found, truth = seen.found, seen.truth
    sizes = dict(zip(seen.images.tolist(), seen.sizes.tolist(), strict=True))

    def pixels(image: int, xywh: np.ndarray, inside: bool) -> list[float]:
        x, y, w, h = map(float, xywh)
        width, height = sizes[image]
        box = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
        return [min(max(value, 0), limit - 1) for value, limit in zip(box, (width, height) * 2, strict=True)] if inside else box

    figures = Figures([], [0] * classes, [0] * classes, 0, 0)
    precisions, overlaps, detections = figures.precisions, 0.0, 0
    for kind in range(classes):
        rows = np.flatnonzero(found.class_id == kind)
        truths = int(((truth.class_id == kind) & ~truth.difficult).sum())
        taken: set[int] = set()
        right = wrong = 0
        curve: list[tuple[float, float]] = []
        for row in sorted(rows, key=lambda each: -found.confidence[each]):
            image = int(found.image[row])
            one = pixels(image, found.xywh[row], inside=True)
            most, index = -np.inf, -1
            for thing in np.flatnonzero((truth.image == image) & (truth.class_id == kind)):
                other = pixels(image, truth.xywh[thing], inside=False)
                width = max(min(one[2], other[2]) - max(one[0], other[0]) + 1, 0)
                height = max(min(one[3], other[3]) - max(one[1], other[1]) + 1, 0)
                areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
                likeness = width * height / (sum(areas) - width * height)
                if likeness > most:
                    most, index = likeness, int(thing)
            matched = index >= 0 and most >= iou_threshold and most > 0
            if matched and truth.difficult[index]:
                continue
            hit = matched and index not in taken
            taken |= {index} if hit else set()
            right, wrong = right + hit, wrong + (not hit)
            detections += 1
            curve.append((right / (right + wrong), right / truths if truths else 0))
            if found.confidence[row] > np.float32(threshold):
                figures.tp[kind] += hit
                figures.fp[kind] += not hit
                overlaps += most if hit else 0
        precisions.append(_voc_area(curve, points))
    return figures._replace(overlaps=overlaps, detections=detections)


def _voc_area(curve: Sequence[tuple[float, float]], points: int) -> float:
    if points:
        total = 0.0
        for recall in np.linspace(0, 1, points):
            total += max((precision for precision, there in curve if there >= recall), default=0)
        return total / points
    recalls = [0.0, *(recall for _, recall in curve), 1.0]
    precisions = [0.0, *(precision for precision, _ in curve), 0.0]
    for place in range(len(precisions) - 2, -1, -1):
        precisions[place] = max(precisions[place], precisions[place + 1])
    return sum(
        (recalls[place + 1] - recalls[place]) * precisions[place + 1]
        for place in range(len(recalls) - 1)
        if recalls[place + 1] != recalls[place]
    )


def confusion(seen: Collected, classes: int, iou_threshold: float, threshold: float) -> np.ndarray:
    """Pairs one after the other, the closest first."""
    found, truth = seen.found, seen.truth
    pairs = []
    for row in np.flatnonzero(found.confidence > np.float32(threshold)):
        for thing in np.flatnonzero(truth.image == found.image[row]):
            likeness = overlap(found.xywh[row], truth.xywh[thing : thing + 1])[0]
            if likeness > np.float32(iou_threshold):
                wrong = bool(found.class_id[row] != truth.class_id[thing])
                pairs.append((-likeness, wrong, -found.confidence[row], int(row), int(thing)))
    partner: dict[int, int] = {}
    for _, _, _, row, thing in sorted(pairs):
        if row not in partner and thing not in partner.values():
            partner[row] = thing
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for row in np.flatnonzero(found.confidence > np.float32(threshold)):
        thing = partner.get(int(row))
        if thing is None:
            matrix[-1, found.class_id[row]] += 1
        elif not truth.difficult[thing]:
            matrix[truth.class_id[thing], found.class_id[row]] += 1
    for thing in range(len(truth.image)):
        if thing not in partner.values() and not truth.difficult[thing]:
            matrix[truth.class_id[thing], -1] += 1
    return matrix
