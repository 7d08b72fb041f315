"""The JPEG decoder, against OpenCV's, which may differ by a little, and against the transform of the standard."""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet import jpeg
from cspdet.errors import ImageError
from cspdet.image import Pixels, decode_image
from cspdet.jpeg import samples
from cspdet.jpeg.entropy import ZIGZAG

SAMPLINGS = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}
SIZES = [(1, 1), (2, 3), (7, 5), (8, 8), (9, 17), (16, 16), (33, 31), (70, 53)]


def scene(width: int, height: int, seed: int = 0) -> Pixels:
    """A smooth picture with a few edges, as photographs have them."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    picture[height // 3 :, width // 2 :] //= 2
    return np.asarray(picture, np.uint8)


def encode(picture: Pixels, *options: int) -> bytes:
    good, data = cv2.imencode(".jpg", picture, [*options])
    assert good
    return data.tobytes()


def opencv(data: bytes) -> Pixels:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return np.asarray(found, np.uint8)


def decode(data: bytes) -> Pixels:
    found = jpeg.decode(data, "x.jpg")
    assert found is not None
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    return found


def compare(data: bytes, columns: int | None = None) -> None:
    """The same picture as OpenCV's, within what rounding may differ."""
    mine, other = decode(data)[:, :columns].astype(int), opencv(data)[:, :columns].astype(int)
    assert mine.shape == other.shape
    if mine.size:
        assert np.abs(mine - other).max() <= 3
        assert np.abs(mine - other).mean() < 0.3


def comparable(width: int, sampling: str) -> int:
    """How many columns are comparable, of a picture at least 5 wide.

    Where colour has half the columns, stb_image exchanges the weights of the last column but one, and OpenCV does not.
    """
    return 2 * ((width + 1) // 2) - 2 if sampling == "422" else width


@pytest.mark.parametrize("quality", [5, 50, 90, 100])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("width", "height"), SIZES, ids=lambda side: str(side))
def test_colour(width: int, height: int, sampling: str, quality: int) -> None:
    picture = scene(width, height)
    if width < 5:
        # OpenCV does not interpolate colour that has one or two columns; one colour is the same either way.
        picture[:] = picture[0, 0]
    data = encode(picture, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling], cv2.IMWRITE_JPEG_QUALITY, quality)
    compare(data, comparable(width, sampling))


@pytest.mark.parametrize("quality", [5, 100])
@pytest.mark.parametrize(("width", "height"), SIZES, ids=lambda side: str(side))
def test_grey(width: int, height: int, quality: int) -> None:
    data = encode(scene(width, height)[:, :, 1], cv2.IMWRITE_JPEG_QUALITY, quality)
    compare(data)
    found = decode(data)
    assert (found == found[:, :, :1]).all()


@pytest.mark.parametrize("interval", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("sampling", ["444", "420"])
def test_restart_intervals(interval: int, sampling: str) -> None:
    picture = scene(70, 53)
    options = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling])
    plain = encode(picture, *options)
    with_restarts = encode(picture, *options, cv2.IMWRITE_JPEG_RST_INTERVAL, interval)
    assert b"\xff\xdd" in with_restarts
    # The interval changes how the data is divided, not what it says.
    assert np.array_equal(decode(plain), decode(with_restarts))


def test_tables_made_for_the_picture() -> None:
    picture = scene(70, 53)
    plain, optimised = encode(picture), encode(picture, cv2.IMWRITE_JPEG_OPTIMIZE, 1)
    assert len(optimised) < len(plain)
    assert np.array_equal(decode(plain), decode(optimised))


