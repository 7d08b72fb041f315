"""One picture and its boxes."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.layers.base import Shape
from cspdet.train.augment import (
    Colour,
    Crop,
    Tile,
    add_noise,
    draw_colour,
    draw_crop,
    move_boxes,
    paint,
    recolour,
    soften,
    valid,
)
from cspdet.train.recipe import Recipe

NETWORK = Shape(3, 96, 128)
RECIPE = Recipe(NETWORK, 3, jitter=0.3, resize=1.5, flip=True, hue=0.1, saturation=1.5, exposure=2.0)
SIZE = (NETWORK.width, NETWORK.height)
WHOLE = Tile(0, 0, *SIZE)


def test_the_whole_picture_is_scaled_as_opencv_does() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    canvas = np.zeros((*SIZE[::-1], 3), np.uint8)
    paint(picture, Crop(0, 0, 300, 200, False), SIZE, WHOLE, canvas)
    assert np.abs(canvas.astype(int) - cv2.resize(picture, SIZE)).max() <= 4  # its weights have 5 bits here, 11 there
    paint(picture, Crop(0, 0, 300, 200, True), SIZE, WHOLE, canvas)
    assert np.abs(canvas.astype(int) - cv2.resize(picture, SIZE)[:, ::-1]).max() <= 4


def test_beyond_the_picture_is_its_mean() -> None:
    picture = np.full((50, 50, 3), (10, 100, 200), np.uint8)
    canvas = np.zeros((*SIZE[::-1], 3), np.uint8)
    paint(picture, Crop(-200, 0, 100, 50, False), SIZE, WHOLE, canvas)
    assert (canvas == (10, 100, 200)).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    x=st.integers(0, 100),
    y=st.integers(0, 80),
    w=st.integers(20, 100),
    h=st.integers(20, 100),
    half=st.sampled_from([None, (0, 0), (1, 0), (0, 1), (1, 1)]),
)
def test_boxes_follow_the_pixels(seed: int, x: int, y: int, w: int, h: int, half: tuple[int, int] | None) -> None:
    """A white rectangle on black, drawn and looked for, is where its box says."""
    width, height = 240, 200
    picture = np.zeros((height, width), np.uint8)
    picture[y : y + h, x : x + w] = 255
    truth = np.array([[1, (x + w / 2) / width, (y + h / 2) / height, w / width, h / height]], np.float32)
    random = np.random.default_rng(seed)
    crop = draw_crop(RECIPE, width, height, SIZE, random)
    tile = WHOLE
    if half is not None:
        left, top = (SIZE[0] // 2 * half[0], SIZE[1] // 2 * half[1])
        tile = Tile(left, top, SIZE[0] // 2, SIZE[1] // 2, SIZE[0] // 2 - left, SIZE[1] // 2 - top)
    canvas = np.zeros((*SIZE[::-1], 1), np.uint8)
    paint(picture, crop, SIZE, tile, canvas)
    place = canvas[tile.to_y : tile.to_y + tile.height, tile.to_x : tile.to_x + tile.width, 0]
    background = round(float(picture.mean()))
    rows, columns = np.nonzero(place > (255 + background) / 2)
    moved = move_boxes(truth, crop, (width, height), SIZE, tile)
    if not len(moved):
        assert len(rows) <= max(place.shape)  # less than a pixel wide or high
        return
    _, cx, cy, bw, bh = moved[0]
    box = np.array([(cx - bw / 2) * SIZE[0], (cy - bh / 2) * SIZE[1], (cx + bw / 2) * SIZE[0], (cy + bh / 2) * SIZE[1]])
    if min(bw * SIZE[0], bh * SIZE[1]) < 3:
        return
    seen = np.array(
        [columns.min() + tile.to_x, rows.min() + tile.to_y, columns.max() + 1 + tile.to_x, rows.max() + 1 + tile.to_y]
    )
    assert np.abs(box - seen).max() <= 1.1


def test_boxes_of_which_too_little_is_seen_are_left_out() -> None:
    truth = np.array([[0, 0.5, 0.5, 0.4, 0.4], [1, 0.1, 0.5, 0.2, 0.2], [2, 0.52, 0.5, 0.1, 0.1]], np.float32)
    crop = Crop(0, 0, 100, 100, False)
    left = Tile(0, 0, SIZE[0] // 2, SIZE[1])
    assert [row[0] for row in move_boxes(truth, crop, (100, 100), SIZE, left)] == [0, 1, 2]
    assert [row[0] for row in move_boxes(truth, crop, (100, 100), SIZE, left, 0.4)] == [0, 1]
    assert [row[0] for row in move_boxes(truth, crop, (100, 100), SIZE, left, 0.6)] == [1]
    assert move_boxes(truth[:0], crop, (100, 100), SIZE, left).shape == (0, 5)


def test_crops_keep_to_jitter_and_resize() -> None:
    random = np.random.default_rng(1)
    plain = Recipe(NETWORK, 3)
    assert draw_crop(plain, 640, 480, SIZE, random) == Crop(0, 0, 640, 480, False)
    crops = [draw_crop(RECIPE, 1000, 1000, SIZE, random) for _ in range(3000)]
    # Each edge moves by up to .3 inwards or outwards, and by resize=1.5 from (1 - 1.5) / 2 to (1 - 1 / 1.5) / 2.
    assert min(crop.left for crop in crops) == pytest.approx(-550, abs=15)
    assert max(crop.left for crop in crops) == pytest.approx(467, abs=15)
    assert 0.45 < sum(crop.flip for crop in crops) / 3000 < 0.55
    shrunk = [draw_crop(RECIPE._replace(jitter=0, resize=0.5), 1000, 1000, SIZE, random) for _ in range(500)]
    assert min(crop.left for crop in shrunk) == pytest.approx(-500, abs=15)
    assert max(crop.left for crop in shrunk) <= 0


def test_a_letterboxed_crop_has_the_networks_proportions() -> None:
    for width, height in ((640, 480), (480, 640), (1000, 100)):
        crop = draw_crop(Recipe(NETWORK, 3, letter_box=True), width, height, SIZE, np.random.default_rng(0))
        assert crop.width / crop.height == pytest.approx(SIZE[0] / SIZE[1])
        assert crop.width >= width - 1e-9
        assert crop.height >= height - 1e-9
        assert crop.left + crop.width / 2 == pytest.approx(width / 2)
        assert crop.top + crop.height / 2 == pytest.approx(height / 2)


@settings(max_examples=30, deadline=None)
@given(
    blue=st.integers(0, 255),
    green=st.integers(0, 255),
    red=st.integers(0, 255),
    hue=st.floats(-0.3, 0.3),
    saturation=st.floats(0.5, 2),
    exposure=st.floats(0.5, 2),
)
def test_colours(blue: int, green: int, red: int, hue: float, saturation: float, exposure: float) -> None:
    picture = np.full((2, 2, 3), (blue, green, red), np.uint8)
    recolour(picture, Colour(hue, saturation, exposure))
    h, s, v = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    wanted = colorsys.hsv_to_rgb((h + 179 / 180 * hue) % 1, min(s * saturation, 1), min(v * exposure, 1))
    # Hues have steps of 2 degrees.
    assert np.abs(picture[0, 0, ::-1] / 255 - wanted).max() < 0.06


def test_grey_pictures_get_brighter() -> None:
    picture = np.full((2, 2, 1), 100, np.uint8)
    recolour(picture, Colour(0.1, 2.0, 1.5))
    assert (picture == 150).all()


def test_drawn_colours_keep_to_their_bounds() -> None:
    random = np.random.default_rng(1)
    assert draw_colour(Recipe(NETWORK, 3), random) == Colour()
    drawn = np.array([draw_colour(RECIPE, random) for _ in range(2000)])
    assert np.abs(drawn[:, 0]).max() == pytest.approx(0.1, abs=0.001)
    low = np.array([draw_colour(RECIPE._replace(saturation=0.75), random)[1] for _ in range(2000)])
    assert low.min() == pytest.approx(0.75, rel=0.01)  # a bound below 1 is as good as its inverse
    assert low.max() == pytest.approx(1 / 0.75, rel=0.01)
    for column, bound in ((1, 1.5), (2, 2.0)):
        assert drawn[:, column].max() == pytest.approx(bound, rel=0.01)
        assert drawn[:, column].min() == pytest.approx(1 / bound, rel=0.01)
        assert 0.4 < (drawn[:, column] > 1).mean() < 0.6


def test_blur_leaves_objects_sharp_if_asked_to() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    truth = np.array([[0, 0.5, 0.5, 0.5, 0.5]], np.float32)
    softened = soften(picture, 1, truth)
    assert (softened[15:45, 15:45] == picture[15:45, 15:45]).all()
    assert softened[:15].std() < picture[:15].std() / 3
    assert soften(picture, 9, truth)[20:40, 20:40].std() < picture.std() / 2


def test_noise_has_the_deviation_asked_for() -> None:
    noisy = add_noise(np.full((100, 100, 3), 128, np.uint8), 20, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(20, rel=0.05)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_rows_that_cannot_be_used() -> None:
    rows = [[0, 0.5, 0.5, 0.1, 0.1], [3, 0.5, 0.5, 0.1, 0.1], [-1, 0.5, 0.5, 0.1, 0.1], [1, 0, 0.5, 0.1, 0.1]]
    rows += [[1, 0.5, 1.1, 0.1, 0.1], [1, 0.5, 0.5, 0, 0.1], [2, 1, 1, 0.1, 1.5]]
    assert valid(np.array(rows, np.float32), 3).tolist() == [True, False, False, False, False, False, True]
