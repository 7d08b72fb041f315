"""COCO result files in place of a detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import cspdet
from cspdet.data.pictures import Picture, read_list
from cspdet.errors import CspdetError, UsageError
from cspdet.evaluate import collect, judge
from cspdet.evaluate.results import Categories, collect_results, read_results
from cspdet.outputs import COCO_IDS, Result, coco_json
from tests.evaluate.material import PICTURES, write_set
from tests.test_detector import COLOURS, write_network

BOX = [16, 32, 16, 16]
EIGHTY = ("person", *map(str, range(1, 79)), "toothbrush")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    write_set(tmp_path / "set", PICTURES)
    return read_list(tmp_path / "set" / "valid.txt")


def listed(folder: Path, *names: str) -> list[Picture]:
    """A list of pictures of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    (folder / "some.txt").write_text("".join(f"{name}\n" for name in names))
    return read_list(folder / "some.txt")


def write(folder: Path, rows: Any) -> Path:
    path = folder / "found.json"
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


def row(image: Any = "red1", category: Any = 1, box: Any = BOX, score: Any = 0.9, **others: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score, **others}


@pytest.mark.parametrize("names", [("red1.png", "mixed2.png", "empty3.png"), ("a.png", "b.png", "c.png")], ids=str)
def test_what_the_detect_command_writes(tmp_path: Path, names: tuple[str, ...]) -> None:
    """It makes the same of the pictures as the detector itself, whether their names end in numbers or not."""
    write_set(tmp_path / "set", dict(zip(names, PICTURES.values(), strict=True)))
    pictures = read_list(tmp_path / "set" / "valid.txt")
    detector = cspdet.load(*write_network(tmp_path))
    found = [Result(place, str(each.path), detector(each.path)) for place, each in enumerate(pictures, 1)]
    results = read_results(write(tmp_path, coco_json(found)), pictures, COLOURS)
    assert results.categories == "1"
    one, other = collect_results(results, pictures), collect(detector, pictures)
    assert judge(one, COLOURS).to_json() == judge(other, COLOURS).to_json()


@pytest.mark.parametrize("image", [1, 1.0, "red1", "red1.png", "images/red1.png"])
def test_images_by_name_and_number(tmp_path: Path, pictures: list[Picture], image: Any) -> None:
    results = read_results(write(tmp_path, [row(image)]), pictures, COLOURS)
    assert [*results.rows] == [1]
    seen = collect_results(results, pictures)
    assert seen.found.xywh.tolist() == [[0.375, 0.625, 0.25, 0.25]]
    assert seen.found.confidence.tolist() == [np.float32(0.9)]
    assert judge(seen, COLOURS).classes[0].tp == 1


def test_other_ways_to_say_which_image(tmp_path: Path, pictures: list[Picture]) -> None:
    whole = str(pictures[1].path)
    plain = {key: value for key, value in row().items() if key != "image_id"}
    path = write(tmp_path, {"images": [], "annotations": [row(whole), {**plain, "file_name": "empty3.png"}]})
    assert [*read_results(path, pictures, COLOURS).rows] == [2, 3]


def test_numbers_of_files(tmp_path: Path) -> None:
    pictures = listed(tmp_path, "COCO_val2014_000000000042.jpg", "x/7.png", "000012.png")
    for image, line in ((42, 1), (7, 2), (12, 3), ("000012", 3), ("7.png", 2)):
        assert [*read_results(write(tmp_path, [row(image)]), pictures, COLOURS).rows] == [line]


def test_numbers_of_places(tmp_path: Path) -> None:
    """Two end in the same number, so the numbers are places in the list."""
    pictures = listed(tmp_path, "a5.png", "b5.png", "c9.png")
    assert [*read_results(write(tmp_path, [row(3), row(1)]), pictures, COLOURS).rows] == [3, 1]
    with pytest.raises(CspdetError, match="the image_id 9 is none of 3 images") as caught:
        read_results(write(tmp_path, [row(9)]), pictures, COLOURS)
    assert (
        caught.value.help
        == "it is the name of an image, such as `a5.png`, or a number: their places in the list, counted from 1"
    )


def test_equal_names_are_told_by_their_paths(tmp_path: Path) -> None:
    pictures = listed(tmp_path, "a/x.png", "b/x.png")
    assert [*read_results(write(tmp_path, [row("b/x.png")]), pictures, COLOURS).rows] == [2]
    for image in ("x", "x.png"):
        with pytest.raises(CspdetError, match=f"several images are called `{image}`"):
            read_results(write(tmp_path, [row(image)]), pictures, COLOURS)


