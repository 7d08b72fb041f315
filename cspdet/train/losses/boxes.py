"""How alike boxes are, on tensors: intersection over union and its kin, and Darknet's derivatives of them.

Boxes are (…, 4) of centre x, centre y, width and height, relative to the image unless said otherwise. Source: `box.c`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Overlap = Literal["iou", "giou", "diou", "ciou"]

# Pairs of boxes compared at once: what the CPU's caches hold, and what keeps a GPU busy without filling its memory.
_PAIRS_CPU, _PAIRS_GPU = 2**17, 2**24


def overlap(one: Tensor, other: Tensor, kind: str = "iou", *, constant_weight: bool = False) -> Tensor:
    """How alike boxes are, (…, 4) and (…, 4) → (…), differentiable: 1 for equal ones.

    `iou` is the intersection over the union; `giou` subtracts the share of the enclosing box that neither covers (1902.09630);
    `diou` the squared distance of the centres over the squared diagonal of the enclosing box; `ciou` that and α v, the
    difference of the aspect ratios (1911.08287). With `constant_weight`, no gradient flows through α, as the paper has it.
    Source: `box.c:box_iou` and on; but Darknet's `box_diou` takes the distance to the power .6, which its own derivative does
    not, and which has none where the centres meet.
    """
    (x, y, w, h), (other_x, other_y, other_w, other_h) = one.unbind(-1), other.unbind(-1)
    across, across_hull = _extents(x, w, other_x, other_w)
    down, down_hull = _extents(y, h, other_y, other_h)
    shared = across.clamp(min=0) * down.clamp(min=0)
    union = w * h + other_w * other_h - shared
    found = _share(shared, union)
    if kind == "giou":
        hull = across_hull * down_hull
        return found - _share(hull - union, hull)
    if kind in ("diou", "ciou"):
        found = found - _share((x - other_x) ** 2 + (y - other_y) ** 2, across_hull**2 + down_hull**2)
    if kind == "ciou":
        aspect = 4 / pi**2 * (torch.atan2(other_w, other_h) - torch.atan2(w, h)) ** 2
        weight = aspect / (1 - _share(shared, union) + aspect + 1e-6)
        found = found - (weight.detach() if constant_weight else weight) * aspect
    return found


def centred(sizes: Tensor) -> Tensor:
    """Boxes of these sizes around the origin, (…, 2) → (…, 4): to compare sizes alone."""
    return torch.cat([torch.zeros_like(sizes), sizes], -1)


def _extents(centre: Tensor, size: Tensor, other_centre: Tensor, other_size: Tensor) -> tuple[Tensor, Tensor]:
    """Along one axis, how far two boxes overlap (negative: how far they are apart), and how far they reach together."""
    low, high = centre - size / 2, centre + size / 2
    other_low, other_high = other_centre - other_size / 2, other_centre + other_size / 2
    together = torch.maximum(high, other_high) - torch.minimum(low, other_low)
    return torch.minimum(high, other_high) - torch.maximum(low, other_low), together


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """`part` over `whole`, 0 where that is nothing."""
    return torch.where(whole == 0, 0, part / torch.where(whole == 0, 1, whole))


class _Axis(NamedTuple):
    """What Darknet's derivative knows of one axis of a predicted and a true box."""

    size: Tensor
    shared: Tensor  # negative where they are apart
    hull: Tensor
    towards: Tensor  # from the predicted centre to the true one
    # 1 where the predicted side lies outside the true one, and where it lies inside.
    low_out: Tensor
    high_out: Tensor
    low_in: Tensor
    high_in: Tensor

    @classmethod
    def of(cls, predicted: Tensor, truth: Tensor, axis: int) -> _Axis:
        centre, true_centre = predicted[..., axis], truth[..., axis]
        size, true_size = predicted[..., axis + 2], truth[..., axis + 2]
        low, high = centre - size / 2, centre + size / 2
        true_low, true_high = true_centre - true_size / 2, true_centre + true_size / 2
        shared, hull = _extents(centre, size, true_centre, true_size)
        sides = (low < true_low, high > true_high, low > true_low, high < true_high)
        return cls(size, shared, hull, true_centre - centre, *(side.to(size.dtype) for side in sides))


