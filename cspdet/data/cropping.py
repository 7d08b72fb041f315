"""The objects of a detector's data set, cut out for a classifier: to train a backbone before the detector."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cspdet.data.description import Description
from cspdet.data.labels import read_labels
from cspdet.data.pictures import Picture, read_list
from cspdet.data.remarks import Remarks
from cspdet.errors import CspdetError, ImageError, UsageError
from cspdet.files import make_folder, unwritable
from cspdet.image import Pixels, read_image, write_image
from cspdet.paths import exists, is_folder

BACKGROUND = "background"
# Around an object, so much of its longer side is kept, all in all.
_MARGIN = 0.25
# Objects of which less than this is to be seen, in pixels along a side, show too little.
LEAST = 20
# Sides of background, as shares of the picture's shorter one; how often a place without objects is looked for.
_SHARES, _TRIES = (0.2, 0.7), 20
# The share of a piece of background that objects may cover.
_COVERED = 0.05

Box = tuple[float, float, float, float]


def crop(
    description: Description,
    parts: Sequence[str],
    target: str | Path,
    *,
    side: int = 128,
    background: bool = False,
    seed: int = 0,
    advance: Callable[[int], object] = lambda _: None,
    warn: Callable[[str], object] = lambda _: None,
) -> tuple[dict[str, Counter[str]], Remarks]:
    """Write each object as a picture of its own, into `target/part/class/`, with lists, names and `.data` file in `target`.

    A picture is the square around the object with an eighth of its side on every edge, as far as the photograph goes, scaled
    down to `side` pixels where it is larger. Objects of which less than 20 pixels lie within the photograph, along either side,
    are left out. With `background`, every photograph also gives one piece without objects, as a class of its own, if there is
    a place for it.

    Classes without names are called by their numbers.

    Args:
        description: the detector's data set.
        parts: which of its lists, `train` and `valid`.
        target: folder to make; it must not be there, or be empty.
        side: the shorter side of the pictures, in pixels, at most.
        background: whether there is a class of what is no object.
        seed: what places of background are drawn by.
        advance: called with the number of photographs that are done, of all parts.
        warn: called with a word about each photograph that is left out.

    Returns:
        For each part, how many pictures of each class there are; and which objects were left out.

    Raises:
        UsageError: the folder has content or cannot be written, or a class cannot be the name of a folder.
        CspdetError: a list has no object that can be cut out.
    """
    target = Path(target)
    classes = description.names or tuple(map(str, range(description.classes)))
    names = [*classes, *([BACKGROUND] if background else [])]
    for name in names:
        if not name or name in (".", "..") or "/" in name or "\\" in name or names.count(name) > 1:
            message = (
                f"`{name}` cannot be the name of a folder" if names.count(name) == 1 else f"two classes are called `{name}`"
            )
            raise UsageError(message, f"rename it in `{description.names_file or description.path}`")
    if exists(target) and not (is_folder(target) and not any(target.iterdir())):
        raise UsageError(f"`{target}` is there already", "name another folder, or remove it")
    make_folder(target.parent)
    try:
        # Whole or not at all: the folder gets its name when everything is in it.
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise unwritable(target, error) from None
    counts, remarks, done = {}, Remarks(), 0
    try:
        for part in parts:
            pictures = read_list(description.list_of(part))
            listed: list[str] = []
            counts[part] = Counter[str]()
            for number, picture in enumerate(pictures):
                random = np.random.default_rng((seed, number))
                pieces = _pieces(picture, classes, side, random, background, warn, remarks)
                for place, (name, pixels) in enumerate(pieces):
                    path = Path(part, name, f"{number:06}-{place}.jpg")
                    (made / path.parent).mkdir(parents=True, exist_ok=True)
                    write_image(made / path, pixels)
                    listed.append(path.as_posix())
                    counts[part][name] += 1
                done += 1
                advance(done)
            if not counts[part].keys() - {BACKGROUND}:
                raise _nothing(description, part, remarks)
            (made / f"{part}.txt").write_text("".join(f"{each}\n" for each in listed), "utf-8")
        (made / f"{target.name}.names").write_text("".join(f"{name}\n" for name in names), "utf-8")
        lines = [f"classes = {len(names)}", *(f"{part} = {part}.txt" for part in parts)]
        lines += [f"names = {target.name}.names", f"labels = {target.name}.names", "top = 2", "backup = backup"]
        (made / f"{target.name}.data").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        made.chmod(0o755)
        made.replace(target)
    except OSError as error:
        raise unwritable(target, error) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return counts, remarks


def _nothing(description: Description, part: str, remarks: Remarks) -> CspdetError:
    """The error of a list that gives no picture."""
    why = "".join(f"; {what}: {count:,}" for what, count in remarks.counts.items())
    cure = f"`cspdet data check {description.path}` says what is wrong with its labels"
    if not why:
        cure = "are the label files where they are looked for? a classifier's images need no cutting"
    return CspdetError(f"no image of `{part}` in `{description.path}` has an object to cut out{why}", cure)


def _pieces(
    picture: Picture,
    names: Sequence[str],
    side: int,
    random: np.random.Generator,
    background: bool,
    warn: Callable[[str], object],
    remarks: Remarks,
) -> Iterator[tuple[str, Pixels]]:
    """The pieces of a photograph, with the names of their classes."""
    labels = read_labels(picture.labels)
    try:
        pixels = read_image(picture.path)
    except (ImageError, UsageError) as error:
        warn(f"left out: {error.message}")
        return
    for fault in labels.faults:
        if fault.code in ("malformed-label", "unreadable-labels"):
            remarks.add("labels that cannot be read left out", f"{picture.labels}:{fault.line or 1}")
    height, width = pixels.shape[:2]
    boxes: list[Box] = []
    for (number, x, y, w, h), line in zip(labels.rows.tolist(), labels.lines, strict=True):
        box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        boxes.append(box)
        seen = min(min(box[2], width) - max(box[0], 0), min(box[3], height) - max(box[1], 0))
        if not 0 <= number < len(names):
            remarks.add("objects of no class left out", f"{picture.labels}:{line}")
        elif seen <= 0:
            remarks.add("objects outside the image or without area left out", f"{picture.labels}:{line}")
        elif round(seen, 2) < LEAST:
            remarks.add(f"objects below {LEAST} pixels left out", f"{picture.labels}:{line}")
        else:
            yield names[int(number)], _scaled(square_around(pixels, box), side)
    if background:
        yield from ((BACKGROUND, _scaled(piece, side)) for piece in _empty_piece(pixels, boxes, random))


def square_around(pixels: Pixels, box: Box) -> Pixels:
    """The square around a box of which something lies within the photograph, as far as that goes."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) * (1 + _MARGIN) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    rows, columns = (slice(max(0, int(middle - half)), int(middle + half) + 1) for middle in (y, x))
    return pixels[rows, columns]


def _empty_piece(pixels: Pixels, boxes: Sequence[Box], random: np.random.Generator) -> Iterator[Pixels]:
    """A square with hardly anything of an object in it; none if there is no place for it."""
    height, width = pixels.shape[:2]
    for _ in range(_TRIES):
        side = random.uniform(*_SHARES) * min(height, width)
        left, top = random.uniform(0, width - side), random.uniform(0, height - side)
        covered = sum(
            max(0.0, min(left + side, box[2]) - max(left, box[0])) * max(0.0, min(top + side, box[3]) - max(top, box[1]))
            for box in boxes
        )
        if side >= LEAST and covered < _COVERED * side**2:
            yield pixels[int(top) : int(top + side), int(left) : int(left + side)]
            return


def _scaled(pixels: Pixels, side: int) -> Pixels:
    """No larger than it is, and no more than so many pixels along the shorter side."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(size[1], size[0], -1)
