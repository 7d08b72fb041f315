"""From picture to input, against slow loops written from the semantics, and against OpenCV's arithmetic."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.errors import UsageError
from cspdet.image import Pixels
from cspdet.layers.base import Shape
from cspdet.preprocess import PROFILES, Placement, Profile, prepare, resize, scaled
from tests import slow

float32 = np.float32


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def darknet_resize(picture: Any, width: int, height: int) -> Any:
    """Across, then down; corners on corners; the last column is copied, the last row gets nothing from below."""
    rows, columns, channels = picture.shape
    source = picture.astype(float32) / float32(255)
    part = np.zeros((rows, width, channels), float32)
    across = float32(columns - 1) / float32(width - 1) if width > 1 else float32(0)
    for x in range(width):
        if x == width - 1 or columns == 1:
            part[:, x] = source[:, columns - 1]
            continue
        place = float32(x) * across
        first = int(place)
        share = place - float32(first)
        part[:, x] = (1 - share) * source[:, first] + share * source[:, first + 1]
    found = np.zeros((height, width, channels), float32)
    down = float32(rows - 1) / float32(height - 1) if height > 1 else float32(0)
    for y in range(height):
        place = float32(y) * down
        first = int(place)
        share = place - float32(first)
        found[y] = (1 - share) * part[first]
        if y < height - 1 and rows > 1:
            found[y] += share * part[first + 1]
    return found


sides = st.one_of(st.just(1), st.just(2), st.integers(1, 60))


@settings(deadline=None, max_examples=150)
@given(sides, sides, sides, sides, st.sampled_from([1, 3, 5]))
def test_resize(rows: int, columns: int, height: int, width: int, channels: int) -> None:
    picture = noise(rows, columns, channels, seed=rows + 100 * columns)
    found = resize(picture, width, height)
    assert found.dtype == float32
    assert found.shape == (height, width, channels)
    assert np.abs(found - darknet_resize(picture, width, height)).max() < 3e-7


def test_resize_where_the_last_row_falls_short() -> None:
    """Rounding may leave the place of the last row just before it; that row is then dark, in Darknet as here."""
    found = [
        (rows, height)
        for rows in range(2, 200)
        for height in range(2, 60)
        if rows != height and int(float32(height - 1) * (float32(rows - 1) / float32(height - 1))) == rows - 2
    ]
    assert found
    for rows, height in found[:5]:
        picture = np.full((rows, 3, 1), 255, np.uint8)
        dark = resize(picture, 3, height)[-1]
        assert (dark < 0.01).all()
        assert np.array_equal(dark, darknet_resize(picture, 3, height)[-1])


def test_resize_keeps_a_picture_of_that_size() -> None:
    picture = noise(7, 9, 3)
    assert np.array_equal(resize(picture, 9, 7), picture * float32(1 / 255))


def test_resize_of_a_photograph() -> None:
    picture = cv2.resize(noise(12, 16, 3), (768, 576))
    assert np.abs(resize(picture, 416, 416) - darknet_resize(picture, 416, 416)).max() < 3e-7


# -- prepare ----------------------------------------------------------------------------------------------------------

NETWORK = Shape(3, 96, 128)
PICTURES = [(96, 128), (50, 200), (200, 50), (1, 300), (300, 1), (37, 41), (61, 64), (1, 1)]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("size", PICTURES, ids=str)
def test_input_is_a_contiguous_float_array(profile: Profile, letterbox: bool, size: tuple[int, int]) -> None:
    found, _ = prepare(noise(*size, 3), NETWORK, profile, letterbox)
    assert found.shape == (3, 96, 128)
    assert found.dtype == float32
    assert found.flags.c_contiguous
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("size", PICTURES, ids=str)
def test_stretched(size: tuple[int, int]) -> None:
    picture = noise(*size, 3)
    red_first = picture[:, :, ::-1]
    found, placement = prepare(picture, NETWORK, PROFILES["alexeyab"])
    assert placement == Placement(0, 0, 1, 1)
    assert np.abs(found - darknet_resize(red_first, 128, 96).transpose(2, 0, 1)).max() < 3e-7
    found, placement = prepare(picture, NETWORK, PROFILES["alexeyab-opencv"])
    assert placement == Placement(0, 0, 1, 1)
    scaled = cv2.resize(np.ascontiguousarray(red_first), (128, 96), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(found, scaled.transpose(2, 0, 1) / float32(255))


@pytest.mark.parametrize("name", ["alexeyab", "alexeyab-opencv", "pjreddie"])
@pytest.mark.parametrize("size", PICTURES, ids=str)
def test_darknets_letterbox(name: str, size: tuple[int, int]) -> None:
    """`letterbox_image`: whole-number sides, rounded down; what is around is .5."""
    rows, columns = size
    if 128 / columns < 96 / rows:
        width, height = 128, max(1, rows * 128 // columns)
    else:
        width, height = max(1, columns * 96 // rows), 96
    left, top = (128 - width) // 2, (96 - height) // 2
    found, placement = prepare(noise(*size, 3), NETWORK, PROFILES[name], True)
    inside = np.zeros((96, 128), bool)
    inside[top : top + height, left : left + width] = True
    assert (found[:, ~inside] == 0.5).all()
    red_first = np.ascontiguousarray(noise(*size, 3)[:, :, ::-1])
    if name == "alexeyab-opencv":
        expected = cv2.resize(red_first, (width, height)).reshape(height, width, 3) / float32(255)
    else:
        expected = darknet_resize(red_first, width, height)
    assert np.abs(found[:, top : top + height, left : left + width] - expected.transpose(2, 0, 1)).max() < 3e-7
    # `correct_yolo_boxes` computes with the exact half.
    shares = ((128 - width) / 2 / 128, (96 - height) / 2 / 96, width / 128, height / 96)
    assert placement == pytest.approx(shares)


@pytest.mark.parametrize("size", PICTURES, ids=str)
def test_letterbox_of_the_pytorch_forks(size: tuple[int, int]) -> None:
    """`letterbox(auto=False)` of ultralytics, transcribed."""
    rows, columns = size
    picture = noise(*size, 3)
    ratio = min(96 / rows, 128 / columns)
    unpadded = max(1, int(round(columns * ratio))), max(1, int(round(rows * ratio)))  # noqa: RUF046 - as written there
    half_width, half_height = (128 - unpadded[0]) / 2, (96 - unpadded[1]) / 2
    scaled = picture if size == unpadded[::-1] else cv2.resize(picture, unpadded, interpolation=cv2.INTER_LINEAR)
    top, bottom = round(half_height - 0.1), round(half_height + 0.1)
    left, right = round(half_width - 0.1), round(half_width + 0.1)
    padded = cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    found, placement = prepare(picture, NETWORK, PROFILES["ultralytics"])
    assert np.abs(found - padded[:, :, ::-1].transpose(2, 0, 1) / float32(255)).max() < 1e-7
    assert placement == pytest.approx((left / 128, top / 96, unpadded[0] / 128, unpadded[1] / 96))


@pytest.mark.parametrize(("name", "always"), [("alexeyab", 0), ("alexeyab-opencv", 0), ("pjreddie", 1), ("ultralytics", 1)])
def test_who_keeps_proportions_unasked(name: str, always: bool) -> None:
    _, placement = prepare(noise(50, 200, 3), NETWORK, PROFILES[name])
    assert (placement.height < 1) == always


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("size", [(200, 300), (300, 200), (480, 640), (333, 1000)], ids=str)
def test_a_box_comes_back(name: str, letterbox: bool, size: tuple[int, int]) -> None:
    """A white rectangle in the picture is found in the input, and `to_picture` says where it was."""
    rows, columns = size
    top, bottom, left, right = rows // 4, rows * 3 // 4, columns // 5, columns // 2
    picture = np.zeros((rows, columns, 3), np.uint8)
    picture[top:bottom, left:right] = 255
    network = Shape(3, 320, 416)
    found, placement = prepare(picture, network, PROFILES[name], letterbox)
    bright = found[0] > 0.75
    ys, xs = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    x1, x2, y1, y2 = xs[0] / 416, (xs[-1] + 1) / 416, ys[0] / 320, (ys[-1] + 1) / 320
    boxes = np.array([[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]], float32)
    x, y, w, h = placement.to_picture(boxes)[0]
    # Within two pixels of the input, whatever its scale.
    scale = max(columns / (416 * placement.width), rows / (320 * placement.height))
    expected = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    assert np.abs(np.array([x * columns, y * rows, w * columns, h * rows]) - expected).max() <= 2 * scale


@settings(deadline=None, max_examples=50)
@given(*[st.floats(0, 0.5) for _ in range(2)], *[st.floats(0.1, 1) for _ in range(2)], *[st.floats(-1, 2) for _ in range(4)])
def test_to_picture_is_the_inverse(
    left: float, top: float, width: float, height: float, x: float, y: float, w: float, h: float
) -> None:
    placement = Placement(left, top, width, height)
    there = np.array([[left + x * width, top + y * height, w * width, h * height]], float32)
    assert placement.to_picture(there)[0] == pytest.approx((x, y, w, h), abs=1e-4)
    assert placement.to_picture(np.zeros((0, 4), float32)).shape == (0, 4)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("channels", [1, 5])
def test_other_channels(profile: Profile, channels: int) -> None:
    picture = noise(40, 60, channels)
    found, _ = prepare(picture, Shape(channels, 32, 64), profile, True)
    assert found.shape == (channels, 32, 64)
    with pytest.raises(UsageError, match="the network reads 5 channels"):
        prepare(noise(40, 60, 3), Shape(5, 32, 64), profile)


def test_vectors_are_no_images() -> None:
    with pytest.raises(UsageError, match="reads vectors"):
        prepare(noise(4, 4, 3), Shape.vector(48), PROFILES["alexeyab"])


def test_the_picture_is_not_changed() -> None:
    for name, profile in PROFILES.items():
        picture = noise(96, 128, 3)
        found, _ = prepare(picture, NETWORK, profile)
        found += 1
        assert np.array_equal(picture, noise(96, 128, 3)), name


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(*[st.integers(1, 90)] * 2),
    st.tuples(*[st.one_of(st.integers(1, 60), st.sampled_from([300, 700]))] * 2),
    st.sampled_from([1, 3, 4, 5]),
    st.booleans(),
    st.sampled_from(["darknet", "opencv"]),
)
def test_scaling_in_bands_is_exact(
    there: tuple[int, int], to: tuple[int, int], channels: int, exchanged: bool, scaling: Literal["darknet", "opencv"]
) -> None:
    """To the bit what a whole image at a time gives, whichever way its channels lie."""
    picture = np.random.default_rng(sum(there) + 100 * sum(to)).integers(0, 256, (*there, channels), np.uint8)
    if exchanged:
        picture = picture[:, :, ::-1]
    profile = Profile(scaling)
    found, expected = scaled(picture, *to, profile), slow.scale(picture, *to, profile).transpose(2, 0, 1)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [(1080, 1920), (1920, 1080), (416, 333), (333, 416)])
@pytest.mark.parametrize("name", PROFILES)
def test_a_large_picture_is_exact(size: tuple[int, int], name: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)[:, :, ::-1]
    assert np.array_equal(
        scaled(picture, 416, 416, PROFILES[name]), slow.scale(picture, 416, 416, PROFILES[name]).transpose(2, 0, 1)
    )
