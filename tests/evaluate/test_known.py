"""Annotated sets whose figures other programs have computed."""

from __future__ import annotations

import re

import pytest

from cspdet.evaluate import judge
from cspdet.evaluate.coco import FIGURES, coco_figures
from tests.evaluate.material import KNOWN, coco_known, texts_known

pytestmark = pytest.mark.reference

# What pycocotools says of `review_odm/test_coco_eval`, in the order of `FIGURES`.
COCO = (
    *(0.503647, 0.696973, 0.571667, 0.593252, 0.557991, 0.489363),
    *(0.386813, 0.593680, 0.595353, 0.654764, 0.603130, 0.553744),
)


@pytest.mark.parametrize(
    ("package", "module"), [("pycocotools", "pycocotools"), ("faster-coco-eval", "faster_coco_eval")], ids=str
)
def test_coco(package: str, module: str) -> None:
    pytest.importorskip(module)
    seen, names = coco_known()
    figures, classes = coco_figures(seen, names, package)
    assert tuple(figures) == FIGURES
    assert tuple(figures.values()) == pytest.approx(COCO, abs=1e-6)
    there = [each for each in classes if each is not None]
    assert sum(there) / len(there) == pytest.approx(COCO[0], abs=1e-6)
    truths = {int(number) for number in seen.truth.class_id}
    assert [each is not None for each in classes] == [number in truths for number in range(len(names))]


def test_coco_as_a_report() -> None:
    pytest.importorskip("pycocotools")
    seen, names = coco_known()
    report = judge(seen, names, protocol="coco")
    assert (report.map, report.coco["AP50"]) == (pytest.approx(COCO[0], abs=1e-6), pytest.approx(COCO[1], abs=1e-6))
    # What is above the confidence threshold is counted by Darknet's rules.
    plain = judge(seen, names)
    assert (report.tp, report.fp, report.fn) == (plain.tp, plain.fp, plain.fn)
    # The area below all of the curve, over the classes that are there, is not far from 101 points of it.
    there = [each.average_precision or 0.0 for each in plain.classes if each.truths]
    assert sum(there) / len(there) == pytest.approx(COCO[1], abs=0.01)


@pytest.mark.parametrize(
    ("points", "iou", "mean"),
    [
        *[(11, iou, mean) for iou, mean in ((0.1, 0.3333333333), (0.3, 0.2683982683), (0.5, 0.0303030303), (0.75, 0))],
        *[(0, iou, mean) for iou, mean in ((0.1, 0.3371980676), (0.3, 0.2456866804), (0.5, 0.0222222222), (0.75, 0))],
    ],
)
def test_one_class(points: int, iou: float, mean: float) -> None:
    folder = KNOWN / "review_odm" / "test_case_1"
    seen, names = texts_known(folder / "dets", folder / "gts", sides=True)
    assert names == ("object",)
    report = judge(seen, names, protocol="voc", iou_threshold=iou, points=points)
    assert report.map == pytest.approx(mean, abs=1e-10)


def test_many_classes() -> None:
    folder = KNOWN / "cartucho"
    seen, names = texts_known(folder / "detection-results", folder / "ground-truth", sides=False)
    text = (folder / "reference_output_iou0.50.txt").read_text()
    report = judge(seen, names, protocol="voc", points=0, threshold=0)
    assert f"mAP = {100 * report.map:.2f}%" in text
    precisions = {name: float(value) for value, name in re.findall(r"([\d.]+)% = (\S+) AP", text)}
    counts = {name: (int(tp), int(fp)) for name, tp, fp in re.findall(r"(\S+): \d+ \(tp:(\d+), fp:(\d+)\)", text)}
    truths = dict(re.findall(r"^(\S+): (\d+)$", text, re.MULTILINE))
    assert len(precisions) == 30
    for each in report.classes:
        assert (each.tp, each.fp) == counts.get(each.name, (0, 0)), each.name
        assert each.truths == int(truths.get(each.name, 0)), each.name
        if each.truths:
            assert 100 * (each.average_precision or 0) == pytest.approx(precisions[each.name], abs=0.0051), each.name
