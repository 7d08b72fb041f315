"""What is said of a detector."""

from __future__ import annotations

import json

import pytest

from cspdet.evaluate import Report, judge
from tests.evaluate.material import Thing, collected

BOX, FAR = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0)
NAMES = ("cat", "dog\x1b[31m", "cow")


@pytest.fixture
def report() -> Report:
    found = [Thing(1, 0, BOX, 0.9), Thing(1, 0, FAR, 0.8), Thing(2, 1, BOX, 0.1)]
    return judge(collected(found, [Thing(1, 0, BOX), Thing(2, 0, BOX), Thing(2, 1, BOX)]), NAMES)


def test_the_text(report: Report) -> None:
    assert str(report).splitlines() == [
        "class     truths        AP      TP      FP      FN  precision    recall",
        "cat            2   50.00 %       1       1       1    50.00 %   50.00 %",
        "dog�[31m       1  100.00 %       0       0       1        –      0.00 %",
        "cow            0    0.00 %       0       0       0        –         –",
        "",
        " detections_count = 3, unique_truth_count = 3",
        "",
        " for conf_thresh = 0.25, precision = 0.50, recall = 0.33, F1-score = 0.40",
        " for conf_thresh = 0.25, TP = 1, FP = 1, FN = 2, average IoU = 50.00 %",
        "",
        " IoU threshold = 50 %, used Area-Under-Curve for each unique Recall",
        " mean average precision (mAP@0.50) = 0.500000, or 50.00 %",
        "",
        " 1 of 3 classes has no object, which counts as 0, as in Darknet; the mean of the others is 75.00 %",
    ]


def test_the_text_of_other_protocols() -> None:
    seen = collected([Thing(1, 0, BOX, 0.9)], [Thing(1, 0, BOX)])
    text = str(judge(seen, NAMES, protocol="voc", iou_threshold=0.3))
    assert " IoU threshold = 30 %, used 11 Recall-points\n" in text
    assert " mean average precision (mAP@0.30) = 1.000000, or 100.00 %\n" in text
    assert text.endswith(" 2 of 3 classes have no object, which does not count")
    assert "no object" not in str(judge(seen, NAMES[:1]))


def test_the_text_of_coco() -> None:
    pytest.importorskip("pycocotools")
    seen = collected([Thing(1, 0, BOX, 0.9)], [Thing(1, 0, BOX)])
    report = judge(seen, NAMES, protocol="coco")
    lines = str(report).splitlines()
    assert " AP        1.000000" in lines
    # The box has 100 pixels, so nothing is large.
    assert " AP_small  1.000000" in lines
    assert " AP_large  –" in lines
    assert report.to_json()["coco"]["AP_large"] is None
    assert [each.average_precision for each in report.classes] == [pytest.approx(1), None, None]


def test_json(report: Report) -> None:
    data = json.loads(json.dumps(report.to_json()))
    classes = data.pop("classes")
    assert data == {
        "protocol": "darknet",
        "iou_threshold": 0.5,
        "threshold": 0.25,
        "points": 0,
        "map": 0.5,
        "precision": 0.5,
        "recall": pytest.approx(1 / 3),
        "f1": pytest.approx(0.4),
        "tp": 1,
        "fp": 1,
        "fn": 2,
        "average_iou": 0.5,
        "detections": 3,
        "truths": 3,
        "images": 2,
        "skipped": 0,
    }
    assert len(classes) == 3
    assert classes[0] == {
        "id": 0,
        "name": "cat",
        "average_precision": 0.5,
        "tp": 1,
        "fp": 1,
        "fn": 1,
        "precision": 0.5,
        "recall": 0.5,
        "truths": 2,
    }


def test_coco_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from cspdet.errors import UsageError

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("cspdet.evaluate.coco.import_module", missing)
    with pytest.raises(UsageError, match="needs the package `faster-coco-eval` or `pycocotools`, which is not inst") as caught:
        judge(collected([], [Thing(1, 0, BOX)]), NAMES, protocol="coco")
    assert caught.value.help == "pip install pycocotools"


def test_coco_without_detections() -> None:
    pytest.importorskip("pycocotools")
    report = judge(collected([], [Thing(1, 0, BOX)]), NAMES, protocol="coco")
    assert (report.map, report.coco["AP"], report.coco["AR100"]) == (0, 0, 0)


def test_difficult_objects_are_crowds_to_coco() -> None:
    pytest.importorskip("pycocotools")
    found = [Thing(1, 0, BOX, 0.9), Thing(1, 0, FAR, 0.5)]
    seen = collected(found, [Thing(1, 0, BOX, difficult=True), Thing(1, 0, FAR)])
    report = judge(seen, NAMES, protocol="coco")
    assert report.map == pytest.approx(1)
    plain = judge(collected(found, [Thing(1, 0, FAR)]), NAMES, protocol="coco")
    assert plain.map == pytest.approx(0.5)
