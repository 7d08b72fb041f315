"""From what was found to the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UsageError
from cspdet.evaluate.coco import coco_figures, evaluators
from cspdet.evaluate.precision import average_precision
from cspdet.evaluate.protocols import Outcome, Rules, darknet, voc
from cspdet.evaluate.records import Collected
from cspdet.evaluate.report import ClassReport, Report
from cspdet.text import counted

PROTOCOLS = ("darknet", "voc", "coco")
# What PASCAL VOC averaged over until 2009, which is what its name stands for in Darknet, too.
_POINTS = {"darknet": 0, "voc": 11, "coco": 101}


def rules_of(protocol: str) -> Rules:
    """What counts as found. COCO has no confidence threshold: what is above one is counted by Darknet's rules.

    Raises:
        UsageError: there is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"there is no protocol `{protocol}`", "one of: " + ", ".join(PROTOCOLS))
    return voc if protocol == "voc" else darknet


def check_arguments(protocol: str, iou_threshold: float, threshold: float, points: int | None) -> None:
    """See that `judge` could work with these, before the pictures are looked at.

    Raises:
        UsageError: it could not.
    """
    rules_of(protocol)
    for name, value in (("iou_threshold", iou_threshold), ("threshold", threshold)):
        if not 0 <= value <= 1:
            raise UsageError(f"`{name}` is {value:g}; it goes from 0 to 1")
    if points is not None and (protocol == "coco" or points < 0 or points == 1):
        allowed = "coco always has 101" if protocol == "coco" else "it is 0, or from 2 on"
        raise UsageError(f"`points` is {points}; {allowed}")
    if protocol == "coco":
        evaluators()


def judge(
    seen: Collected,
    names: Sequence[str],
    *,
    protocol: str = "darknet",
    iou_threshold: float = 0.5,
    threshold: float = 0.25,
    points: int | None = None,
    outcome: Outcome | None = None,
) -> Report:
    """The figures of a detector.

    Darknet's mean is over all classes, those without an object counting 0; VOC's and COCO's over those that have one.

    Args:
        seen: what it found and what is there, all parts merged.
        names: the names of all classes.
        protocol: darknet, voc or coco.
        iou_threshold: the overlap with an object that makes a detection right. For coco, `map` has its own, from .50 to .95.
        threshold: the confidence above which right and wrong detections are counted.
        points: recalls at which precision is averaged, 0 for the area below the whole curve; by default 0 for darknet, 11 for
            voc. coco always has 101.
        outcome: what `rules_of(protocol)` makes of it, if that is known already.

    Raises:
        UsageError: no image was looked at, there is no object in any, or an argument is out of range; for coco also where no
            package that evaluates it is installed.
    """
    check_arguments(protocol, iou_threshold, threshold, points)
    points = _POINTS[protocol] if points is None else points
    if not len(seen.images):
        many = len(seen.skipped)
        fact = f"none of the {many:,} images could be read" if many else "there are no images to look at"
        raise UsageError(f"{fact}, so there is nothing to evaluate")
    if seen.truth.difficult.all():
        raise UsageError(
            f"the labels of {counted(len(seen.images), 'image')} hold no object, so there is nothing to evaluate",
            "labels are text files beside the images, or in a folder `labels` that stands where `images` does",
        )
    classes = len(names)
    for what, numbers in (("objects", seen.truth.class_id), ("detections", seen.found.class_id)):
        if numbers.max(initial=0) >= classes:
            raise UsageError(f"there are {counted(classes, 'name')}, but {what} of class {numbers.max()}, counted from 0")
    if outcome is None:
        outcome = rules_of(protocol)(seen, classes, iou_threshold, threshold)
    recalls = _recalls(protocol, points)
    figures: list[float | None] = [average_precision(each, recalls) for each in outcome.curves]
    if protocol != "darknet":
        figures = [figure if number else None for figure, number in zip(figures, outcome.truths, strict=True)]
    mean = _mean(figures)
    coco: dict[str, float | None] = {}
    if protocol == "coco":
        coco, figures = coco_figures(seen, names)
        mean = coco["AP"] or 0.0
    wrong, right = (np.bincount(seen.found.class_id[rows], minlength=classes) for rows in (outcome.false, outcome.hit))
    total = int(right.sum() + wrong.sum())
    return Report(
        protocol=protocol,
        iou_threshold=iou_threshold,
        threshold=threshold,
        points=points,
        map=mean,
        average_iou=float(outcome.overlap[outcome.hit].sum()) / total if total else 0.0,
        detections=sum(len(each.confidence) for each in outcome.curves),
        images=len(seen.images),
        skipped=len(seen.skipped),
        classes=tuple(
            ClassReport(number, names[number], figures[number], int(right[number]), int(wrong[number]), int(there))
            for number, there in enumerate(outcome.truths)
        ),
        coco=coco,
        curves=outcome.curves,
    )


def _mean(figures: list[float | None]) -> float:
    there = [figure for figure in figures if figure is not None]
    return sum(there) / len(there) if there else 0.0


def _recalls(protocol: str, points: int) -> NDArray[np.float64] | None:
    """Where precision is averaged, to the last bit: recalls often fall on these points.

    Darknet divides the point's number, so that .6 is .6. The programs that follow VOC step by .1, and .6000000000000001 is more
    than 9 objects of 15 (`scripts/voc_eval.py`, which comes with Darknet).
    """
    if not points:
        return None
    return np.linspace(0, 1, points) if protocol == "voc" else np.arange(points) / (points - 1)
