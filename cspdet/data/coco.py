"""COCO's instances files: one JSON with images, categories and annotations; read and written."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cspdet.data.conversion import Annotated, Annotations, Object
from cspdet.data.description import Description
from cspdet.data.inspection import faults, look_at_all
from cspdet.data.pictures import read_list
from cspdet.data.remarks import Remarks
from cspdet.data.size import annotated_size, nothing_fits
from cspdet.errors import CspdetError, UsageError
from cspdet.missing import no_such_file
from cspdet.outputs import category_numbers, image_numbers
from cspdet.paths import first_file, is_folder
from cspdet.text import brief

# No coordinate comes near it.
_LARGEST = 1e9
_CURE = "correct its `width` and `height`, or annotate it again"


def read_coco(sources: Sequence[str | Path], images: Sequence[str | Path] = ()) -> Annotations:
    """The annotations of instances files; classes are in the order of their ids. Crowd regions are left out.

    Images are looked for in the folders `images`, else in the file's own folder. A path that leads out of the folder, or that
    is absolute, counts as the name at its end.

    Raises:
        UsageError: a file is not there, or none of the images is.
        CspdetError: it is no instances file.
    """
    remarks = Remarks()
    found: list[Annotated] = []
    categories: dict[int, str] = {}
    for source in map(Path, sources):
        reader = _Reader(source, [Path(folder) for folder in images] or [source.parent], remarks)
        if not reader.tables["images"]:
            raise CspdetError(f"`{source}` has no images: its `images` is empty", "name a file with some")
        found += reader.images()
        for number, name in reader.categories.items():
            if categories.setdefault(number, name) != name:
                message = f"category {number} is `{name}` in `{source}`, and `{categories[number]}` in another file"
                raise CspdetError(message, "convert the files one by one, with `--names FILE`")
    if not found:
        raise nothing_fits(remarks) or UsageError(
            f"none of the images of `{sources[0]}` is there", "name their folder: `--images FOLDER`"
        )
    return Annotations(tuple(found), tuple(categories[number] for number in sorted(categories)), remarks)


class _Reader:
    def __init__(self, source: Path, folders: Sequence[Path], remarks: Remarks) -> None:
        self.source = source
        self.folders = folders
        self.remarks = remarks
        content = self.load()
        self.tables = {name: self.table(content, name) for name in ("images", "annotations", "categories")}
        rows = [
            (self.number("categories", row, "id"), self.text("categories", row, "name")) for row in self.tables["categories"]
        ]
        self.categories = dict(rows)
        for what, values in (("number", [number for number, _ in rows]), ("name", [name for _, name in rows])):
            twice = next((each for each, count in Counter(values).items() if count > 1), None)
            if twice is not None:
                message = f"two categories of `{source}` have the {what} `{brief(str(twice))}`"
                raise CspdetError(message, "their objects could not be told apart: give each its own")

    def load(self) -> Any:
        if is_folder(self.source):
            raise UsageError(
                f"`{self.source}` is a directory, not a JSON file", "name a file such as `instances_train2017.json`"
            )
        try:
            return json.loads(self.source.read_bytes())
        except FileNotFoundError:
            raise no_such_file(self.source) from None
        except OSError as error:
            raise UsageError(f"cannot read `{self.source}`: {(error.strerror or str(error)).lower()}") from None
        except (ValueError, RecursionError) as error:
            raise CspdetError(
                f"`{self.source}` is not JSON: {brief(str(error), 120)}", "is it cut, or something else?"
            ) from None

    def wrong(self, what: str) -> CspdetError:
        return CspdetError(
            f"`{self.source}` is no COCO instances file: {what}", "it has `images`, `annotations` and `categories`"
        )

    def table(self, content: Any, name: str) -> list[dict[str, Any]]:
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.wrong(f"`{name}` is no list of objects")
        return rows

    def wrong_row(self, table: str, row: dict[str, Any], what: str) -> CspdetError:
        """The error of a row, with its place in the file: by its number, counted from 0, and by its id."""
        place = f"{table}[{next(number for number, each in enumerate(self.tables[table]) if each is row)}]"
        if "id" in row:
            place += f", id {brief(json.dumps(row['id']))}"
        return CspdetError(f"`{self.source}`: {what} in {place}", "correct it, or remove the entry")

    def number(self, table: str, row: dict[str, Any], key: str) -> int:
        value = row.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong_row(table, row, f"`{brief(json.dumps(value))}` is no `{key}`")
        return value

    def text(self, table: str, row: dict[str, Any], key: str) -> str:
        value = row.get(key)
        # JSON can write halves of characters, which no file can hold; a file of names has a line for each.
        if not isinstance(value, str) or not value.strip() or re.search("[\0\r\n\ud800-\udfff]", value.strip()):
            raise self.wrong_row(table, row, f"`{brief(json.dumps(value))}` is no `{key}`")
        return value.strip()

    def images(self) -> list[Annotated]:
        """All images that are there, in the file's order, those without annotations too."""
        rows: dict[int, dict[str, Any]] = {}
        for row in self.tables["images"]:
            other = rows.setdefault(self.number("images", row, "id"), row)
            if other is not row:
                one, two = (brief(str(each.get("file_name"))) for each in (other, row))
                raise self.wrong_row("images", row, f"two images have one `id`: `{one}` and `{two}`")
        annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.tables["annotations"]:
            if row.get("iscrowd"):
                self.remarks.add("crowd regions left out", self.place(row))
            elif not self.belongs(row, "image_id", rows) or not self.belongs(row, "category_id", self.categories):
                self.remarks.add("annotations of no image or category left out", self.place(row))
            else:
                annotations[row["image_id"]].append(row)
        found = []
        for number, row in rows.items():
            name = self.text("images", row, "file_name")
            place = f"{self.source}: image {number}, {brief(name)}"
            path = self.path(name)
            if path is None:
                self.remarks.add("images that are not there left out", place)
                continue
            sides = annotated_size(path, _written(row), place, self.remarks, _CURE)
            if sides is not None:
                found.append(Annotated(path, tuple(self.object(each, *sides) for each in annotations[number])))
        return found

    def belongs(self, row: dict[str, Any], key: str, known: Container[int]) -> bool:
        return isinstance(row.get(key), int) and row[key] in known

    def path(self, name: str) -> Path | None:
        pure = PurePosixPath(name.replace("\\", "/"))
        inside = not pure.is_absolute() and ".." not in pure.parts and ":" not in name
        names = [str(pure), pure.name] if inside else [pure.name]
        return first_file(folder / each for each in names for folder in self.folders)

    def object(self, row: dict[str, Any], width: float, height: float) -> Object:
        box = row.get("bbox")
        numbers = box if isinstance(box, list) and len(box) == 4 else []
        if not numbers or not all(isinstance(each, int | float) and abs(each) < _LARGEST for each in numbers):
            raise self.wrong_row("annotations", row, f"`{brief(json.dumps(box))}` is no `bbox`")
        left, top, wide, high = map(float, numbers)
        shares = (left / width, top / height, (left + wide) / width, (top + high) / height)
        return Object(self.categories[row["category_id"]], shares, place=self.place(row))

    def place(self, row: dict[str, Any]) -> str:
        """Where an annotation is, for people: by its id, as nobody counts the lines of such a file."""
        number = row.get("id")
        return f"{self.source}: annotation {number if isinstance(number, int) else brief(json.dumps(number))}"


