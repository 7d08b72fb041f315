"""How large images are, and whether annotations are of images of this size."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.data.remarks import Remarks
from cspdet.data.size import annotated_size, read_size, same_proportions
from cspdet.errors import CspdetError
from cspdet.image import read_image
from tests.conftest import REFERENCE
from tests.data.material import make_image
from tests.test_jpeg import exif

SIDE = st.integers(1, 5000)


def turned(path: Path, orientation: int, size: tuple[int, int] = (40, 20)) -> Path:
    """An image whose EXIF data hold this orientation, and which is stored with (width, height)."""
    data = make_image(path, size=size).read_bytes()
    segment = exif(orientation)
    tiff = segment[10:]
    if path.suffix == ".jpg":
        data = data[:2] + segment + data[2:]
    elif path.suffix == ".png":
        chunk = b"eXIf" + tiff
        data = data[:-12] + struct.pack(">I", len(tiff)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[-12:]
    else:
        sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
        chunks = b"WEBPVP8X" + struct.pack("<II", 10, 8) + sides + data[12:] + b"EXIF" + struct.pack("<I", len(tiff)) + tiff
        data = b"RIFF" + struct.pack("<I", len(chunks)) + chunks
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm", ".gif"])
def test_the_size_of_every_format(tmp_path: Path, suffix: str) -> None:
    path = make_image(tmp_path / f"x{suffix}", size=(50, 30))
    assert read_size(path) == (50, 30, 1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_that_of_the_image_as_it_is_read(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = turned(tmp_path / f"x{suffix}", orientation)
    size = read_size(path)
    height, width, _ = read_image(path).shape
    assert size == (width, height, orientation)
    if suffix == ".jpg":
        assert size[:2] == ((40, 20) if orientation < 5 else (20, 40))


def test_nothing_is_decoded_where_the_head_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("cspdet.data.size.read_image", refuse)
    assert read_size(turned(tmp_path / "x.jpg", 1)) == (40, 20, 1)
    assert read_size(make_image(tmp_path / "x.png")) == (40, 20, 1)
    with pytest.raises(AssertionError):
        read_size(turned(tmp_path / "x.jpg", 6))


@pytest.mark.reference
def test_photographs() -> None:
    for path in sorted((REFERENCE / "data" / "coco128" / "images").rglob("*.jpg"))[:40]:
        height, width, _ = read_image(path).shape
        assert read_size(path)[:2] == (width, height)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff\xd8\xff", b"II*\0\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jpg"
    with pytest.raises(CspdetError, match="no such file"):
        read_size(path)
    path.write_bytes(data)
    with pytest.raises(CspdetError, match=r"x\.jpg"):
        read_size(path)


# -- proportions ------------------------------------------------------------------------------------------------------


@given(SIDE, SIDE, st.floats(0.01, 10), st.sampled_from([math.floor, math.ceil, round]))
def test_scaled_is_alike(width: int, height: int, scale: float, whole: object) -> None:
    """However it was rounded, and whichever of the two was made of the other."""
    other = (max(whole(width * scale), 1), max(whole(height * scale), 1))  # type: ignore[operator]
    assert same_proportions((width, height), other)
    assert same_proportions(other, (width, height))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ((500, 375), (500, 375), True),
        ((500, 375), (1000, 750), True),
        ((500, 375), (499, 375), True),
        ((500, 375), (334, 250), True),
        ((500, 375), (375, 500), False),
        ((500, 375), (497, 375), False),
        ((500, 375), (40, 20), False),
        ((640, 480), (640, 640), False),
    ],
)
def test_proportions(one: tuple[int, int], other: tuple[int, int], alike: bool) -> None:
    assert same_proportions(one, other) == same_proportions(other, one) == alike


@given(SIDE, SIDE, st.floats(0.1, 10), st.integers(-3, 3), st.integers(-3, 3))
def test_what_is_alike_is_off_by_a_pixel_at_most(width: int, height: int, scale: float, more: int, higher: int) -> None:
    """Of the smaller of the two images: those with the same sum of sides differ by that much, or else are not alike."""
    other_width, other_height = max(round(width * scale) + more, 1), max(round(height * scale) + higher, 1)
    fit = (width + height) / (other_width + other_height)
    off = abs(width - fit * other_width) / max(1, fit)
    if abs(off - 1) > 1e-6:
        assert same_proportions((width, height), (other_width, other_height)) == (off < 1)


# -- annotations ------------------------------------------------------------------------------------------------------


def ask(path: Path, written: tuple[float, float] | None) -> tuple[tuple[float, float] | None, list[str]]:
    remarks = Remarks()
    found = annotated_size(path, written, "a.xml:1", remarks, "correct it")
    return found, [*remarks.lines()]


def test_an_image_that_was_scaled_has_boxes_of_the_written_size(tmp_path: Path) -> None:
    assert ask(make_image(tmp_path / "x.png"), (40, 20)) == ((40, 20), [])
    assert ask(make_image(tmp_path / "x.png"), (400, 200)) == ((400, 200), [])
    assert ask(make_image(tmp_path / "x.png"), None) == ((40, 20), [])


def test_another_image_than_annotated_is_left_out(tmp_path: Path) -> None:
    path = make_image(tmp_path / "x.png")
    assert ask(path, (500, 375)) == (
        None,
        [
            "images left out, as they have other proportions than annotated: 1 (a.xml:1)",
            f"  `{path}` has 40x20 pixels, but was annotated as 500x375: its boxes would be misplaced",
            "  help: correct it",
        ],
    )


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_turned_by_a_quarter(tmp_path: Path, orientation: int) -> None:
    """The upright size is right, whatever was written; the stored one leaves open what the boxes are of."""
    path = turned(tmp_path / "x.jpg", orientation)
    assert ask(path, (20, 40)) == ((20, 40), [])
    assert ask(path, (200, 400)) == ((200, 400), [])
    found, lines = ask(path, (40, 20))
    assert found is None
    fact = f"`{path}` has 20x40 pixels once its EXIF data have turned it upright, but was annotated as 40x20"
    assert lines[1] == f"  {fact}: its boxes would be misplaced"
    assert lines[2].endswith("remove the orientation from its EXIF data; else correct it")
    found, lines = ask(path, (100, 100))
    assert (found, lines[2]) == (None, "  help: correct it")


@pytest.mark.parametrize(
    ("orientation", "stored", "written"),
    [(2, (40, 20), (40, 20)), (3, (40, 20), (80, 40)), (4, (40, 20), None), (6, (30, 30), (30, 30)), (6, (40, 20), None)],
)
def test_what_the_size_does_not_tell(
    tmp_path: Path, orientation: int, stored: tuple[int, int], written: tuple[int, int] | None
) -> None:
    """Upside down, or square: boxes count as drawn on the upright image, and it is said that they do."""
    path = turned(tmp_path / "x.jpg", orientation, stored)
    found, lines = ask(path, written)
    assert found == (written or read_size(path)[:2])
    assert lines[0] == "images believed to be annotated upright: 1 (a.xml:1)"
    assert "misplaced if they were drawn before" in lines[1]


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"<html>")
    assert ask(path, (40, 20)) == (
        (40, 20),
        ["images that cannot be read, believed to have the annotated size: 1 (a.xml:1)"],
    )
    with pytest.raises(CspdetError, match="is not an image"):
        ask(path, None)


def test_bytes_that_look_like_exif_data_turn_nothing(tmp_path: Path) -> None:
    path = make_image(tmp_path / "x.png")
    data = path.read_bytes()
    text = b"tEXtExif\0\0II*\0nothing"
    path.write_bytes(data[:33] + struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text)) + data[33:])
    assert np.array_equal(read_image(path), cv2.imread(str(path)))
    assert ask(path, (40, 20)) == ((40, 20), [])
