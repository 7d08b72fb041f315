"""What was found: rows that cannot be changed, and their forms."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

from cspdet import Detection, Detections

NAMES = ("dog", "cat", "Über\"fall\"")  # fmt: skip


def found(size: tuple[int, int] = (200, 100)) -> Detections:
    boxes = [[10, 20, 30, 60], [-5, 0, 205, 100], [100.5, 50.25, 101.5, 51.25]]
    return Detections(boxes, [0.9, 0.5, 0.25], [2, 0, 7], NAMES, size)


EMPTY = Detections([], [], [])


def test_types_and_shapes() -> None:
    rows = found()
    assert (rows.xyxy.dtype, rows.xyxy.shape) == (np.float32, (3, 4))
    assert (rows.confidence.dtype, rows.confidence.shape) == (np.float32, (3,))
    assert (rows.class_id.dtype, rows.class_id.shape) == (np.int64, (3,))
    assert (EMPTY.xyxy.shape, EMPTY.confidence.shape, EMPTY.class_id.shape) == ((0, 4), (0,), (0,))
    assert (len(rows), len(EMPTY)) == (3, 0)
    assert (rows.names, rows.size) == (NAMES, (200, 100))


@pytest.mark.parametrize("name", ["xyxy", "confidence", "class_id", "names", "size", "other"])
def test_attributes_cannot_be_changed(name: str) -> None:
    rows = found()
    with pytest.raises(AttributeError, match=rf"`Detections\.{name}` cannot be changed"):
        setattr(rows, name, None)
    with pytest.raises(AttributeError):
        delattr(rows, name)


@pytest.mark.parametrize("name", ["xyxy", "confidence", "class_id"])
def test_arrays_cannot_be_written(name: str) -> None:
    for rows in (found(), found()[1:], found()[[0]], pickle.loads(pickle.dumps(found()))):
        with pytest.raises(ValueError, match="read-only"):
            getattr(rows, name)[0] = 0


def test_the_arrays_given_stay_the_callers() -> None:
    boxes = np.zeros((1, 4), np.float32)
    rows = Detections(boxes, [0.5], [0])
    boxes[:] = 7
    assert rows.xyxy.tolist() == [[0, 0, 0, 0]]
    assert boxes.flags.writeable


@pytest.mark.parametrize(
    ("confidence", "class_id", "message"),
    [([0.5, 0.5], [0], "1 xyxy, 2 confidence, 1 class_id"), ([0.5], [], "1 xyxy, 1 confidence, 0 class_id")],
)
def test_numbers_of_rows_must_agree(confidence: Any, class_id: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detections([[0, 0, 1, 1]], confidence, class_id)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [0]),
        (2, [2]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(None), [0, 1, 2]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (slice(5, 9), []),
        ([2, 0], [2, 0]),
        ([0, 0], [0, 0]),
        ([-1], [2]),
        ([], []),
        (range(2), [0, 1]),
        ([True, False, True], [0, 2]),
        (np.array([False, True, False]), [1]),
        (np.array([False] * 3), []),
        (np.array([1, 2]), [1, 2]),
        (np.array([], np.int64), []),
    ],
    ids=str,
)
def test_indexing(index: Any, expected: list[int]) -> None:
    rows = found()
    picked = rows[index]
    assert isinstance(picked, Detections)
    assert picked.xyxy.tolist() == [rows.xyxy[each].tolist() for each in expected]
    assert picked.confidence.tolist() == [rows.confidence[each] for each in expected]
    assert picked.class_id.tolist() == [rows.class_id[each] for each in expected]
    assert (picked.names, picked.size) == (rows.names, rows.size)


@pytest.mark.parametrize("index", [3, -4, [0, 3], np.array([True, False]), "dog", 1.5], ids=str)
def test_indices_that_are_not_there(index: Any) -> None:
    with pytest.raises(IndexError):
        found()[index]


def test_filtering_by_confidence() -> None:
    rows = found()
    assert rows[rows.confidence > 0.4].labels == ['Über"fall"', "dog"]


def test_iteration() -> None:
    rows = [*found()]
    assert rows[0] == Detection((10, 20, 30, 60), pytest.approx(0.9), 2, 'Über"fall"')
    assert rows[1].xyxy == (-5, 0, 205, 100)
    assert [row.name for row in rows] == ['Über"fall"', "dog", "7"]
    assert {type(value) for row in rows for value in (*row.xyxy, row.confidence)} == {float}
    assert type(rows[0].class_id) is int
    assert [*EMPTY] == []


def test_equality() -> None:
    assert found() == found()
    assert found() == found()[:]
    assert found() != found()[:2]
    assert found() != found()[[1, 0, 2]]
    assert found() != found((100, 200))
    assert found() != Detections(found().xyxy, found().confidence, found().class_id, ("dog", "cat"), (200, 100))
    assert found() != 3
    assert Detections(np.zeros((0, 4)), [], []) == EMPTY
    with pytest.raises(TypeError, match="unhashable"):
        hash(found())


def test_copies_and_pickles() -> None:
    for rows in (found(), EMPTY):
        for other in (copy.copy(rows), copy.deepcopy(rows), pickle.loads(pickle.dumps(rows))):
            assert other is not rows
            assert other == rows
            assert isinstance(other.names, tuple)


def test_repr() -> None:
    assert repr(found()) == 'Detections(3: Über"fall" 0.90, dog 0.50, 7 0.25)'
    assert repr(EMPTY) == "Detections(0: )"
    many = found()[[0] * 20]
    assert repr(many).startswith("Detections(20: ")
    assert repr(many).count("0.90") == 8
    assert repr(many).endswith(", …)")


def test_labels() -> None:
    assert found().labels == ['Über"fall"', "dog", "7"]
    assert Detections([[0, 0, 1, 1]] * 2, [0.5] * 2, [-1, 0], ["a"]).labels == ["-1", "a"]
    assert Detections([[0, 0, 1, 1]], [0.5], [3]).labels == ["3"]
    assert EMPTY.labels == []


def test_xywh() -> None:
    assert found().xywh.tolist() == [[20, 40, 20, 40], [100, 50, 210, 100], [101, 50.75, 1, 1]]
    expected = [[0.1, 0.4, 0.1, 0.4], [0.5, 0.5, 1.05, 1], [0.505, 0.5075, 0.005, 0.01]]
    assert found().xywhn.dtype == np.float32
    assert found().xywhn == pytest.approx(np.array(expected), abs=1e-6)
    assert EMPTY.xywh.shape == EMPTY.xywhn.shape == (0, 4)
    # Without a size, pixels are what there is.
    assert np.array_equal(found((0, 0)).xywhn, found().xywh)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(["dog"], [1]), ([2], [0]), ([7, "dog"], [1, 2]), (["cat"], []), ([], []), ([99], []), ((0, "dog"), [1])],
    ids=str,
)
def test_of_classes(classes: Any, expected: list[int]) -> None:
    assert found().of_classes(classes) == found()[expected]
    assert EMPTY.of_classes([0]) == EMPTY


def test_dictionaries_and_json() -> None:
    first = found().to_dicts()[0]
    assert first == {
        "class_id": 2,
        "name": 'Über"fall"',
        "relative_coordinates": {
            "center_x": pytest.approx(0.1),
            "center_y": pytest.approx(0.4),
            "width": pytest.approx(0.1),
            "height": pytest.approx(0.4),
        },
        "confidence": pytest.approx(0.9),
    }
    assert json.loads(found().to_json()) == found().to_dicts()
    assert "Über" in found().to_json()
    assert "\n" not in found().to_json()
    assert found().to_json(indent=2).startswith("[\n  {\n    ")
    assert EMPTY.to_dicts() == []
    assert json.loads(EMPTY.to_json()) == []


def test_pandas() -> None:
    pytest.importorskip("pandas", reason="pandas is an extra")
    frame = found().to_pandas()
    assert [*frame.columns] == ["xmin", "ymin", "xmax", "ymax", "confidence", "class", "name"]
    assert frame["name"].tolist() == ['Über"fall"', "dog", "7"]
    assert frame["class"].tolist() == [2, 0, 7]
    assert frame[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == found().xyxy.tolist()
    assert frame["confidence"].tolist() == pytest.approx([0.9, 0.5, 0.25])
    assert len(EMPTY.to_pandas()) == 0
    frame.loc[0, "xmin"] = 99  # the frame is the caller's own
    assert found().xyxy[0, 0] == 10


def test_supervision() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is an extra")
    rows = found().to_supervision()
    assert isinstance(rows, supervision.Detections)
    assert np.array_equal(rows.xyxy, found().xyxy)
    assert rows.confidence.tolist() == pytest.approx([0.9, 0.5, 0.25])
    assert rows.class_id.tolist() == [2, 0, 7]
    assert rows.data["class_name"].tolist() == ['Über"fall"', "dog", "7"]
    rows.xyxy[0, 0] = 99
    assert len(EMPTY.to_supervision()) == 0


def test_a_tuple_of_rows() -> None:
    rows = Detections(np.zeros((3, 4)), [1, 1, 1], [0, 1, 2])
    assert rows[(0, 2)] == rows[[0, 2]]


def test_classes_as_numpy_numbers() -> None:
    rows = Detections(np.zeros((3, 4)), [1, 1, 1], [0, 1, 2], "abc")
    assert rows.of_classes(np.array([0, 2])).labels == ["a", "c"]
    with pytest.raises(ValueError, match="there is no class `bird`"):
        rows.of_classes(["bird"])


def test_one_class_alone() -> None:
    rows = Detections(np.zeros((3, 4)), [1, 1, 1], [0, 1, 2], ["cat", "c", "a"])
    assert rows.of_classes("cat").labels == ["cat"]
    assert rows.of_classes(2).labels == ["a"]