def test_noise_has_all_coefficients() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    compare(encode(noise, cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS["444"]))


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_other_files(seed: int) -> None:
    """High quality and tables made for the file: long codes, and blocks without an end-of-block code."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (13, 23, 3), dtype=np.uint8)
    for quality in (60, 98):
        for optimise in (0, 1):
            data = encode(noise, cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, optimise)
            compare(data, 20)


# -- orientation ------------------------------------------------------------------------------------------------------


def exif(orientation: int, order: str = "<", entries: int = 1, offset: int = 8) -> bytes:
    """An APP1 segment whose first directory ends in the orientation."""
    filler = struct.pack(order + "HHIHH", 0x0100, 3, 1, 7, 0) * (entries - 1)
    directory = struct.pack(order + "H", entries) + filler + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, offset)
    body = b"Exif\0\0" + tiff + bytes(offset - 8) + directory + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, order: str) -> None:
    data = encode(scene(40, 24))
    turned = data[:2] + exif(orientation, order, entries=2, offset=12) + data[2:]
    compare(turned)
    assert decode(turned).shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))


@pytest.mark.parametrize(
    "segment",
    [
        exif(0),
        exif(9),
        b"\xff\xe1\x00\x08Exif\0\0",
        b"\xff\xe1\x00\x10Exif\0\0XX\x00\x2a\x00\x00\x00\x08",
        b"\xff\xe1\x00\x10Exif\0\0II\x2a\x00\xff\xff\xff\xff",
        b"\xff\xe1\x00\x12Exif\0\0II\x2a\x00\x08\x00\x00\x00\xff\xff",
        b"\xff\xe1\x00\x0ahttp://\0",
    ],
    ids=["zero", "nine", "empty", "no order", "directory outside", "directory cut", "other data"],
)
def test_exif_that_says_nothing(segment: bytes) -> None:
    data = encode(scene(40, 24))
    assert np.array_equal(decode(data[:2] + segment + data[2:]), decode(data))


# -- kinds ------------------------------------------------------------------------------------------------------------


def test_progressive_is_left_to_opencv() -> None:
    data = encode(scene(40, 24), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert jpeg.decode(data, "x.jpg") is None
    assert np.array_equal(decode_image(data, "x.jpg", exact=True), opencv(data))


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 12), (1, 0), (5, 4), (7, 0x31)],
    ids=["12 bits", "height to come", "four components", "thirds"],
)
def test_other_frames_are_left_to_opencv(offset: int, value: int) -> None:
    data = bytearray(encode(scene(40, 24)))
    frame = data.index(b"\xff\xc0") + 4
    data[frame + offset] = value
    if offset == 1:
        data[frame + 2] = 0
    assert jpeg.decode(bytes(data), "x.jpg") is None


def test_rgb_components_are_not_converted() -> None:
    """An Adobe segment may say that the three planes are red, green and blue as they are."""
    data = encode(scene(40, 24), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS["444"], cv2.IMWRITE_JPEG_QUALITY, 100)
    app0 = data.index(b"\xff\xe0")
    after = app0 + 2 + int.from_bytes(data[app0 + 2 : app0 + 4])
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    changed = data[:app0] + adobe + data[after:]
    compare(changed)
    planes = decode(changed)
    # Those planes are what the same file means by Y, Cb, Cr.
    y, red_difference = planes[:, :, 2].astype(float), planes[:, :, 0].astype(float) - 128
    red = np.clip(y + 1.402 * red_difference, 0, 255)
    assert np.abs(red - decode(data)[:, :, 2]).max() <= 1


def test_the_standards_tables_are_left_to_opencv() -> None:
    """The frames of cameras come without; decoders know them from T.81, Annex K."""
    data = encode(scene(40, 24))
    while (at := data.find(b"\xff\xc4")) >= 0:
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]
    assert jpeg.decode(data, "x.jpg") is None
    assert decode_image(data, "x.jpg", exact=True).shape == (24, 40, 3)


def test_bytes_between_and_behind() -> None:
    """Comments, fill bytes before a marker and data behind the end change nothing."""
    data = encode(scene(40, 24))
    frame = data.index(b"\xff\xc0")
    comment = b"\xff\xfe\x00\x07hello"
    for changed in (
        data[:frame] + comment + data[frame:],
        data[:frame] + b"\xff\xff\xff" + data[frame:],
        data[:-2] + b"\xff\xff\xff\xd9",
        data + b"more" * 1000,
    ):
        assert np.array_equal(decode(changed), decode(data))


@pytest.mark.parametrize("seed", range(3))
def test_data_that_ends_in_ones(seed: int) -> None:
    """The last byte of a segment may be 0xFF; it is data, stuffed like any other, and no fill byte."""
    noise = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    data = encode(
        noise,
        *(cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    )
    assert re.search(rb"\xff\x00\xff[\xd0-\xd9]", data)
    compare(data)


@pytest.mark.parametrize("progressive", [0, 1])
def test_the_end_is_found(progressive: int) -> None:
    """Behind it, phones append a film or a depth map; a thumbnail within a segment has an end of its own."""
    data = encode(scene(40, 24), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2) + data
    for good in (data, data + bytes(5000), data[:2] + thumbnail + data[2:]):
        assert jpeg.has_end(good)
    for cut in (
        data[:-2],
        data[:-1],
        data[: len(data) // 2],
        data[:2] + thumbnail,
        data[:2] + thumbnail + data[2:-2],
        b"\xff\xd8",
    ):
        assert not jpeg.has_end(cut)


# -- damage -----------------------------------------------------------------------------------------------------------

DAMAGED = encode(scene(40, 24), cv2.IMWRITE_JPEG_RST_INTERVAL, 2)


def survives(data: bytes) -> None:
    """An image, None, or an ImageError; anything else fails the test."""
    try:
        found = jpeg.decode(data, "x.jpg")
    except ImageError:
        return
    assert found is None or found.ndim == 3


@pytest.mark.parametrize("length", range(2, len(DAMAGED) - 1, 23))
def test_cut(length: int) -> None:
    with pytest.raises(ImageError, match=r"`x\.jpg` is damaged"):
        jpeg.decode(DAMAGED[:length], "x.jpg")


@settings(deadline=None, max_examples=120)
@given(st.lists(st.tuples(st.integers(2, len(DAMAGED) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(DAMAGED)
    for place, value in changes:
        data[place] = value
    # A huge picture is no damage; it only takes long.
    frame = data.find(b"\xff\xc0") + 5
    data[frame] = data[frame + 2] = 0
    survives(bytes(data))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    survives(b"\xff\xd8" + data)
    survives(DAMAGED[: DAMAGED.index(b"\xff\xda") + 14] + data + b"\xff\xd9")


# -- the transform ----------------------------------------------------------------------------------------------------


def idct(block: Any) -> Any:
    """T.81, A.3.3, as it is written there."""
    k = np.arange(8)
    basis = np.cos((2 * k[:, None] + 1) * k[None, :] * np.pi / 16) * np.where(k == 0, np.sqrt(0.5), 1) / 2
    return basis @ block.reshape(8, 8) @ basis.T + 128


@pytest.mark.parametrize("level", [-1024, -1016, -8, -5, -4, 0, 3, 4, 8, 1000, 1016])
def test_a_block_of_one_value(level: int) -> None:
    block = np.zeros((64, 1), np.int16)
    block[0] = level
    found = samples._inverse_transform(block)[:, :, 0]
    assert (found == found[0, 0]).all()
    assert found[0, 0] == min(255, (level + 4 >> 3) + 128)


@pytest.mark.parametrize("spread", [4, 40, 400])
def test_blocks_against_the_standard(spread: int) -> None:
    generator = np.random.default_rng(spread)
    blocks = (generator.normal(scale=spread, size=(200, 64)) / (1 + np.arange(64) / 8)).astype(np.int16)
    found = samples._inverse_transform(blocks.T[ZIGZAG])
    for index, block in enumerate(blocks):
        assert np.abs(found[:, :, index] - np.clip(idct(block.astype(float)), 0, 255)).max() <= 1


def test_every_coefficient_stands_in_its_place() -> None:
    """The order of T.81, figure A.6."""
    listed = """
        0 1 5 6 14 15 27 28  2 4 7 13 16 26 29 42  3 8 12 17 25 30 41 43  9 11 18 24 31 40 44 53
        10 19 23 32 39 45 52 54  20 22 33 38 46 51 55 60  21 34 37 47 50 56 59 61  35 36 48 49 57 58 62 63
    """
    assert np.argsort(ZIGZAG).tolist() == [int(word) for word in listed.split()]


# -- colour -----------------------------------------------------------------------------------------------------------


def wider(row: list[int]) -> list[int]:
    """`stbi__resample_row_h_2`, a sample at a time; the last but one is what stb's code makes it."""
    if len(row) == 1:
        return row * 2
    found = [row[0], 3 * row[0] + row[1] + 2 >> 2]
    for at in range(1, len(row) - 1):
        found += [3 * row[at] + row[at - 1] + 2 >> 2, 3 * row[at] + row[at + 1] + 2 >> 2]
    return [*found, 3 * row[-2] + row[-1] + 2 >> 2, row[-1]]


