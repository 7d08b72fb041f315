"""How large an image is, hardly ever by decoding it, and whether annotations are of an image of this size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from cspdet.data.remarks import Example, Remarks
from cspdet.errors import CspdetError
from cspdet.image import image_bytes, read_image
from cspdet.jpeg.markers import orientation

# Annotations that are left out for it.
OTHER_PROPORTIONS = "images left out, as they have other proportions than annotated"
_DRAWN_BEFORE = "if they were drawn on the image as it is stored, remove the orientation from its EXIF data"
# How EXIF data begin, and a TIFF file; two literal searches are quick.
_MARKS = (re.compile(rb"II\*\0"), re.compile(rb"MM\0\*"))
# In JPEGs they come first, and are no longer than this.
_HEAD = 2**17


class Size(NamedTuple):
    """Width and height of an image as `read_image` gives it, and the EXIF orientation that it was turned upright by."""

    width: int
    height: int
    orientation: int = 1


def read_size(path: Path) -> Size:
    """The size of an image: from its head, unless EXIF data turns it. Whether OpenCV heeds these depends on its version.

    Raises:
        UsageError: the file is missing or cannot be read.
        ImageError: it is empty, cut or no image.
    """
    import imagesize

    data = _head(path)
    turned = orientation(_exif(data))
    # AVIF has other ways to turn an image.
    if turned == 1 and data[4:8] != b"ftyp":
        try:
            width, height = imagesize.get(path)
        except Exception:  # of a damaged file it raises what comes; OpenCV will see
            width = height = 0
        if width > 0 and height > 0:
            return Size(width, height)
    height, width, _ = read_image(path).shape
    return Size(width, height, turned)


def annotated_size(
    image: Path, written: tuple[float, float] | None, place: str, remarks: Remarks, cure: str
) -> tuple[float, float] | None:
    """Width and height by which the boxes of an image are to be divided; None if it has to be left out.

    `written` is what the annotations say; None if they say nothing, and then the image's own size counts. Where the image was
    merely scaled since, boxes are still of the written size. An image of other proportions is not the one that was annotated.
    Nor is one whose stored size was written, and whose EXIF data turn it upright by a quarter: some programs let people draw
    on such an image as it is stored, others draw it upright and write the stored size nonetheless. Where the size does not
    tell these apart, boxes count as drawn on the upright image.

    `place` is where the size is written, `cure` how to correct it; both are for `remarks`.

    Raises:
        CspdetError: nothing is written, and the image cannot be read.
    """
    try:
        real = read_size(image)
    except CspdetError:
        if written is None:
            raise
        remarks.add("images that cannot be read, believed to have the annotated size", place)
        return written
    sides = real[:2]
    stored = sides if real.orientation < 5 else sides[::-1]
    fits_stored = real.orientation != 1 and (written is None or same_proportions(stored, written))
    if written is not None and not same_proportions(sides, written):
        size, said = (f"{width:g}x{height:g}" for width, height in (sides, written))
        turned = " once its EXIF data have turned it upright" if fits_stored else ""
        fact = f"`{image}` has {size} pixels{turned}, but was annotated as {said}: its boxes would be misplaced"
        remarks.add(OTHER_PROPORTIONS, place, Example(fact, f"{_DRAWN_BEFORE}; else {cure}" if fits_stored else cure))
        return None
    if fits_stored:
        fact = f"`{image}` is turned upright by its EXIF data: its boxes are misplaced if they were drawn before that"
        remarks.add("images believed to be annotated upright", place, Example(fact, _DRAWN_BEFORE))
    return written or sides


def nothing_fits(remarks: Remarks) -> CspdetError | None:
    """The error of annotations of which no image is left, if that is because of other proportions."""
    example = remarks.examples.get(OTHER_PROPORTIONS)
    if example is None:
        return None
    (place, *_) = remarks.places[OTHER_PROPORTIONS]
    return CspdetError(f"no image is left to convert: {place}: {example.fact}", example.help)


def same_proportions(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one width and height is the other, scaled, and then off by no more than a pixel each."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(sum(one), sum(other))


def _exif(data: bytes) -> bytes:
    """The EXIF data of a JPEG, PNG, WebP or TIFF file, and what follows; empty where there are none."""
    for at in (found.start() for mark in _MARKS for found in mark.finditer(data)):
        if at == 0 or data[max(at - 6, 0) : at].endswith((b"Exif\0\0", b"eXIf")) or data[at - 8 : at - 4] == b"EXIF":
            return data[at:]
    return b""


def _head(path: Path) -> bytes:
    """The beginning of a JPEG file; other files whole."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        head = b""
    return head if head[:2] == b"\xff\xd8" else image_bytes(path)  # which says what is wrong
