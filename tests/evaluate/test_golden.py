"""`detector map` of Darknet, to the digit."""

from __future__ import annotations

import json
from typing import Any

import pytest

import cspdet
from cspdet.data.description import read_description
from cspdet.data.pictures import read_list
from cspdet.evaluate import Collected, collect, judge, merge
from tests.conftest import REFERENCE
from tests.evaluate import slow

pytestmark = pytest.mark.reference

MODEL = REFERENCE / "weights" / "yolo-fastest-1.1" / "yolo-fastest-1.1.weights"
CFG = REFERENCE / "corpus" / "dog-qiuqiu__Yolo-Fastest__yolo-fastest-1.1.cfg"
DATA = REFERENCE / "data" / "coco128" / "coco128.data"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    (found,) = json.loads((REFERENCE / "golden" / "map" / "summary.json").read_text()).values()
    return dict(found)


@pytest.fixture(scope="module")
def parts() -> tuple[list[Collected], tuple[str, ...]]:
    """What the detector finds in all pictures, collected by two that share them, one of whom looks at two of them again."""
    description = read_description(DATA)
    pictures = read_list(description.list_of("valid"))
    detector = cspdet.load(CFG, MODEL, names=description.names)
    warned: list[str] = []
    collected = [
        collect(detector, share, batch=8, warn=warned.append) for share in (pictures[::2], [*pictures[1::2], *pictures[:4:2]])
    ]
    # They have nothing in them, and no file that says so.
    assert [each.split(",")[0] for each in warned] == ["2 of 64 images have no label file"]
    return collected, detector.names


def test_all_figures(golden: dict[str, Any], parts: tuple[list[Collected], tuple[str, ...]]) -> None:
    report = judge(merge(parts[0]), parts[1])
    assert (report.detections, report.truths) == (golden["detections_count"], golden["truth_count"])
    assert (report.tp, report.fp, report.fn) == (golden["tp"], golden["fp"], golden["fn"])
    assert f"{report.map:.6f}" == f"{golden['mAP@0.50']:.6f}"
    for name in ("precision", "recall", "f1"):
        assert f"{getattr(report, name):.2f}" == f"{golden[name]:.2f}"
    assert f"{100 * report.average_iou:.2f}" == f"{golden['avg_iou_percent']:.2f}"
    for each, other in zip(report.classes, golden["classes"], strict=True):
        assert (each.id, each.name, each.tp, each.fp) == (other["id"], other["name"], other["tp"], other["fp"])
        assert f"{100 * (each.average_precision or 0):.2f}" == f"{other['ap_percent']:.2f}"


@pytest.mark.parametrize(("iou", "points"), [(0.75, 0), (0.5, 11), (0.5, 101)])
def test_other_options(parts: tuple[list[Collected], tuple[str, ...]], iou: float, points: int) -> None:
    seen, names = merge(parts[0]), parts[1]
    few = seen._replace(found=seen.found.kept(seen.found.image <= 12), truth=seen.truth.kept(seen.truth.image <= 12))
    expected = slow.darknet(few, len(names), iou, 0.4, points)
    report = judge(few, names, iou_threshold=iou, points=points, threshold=0.4)
    assert [each.average_precision for each in report.classes] == pytest.approx(expected.precisions, abs=1e-12)
    assert ([each.tp for each in report.classes], [each.fp for each in report.classes]) == (expected.tp, expected.fp)
