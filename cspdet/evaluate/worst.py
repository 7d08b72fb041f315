"""The images with the most mistakes, and the mistakes drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cspdet.draw import Color, clipped, put_label
from cspdet.evaluate.protocols import Outcome
from cspdet.evaluate.records import Collected, Numbers
from cspdet.image import Pixels
from cspdet.text import counted, printable

# Images are drawn so large that there is room for names: up to this many pixels, this many times enlarged.
_LONGEST, _ENLARGED = 1280, 5
# What the line above them needs.
_NARROWEST = 480
_PAPER = 245

# BGR. What is right is thin and cool, what is wrong thick and warm.
_FOUND: Color = (90, 160, 40)
_RIGHT: Color = (220, 130, 20)
_MISSED: Color = (0, 190, 255)
_FALSE: Color = (40, 30, 220)
_LEGEND = (("object, found", _FOUND), ("object, missed", _MISSED), ("detection, right", _RIGHT), ("detection, wrong", _FALSE))


class Mistakes(NamedTuple):
    """An image by its number, with rows of `Collected`: objects found and missed, detections right and wrong."""

    image: int
    found: Numbers
    missed: Numbers
    right: Numbers
    wrong: Numbers


def worst(seen: Collected, outcome: Outcome, count: int) -> list[Mistakes]:
    """The images with the most missed objects and wrong detections, as the protocol counts them, the worst first.

    Of equals, those whose wrong detections are surer come first, then the earlier ones. Images without a mistake are left out.
    """
    truth = seen.truth
    matched = np.zeros(len(truth.image), np.bool_)
    matched[outcome.truth[outcome.hit]] = True
    missed = ~matched & ~truth.difficult
    images = len(seen.images)
    mistakes = np.bincount(seen.place_of(truth.image[missed]), minlength=images)
    wrong_in = seen.place_of(seen.found.image[outcome.false])
    mistakes += np.bincount(wrong_in, minlength=images)
    sureness = np.bincount(wrong_in, seen.found.confidence[outcome.false], images)
    order = np.lexsort((-sureness, -mistakes))
    chosen = [int(seen.images[each]) for each in order[:count] if mistakes[each]]

    def rows(of: Numbers, which: Any) -> dict[int, Numbers]:
        return {number: np.flatnonzero(which & (of == number)) for number in chosen}

    found, missing = rows(truth.image, matched), rows(truth.image, missed)
    right, wrong = rows(seen.found.image, outcome.hit), rows(seen.found.image, outcome.false)
    return [Mistakes(each, found[each], missing[each], right[each], wrong[each]) for each in chosen]


def draw_mistakes(pixels: Pixels, each: Mistakes, seen: Collected, names: Sequence[str], title: str) -> Pixels:
    """A copy of an image, (H, W, 3) BGR, with what is there and what was found, below a line that says what is what.

    Of what is right, only the boxes are drawn; what is wrong is named, too.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = min(_LONGEST / max(height, width), _ENLARGED)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas: Any = np.ascontiguousarray(
        cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    )
    labels = []
    for rows, boxes, color, thickness in (
        (each.found, seen.truth, _FOUND, 1),
        (each.right, seen.found, _RIGHT, 1),
        (each.missed, seen.truth, _MISSED, 2),
        (each.wrong, seen.found, _FALSE, 2),
    ):
        for row in rows:
            x, y, w, h = boxes.xywh[row].astype(float)
            sides = zip((x - w / 2, y - h / 2, x + w / 2, y + h / 2), size * 2, strict=True)
            left, top, right, bottom = (clipped(value * limit, limit) for value, limit in sides)
            cv2.rectangle(canvas, (left, top), (right, bottom), color, thickness, cv2.LINE_AA)
            if color is _MISSED:
                labels.append((names[boxes.class_id[row]], (left, top), color))
            elif color is _FALSE:
                labels.append((f"{names[boxes.class_id[row]]} {seen.found.confidence[row]:.0%}", (left, top), color))
    for text, corner, color in labels:
        put_label(canvas, text, corner, color, 0.42, 1)
    head = f"{title}: {counted(len(each.missed), 'object')} missed, {counted(len(each.wrong), 'detection')} wrong"
    header = _header(max(size[0], _NARROWEST), head)
    room = np.full((size[1], header.shape[1] - size[0], 3), _PAPER, np.uint8)
    return np.concatenate([header, np.concatenate([canvas, room], 1)])


def _header(width: int, title: str) -> Pixels:
    """A strip with the title and what the colours mean."""
    import cv2

    font, ink = cv2.FONT_HERSHEY_SIMPLEX, (30, 30, 30)
    strip = np.full((52, width, 3), _PAPER, np.uint8)
    text = printable(title).encode("ascii", "replace").decode("ascii")
    size = min(0.5, 0.5 * (width - 16) / max(1, cv2.getTextSize(text, font, 0.5, 1)[0][0]))
    cv2.putText(strip, text, (8, 20), font, size, ink, 1, cv2.LINE_AA)
    place = 8
    for word, color in _LEGEND:
        cv2.rectangle(strip, (place, 32), (place + 14, 44), color, cv2.FILLED)
        cv2.putText(strip, word, (place + 20, 43), font, 0.4, ink, 1, cv2.LINE_AA)
        place += 34 + cv2.getTextSize(word, font, 0.4, 1)[0][0]
    return strip