def _written(row: dict[str, Any]) -> tuple[float, float] | None:
    """The size of an image that a file states; None if it states none."""
    sides = [side for side in (row.get("width"), row.get("height")) if isinstance(side, int | float) and 0 < side < _LARGEST]
    return (sides[0], sides[1]) if len(sides) == 2 else None


def coco_instances(description: Description, part: str, workers: int = 4) -> tuple[dict[str, Any], Remarks]:
    """A part of a data set as COCO's instances, and which labels were left out because they are none.

    Images and categories are numbered as `cspdet detect --coco` numbers them, so that its results fit.

    Raises:
        UsageError: there is no list, or none of its images is there.
        CspdetError: an image is missing or does not decode.
    """
    pictures = read_list(description.list_of(part))
    names = description.names or tuple(map(str, range(description.classes)))
    categories = category_numbers(names)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    remarks = Remarks()
    looks = look_at_all(pictures, workers, lambda _: None)
    files = [each.path.name for each in pictures]
    if len({*files}) < len(files):
        files = [each.written for each in pictures]  # of several folders
    for number, name, look in zip(image_numbers([each.written for each in pictures]), files, looks, strict=True):
        if look.size is None:
            message = look.trouble.message if look.trouble else f"`{name}` cannot be read"
            raise CspdetError(message, f"`cspdet data check {description.path}` shows all that is wrong")
        width, height = look.size
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        bad = {fault.line for fault in faults(look.labels, description.classes) if fault.severity == "error"}
        for line in sorted(bad):
            remarks.add("labels with errors left out", f"{look.label_file}:{line}" if line else str(look.label_file))
        for row, line in zip(look.labels.rows.tolist(), look.labels.lines, strict=True):
            if line in bad:
                continue
            x, y, wide, high = row[1] * width, row[2] * height, row[3] * width, row[4] * height
            box = [round(value, 3) for value in (x - wide / 2, y - high / 2, wide, high)]
            found = {"id": len(annotations) + 1, "image_id": number, "category_id": categories[int(row[0])]}
            annotations.append({**found, "bbox": box, "area": round(wide * high, 3), "iscrowd": 0})
    table = [{"id": number, "name": name} for number, name in zip(categories, names, strict=True)]
    return {"images": images, "annotations": annotations, "categories": table}, remarks
