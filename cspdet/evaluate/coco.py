"""COCO's own figures, computed by the packages that everyone compares with."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

import numpy as np

from cspdet.boxes import Floats
from cspdet.errors import UsageError
from cspdet.evaluate.records import Collected, Numbers

FIGURES = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
)

# Package, the class of annotations, that of the evaluation. Both give the same figures; the first is several times as fast.
_PACKAGES = (
    ("faster-coco-eval", "faster_coco_eval", "COCO", "faster_coco_eval", "COCOeval_faster"),
    ("pycocotools", "pycocotools.coco", "COCO", "pycocotools.cocoeval", "COCOeval"),
)


def evaluators(package: str = "") -> tuple[Any, Any]:
    """The classes `COCO` and `COCOeval` of the first package that is installed, or of this one.

    Raises:
        UsageError: it is not.
    """
    wanted = [each for each in _PACKAGES if package in ("", each[0])]
    for _, home, kind, other, evaluation in wanted:
        try:
            return getattr(import_module(home), kind), getattr(import_module(other), evaluation)
        except ImportError:
            continue
    names = " or ".join(f"`{each[0]}`" for each in wanted)
    raise UsageError(f"the protocol coco needs the package {names}, which is not installed", f"pip install {wanted[-1][0]}")


def coco_figures(
    seen: Collected, names: Sequence[str], package: str = ""
) -> tuple[dict[str, float | None], list[float | None]]:
    """The twelve figures by name, and the AP of each class; None where there is no such object.

    The area of an object, which makes it small, medium or large, is that of its box. Difficult objects are taken for crowds,
    which may be found any number of times, or not at all.

    Raises:
        UsageError: no package that computes them is installed.
    """
    annotations, evaluation = evaluators(package)
    found, truth = seen.found, seen.truth
    kinds = {
        "images": [
            {"id": int(number), "width": int(width), "height": int(height)}
            for number, (width, height) in zip(seen.images, seen.sizes, strict=True)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
    }
    things = _rows(seen, truth.image, truth.class_id, truth.xywh)
    for row, difficult in zip(things, truth.difficult, strict=True):
        row["iscrowd"] = int(difficult)
    detections = _rows(seen, found.image, found.class_id, found.xywh)
    for row, confidence in zip(detections, found.confidence, strict=True):
        row["score"] = float(confidence)
    with redirect_stdout(io.StringIO()):
        sides = []
        for rows in (things, detections):
            side = annotations()
            side.dataset = {"info": {}, **kinds, "annotations": rows}
            side.createIndex()
            sides.append(side)
        work = evaluation(*sides, "bbox")
        work.evaluate()
        work.accumulate()
        work.summarize()
    precision = np.asarray(work.eval["precision"])[:, :, :, 0, -1]
    return (
        dict(zip(FIGURES, map(_figure, work.stats), strict=False)),
        [_figure(precision[:, :, number].mean()) for number in range(len(names))],
    )


def _figure(value: float) -> float | None:
    """Where there is no object, the packages say -1."""
    return float(value) if value > -1 else None


def _rows(seen: Collected, image: Numbers, class_id: Numbers, xywh: Floats) -> list[dict[str, Any]]:
    boxes = xywh.astype(np.float64) * np.tile(seen.sizes[seen.place_of(image)], 2)
    boxes[:, :2] -= boxes[:, 2:] / 2
    return [
        {"id": number, "image_id": int(of), "category_id": int(kind) + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for number, (of, kind, box) in enumerate(zip(image, class_id, boxes.tolist(), strict=True), 1)
    ]
