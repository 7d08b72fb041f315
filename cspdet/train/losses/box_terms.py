"""Overlaps of boxes in torch, for training. Boxes are (…, 4): centre x, centre y, width, height, all in the same unit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Keeps quotients of empty boxes finite.
_SMALL = 1e-7


def overlap(one: Tensor, two: Tensor) -> Tensor:
    """Intersection over union of boxes with boxes, (…,)."""
    return _overlap(one, two)[0]


def complete_overlap(one: Tensor, two: Tensor) -> Tensor:
    """The overlap less the distance of the centres and the difference in shape, (…,).

    CIoU = IoU - d²/c² - αv, with the distance d of the centres, the diagonal c of the enclosing box,
    v = 4/π² (arctan w₁/h₁ - arctan w₂/h₂)², and α = v / (1 - IoU + v), through which no gradient flows.
    Source: Distance-IoU Loss, 1911.08287, section 4.
    """
    likeness, squared_diagonal = _overlap(one, two)
    distance = (one[..., :2] - two[..., :2]).square().sum(-1) / squared_diagonal
    slopes = [torch.atan(box[..., 2] / (box[..., 3] + _SMALL)) for box in (one, two)]
    shape = 4 / math.pi**2 * (slopes[0] - slopes[1]).square()
    with torch.no_grad():
        share = shape / (1 - likeness + shape + _SMALL)
    return likeness - distance - share * shape


def _overlap(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """The overlap, and the squared diagonal of the enclosing box."""
    # A column at a time: operations along a dimension of two or four are many times slower.
    (x, y, w, h), (x2, y2, w2, h2) = one.unbind(-1), two.unbind(-1)
    wide, width = _extents(x, w, x2, w2)
    high, height = _extents(y, h, y2, h2)
    shared = wide.clamp(0) * high.clamp(0)
    return shared / (w * h + w2 * h2 - shared + _SMALL), width.square() + height.square() + _SMALL


def _extents(centre: Tensor, size: Tensor, centre2: Tensor, size2: Tensor) -> tuple[Tensor, Tensor]:
    """Along one axis: the extent of what two boxes share, below 0 if that is nothing, and of what encloses both."""
    low, low2 = centre - size / 2, centre2 - size2 / 2
    high, high2 = centre + size / 2, centre2 + size2 / 2
    shared = torch.minimum(high, high2) - torch.maximum(low, low2)
    return shared, torch.maximum(high, high2) - torch.minimum(low, low2)
