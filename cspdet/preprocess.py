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
        scaled = _scale(image, network.width, network.height, profile)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)), Placement()
    width, height = _fitted(image.shape[1], image.shape[0], network.width, network.height, profile.rounding)
    left, top = (network.width - width) // 2, (network.height - height) // 2
    boxed = np.full((network.channels, network.height, network.width), profile.border, np.float32)
    boxed[:, top : top + height, left : left + width] = _scale(image, width, height, profile).transpose(2, 0, 1)
    if profile.rounding == "nearest":
        return boxed, Placement(left / network.width, top / network.height, width / network.width, height / network.height)
    # Darknet computes the border from the exact half, though it draws at the half rounded down.
    half = (network.width - width) / 2, (network.height - height) / 2
    return boxed, Placement(half[0] / network.width, half[1] / network.height, width / network.width, height / network.height)


def _fitted(width: int, height: int, into_width: int, into_height: int, rounding: str) -> tuple[int, int]:
    """The largest size of the same proportions that fits."""
    if rounding == "nearest":
        scale = min(into_width / width, into_height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))
    if np.float32(into_width) / np.float32(width) < np.float32(into_height) / np.float32(height):
        return into_width, max(1, height * into_width // width)
    return max(1, width * into_height // height), into_height


def _scale(image: Pixels, width: int, height: int, profile: Profile) -> Floats:
    """(H, W, C) of 0 … 255 → (height, width, C) of 0 … 1."""
    if profile.scaling == "opencv":
        import cv2

        scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)
        return scaled.reshape(height, width, -1).astype(np.float32) / np.float32(255)
    return resize(image, width, height)


def resize(image: Pixels, width: int, height: int) -> Floats:
    """(H, W, C) of 0 … 255 → (height, width, C) of 0 … 1, as `image.c:resize_image` scales.

    Darknet scales horizontally first; here the axis that shrinks more comes first, which changes the last bit at most.
    """
    axes = [(0, height), (1, width)]
    if height * image.shape[1] > width * image.shape[0]:
        axes.reverse()
    scaled: NDArray[np.uint8] | Floats = image
    for axis, extent in axes:
        scaled = _resize_axis(scaled, axis, extent)
    return np.asarray(scaled * np.float32(1 / 255), np.float32)


def _resize_axis(image: NDArray[np.uint8] | Floats, axis: int, extent: int) -> NDArray[np.uint8] | Floats:
    """Bilinear scaling along one axis. In float32 throughout, so that the places where rounding tips over are Darknet's."""
    there = image.shape[axis]
    if there == extent:
        return image
    place = np.arange(extent, dtype=np.float32) * np.float32((there - 1) / max(extent - 1, 1))
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32)
    after = np.minimum(before + 1, there - 1)
    if axis == 1 or there == 1:
        before[-1], share[-1] = there - 1, 0  # the last column is copied
    weight = share.reshape([-1 if each == axis else 1 for each in range(image.ndim)])
    left = np.take(image, before, axis).astype(np.float32, copy=False)
    right = np.take(image, after, axis).astype(np.float32, copy=False)
    mixed: Floats = left * (1 - weight) + right * weight
    if axis == 0:
        # The last row gets nothing from the next. Where its place falls short of it by rounding, it is dark, as Darknet's.
        mixed[-1] = left[-1] * (1 - weight[-1])
    return mixed
