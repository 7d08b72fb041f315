"""How good a detector is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cspdet.evaluate.precision import Curve
from cspdet.text import counted, printable


class ClassReport(NamedTuple):
    """One class. `tp`, `fp` and `fn` count what is above the confidence threshold.

    `average_precision` is None where there is no object of the class and the protocol leaves such classes out.
    """

    id: int
    name: str
    average_precision: float | None
    tp: int
    fp: int
    truths: int

    @property
    def fn(self) -> int:
        """Objects that were not found."""
        return self.truths - self.tp

    @property
    def precision(self) -> float:
        """The share of the detections that are right, 0 if there is none."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """The share of the objects that were found, 0 if there is none."""
        return _share(self.tp, self.truths)

    def to_json(self) -> dict[str, Any]:
        """As in the file that `cspdet map --json` writes."""
        keys = ("id", "name", "average_precision", "tp", "fp", "fn", "precision", "recall", "truths")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True, slots=True)
class Report:
    """All classes together. Shares are from 0 to 1.

    Attributes:
        protocol: darknet, voc or coco.
        iou_threshold: the overlap with an object that makes a detection right.
        threshold: the confidence from which on `tp`, `fp` and what follows from them count.
        points: recalls at which precision is averaged; 0 for the area below the whole curve.
        map: the mean of the classes' average precisions, as the protocol has it; for coco the mean from .50 to .95, its AP.
        average_iou: the overlaps of the right detections, summed up and shared among all, as in Darknet.
        detections: how many there were of any confidence, without those on difficult objects.
        images: how many were looked at.
        skipped: how many could not be read; their objects do not count.
        coco: the twelve figures of COCO by name, None where there is no such object; empty for other protocols.
        curves: precision over recall of each class.
        interval: from where to where `map` goes for 95 % of other sets of such images, if that was asked for.
    """

    protocol: str
    iou_threshold: float
    threshold: float
    points: int
    map: float
    average_iou: float
    detections: int
    images: int
    skipped: int
    classes: tuple[ClassReport, ...]
    coco: dict[str, float | None] = field(default_factory=dict)
    curves: tuple[Curve, ...] = field(default=(), repr=False, compare=False)
    interval: tuple[float, float] | None = None

    @property
    def tp(self) -> int:
        """Objects that were found."""
        return sum(each.tp for each in self.classes)

    @property
    def fp(self) -> int:
        """Detections that are wrong."""
        return sum(each.fp for each in self.classes)

    @property
    def truths(self) -> int:
        """Objects that are there, without the difficult ones."""
        return sum(each.truths for each in self.classes)

    @property
    def fn(self) -> int:
        """Objects that were not found."""
        return self.truths - self.tp

    @property
    def precision(self) -> float:
        """The share of the detections that are right, 0 if there is none."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """The share of the objects that were found."""
        return _share(self.tp, self.truths)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def to_json(self) -> dict[str, Any]:
        """As in the file that `cspdet map --json` writes."""
        keys = ["protocol", "iou_threshold", "threshold", "points", "map", "precision", "recall", "f1", "tp", "fp", "fn"]
        keys += ["average_iou", "detections", "truths", "images", "skipped", *(["coco"] if self.coco else [])]
        keys += ["interval"] if self.interval else []
        return {key: getattr(self, key) for key in keys} | {"classes": [each.to_json() for each in self.classes]}

    def __str__(self) -> str:
        """A table of the classes, and Darknet's closing lines."""
        return "\n".join([*_table(self), "", *_summary(self)])


def _table(report: Report) -> list[str]:
    """A line for each class."""
    names = [printable(each.name) for each in report.classes]
    width = max(map(len, ["class", *names]))
    head = f"{'class':{width}} {'truths':>7} {'AP':>9} {'TP':>7} {'FP':>7} {'FN':>7} {'precision':>10} {'recall':>9}"
    lines = [head]
    for name, each in zip(names, report.classes, strict=True):
        figures = (
            _percent(each.average_precision),
            *(f"{number:7}" for number in (each.tp, each.fp, each.fn)),
            f"{_percent(each.precision if each.tp + each.fp else None):>10}",
            _percent(each.recall if each.truths else None),
        )
        lines.append(f"{name:{width}} {each.truths:7} {' '.join(figures)}".rstrip())
    return lines


def _summary(report: Report) -> list[str]:
    """What Darknet prints below its classes, in the same words, and what else there is to know."""
    at = f" for conf_thresh = {report.threshold:.2f},"
    shares = f"precision = {report.precision:.2f}, recall = {report.recall:.2f}, F1-score = {report.f1:.2f}"
    counts = f"TP = {report.tp}, FP = {report.fp}, FN = {report.fn}, average IoU = {100 * report.average_iou:.2f} %"
    lines = [
        f" detections_count = {report.detections}, unique_truth_count = {report.truths}",
        "",
        f"{at} {shares}",
        f"{at} {counts}",
        "",
    ]
    if report.coco:
        lines.append(" IoU = 0.50:0.95, areas in pixels of the images")
        lines += [f" {name:9} {'–' if value is None else f'{value:.6f}'}" for name, value in report.coco.items()]
    else:
        used = f"{report.points} Recall-points" if report.points else "Area-Under-Curve for each unique Recall"
        head = f" IoU threshold = {100 * report.iou_threshold:2.0f} %, used {used}"
        mean = f" mean average precision (mAP@{report.iou_threshold:.2f}) = {report.map:f}, or {100 * report.map:.2f} %"
        lines += [head, mean]
        if report.interval:
            low, high = (100 * each for each in report.interval)
            lines.append(f" 95 % interval of the choice of the images: {low:.1f} % to {high:.1f} %")
    return [*lines, "", *notes] if (notes := _notes(report)) else lines


def _notes(report: Report) -> list[str]:
    notes = []
    there = [each for each in report.classes if each.truths]
    absent = len(report.classes) - len(there)
    if absent:
        of = f" {absent} of {counted(len(report.classes), 'class', 'classes')} {'has' if absent == 1 else 'have'} no object,"
        if report.protocol == "darknet":
            mean = sum(each.average_precision or 0 for each in there) / len(there)
            notes.append(f"{of} which counts as 0, as in Darknet; the mean of the others is {100 * mean:.2f} %")
        else:
            notes.append(f"{of} which does not count")
    if report.skipped:
        all_images = counted(report.images + report.skipped, "image")
        notes.append(f" {report.skipped} of {all_images} could not be read: left out, and with them the objects in them")
    return notes


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(value: float | None) -> str:
    return f"{'–':>7}  " if value is None else f"{100 * value:7.2f} %"