@pytest.mark.parametrize(
    ("names", "used", "asked", "numbering", "classes"),
    [
        (COLOURS, [1, 3], None, "1", [0, 2]),
        (COLOURS, [0, 2], None, "0", [0, 2]),
        (COLOURS, [2], None, "1", [1]),
        (COLOURS, [2], "0", "0", [2]),
        (EIGHTY, [1, 90], None, "coco", [0, 79]),
        (EIGHTY, [1, 13, 80], None, "coco", [0, 11, 70]),
        # COCO has no 12, and no 0.
        (EIGHTY, [12, 80], None, "1", [11, 79]),
        (EIGHTY, [0, 79], None, "0", [0, 79]),
        (EIGHTY, [13], "1", "1", [12]),
        (tuple(map(str, range(80))), [13], None, "1", [12]),
        (tuple(map(str, range(80))), [13], "coco", "coco", [11]),
    ],
)
def test_how_classes_are_numbered(
    tmp_path: Path,
    pictures: list[Picture],
    names: tuple[str, ...],
    used: list[int],
    asked: Categories | None,
    numbering: str,
    classes: list[int],
) -> None:
    path = write(tmp_path, [row(category=each) for each in used])
    results = read_results(path, pictures, names, asked)
    assert results.categories == numbering
    assert collect_results(results, pictures).found.class_id.tolist() == classes


def test_cocos_numbers_go_there_and_back(tmp_path: Path, pictures: list[Picture]) -> None:
    path = write(tmp_path, [row(category=each) for each in COCO_IDS])
    results = read_results(path, pictures, EIGHTY)
    assert collect_results(results, pictures).found.class_id.tolist() == [*range(80)]


@pytest.mark.parametrize(
    ("names", "used", "asked", "message"),
    [
        (COLOURS, [4], None, "has the category_id 4, but the classes are 3 classes, counted from 1"),
        (COLOURS, [0, 3], None, "has the category_id 3, but the classes are 3 classes, counted from 0"),
        (COLOURS, [0], "1", "has the category_id 0, but the classes are 3 classes, counted from 1"),
        (EIGHTY, [91], None, "has the category_id 91, but the classes are 80 classes, counted from 1"),
        (EIGHTY, [12], "coco", "has the category_id 12, but the classes are COCO's 80, which it numbers up to 90"),
    ],
)
def test_classes_that_are_not_there(
    tmp_path: Path, pictures: list[Picture], names: tuple[str, ...], used: list[int], asked: Categories | None, message: str
) -> None:
    with pytest.raises(CspdetError, match=message):
        read_results(write(tmp_path, [row(category=each) for each in used]), pictures, names, asked)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("no json", "is not JSON, so it is no COCO result file"),
        ("[" * 100_000, "is not JSON"),
        ({"images": []}, "holds no list of detections"),
        (7, "holds no list of detections"),
        ([row(), 3], "detection 2 has no `image_id`"),
        ([row(image=None)], "detection 1 has no `image_id`"),
        ([row(image=True)], "detection 1 has no `image_id`"),
        ([row(image="green")], "the image_id `green` is none of 3 images"),
        ([row(image=1.5)], r"the image_id 1\.5 is none of 3 images"),
        ([row(image=99)], "the image_id 99 is none of 3 images"),
        ([row(category="red")], "detection 1 has no number for its `category_id`"),
        ([row(), row(category=True)], "detection 2 has no number for its `category_id`"),
        ([row(box=[1, 2, 3])], "detection 1 has no `bbox` of left, top, width and height"),
        ([row(box=[1, 2, 3, "4"])], "has no `bbox`"),
        ([row(box=[1, 2, -3, 4])], "has no `bbox`"),
        ('[{"image_id": 1, "category_id": 1, "score": 1, "bbox": [NaN, 0, 1, 1]}]', "has no `bbox`"),
        ('[{"image_id": 1, "category_id": 1, "score": 1, "bbox": [1e999, 0, 1, 1]}]', "has no `bbox`"),
        ([row(score=None)], "has no `score`: these are objects, not detections"),
        ([row(score=87)], "has the `score` 87; it goes from 0 to 1"),
        ([row(score="high")], "has the `score` high; it goes from 0 to 1"),
    ],
)
def test_what_is_no_result_file(tmp_path: Path, pictures: list[Picture], rows: Any, message: str) -> None:
    with pytest.raises(CspdetError, match=message) as caught:
        read_results(write(tmp_path, rows), pictures, COLOURS)
    assert caught.value.exit_code == 1


def test_a_file_that_is_not_there(tmp_path: Path, pictures: list[Picture]) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_results(tmp_path / "none.json", pictures, COLOURS)
    with pytest.raises(UsageError, match="cannot read"):
        read_results(tmp_path, pictures, COLOURS)


def test_no_detections(tmp_path: Path, pictures: list[Picture]) -> None:
    report = judge(collect_results(read_results(write(tmp_path, []), pictures, COLOURS), pictures), COLOURS)
    assert (report.map, report.tp, report.fp, report.fn, report.precision, report.f1) == (0, 0, 0, 5, 0, 0)