def overlap_gradient(predicted: Tensor, truth: Tensor, kind: str) -> Tensor:
    """What Darknet takes for the derivative of `overlap` by the predicted box, (K, 4) and (K, 4) → (K, 4).

    It is not finite where boxes are empty or far too large. It differs from the true one, as `box.c:dx_box_iou` does:

    - for width and height, what comes from the intersection over union and from `giou` is twice as large as it is;
    - the intersection is the product of the two extents even where boxes do not meet: negative, or positive again where they
      are apart along both axes. There, `giou`, `diou` and `ciou` have only their further term;
    - in `diou` and `ciou`, what moving the centre does to the enclosing box has the wrong sign;
    - in `ciou`, α counts as a constant, and the derivative of the aspect by width and height is multiplied by w² + h²,
      as the paper advises, because that is small.

    Darknet also repairs boxes whose two sides are the same number in single precision; that is left out.
    """
    x, y = _Axis.of(predicted, truth, 0), _Axis.of(predicted, truth, 1)
    shared = x.shared * y.shared
    union = x.size * y.size + truth[..., 2] * truth[..., 3] - shared
    hull = x.hull * y.hull
    apart = (x.shared <= 0) | (y.shared <= 0)

    def by_side(sign: int, across: _Axis, inside: Tensor, outside: Tensor) -> Tensor:
        """By the coordinate of one side; `across` is the other axis."""
        d_shared = sign * across.shared * inside
        d_union = sign * across.size - d_shared
        slope = torch.where(union > 0, (union * d_shared - shared * d_union) / union**2, 0)
        if kind != "giou":
            return slope
        more = (hull * d_union - union * sign * across.hull * outside) / hull**2
        return torch.where(apart, more, torch.where(hull > 0, slope + more, slope))

    left, right = by_side(-1, y, x.low_in, x.low_out), by_side(1, y, x.high_in, x.high_out)
    top, bottom = by_side(-1, x, y.low_in, y.low_out), by_side(1, x, y.high_in, y.high_out)
    gradient = torch.stack([left + right, top + bottom, right - left, bottom - top], -1)
    if kind in ("iou", "giou"):
        return gradient
    more = _distance_gradient(x, y)
    if kind == "ciou":
        more = more + _aspect_gradient(predicted, truth, shared / union)
    return torch.where(apart[..., None], more, gradient + more)


def _distance_gradient(x: _Axis, y: _Axis) -> Tensor:
    """By the box, of minus the squared distance of the centres over the squared diagonal of the enclosing box."""
    diagonal, distance = x.hull**2 + y.hull**2, x.towards**2 + y.towards**2
    by_centre, by_size = [], []
    for axis in (x, y):
        by_centre.append(
            (2 * axis.towards * diagonal - 2 * axis.hull * (axis.high_out - axis.low_out) * distance) / diagonal**2
        )
        by_size.append(axis.hull * (axis.high_out + axis.low_out) * distance / diagonal**2)
    return torch.stack([*by_centre, *by_size], -1)


def _aspect_gradient(predicted: Tensor, truth: Tensor, iou: Tensor) -> Tensor:
    """By the box, of minus α v, times w² + h²; α is kept."""
    (_, _, w, h), (_, _, true_w, true_h) = predicted.unbind(-1), truth.unbind(-1)
    turn = torch.atan2(true_w, true_h) - torch.atan2(w, h)
    aspect = 4 / pi**2 * turn**2
    slope = aspect / (1 - iou + aspect + 1e-6) * 8 / pi**2 * turn
    none = torch.zeros_like(slope)
    return torch.stack([none, none, slope * h, -slope * w], -1)


def best_overlap(boxes: Tensor, truths: Tensor, counted: Tensor) -> Tensor:
    """The largest intersection over union of each box with a truth that counts: (N, P, 4), (N, M, 4), (N, M) → (N, P)."""
    best = boxes.new_zeros(boxes.shape[:2])
    for _, found in _overlaps(boxes, truths, counted):
        torch.maximum(best, found.amax(0), out=best)
    return best


def best_match(boxes: Tensor, truths: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and the number of that truth, the first of equal ones; 0 where no truth overlaps the box."""
    best = boxes.new_zeros(boxes.shape[:2])
    which = best.long()
    for start, found in _overlaps(boxes, truths, counted):
        largest, place = found.max(0)
        better = largest > best
        best = torch.where(better, largest, best)
        which = torch.where(better, place + start, which)
    return best, which


def _overlaps(boxes: Tensor, truths: Tensor, counted: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The intersections over union, (truths, N, P), of as many truths at a time as is good, and the first one's number.

    Written for speed: this is what most of the time of a loss goes into. Nothing in it divides by zero, as a truth that does
    not count is a point of area 1; a box that is not finite overlaps nothing.
    """
    boxes = boxes.nan_to_num(0, 0, 0)
    left, right, top, bottom = _sides(boxes)
    area = boxes[..., 2] * boxes[..., 3]
    truths = torch.where(counted[..., None], truths, 0).transpose(0, 1)[:, :, None]  # (M, N, 1, 4)
    true_left, true_right, true_top, true_bottom = _sides(truths)
    true_area = torch.where(counted.T[:, :, None], truths[..., 2] * truths[..., 3], 1)
    pairs = _PAIRS_CPU if boxes.device.type == "cpu" else _PAIRS_GPU
    step = max(1, pairs // max(1, area.numel()))
    for start in range(0, len(truths), step):
        part = slice(start, start + step)
        across = torch.minimum(right, true_right[part]).sub_(torch.maximum(left, true_left[part])).clamp_(min=0)
        down = torch.minimum(bottom, true_bottom[part]).sub_(torch.maximum(top, true_top[part])).clamp_(min=0)
        shared = across.mul_(down)
        yield start, shared.div_(torch.add(area, true_area[part], out=down).sub_(shared))


def _sides(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Left, right, top and bottom."""
    x, y, w, h = boxes.unbind(-1)
    return x - w / 2, x + w / 2, y - h / 2, y + h / 2
