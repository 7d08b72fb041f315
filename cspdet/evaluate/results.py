"""COCO result files: what any program found, in place of a detector."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from cspdet.data.pictures import Picture
from cspdet.detections import Detections
from cspdet.errors import CspdetError, UsageError
from cspdet.evaluate.looking import Advance, Look, Say, Steps, ignore, look_at, say
from cspdet.evaluate.records import Collected
from cspdet.missing import no_such_file
from cspdet.outputs import COCO_IDS, is_coco, numbers_in
from cspdet.text import brief, counted

# What the first class is called: COCO's own numbers with their gaps, or counted from 1 or 0.
Categories = Literal["coco", "1", "0"]
CATEGORIES: tuple[Categories, ...] = ("coco", "1", "0")

_LARGEST_NUMBER = 1e9


class Row(NamedTuple):
    """One detection of the file: corner, width and height in pixels."""

    category: int
    box: tuple[float, float, float, float]
    score: float


class Results(NamedTuple):
    """The detections of a file, by the number of the picture; and how its classes are numbered."""

    rows: dict[int, list[Row]]
    categories: Categories
    names: tuple[str, ...]

    def found_in(self, looks: Sequence[Look]) -> list[Detections]:
        """Those of these pictures."""
        return [self._of(look) for look in looks]

    def _of(self, look: Look) -> Detections:
        rows = self.rows.get(look.picture.line, [])
        width, height = look.size
        boxes = np.array([each.box for each in rows], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        numbers = _numbers(self.categories, len(self.names))
        classes = [numbers[each.category] for each in rows]
        return Detections(boxes, [each.score for each in rows], classes, self.names, (width, height))


def read_results(
    path: str | Path, pictures: Sequence[Picture], names: tuple[str, ...], categories: Categories | None = None
) -> Results:
    """Read a COCO result file: a list of `image_id`, `category_id`, `bbox` (left, top, width, height) and `score`.

    `image_id` may be the path of an image as the list has it, its name, or its stem; or a number, which is the one that the
    names of all images end in, each in another, else the place in the list, counted from 1. This is how `cspdet detect --coco`
    numbers them. A file whose list stands under `annotations`, as in files of truth, is read, too.

    Args:
        path: the file.
        pictures: the pictures it is about.
        names: the names of all classes.
        categories: how classes are numbered. By default, from 0 if there is a 0; else, of COCO's 80 classes, with COCO's own
            numbers, unless there is one that COCO does not use; else from 1.

    Raises:
        UsageError: the file is missing.
        CspdetError: it is no such file, or names an image or a class that is not there.
    """
    rows = _rows(Path(path))
    finder = _Finder(path, pictures)
    found: dict[int, list[Row]] = {}
    for place, row in enumerate(rows, 1):
        found.setdefault(finder.find(row, place), []).append(_parse(path, row, place))
    used = {each.category for group in found.values() for each in group}
    numbered = categories or _guess(used, names)
    strange = sorted(used - {*_numbers(numbered, len(names))})
    if strange:
        how = {"coco": "COCO's 80, which it numbers up to 90", "1": "counted from 1", "0": "counted from 0"}[numbered]
        classes = how if numbered == "coco" else f"{counted(len(names), 'class', 'classes')}, {how}"
        raise CspdetError(
            f"`{path}` has the category_id {strange[0]}, but the classes are {classes}",
            "`--categories coco`, `0` or `1` says how the file numbers them",
        )
    return Results(found, numbered, names)


def collect_results(
    results: Results,
    pictures: Sequence[Picture],
    *,
    difficult: Mapping[int, Path] | None = None,
    advance: Advance = ignore,
    warn: Say = say,
) -> Collected:
    """As `collect`, of what a file says was found. The pictures are read, too: labels are relative to their sizes."""
    return look_at(
        Steps(lambda _: None, lambda _: None, lambda looks, _: results.found_in(looks)),
        pictures,
        len(results.names),
        difficult=difficult,
        batch=1,
        exact=False,
        advance=advance,
        warn=warn,
    )


def _guess(used: set[int], names: tuple[str, ...]) -> Categories:
    if 0 in used:
        return "0"
    return "coco" if is_coco(names) and used <= {*COCO_IDS} else "1"


def _numbers(categories: Categories, classes: int) -> dict[int, int]:
    """category_id → class."""
    ids = COCO_IDS[:classes] if categories == "coco" else range(int(categories), int(categories) + classes)
    return {each: number for number, each in enumerate(ids)}


def _rows(path: Path) -> list[Any]:
    """What the file lists."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise no_such_file(path) from None
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise CspdetError(f"`{path}` is not JSON, so it is no COCO result file", "name another file") from None
    rows = data.get("annotations") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise CspdetError(
            f"`{path}` holds no list of detections", "a COCO result file is a list of image_id, category_id, bbox and score"
        )
    return rows


