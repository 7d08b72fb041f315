"""One picture and its boxes, cropped, scaled, mirrored and recoloured at random.

As `data.c:load_data_detection` and `image_opencv.cpp:image_data_augmentation` have it, but for the order of the random
numbers, and that crop, scaling and mirroring are one affine map, so that only pixels that are seen are computed. The boxes of a
mosaic are cut at the edges of their part, as Darknet does with `mosaic_bound=1`; without it, it cuts them at the edges of the
whole, so that they reach into pictures that they are no part of.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cspdet.data.labels import Truth
from cspdet.image import Pixels
from cspdet.train.recipe import Recipe


class Crop(NamedTuple):
    """The part of a picture that becomes the network's input, in pixels of the picture; it may reach beyond the picture."""

    left: float
    top: float
    width: float
    height: float
    flip: bool


class Colour(NamedTuple):
    """A change of colour: a shift of the hue as a share of the circle, factors on saturation and value."""

    hue: float = 0.0
    saturation: float = 1.0
    exposure: float = 1.0


class Tile(NamedTuple):
    """A rectangle of the network's input, in its pixels: what of it is drawn, and where that lies in the whole."""

    # What is shown of the augmented picture of the network's size, from here on,
    x: int
    y: int
    width: int
    height: int
    # and where.
    to_x: int = 0
    to_y: int = 0


def draw_crop(recipe: Recipe, width: int, height: int, size: tuple[int, int], random: np.random.Generator) -> Crop:
    """A crop of a picture of that size, by `jitter`, `resize`, `letter_box` and `flip`; `size` is the network's."""
    jitter = abs(recipe.jitter)
    edges = random.uniform(-jitter, jitter, 4) * (width, width, height, height)
    resize = abs(recipe.resize) or 1.0
    down, up = min(resize, 1 / resize), max(resize, 1 / resize)
    least, most = (1 - 1 / down) / 2, 0.0 if resize < 1 else (1 - 1 / up) / 2
    first, second = random.uniform(least, most, 2)
    left, right, top, bottom = edges + np.array([first * width, second * width, first * height, second * height])
    if recipe.letter_box:
        wanted = size[0] / size[1]
        if width / height > wanted:
            more = (width / wanted - height) / 2
            top, bottom = top - more, bottom - more
        else:
            more = (height * wanted - width) / 2
            left, right = left - more, right - more
    flip = recipe.flip and bool(random.random() < 0.5)
    return Crop(left, top, max(width - left - right, 1), max(height - top - bottom, 1), flip)


def draw_colour(recipe: Recipe, random: np.random.Generator) -> Colour:
    """A change of colour by `hue`, `saturation` and `exposure`."""
    hue = random.uniform(-1, 1) * recipe.hue
    return Colour(hue, draw_factor(recipe.saturation, random), draw_factor(recipe.exposure, random))


def draw_factor(bound: float, random: np.random.Generator) -> float:
    """A factor from 1 to the bound, or its inverse; a bound of .75 reaches as far as one of 1.33 (`utils.c:rand_scale`)."""
    factor = random.uniform(min(1, abs(bound)), max(1, abs(bound)))
    return float(1 / factor if random.random() < 0.5 else factor) if factor else 1.0


def paint(picture: Pixels, crop: Crop, size: tuple[int, int], tile: Tile, canvas: Pixels) -> None:
    """Draw the tile of the cropped picture into the canvas; beyond the picture is its mean colour.

    `picture` is (H, W) or (H, W, C), `canvas` has the same channels. `size` is the network's.
    """
    scale_x, scale_y = crop.width / size[0], crop.height / size[1]
    # From the pixel (x, y) of the tile to the picture; the centres of pixels are at halves.
    if crop.flip:
        row_x = [-scale_x, 0, crop.left + (size[0] - tile.x - 0.5) * scale_x - 0.5]
    else:
        row_x = [scale_x, 0, crop.left + (tile.x + 0.5) * scale_x - 0.5]
    row_y = [0, scale_y, crop.top + (tile.y + 0.5) * scale_y - 0.5]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(
        picture,
        np.array([row_x, row_y]),
        (tile.width, tile.height),
        flags=flags,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=cv2.mean(picture),
    )
    place = canvas[tile.to_y : tile.to_y + tile.height, tile.to_x : tile.to_x + tile.width]
    place[...] = drawn.reshape(place.shape)


