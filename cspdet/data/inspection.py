"""What can be wrong with one image and its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from cspdet.data.labels import Fault, Labels, read_labels
from cspdet.data.pictures import Picture
from cspdet.errors import CspdetError
from cspdet.image import decode_image, image_bytes
from cspdet.paths import exists

# What rounding explains: a pixel, or this share of the side where that is more or the size is not known.
_ROUNDING = 1e-3
# Of shares that are written with 6 digits, or kept in 32 bits.
_DIGITS = 1e-6


class Look(NamedTuple):
    """What a look at an image and its label file told."""

    # Width and height; None where the image is missing or does not decode.
    size: tuple[int, int] | None
    # A hash of the file's bytes; empty where there are none.
    digest: bytes
    # What is wrong with the image itself.
    trouble: Fault | None
    label_file: Path
    labels: Labels


def look_at_all(pictures: Sequence[Picture], workers: int, advance: Callable[[int], object]) -> list[Look]:
    """Look at images in several threads: decoding, hashing and reading let go of Python's lock."""
    looks = []
    pool = ThreadPoolExecutor(workers)
    try:
        for look in pool.map(look_at, pictures):
            looks.append(look)
            advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
    return looks


def look_at(picture: Picture) -> Look:
    """Decode an image, hash it and read its labels."""
    size, digest, trouble = None, b"", None
    label_file = picture.labels
    if not exists(picture.path):
        message, cure = f"there is no image `{picture.written}`", "put it there, or take it off the list"
        trouble = Fault(0, "missing-image", message, help=cure)
    else:
        try:
            data = image_bytes(picture.path)
            digest = hashlib.blake2b(data, digest_size=16).digest()
            height, width, _ = decode_image(data, str(picture.path)).shape
            size = (width, height)
        except CspdetError as error:
            trouble = Fault(0, "bad-image", error.message, help=error.help or "replace it, or take it off the list")
    return Look(size, digest, trouble, label_file, read_labels(label_file))


def faults(labels: Labels, classes: int, size: tuple[int, int] | None = None) -> Iterator[Fault]:
    """What is wrong with the labels of an image of that size (width, height); of no size where it is not known.

    `classes` is how many there are; 0 where nobody knows.
    """
    yield from labels.faults
    seen: dict[tuple[float, ...], int] = {}
    for row, line in zip(labels.rows.tolist(), labels.lines, strict=True):
        number, box = int(row[0]), row[1:]
        yield from _class_fault(number, classes, line)
        yield from _box_fault(box, size, line)
        first = seen.setdefault(tuple(row), line)
        if first != line:
            message = f"the object of line {first} again"
            yield Fault(line, "duplicate-box", message, "warning", "the object counts twice", "remove the line")


def _class_fault(number: int, classes: int, line: int) -> Iterable[Fault]:
    if number < 0:
        yield Fault(line, "negative-class", f"class {number} is below 0", help="classes are counted from 0")
    elif classes and number >= classes:
        message = f"there is no class {number}: the last is {classes - 1}"
        cure = "classes are counted from 0; correct the label, or `classes=` and the names"
        yield Fault(line, "class-range", message, label="Darknet leaves the object out", help=cure)


def _box_fault(box: list[float], size: tuple[int, int] | None, line: int) -> Iterable[Fault]:
    """The first thing that is wrong with a box."""
    x, y, width, height = box
    shares = "the box is written in shares of the image's width and height"
    pixels = "divide pixels by the image's width and height" if max(box) > 2 else shares
    for name, value in (("x", x), ("y", y)):
        if not 0 < value <= 1:
            message = f"the centre's {name} of {value:g} is outside the image, which goes from 0 to 1"
            yield Fault(line, "centre-outside", message, label="Darknet cuts the box, or leaves the object out", help=pixels)
            return
    for name, value in (("width", width), ("height", height)):
        if not 0 < value <= 1:
            what = "not above 0" if value <= 0 else "more than the whole image, which is 1"
            label = "Darknet leaves the object out" if value <= 0 else "Darknet cuts the box"
            yield Fault(line, "box-size", f"the {name} of {value:g} is {what}", label=label, help=pixels)
            return
    for name, centre, extent, side in (("width", x, width, 0), ("height", y, height, 1)):
        before, behind = extent / 2 - centre, centre + extent / 2 - 1
        reach = max(before, behind)
        slack = max(_ROUNDING, 1 / size[side]) if size else _ROUNDING
        if reach > slack + _DIGITS:
            edges = ("left", "right") if name == "width" else ("top", "bottom")
            far = f"{reach * size[side]:.1f} pixels" if size else f"{reach:.4f} of the {name}"
            message = f"the box reaches {far} beyond the {edges[behind > before]} edge of the image"
            yield Fault(
                line, "box-outside", message, "warning", "Darknet cuts it, which moves its centre", "end it at the edge"
            )
            return
    for name, extent, side in (("width", width, 0), ("height", height, 1)):
        if size and (extent + _DIGITS) * size[side] < 1:
            message = f"the {name} of the box is {extent * size[side]:.2f} pixels"
            yield Fault(
                line, "tiny-box", message, "warning", "there is nothing to see of the object", "draw it again, or remove it"
            )
            return
