"""Files that results are written to: Darknet's JSON, COCO's JSON, CSV, label files, images and videos."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.detections import Detections
from cspdet.errors import UsageError
from cspdet.files import replacing, temporary
from cspdet.image import Pixels
from cspdet.text import printable

# COCO numbers its 80 classes with gaps, from 1 to 90 (`coco.c:coco_ids`).
_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
CSV_COLUMNS = (
    "file",
    "frame",
    "class_id",
    "name",
    "confidence",
    "left",
    "top",
    "right",
    "bottom",
    "image_width",
    "image_height",
)
COCO_IDS = tuple(number for number in range(1, 91) if number not in _GAPS)


class Result(NamedTuple):
    """What was found in one image or frame. `frame` counts from 1 over all sources, as Darknet's `frame_id` does."""

    frame: int
    name: str
    found: Detections


def darknet_json(results: Sequence[Result]) -> str:
    """As `network.c:detection_to_json` writes it, blanks included."""
    frames = []
    for frame, name, found in results:
        objects = ", \n".join(map(_darknet_object, found.to_dicts()))
        frames.append(f'{{\n "frame_id":{frame}, \n "filename":{_quoted(name)}, \n "objects": [ \n{objects}\n ] \n}}')
    return "[\n" + ", \n".join(frames) + "\n]\n"


def _darknet_object(each: dict[str, Any]) -> str:
    box = ", ".join(f'"{name}":{value:f}' for name, value in each["relative_coordinates"].items())
    head = f'"class_id":{each["class_id"]}, "name":{_quoted(each["name"])}'
    return f'  {{{head}, "relative_coordinates":{{{box}}}, "confidence":{each["confidence"]:f}}}'


def coco_json(results: Sequence[Result]) -> str:
    """A list of detections as COCO's evaluation reads it: image_id, category_id, bbox (left, top, width, height), score.

    Images are numbered by what their names end in, as COCO's own files are; if one's does not, or two would get the same
    number, all are numbered as frames. Categories are COCO's own numbers if there are 80 classes of COCO's names, else the
    class counted from 1.
    """
    numbers = image_numbers([each.name for each in results], [each.frame for each in results])
    rows = []
    for image, (_, _, found) in zip(numbers, results, strict=True):
        categories = category_numbers(found.names)
        for (left, top, right, bottom), confidence, class_id, _ in found:
            category = categories[class_id] if class_id < len(categories) else class_id + 1
            box = [round(value, 3) for value in (left, top, right - left, bottom - top)]
            rows.append({"image_id": image, "category_id": category, "bbox": box, "score": round(confidence, 6)})
    return json.dumps(rows) + "\n"


def image_numbers(names: Sequence[str], otherwise: Sequence[int] = ()) -> list[int]:
    """COCO's numbers of images: those that their names end in; else `otherwise`, or from 1 on."""
    return numbers_in(names) or [*otherwise] or [*range(1, len(names) + 1)]


def numbers_in(names: Sequence[str]) -> list[int]:
    """The numbers that images' names end in, as those of COCO's own files do; none if one's does not, or two are equal."""
    endings = [re.search(r"([0-9]+)$", Path(name).stem) for name in names]
    numbers = [int(ending[1][-18:]) for ending in endings if ending]
    return numbers if len(set(numbers)) == len(names) else []


def category_numbers(names: Sequence[str]) -> tuple[int, ...]:
    """COCO's numbers of categories: its own, which have gaps, for its 80 classes; else from 1 on."""
    return COCO_IDS if is_coco(names) else tuple(range(1, len(names) + 1))


def is_coco(names: Sequence[str]) -> bool:
    """Whether these are COCO's 80 classes, whose numbers in its files are `COCO_IDS`."""
    return len(names) == len(COCO_IDS) and names[0] == "person" and names[-1] == "toothbrush"


def csv_text(results: Sequence[Result]) -> str:
    """A row for each box, with corners in pixels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for frame, name, found in results:
        for box, confidence, class_id, label in found:
            numbers = (f"{value:.2f}" for value in box)
            writer.writerow([name, frame, class_id, label, f"{confidence:.6f}", *numbers, *found.size])
    return text.getvalue()


def label_text(found: Detections) -> str:
    """Darknet's label file: class, centre x, centre y, width, height per line, relative to the image (`-save_labels`)."""
    rows = zip(found.class_id, found.xywhn, strict=True)
    return "".join(f"{number} {' '.join(f'{value:.4f}' for value in box)}\n" for number, box in rows)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(text.encode("utf-8", "replace"))  # names of files may hold what is not Unicode


def console_lines(found: Detections) -> list[str]:
    """What Darknet prints of an image: objects from left to right, `dog: 98%` and where (`image.c:draw_detections_v3`)."""
    lines = []
    for each in found[found.xyxy[:, 0].argsort(kind="stable")]:
        left, top, right, bottom = each.xyxy
        sides = {"left_x": left, "top_y": top, "width": right - left, "height": bottom - top}
        place = "   ".join(f"{name}: {_round(value):4d}" for name, value in sides.items())
        lines.append(f"{printable(each.name)}: {each.confidence * 100:.0f}%\t({place})")
    return lines


_CODECS = {".avi": "MJPG", ".mkv": "mp4v", ".mov": "mp4v", ".mp4": "mp4v", ".m4v": "mp4v"}


@contextmanager
def video_file(path: str | Path, rate: float) -> Iterator[Callable[[Pixels], None]]:
    """A function that appends a frame to a video.

    The file takes its place when all is done, and vanishes when something goes wrong. A frame of another size than the first is
    scaled to it.

    Raises:
        UsageError: the file cannot be written, or there was no frame.
    """
    import cv2

    check_video_format(path)
    suffix = Path(path).suffix.lower()
    with temporary(path) as beside:
        writer: Any = None
        size = (0, 0)

        def add(image: Pixels) -> None:
            nonlocal writer, size
            if writer is None:
                size = (image.shape[1], image.shape[0])
                writer = cv2.VideoWriter(str(beside), cv2.VideoWriter.fourcc(*_CODECS[suffix]), rate, size)
                if not writer.isOpened():
                    raise UsageError(
                        f"cannot write `{path}`: OpenCV has no encoder for it here", "try a name that ends in `.avi`"
                    )
            writer.write(image if (image.shape[1], image.shape[0]) == size else cv2.resize(image, size))

        try:
            yield add
        finally:
            if writer is not None:
                writer.release()
        if writer is None:
            raise UsageError(f"cannot write `{path}`: there was no frame")


def check_video_format(path: str | Path) -> None:
    """See that the ending of a file's name is one of a video format that can be written.

    Raises:
        UsageError: it is not.
    """
    if Path(path).suffix.lower() not in _CODECS:
        raise UsageError(
            f"cannot write `{path}`: `{Path(path).suffix}` is no video format", f"end its name in one of {', '.join(_CODECS)}"
        )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _round(value: float) -> int:
    """As C's `round` does, halves away from 0."""
    return int(value + (0.5 if value > 0 else -0.5)) if abs(value) < 2**31 else 0
