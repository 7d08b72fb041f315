"""Images: decoding, encoding, and the channels a network wants. Arrays are as OpenCV has them: (H, W, 3), BGR, uint8."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import ImageError, UsageError
from cspdet.files import check_writable, replacing
from cspdet.pipes import is_pipe, open_pipe

Pixels = NDArray[np.uint8]
# Whether JPEGs are decoded to the bit, or by what, which does as `cspdet.jpeg.decode`.
Exact = bool | Callable[[bytes, str], Pixels | None]

# Endings that a folder or a glob is searched for; whatever OpenCV decodes may be named on its own.
SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .bmp .dib .webp .tif .tiff .ppm .pgm .pbm .jp2 .avif .gif".split())  # noqa: SIM905

# Larger files and pictures are refused; OpenCV would take 6 bytes of memory for each pixel.
_LARGEST_FILE = 2**29
_LARGEST_PICTURE = 2**28
# A picture of this size has a byte for every 256 pixels at least: no baseline JPEG can have less, and what has less elsewhere
# is blank, or was made to fill our memory.
_SMALL_PICTURE = 2**25
_PIXELS_PER_BYTE = 256


# How many threads want OpenCV to be quiet, and how loud it was before the first.
_LOCK = Lock()
_quiet = 0
_level = 0


def read_image(path: str | Path, *, exact: Exact = False) -> Pixels:
    """Decode an image file to (H, W, 3) BGR; grey and transparent images are converted, and turned upright by their EXIF data.

    `exact` decodes JPEGs to the bit as Darknet does, which takes longer; see `cspdet.jpeg`. It may be what does so.

    Raises:
        UsageError: the file is missing or cannot be read.
        ImageError: it is empty, cut or no image.
    """
    return decode_image(image_bytes(path), str(path), exact=exact)


def as_pixels(image: Any, *, exact: bool = False) -> Pixels:
    """A path, PIL image or array as an array in OpenCV's order; `exact` as for `read_image`.

    Raises:
        UsageError: it is something else.
        ImageError: it cannot be decoded.
    """
    if isinstance(image, str | Path):
        return read_image(image, exact=exact)
    if hasattr(image, "convert") and hasattr(image, "getbands"):
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)  # as files are
        return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image is a path, an array or a PIL image, not `{type(image).__name__}`")
    if 0 in image.shape:
        raise UsageError(f"the image is empty: {image.shape}", "does a crop lie outside its picture?")
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        message = f"an image array is (H, W) or (H, W, C) of uint8, not {image.shape} of {image.dtype}"
        raise UsageError(message, "scale to 0 … 255 and convert: `.astype('uint8')`")
    return image


def image_bytes(path: str | Path) -> bytes:
    """The bytes of an image file.

    Raises:
        UsageError: the file is missing or cannot be read.
        ImageError: it is far too large to be an image.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UsageError(f"`{path}` is a directory, not an image")
        size, data = path.stat().st_size, b""
        if size <= _LARGEST_FILE:
            with open_pipe(path) if is_pipe(path) else path.open("rb") as file:
                data = file.read(_LARGEST_FILE + 1)  # a device has no size
        if max(size, len(data)) > _LARGEST_FILE:
            raise ImageError(f"`{path}` has more than {_LARGEST_FILE:,} bytes; that is no image")
    except FileNotFoundError:
        address = re.match(r"([A-Za-z]{2,}:)/+(.*)", str(path))  # `pathlib` makes one slash of two
        if address:
            raise UsageError(f"`{address[1]}//{address[2]}` is an address, not a file", "download it") from None
        raise UsageError(f"no such file: `{path}`", "check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read `{path}`: {reason.lower()}") from None
    return data


def decode_image(data: bytes, name: str, *, exact: Exact = False) -> Pixels:
    """Decode the bytes of an image file; `name` is for the message, `exact` as for `read_image`.

    Raises:
        ImageError: they are not an image, or only part of one.
    """
    import cv2

    if not data:
        raise ImageError(f"`{name}` is empty", "the download was cut, or the disk was full")
    _check_pixels(data, name)
    if data[:2] == b"\xff\xd8":
        from cspdet import jpeg

        if not jpeg.has_end(data):
            # OpenCV fills what is missing with grey and says nothing.
            raise ImageError(f"`{name}` is cut: the JPEG has no end", "fetch it again")
        decode = jpeg.decode if exact is True else exact
        pixels = decode(data, name) if decode else None
        if pixels is not None:
            return pixels
    try:
        with quiet():
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise ImageError(f"`{name}` is not an image that OpenCV can decode", _hint(data))
    return decoded.astype(np.uint8, copy=False)


