"""What the tests judge: boxes put down by hand, and the annotated sets with known answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from cspdet.evaluate import Collected
from cspdet.evaluate.records import Found, Truth
from tests.conftest import REFERENCE
from tests.test_detector import COLOURS, picture

KNOWN = REFERENCE / "data" / "evalref"
# Of images whose size is not known: larger than any box reaches.
SIZE = (1024, 1024)

Corners = tuple[float, float, float, float]


class Thing(NamedTuple):
    """An object, or with a confidence a detection; corners in pixels."""

    image: int
    class_id: int
    corners: Corners
    confidence: float = 1.0
    difficult: bool = False


def collected(
    found: Sequence[Thing], truth: Sequence[Thing], images: Iterable[int] = (), sizes: dict[int, tuple[int, int]] | None = None
) -> Collected:
    """The record of these; `images` are further ones, in which there is nothing."""
    numbers = sorted({*(each.image for each in (*found, *truth)), *images})
    of = {number: (sizes or {}).get(number, SIZE) for number in numbers}
    # Sorted stably, as the images of a list come one after the other.
    rows, things = (sorted(each, key=lambda thing: thing.image) for each in (found, truth))
    return Collected(
        np.array(numbers, np.int64),
        np.array([of[number] for number in numbers], np.int64).reshape(-1, 2),
        Found(*_columns(rows, of), np.array([each.confidence for each in rows], np.float32)),
        Truth(*_columns(things, of), np.array([each.difficult for each in things], np.bool_)),
        np.zeros(0, np.int64),
    )


def _columns(rows: Sequence[Thing], sizes: dict[int, tuple[int, int]]) -> tuple[Any, Any, Any]:
    boxes = np.zeros((len(rows), 4))
    for box, each in zip(boxes, rows, strict=True):
        (left, top, right, bottom), (width, height) = each.corners, sizes[each.image]
        box[:] = (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height
    return (
        np.array([each.image for each in rows], np.int64),
        np.array([each.class_id for each in rows], np.int64),
        boxes.astype(np.float32),
    )


def coco_known() -> tuple[Collected, tuple[str, ...]]:
    """100 images of COCO."""
    folder = KNOWN / "review_odm" / "test_coco_eval"
    truth = json.loads((folder / "gts" / "sampled_gts_bbox_area.json").read_text())
    found = json.loads((folder / "dets" / "sampled_bbox_results.json").read_text())["annotations"]
    kinds = sorted(truth["categories"], key=lambda each: each["id"])
    numbers = {each["id"]: number for number, each in enumerate(kinds)}

    def things(rows: list[dict[str, Any]]) -> list[Thing]:
        made = []
        for row in rows:
            left, top, width, height = row["bbox"]
            corners = (left, top, left + width, top + height)
            made.append(
                Thing(
                    row["image_id"],
                    numbers[row["category_id"]],
                    corners,
                    row.get("score", 1),
                    bool(row.get("iscrowd", 0)),
                )
            )
        return made

    sizes = {each["id"]: (each["width"], each["height"]) for each in truth["images"]}
    seen = collected(things(found), things(truth["annotations"]), sizes, sizes)
    return seen, tuple(each["name"] for each in kinds)


def texts_known(found: Path, truth: Path, *, sides: bool) -> tuple[Collected, tuple[str, ...]]:
    """Folders of text files: a name, for detections the confidence, then corners, or with `sides` corner, width and height."""
    files = sorted(truth.glob("*.txt"))
    names: dict[str, int] = {}

    def things(folder: Path, confident: bool) -> list[Thing]:
        made = []
        for image, file in enumerate(files):
            for line in (folder / file.name).read_text().splitlines():
                words = line.split()
                difficult = words[-1] == "difficult"
                words = words[:-1] if difficult else words
                confidence = float(words.pop(1)) if confident else 1
                left, top, right, bottom = map(float, words[1:])
                corners = (left, top, left + right, top + bottom) if sides else (left, top, right, bottom)
                made.append(Thing(image, names.setdefault(words[0], len(names)), corners, confidence, difficult))
        return made

    there = things(truth, confident=False)
    return collected(things(found, confident=True), there, range(len(files))), tuple(names)


def write_set(folder: Path, pictures: dict[str, tuple[Sequence[tuple[int, int, int]], Sequence[tuple[int, int, int]]]]) -> Path:
    """A `.data` file with pictures of coloured squares: what can be seen, and what the labels say, as (column, row, class).

    The network of `tests.test_detector` finds all that can be seen, and that the box is where the square is.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for name, (seen, said) in pictures.items():
        cv2.imwrite(str(folder / "images" / name), picture(*seen))
        lines = [f"{number} {(column + 0.5) / 4} {(row + 0.5) / 4} 0.25 0.25\n" for column, row, number in said]
        (folder / "labels" / name).with_suffix(".txt").write_text("".join(lines))
    (folder / "valid.txt").write_text("".join(f"images/{name}\n" for name in pictures))
    (folder / "set.names").write_text("\n".join(COLOURS) + "\n")
    data = folder / "set.data"
    data.write_text("classes = 3\nvalid = valid.txt\nnames = set.names\n")
    return data


# Two red ones, one of which is not there; a green and a blue one taken for each other; nothing at all.
PICTURES: dict[str, tuple[Sequence[tuple[int, int, int]], Sequence[tuple[int, int, int]]]] = {
    "red1.png": ([(1, 2, 0)], [(1, 2, 0), (3, 3, 0)]),
    "mixed2.png": ([(0, 0, 1), (2, 1, 2), (3, 3, 0)], [(0, 0, 2), (2, 1, 2), (3, 3, 0)]),
    "empty3.png": ([], []),
}
