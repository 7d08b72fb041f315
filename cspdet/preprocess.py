"""From a picture to the network's input: how each program that runs Darknet networks scales and pads.

Two programs that differ here find different boxes with the same weights. Source: `image.c:resize_image`, `letterbox_image`,
`image_opencv.cpp` of AlexeyAB's Darknet; pjreddie's `detector.c`; `letterbox` of ultralytics.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UsageError
from cspdet.image import Pixels, to_channels
from cspdet.layers.base import Shape

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

# Pixels that are scaled at a time: few enough that they stay in the processor's cache.
_PIXELS = 2**14


class Profile(NamedTuple):
    """How a program scales and pads."""

    # Darknet's own bilinear scaling keeps the corner pixels' centres in the corners, in float; OpenCV's keeps the edges, in
    # integers.
    scaling: Literal["darknet", "opencv"]
    # Whether the picture's proportions are kept, if nobody says otherwise: always, or where the cfg says `letter_box=1`.
    letterbox: Literal["always", "cfg"] = "cfg"
    # Value of the border, of 0 … 1.
    border: float = 0.5
    # Sides of the scaled picture are rounded down, or to the nearest.
    rounding: Literal["down", "nearest"] = "down"


PROFILES: dict[str, Profile] = {
    # `detector test` of each Darknet,
    "alexeyab": Profile("darknet"),
    "pjreddie": Profile("darknet", "always"),
    # AlexeyAB's video demo and Python module,
    "alexeyab-opencv": Profile("opencv"),
    # and the `detect` of ultralytics and of the PyTorch forks.
    "ultralytics": Profile("opencv", "always", 114 / 255, "nearest"),
}


class Placement(NamedTuple):
    """Where the picture lies in the network's input, as shares of its width and height."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def to_picture(self, xywh: Floats) -> Floats:
        """Boxes (n, 4) relative to the input → relative to the picture (`box.c:correct_yolo_boxes`)."""
        offset = np.array([self.left, self.top, 0, 0], np.float32)
        scale = np.array([self.width, self.height, self.width, self.height], np.float32)
        return (xywh - offset) / scale


def prepare(image: Pixels, network: Shape, profile: Profile, letterbox: bool | None = None) -> tuple[Floats, Placement]:
    """A picture as the network's input (C, H, W), values 0 … 1, and where it lies in it.

    `image` is (H, W, 3) BGR, (H, W) grey, or has as many channels as the network reads. `letterbox` keeps its proportions; by
    default as the profile does.

    Raises:
        UsageError: the network reads no images, or other channels.
    """
    if not network.image:
        raise UsageError("the network reads vectors, not images", "run it with `cspdet trace`")
    image = to_channels(image, network.channels)
    if not (profile.letterbox == "always" if letterbox is None else letterbox):
        return scaled(image, network.width, network.height, profile), Placement()
    width, height = _fitted(image.shape[1], image.shape[0], network.width, network.height, profile.rounding)
    left, top = (network.width - width) // 2, (network.height - height) // 2
    boxed = np.full((network.channels, network.height, network.width), profile.border, np.float32)
    boxed[:, top : top + height, left : left + width] = scaled(image, width, height, profile)
    if profile.rounding == "nearest":
        return boxed, Placement(left / network.width, top / network.height, width / network.width, height / network.height)
    # Darknet computes the border from the exact half, though it draws at the half rounded down.
    half = (network.width - width) / 2, (network.height - height) / 2
    return boxed, Placement(half[0] / network.width, half[1] / network.height, width / network.width, height / network.height)