def write_image(path: str | Path, image: Pixels) -> None:
    """Encode an image into a file, whole or not at all; the ending says how.

    Raises:
        UsageError: the file cannot be written, or the ending names no image format.
    """
    import cv2

    check_writable(path)
    check_format(path)
    try:
        with quiet():
            made, data = cv2.imencode(Path(path).suffix, image)
    except cv2.error:
        made = False
    if not made:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise UsageError(f"cannot write `{path}`: OpenCV makes no `{Path(path).suffix}` of {size} pixels", "use `.png`")
    with replacing(path) as file:
        file.write(data.tobytes())


def check_format(path: str | Path) -> None:
    """See that the ending of a file's name is one of an image format that can be written.

    Raises:
        UsageError: it is not.
    """
    import cv2

    if not cv2.haveImageWriter(f"x{Path(path).suffix}"):
        raise UsageError(f"cannot write `{path}`: `{Path(path).suffix}` is no image format", "use `.jpg` or `.png`")


@contextmanager
def quiet() -> Iterator[None]:
    """OpenCV talks to the error stream about what it cannot open; our own message says it in one line."""
    import cv2

    global _quiet, _level
    logging = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is None:
        yield
        return
    with _LOCK:
        if not _quiet:
            _level = logging.getLogLevel()
            logging.setLogLevel(logging.LOG_LEVEL_SILENT)
        _quiet += 1
    try:
        yield
    finally:
        with _LOCK:
            _quiet -= 1
            if not _quiet:
                logging.setLogLevel(_level)


def to_channels(image: Pixels, channels: int, name: str = "the image") -> Pixels:
    """(H, W, C) in the network's order: RGB for 3 channels, grey for 1, as it is for any other number.

    Grey is (77 R + 150 G + 29 B) / 256, rounded down, as Darknet's image reader has it (`stb_image.h:stbi__compute_y`).

    Raises:
        UsageError: the image has another number of channels than the network reads.
    """
    there = 1 if image.ndim == 2 else image.shape[2]
    if image.ndim == 2:
        image = image[:, :, None]
    if channels == 3 and there == 1:
        return np.repeat(image, 3, 2)
    if channels == 3 and there in (3, 4):
        return image[:, :, 2::-1]
    if channels == 1 and there in (3, 4):
        blue, green, red = (image[:, :, each].astype(np.uint16) for each in range(3))
        return ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.uint8)[:, :, None]
    if there != channels:
        cure = "the channels come last: (H, W, C)" if image.shape[0] == channels else "give an array with as many channels"
        raise UsageError(f"the network reads {channels} channels, {name} has {there}", cure)
    return image


def _check_pixels(data: bytes, name: str) -> None:
    """Refuse pictures that would take too much memory, before there is any."""
    import imagesize

    if data.lstrip()[:1] == b"<":
        return  # an SVG, which OpenCV does not read
    try:
        width, height = imagesize.get(BytesIO(data))
    except Exception:  # of a damaged file it raises what comes; OpenCV will see
        return
    pixels = width * height
    if pixels > _LARGEST_PICTURE:
        raise ImageError(f"`{name}` has {width:,}x{height:,} pixels; {_LARGEST_PICTURE:,} are possible", "scale it down")
    if pixels > max(_SMALL_PICTURE, _PIXELS_PER_BYTE * len(data)):
        raise ImageError(
            f"`{name}` is damaged: {width:,}x{height:,} pixels do not fit into its {len(data):,} bytes", "fetch it again"
        )


def _hint(data: bytes) -> str:
    if data.lstrip()[:1] == b"<":
        return "it is a web page; open the address in a browser"
    if data.startswith(b"version https://git-lfs"):
        return "it is a git-lfs pointer: run `git lfs pull` in its repository"
    if data[:2] == b"[n" or b"[net]" in data[:4096]:
        return "it is a cfg file; the order is: cfg, weights, images"
    return "is it cut, or something else?"
