"""Boxes on images."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

from cspdet.detections import Detections
from cspdet.image import Pixels

Color = tuple[int, int, int]


def color_of(class_id: int) -> Color:
    """A colour for a class, BGR; neighbouring numbers get colours far apart."""
    hue = (class_id * 0.381966 + 0.02) % 1  # the golden section
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.9)
    return int(255 * blue), int(255 * green), int(255 * red)


def draw(image: Pixels, found: Detections) -> Pixels:
    """A copy of `image`, (H, W, 3) BGR or (H, W), with a box and a label for each detection; the surest on top."""
    import cv2

    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, 2)
    canvas = np.ascontiguousarray(image[:, :, :3]).copy()
    height, width = canvas.shape[:2]
    side = min(height, width)
    thickness = max(1, round(side / 250))
    scale = max(0.4, side / 900)
    for each in found[np.argsort(found.confidence, kind="stable")]:
        left, top, right, bottom = (clipped(value, limit) for value, limit in zip(each.xyxy, (width, height) * 2, strict=True))
        color = color_of(each.class_id)
        cv2.rectangle(canvas, (left, top), (right, bottom), color, thickness, cv2.LINE_AA)
        put_label(canvas, f"{each.name} {each.confidence:.0%}", (left, top), color, scale, thickness)
    return canvas


def put_label(canvas: Any, text: str, corner: tuple[int, int], color: Color, scale: float, thickness: int) -> None:
    """Text on a filled ground, above the corner, or below it where the image ends."""
    import cv2

    font, weight = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.6 * scale))
    # OpenCV's fonts have no letters beyond ASCII.
    text = text.encode("ascii", "replace").decode("ascii")
    (wide, high), base = cv2.getTextSize(text, font, scale, weight)
    pad = max(2, thickness)
    height, width = canvas.shape[:2]
    left = max(0, min(corner[0] - thickness // 2, width - wide - 2 * pad))
    bottom = corner[1] if corner[1] >= high + base + 2 * pad else min(height, corner[1] + high + base + 2 * pad)
    cv2.rectangle(canvas, (left, bottom - high - base - 2 * pad), (left + wide + 2 * pad, bottom), color, cv2.FILLED)
    ink = (0, 0, 0) if 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2] > 140 else (255, 255, 255)
    cv2.putText(canvas, text, (left + pad, bottom - base - pad // 2), font, scale, ink, weight, cv2.LINE_AA)


def clipped(value: float, limit: int) -> int:
    """A coordinate within the image; boxes may reach beyond it, and not every number fits OpenCV's integers."""
    return int(min(max(value, 0), limit - 1)) if value == value else 0
