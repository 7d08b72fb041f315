"""Files that are often taken for weights files, told by how they start."""

from __future__ import annotations

import json
from typing import NamedTuple

from cspdet.text import printable


class Foreign(NamedTuple):
    """What a file is instead, and what to do about it."""

    what: str
    cure: str


SAFETENSORS = Foreign("it is a safetensors file", "give it the ending `.safetensors`")

_ORDER = "the order is: cfg, weights, images"
_CODE = "convert it with the program that wrote it; it may hold code, so cspdet does not open it"

# Offset, bytes, what has them there, cure.
_SIGNS: tuple[tuple[int, bytes, str, str], ...] = (
    (
        0,
        b"version https://git-lfs",
        "it is a git-lfs pointer, not the file it points to",
        "run `git lfs pull` in its repository",
    ),
    *((0, sign, "it is a zip archive, as PyTorch's `.pt` files are", _CODE) for sign in (b"PK\x03\x04", b"PK\x05\x06")),
    *((0, bytes((0x80, protocol)), "it is a Python pickle, as old `.pt` files are", _CODE) for protocol in range(2, 6)),
    (0, b"\x1f\x8b", "it is compressed with gzip", "unpack it: `gunzip FILE`"),
    (0, b"\xfd7zXZ", "it is compressed with xz", "unpack it: `unxz FILE`"),
    (0, b"BZh", "it is compressed with bzip2", "unpack it: `bunzip2 FILE`"),
    (0, b"7z\xbc\xaf", "it is a 7z archive", "unpack it"),
    (0, b"\x89HDF", "it is an HDF5 file, as Keras writes them", "use the weights that Darknet wrote"),
    (0, b"\x93NUMPY", "it is a numpy array", "use the weights that Darknet wrote"),
    (0, b"\xff\xd8\xff", "it is a JPEG image", _ORDER),
    (0, b"\x89PNG", "it is a PNG image", _ORDER),
    (0, b"GIF8", "it is a GIF image", _ORDER),
    (0, b"BM", "it is a BMP image", _ORDER),
    *((0, sign, "it is a TIFF image", _ORDER) for sign in (b"II*\0", b"MM\0*")),
    (0, b"\0\0\0\x0cjP", "it is a JPEG 2000 image", _ORDER),
    (0, b"\x1aE\xdf\xa3", "it is a video", _ORDER),
    (0, b"%PDF", "it is a PDF document", _ORDER),
    (0, b"Rar!", "it is a rar archive", "unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "it is compressed with zstd", "unpack it: `unzstd FILE`"),
    (257, b"ustar", "it is a tar archive", "unpack it: `tar -xf FILE`"),
    (0, b"RIFF", "it is an image, video or sound", _ORDER),
    (4, b"ftyp", "it is a video", _ORDER),
    (0, b"\xff\xfe", "it is text of 16 bits a letter", "look into it"),
    (0, b"\xfe\xff", "it is text of 16 bits a letter", "look into it"),
)


def recognise(start: bytes, size: int) -> Foreign | None:
    """What a file of `size` bytes that begins with `start` is, if it is something known."""
    # First: how long its header is may look like any of the signs.
    if start[8:10] in (b'{"', b"{}") and 2 <= int.from_bytes(start[:8], "little") <= size - 8:
        return SAFETENSORS
    for offset, sign, what, cure in _SIGNS:
        if start.startswith(sign, offset):
            return Foreign(what, cure)
    text = _as_text(start)
    if text is None:
        return None
    if text.startswith("<"):
        return Foreign(
            "it is a web page, not the file", "open the address in a browser: a login or a confirmation may be in the way"
        )
    if text.startswith(("{", "[{", '["', "[[")) or (text.startswith("[") and _is_json(text)):
        return Foreign("it is JSON text", "an error message of the server, perhaps; look into it")
    if text[:1] in ("[", "#", ";") and "=" in text:
        return Foreign("it is cfg text", _ORDER)
    words = printable(" ".join(text.split())[:40])
    return Foreign(
        f"it is text: `{words}`" if words else "it is blank", "an error message of the server, perhaps; look into it"
    )


def _as_text(start: bytes) -> str | None:
    """The beginning of a text file; None where it is binary."""
    if not start or any(byte < 32 and byte not in b"\t\n\r\x1b" for byte in start):
        return None
    # The 512 bytes may end inside a letter.
    for cut in range(4):
        try:
            return start[: len(start) - cut].decode("utf-8-sig").lstrip()
        except UnicodeDecodeError:
            continue
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