def middle(image: Pixels, network: Shape) -> Floats:
    """The middle of a picture as a classifier's input (C, H, W), values 0 … 1, after its shorter side was scaled to the width.

    Where the network is higher than wide, the edges are drawn on (`image.c:resize_min`, `crop_image`). Darknet scales by itself
    here, also where OpenCV has read the picture.

    Raises:
        UsageError: the network reads other channels.
    """
    image = to_channels(image, network.channels)
    height, width = image.shape[:2]
    shorter = min(width, height)
    size = (width * network.width // shorter, height * network.width // shorter)
    left, top = (size[0] - network.width) // 2, (size[1] - network.height) // 2
    rows = np.arange(top, top + network.height).clip(0, size[1] - 1)
    columns = np.arange(left, left + network.width).clip(0, size[0] - 1)
    return np.ascontiguousarray(resize(image, *size, rows, columns).transpose(2, 0, 1))


def square(image: Pixels, network: Shape) -> Floats:
    """The middle of a picture as pjreddie's Darknet cuts it out where it counts: a square, then scaled to the input.

    Source: `image.c:center_crop_image`. (C, H, W), values 0 … 1.

    Raises:
        UsageError: the network reads other channels.
    """
    image = to_channels(image, network.channels)
    height, width = image.shape[:2]
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    cut = image[top : top + side, left : left + side]
    return np.ascontiguousarray(resize(cut, network.width, network.height).transpose(2, 0, 1))


def _fitted(width: int, height: int, into_width: int, into_height: int, rounding: str) -> tuple[int, int]:
    """The largest size of the same proportions that fits."""
    if rounding == "nearest":
        scale = min(into_width / width, into_height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))
    if np.float32(into_width) / np.float32(width) < np.float32(into_height) / np.float32(height):
        return into_width, max(1, height * into_width // width)
    return max(1, width * into_height // height), into_height


def scaled(image: Pixels, width: int, height: int, profile: Profile) -> Floats:
    """(H, W, C) of 0 … 255 → (C, height, width) of 0 … 1."""
    if profile.scaling == "darknet":
        return np.ascontiguousarray(resize(image, width, height).transpose(2, 0, 1))
    import cv2

    image, exchanged = _as_it_lies(image)
    planes = np.empty((image.shape[2], height, width), np.float32)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    for plane, values in zip(planes[::-1] if exchanged else planes, cv2.split(small), strict=True):
        np.divide(values, np.float32(255), out=plane, dtype=np.float32)
    return planes


def resize(
    image: Pixels, width: int, height: int, only_rows: Indices | None = None, only_columns: Indices | None = None
) -> Floats:
    """(H, W, C) of 0 … 255 → (height, width, C) of 0 … 1, as `image.c:resize_image` scales; or some rows and columns of it.

    Darknet scales horizontally first; here the axis that shrinks more comes first, which changes the last bit at most.
    """
    image, exchanged = _as_it_lies(image)
    there, wide, channels = image.shape
    rows = _Places.of(there, height, only_rows, copied=False)
    columns = _Places.of(wide, width, only_columns, copied=True).of_channels(channels)
    pixels = image.reshape(there, wide * channels)
    columns_first = height * wide > width * there
    found = np.empty((len(rows.before), len(columns.before)), np.float32)
    step = max(1, _PIXELS // (width if columns_first else wide))
    for top in range(0, len(found), step):
        band = rows.part(top, top + step)
        if columns_first:
            needed, place = np.unique([band.before, band.after], return_inverse=True)
            mixed = band._replace(before=place[0], after=place[1]).mixed(columns.mixed(pixels[needed], 1), 0)
        else:
            mixed = columns.mixed(band.mixed(pixels, 0), 1)
        np.multiply(mixed, np.float32(1 / 255), out=found[top : top + step], dtype=np.float32)
    shaped = found.reshape(len(found), -1, channels)
    return shaped[:, :, ::-1] if exchanged else shaped


def _as_it_lies(image: Pixels) -> tuple[Pixels, bool]:
    """An image whose channels are side by side in memory, and whether they are those of `image` in reverse."""
    exchanged = image.strides[2] < 0
    return np.ascontiguousarray(image[:, :, ::-1] if exchanged else image), exchanged


class _Places(NamedTuple):
    """What each pixel along an axis is made of: the places of two neighbours, and their weights.

    In float32 throughout, so that the places where rounding tips over are Darknet's.
    """

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight_before: Floats
    weight_after: Floats

    @classmethod
    def of(cls, there: int, extent: int, only: Indices | None = None, *, copied: bool) -> _Places:
        """Along an axis of `there` pixels that becomes `extent` long; the last pixel is copied, or gets nothing from the next.

        Where its place falls short of the last by rounding, it is dark then, as Darknet's. With `only`, these pixels.
        """
        pixel = np.arange(extent) if only is None else only
        last = pixel == extent - 1
        place = pixel.astype(np.float32) * np.float32((there - 1) / max(extent - 1, 1))
        before = place.astype(np.intp)
        share = (place - before).astype(np.float32)
        after = np.minimum(before + 1, there - 1)
        if copied or there == 1:
            before[last], share[last] = there - 1, 0
        weight = 1 - share
        share[last] = 0
        return cls(before, after, weight, share)

    def of_channels(self, channels: int) -> _Places:
        """The same where the channels of a pixel lie side by side."""
        before, after = ((each[:, None] * channels + np.arange(channels)).reshape(-1) for each in (self.before, self.after))
        return _Places(before, after, self.weight_before.repeat(channels), self.weight_after.repeat(channels))

    def part(self, start: int, end: int) -> _Places:
        """Only some of them."""
        some = slice(start, end)
        return _Places(self.before[some], self.after[some], self.weight_before[some], self.weight_after[some])

    def mixed(self, pixels: NDArray[np.uint8] | Floats, axis: int) -> Floats:
        """(H, W) scaled along the axis."""
        weights = self.weight_before, self.weight_after
        before, after = (each[:, None] if axis == 0 else each for each in weights)
        mixed: Floats = np.multiply(pixels.take(self.before, axis), before, dtype=np.float32)
        mixed += np.multiply(pixels.take(self.after, axis), after, dtype=np.float32)
        return mixed