def _parse(path: str | Path, row: dict[str, Any], place: int) -> Row:
    def wrong(what: str) -> CspdetError:
        return CspdetError(f"`{path}`: detection {place} {what}", "is it a COCO result file?")

    category, box, score = row.get("category_id"), row.get("bbox"), row.get("score")
    if not isinstance(category, int) or isinstance(category, bool):
        raise wrong("has no number for its `category_id`")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or min(box[2:]) < 0:
        raise wrong("has no `bbox` of left, top, width and height")
    if score is None:
        raise wrong("has no `score`: these are objects, not detections")
    if not _is_number(score) or not 0 <= score <= 1:
        raise wrong(f"has the `score` {brief(str(score))}; it goes from 0 to 1")
    left, top, width, height = map(float, box)
    return Row(category, (left, top, width, height), float(score))


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < _LARGEST_NUMBER
    )


class _Finder:
    """`image_id` → number of the picture."""

    def __init__(self, path: str | Path, pictures: Sequence[Picture]) -> None:
        self.path = path
        self.pictures = pictures
        # What pictures are called, their paths before their names; None where several are called so.
        self.named: dict[str, int | None] = {}
        for level in (
            [(str(each.path), each.line) for each in pictures] + [(each.written, each.line) for each in pictures],
            [(each.path.name, each.line) for each in pictures],
            [(each.path.stem, each.line) for each in pictures],
        ):
            names: dict[str, int | None] = {}
            for name, line in level:
                names[name] = line if names.get(name, line) == line else None
            self.named = names | self.named
        numbers = numbers_in([each.written for each in pictures])
        lines = [each.line for each in pictures]
        self.numbered = dict(zip(numbers or range(1, len(lines) + 1), lines, strict=True))
        self.by_ending = bool(numbers)

    def find(self, row: Any, place: int) -> int:
        """The picture of a detection, the `place`th of the file."""
        image = row.get("image_id", row.get("file_name")) if isinstance(row, dict) else None
        if isinstance(image, str):
            if image in self.named:
                line = self.named[image]
                if line is not None:
                    return line
                raise CspdetError(
                    f"`{self.path}`: several images are called `{brief(image, 120)}`", "write their paths, as the list has them"
                )
        elif isinstance(image, int | float) and not isinstance(image, bool):
            if image in self.numbered:
                return self.numbered[int(image)]
        else:
            raise CspdetError(f"`{self.path}`: detection {place} has no `image_id`", "is it a COCO result file?")
        shown = f"`{brief(image, 120)}`" if isinstance(image, str) else f"{image}"
        numbers = "the numbers that their names end in" if self.by_ending else "their places in the list, counted from 1"
        raise CspdetError(
            f"`{self.path}`: the image_id {shown} is none of {counted(len(self.pictures), 'image')}",
            f"it is the name of an image, such as `{self.pictures[0].path.name}`, or a number: {numbers}",
        )
