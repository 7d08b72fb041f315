"""Files that results are written to, read back by other means."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cspdet import Detections
from cspdet.errors import UsageError
from cspdet.image import Pixels
from cspdet.outputs import (
    COCO_IDS,
    CSV_COLUMNS,
    Result,
    coco_json,
    console_lines,
    csv_text,
    darknet_json,
    label_text,
    video_file,
    write_text,
)
from tests.conftest import reference_files

NAMES = ('12" wheel', "Käse, alt", "back\\slash")
FOUND = Detections(
    [[10, 20, 30, 60], [-4, 0, 204, 100], [0.4, 0.6, 2.5, 3.5]], [0.987654, 0.5, 0.255], [0, 1, 2], NAMES, (200, 100)
)
EMPTY = Detections([], [], [], NAMES, (200, 100))
RESULTS = [Result(1, "a/dog 1.jpg", FOUND), Result(2, 'odd"\\name\n.png', EMPTY), Result(3, "ü.png", FOUND[1:])]


def shape_of(value: Any) -> Any:
    """Names and types of JSON, without the values."""
    if isinstance(value, dict):
        return {name: shape_of(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape_of(each)) for each in value})
    return type(value).__name__


# -- Darknet's JSON ---------------------------------------------------------------------------------------------------


def test_darknet_json() -> None:
    frames = json.loads(darknet_json(RESULTS))
    assert [frame["frame_id"] for frame in frames] == [1, 2, 3]
    assert [frame["filename"] for frame in frames] == [each.name for each in RESULTS]
    assert [len(frame["objects"]) for frame in frames] == [3, 0, 2]
    assert frames[0]["objects"][0] == {
        "class_id": 0,
        "name": '12" wheel',
        "relative_coordinates": {"center_x": 0.1, "center_y": 0.4, "width": 0.1, "height": 0.4},
        "confidence": 0.987654,
    }
    assert [each["name"] for each in frames[0]["objects"]] == [*NAMES]


@pytest.mark.parametrize("results", [[], RESULTS[1:2], RESULTS[:1]], ids=["no image", "nothing found", "one"])
def test_darknet_json_of_little(results: list[Result]) -> None:
    frames = json.loads(darknet_json(results))
    assert [len(each["objects"]) for each in frames] == [len(each.found) for each in results]


@pytest.mark.reference
@pytest.mark.parametrize(
    "path", reference_files("golden/detections/*/*.json"), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_darknet_json_is_darknets(path: Path) -> None:
    """Its own numbers, written as it writes them: the same text, but for the end of the file and rounding."""
    (golden,) = json.loads(path.read_text())
    width, height = 1000, 800
    rows = []
    for each in golden["objects"]:
        x, y, w, h = each["relative_coordinates"].values()
        rows.append([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height])
    numbers = [each["class_id"] for each in golden["objects"]]
    names = {each["class_id"]: each["name"] for each in golden["objects"]}
    listed = [names.get(number, "") for number in range(max(numbers, default=0) + 1)]
    found = Detections(rows, [each["confidence"] for each in golden["objects"]], numbers, listed, (width, height))
    mine = darknet_json([Result(golden["frame_id"], golden["filename"], found)])
    assert shape_of(json.loads(mine)) == shape_of([golden])
    blank = str.maketrans("0123456789", "#" * 10)
    assert mine.translate(blank).strip() == path.read_text().translate(blank).strip()


# -- the others -------------------------------------------------------------------------------------------------------


def test_coco_json() -> None:
    rows = json.loads(coco_json(RESULTS))
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(1, 1), (1, 2), (1, 3), (3, 2), (3, 3)]
    assert rows[0]["bbox"] == [10, 20, 20, 40]
    assert rows[0]["score"] == pytest.approx(0.987654)
    assert rows[2]["bbox"] == pytest.approx([0.4, 0.6, 2.1, 2.9], abs=1e-3)
    assert {tuple(row) for row in rows} == {("image_id", "category_id", "bbox", "score")}
    assert json.loads(coco_json([])) == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("COCO_val2014_000000000042.jpg", 42),
        ("val2017/000000397133.jpg", 397133),
        ("2017/dog.jpg", 7),
        ("dog2x.jpg", 7),
        ("0.jpg", 0),
    ],
)
def test_numbers_of_images(name: str, number: int) -> None:
    (row,) = json.loads(coco_json([Result(7, name, FOUND[:1])]))
    assert row["image_id"] == number


def test_coco_numbers_its_classes_with_gaps() -> None:
    names = ["person", *[str(number) for number in range(78)], "toothbrush"]
    numbers = [0, 10, 11, 24, 26, 40, 45, 60, 61, 79]
    found = Detections([[0, 0, 1, 1]] * 10, [0.5] * 10, numbers, names, (10, 10))
    # person, fire hydrant, stop sign, backpack, handbag, wine glass, bowl, dining table, toilet, toothbrush
    expected = [1, 11, 13, 27, 31, 46, 51, 67, 70, 90]
    assert [row["category_id"] for row in json.loads(coco_json([Result(1, "x", found)]))] == expected
    other = Detections([[0, 0, 1, 1]] * 10, [0.5] * 10, numbers, [*names[:-1], "comb"], (10, 10))
    assert [row["category_id"] for row in json.loads(coco_json([Result(1, "x", other)]))] == [each + 1 for each in numbers]
    assert len(COCO_IDS) == len(set(COCO_IDS)) == 80


def test_csv() -> None:
    header, *rows = csv.reader(io.StringIO(csv_text(RESULTS)))
    assert tuple(header) == CSV_COLUMNS
    assert len(rows) == 5
    assert rows[0] == ["a/dog 1.jpg", "1", "0", '12" wheel', "0.987654", "10.00", "20.00", "30.00", "60.00", "200", "100"]
    assert [row[3] for row in rows] == [*NAMES, *NAMES[1:]]
    assert rows[1][5:9] == ["-4.00", "0.00", "204.00", "100.00"]
    assert csv_text([]).count("\n") == 1
    assert "\r" not in csv_text(RESULTS)


def test_labels() -> None:
    lines = label_text(FOUND).splitlines()
    assert lines[0] == "0 0.1000 0.4000 0.1000 0.4000"
    assert lines[1] == "1 0.5000 0.5000 1.0400 1.0000"
    assert len(lines) == 3
    assert label_text(EMPTY) == ""


def test_console() -> None:
    """From left to right, in the form that scripts look for."""
    assert console_lines(FOUND) == [
        "Käse, alt: 50%\t(left_x:   -4   top_y:    0   width:  208   height:  100)",
        "back\\slash: 25%\t(left_x:    0   top_y:    1   width:    2   height:    3)",
        '12" wheel: 99%\t(left_x:   10   top_y:   20   width:   20   height:   40)',
    ]
    assert console_lines(EMPTY) == []


def test_console_of_huge_boxes() -> None:
    huge = Detections([[-1e30, 0, 1e30, float("inf")]], [0.5], [0], NAMES, (200, 100))
    (line,) = console_lines(huge)
    assert line.startswith('12" wheel: 50%')


def test_write_text(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    write_text(path, "neu: ü\n")
    assert path.read_bytes() == "neu: ü\n".encode()
    assert [*tmp_path.iterdir()] == [path]
    for target in (tmp_path, tmp_path / "none" / "out.txt", path / "out.txt"):
        with pytest.raises(UsageError, match="cannot write"):
            write_text(target, "x")
    assert path.read_bytes() == "neu: ü\n".encode()


# -- videos -----------------------------------------------------------------------------------------------------------


def frame(number: int, width: int = 64, height: int = 48) -> Pixels:
    return np.full((height, width, 3), 20 + 30 * number, np.uint8)


def frames_of(path: Path) -> list[Pixels]:
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        good, picture = capture.read()
        if not good:
            capture.release()
            return found
        found.append(np.asarray(picture, np.uint8))


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv", ".mov", ".m4v", ".MP4"])
def test_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with video_file(path, 10) as add:
        for number in range(5):
            add(frame(number))
        assert not path.exists()
    assert [*tmp_path.iterdir()] == [path]
    found = frames_of(path)
    assert len(found) == 5
    assert [round(float(each.mean())) for each in found] == pytest.approx([20, 50, 80, 110, 140], abs=4)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    capture.release()


def test_frames_of_other_sizes_are_scaled_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with video_file(path, 10) as add:
        for number, (width, height) in enumerate([(64, 48), (100, 30), (16, 16)]):
            add(frame(number, width, height))
    assert [each.shape for each in frames_of(path)] == [(48, 64, 3)] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("x")])
@pytest.mark.parametrize("frames", [0, 2])
def test_a_video_that_goes_wrong_leaves_nothing(tmp_path: Path, error: BaseException, frames: int) -> None:
    path = tmp_path / "out.avi"
    path.write_bytes(b"old")

    def write() -> None:
        with video_file(path, 10) as add:
            for number in range(frames):
                add(frame(number))
            raise error

    with pytest.raises((KeyboardInterrupt, ValueError)):
        write()
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["out.xyz", "out", "none/out.avi", "folder.avi"])
def test_videos_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.avi").mkdir()
    with pytest.raises(UsageError, match="cannot write"), video_file(tmp_path / name, 10) as add:
        add(frame(0))
    assert [each.name for each in tmp_path.iterdir()] == ["folder.avi"]


def test_frames_of_a_video_have_numbers_of_their_own() -> None:
    one = Detections([[0, 0, 1, 1]], [0.5], [0], "a", (10, 10))
    rows = json.loads(coco_json([Result(frame, "clip1.mp4", one) for frame in (1, 2, 3)]))
    assert [row["image_id"] for row in rows] == [1, 2, 3]
    rows = json.loads(coco_json([Result(1, "a/000017.jpg", one), Result(2, "b.jpg", one)]))
    assert [row["image_id"] for row in rows] == [1, 2]


def test_a_video_without_frames_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there was no frame"), video_file(tmp_path / "x.avi", 25):
        pass
    assert [*tmp_path.iterdir()] == []