def wider_and_higher(near: list[int], far: list[int]) -> list[int]:
    """`stbi__resample_row_hv_2`."""
    mixed = [3 * one + other for one, other in zip(near, far, strict=True)]
    found = [mixed[0] + 2 >> 2]
    for one, other in pairwise(mixed):
        found += [3 * one + other + 8 >> 4, 3 * other + one + 8 >> 4]
    return [*found, mixed[-1] + 2 >> 2]


def resample(plane: Any, down: int, across: int) -> list[list[int]]:
    rows = [[int(value) for value in row] for row in plane]
    if (down, across) == (1, 2):
        return [wider(row) for row in rows]
    if (down, across) not in ((2, 1), (2, 2)):
        return [[value for value in row for _ in range(across)] for row in rows for _ in range(down)]
    pairs = [(row, rows[other]) for at, row in enumerate(rows) for other in (max(at - 1, 0), min(at + 1, len(rows) - 1))]
    if across == 2:
        return [wider_and_higher(near, far) for near, far in pairs]
    return [[3 * one + other + 2 >> 2 for one, other in zip(near, far, strict=True)] for near, far in pairs]


@pytest.mark.parametrize(("down", "across"), [(1, 1), (1, 2), (2, 1), (2, 2), (1, 4), (4, 1), (2, 4), (4, 2), (4, 4)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 1), (3, 3), (8, 5), (5, 12)])
def test_colour_is_spread_as_stb_image_does(down: int, across: int, height: int, width: int) -> None:
    plane = np.random.default_rng(height + width).integers(0, 256, (height, width), np.uint8)
    assert samples._upsample(plane, down, across).tolist() == resample(plane, down, across)


def test_colour_conversion_of_stb_image() -> None:
    """`stbi__YCbCr_to_RGB_row`: constants of 12 binary places, moved up by 8; the lower half of a product is dropped."""
    y, cb, cr = np.random.default_rng(0).integers(0, 256, (3, 1, 3000), np.uint8)
    found = samples._to_bgr(y, cb, cr)[0]
    constants = [int(value * 4096 + 0.5) << 8 for value in (1.402, 0.71414, 0.34414, 1.772)]
    for index in range(3000):
        base = (int(y[0, index]) << 20) + (1 << 19)
        blue_part, red_part = int(cb[0, index]) - 128, int(cr[0, index]) - 128
        red = base + red_part * constants[0]
        green = base - red_part * constants[1] + (-blue_part * constants[2] & ~0xFFFF)
        blue = base + blue_part * constants[3]
        assert found[index].tolist() == [min(255, max(0, value >> 20)) for value in (blue, green, red)]