def recolour(picture: Pixels, colour: Colour) -> None:
    """Change the colours of (H, W, 3) BGR in place; only the brightness of (H, W) and (H, W, 1).

    Darknet lets a hue that is shifted beyond its end stay there; here it goes on from the other end, as hues do.
    """
    levels = np.arange(256, dtype=np.float32)
    if picture.ndim == 2 or picture.shape[2] == 1:
        picture[...] = cv2.LUT(picture, np.clip(levels * colour.exposure, 0, 255).round().astype(np.uint8)).reshape(
            picture.shape
        )
        return
    hues = ((levels + 179 * colour.hue) % 180).astype(np.uint8)
    others = [np.clip(levels * factor, 0, 255).round().astype(np.uint8) for factor in (colour.saturation, colour.exposure)]
    tables = np.stack([hues, *others], 1)[None]
    picture[...] = cv2.cvtColor(cv2.LUT(cv2.cvtColor(picture, cv2.COLOR_BGR2HSV), tables), cv2.COLOR_HSV2BGR)


def soften(picture: Pixels, blur: int, truth: Truth) -> Pixels:
    """Blurred: 1 leaves the objects sharp, a larger number is the side of the filter."""
    side = 17 if blur == 1 else blur // 2 * 2 + 1
    blurred: Any = cv2.GaussianBlur(picture, (side, side), 0).reshape(picture.shape)
    if blur == 1:
        height, width = picture.shape[:2]
        for _, x, y, w, h in truth:
            part = np.s_[
                max(0, int((y - h / 2) * height)) : int((y + h / 2) * height),
                max(0, int((x - w / 2) * width)) : int((x + w / 2) * width),
            ]
            blurred[part] = picture[part]
    softened: Pixels = blurred
    return softened


def add_noise(picture: Pixels, deviation: int, random: np.random.Generator) -> Pixels:
    """Gaussian noise, at most of deviation 127."""
    noise = random.standard_normal(picture.shape, np.float32) * min(max(deviation, 0), 127)
    noisy: Pixels = np.clip(picture + noise, 0, 255).round().astype(np.uint8)
    return noisy


def move_boxes(
    truth: Truth, crop: Crop, picture: tuple[int, int], size: tuple[int, int], tile: Tile, visible: float = 0.0
) -> Truth:
    """Boxes (n, 5) relative to the picture → relative to the network's input, clipped to the tile.

    Those are left out of which the tile shows less than a pixel, or less than the share `visible`. `picture` and `size` are
    (width, height) of the picture and of the network.
    """
    if not len(truth):
        return truth
    half = truth[:, 3:5] / 2
    corners = np.concatenate([truth[:, 1:3] - half, truth[:, 1:3] + half], 1) * np.tile(np.array(picture, np.float32), 2)
    corners = (corners - np.array([crop.left, crop.top] * 2)) / np.array([crop.width, crop.height] * 2)
    if crop.flip:
        corners[:, [0, 2]] = 1 - corners[:, [2, 0]]
    corners = corners * np.array(size * 2)
    area = np.prod(corners[:, 2:] - corners[:, :2], 1)
    start = np.array([tile.x, tile.y])
    end = start + np.array([tile.width, tile.height])
    shown = np.concatenate([np.clip(corners[:, :2], start, end), np.clip(corners[:, 2:], start, end)], 1)
    sides = shown[:, 2:] - shown[:, :2]
    # Darknet leaves out what is smaller than a pixel (`data.c:fill_truth_detection`).
    kept = (sides >= 1).all(1) & (np.prod(sides, 1) >= visible * area)
    shown = (shown + np.tile(np.array([tile.to_x - tile.x, tile.to_y - tile.y]), 2)) / np.array(size * 2)
    boxes = np.concatenate([truth[:, :1], (shown[:, :2] + shown[:, 2:]) / 2, shown[:, 2:] - shown[:, :2]], 1)
    moved: Truth = boxes[kept].astype(np.float32)
    return moved


def valid(truth: Truth, classes: int) -> NDArray[np.bool_]:
    """The rows that training can use: a class of the network, a centre within the picture, a size (`fill_truth_detection`)."""
    number, centre, sides = truth[:, 0], truth[:, 1:3], truth[:, 3:5]
    inside = (centre > 0).all(1) & (centre <= 1).all(1) & (sides > 0).all(1)
    return (number >= 0) & (number < classes) & inside
