"""The terms of the loss that `gradient=exact` differentiates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cspdet.layers.yolo import Yolo

# A probability is taken for at least this, and at most as much less than 1: beyond, its cross-entropy has no gradient.
_LEAST = 1e-7


def cross_entropy(values: Tensor, target: Tensor, probabilities: bool) -> Tensor:
    """The binary cross-entropy of logits, or of `probabilities`, with targets from 0 to 1; any shape."""
    if not probabilities:
        return functional.binary_cross_entropy_with_logits(values, target, reduction="none")
    values = values.clamp(_LEAST, 1 - _LEAST)
    return -(target * values.log() + (1 - target) * (-values).log1p())


def class_loss(
    head: Yolo, values: Tensor, marks: Tensor, multipliers: Tensor | None, probabilities: bool, focal: bool
) -> Tensor:
    """The loss of each class of some boxes, (K, classes); `marks` are their targets, -1 for those that are not there.

    It is the cross-entropy times `cls_normalizer`, and the multiplier of a class that is there; with the focal loss, α = .5
    and γ = 2, half of it times (1 - p)² of what is right, without smoothing (1708.02002).
    """
    there = marks >= 0
    weight = head.cls_normalizer if multipliers is None else head.cls_normalizer * torch.where(there, multipliers, 1)
    if not focal:
        return weight * cross_entropy(values, torch.where(there, marks, 0.5 * head.label_smooth_eps), probabilities)
    found = values if probabilities else values.sigmoid()
    wrong = torch.where(there, 1 - found, found)
    return weight * 0.5 * wrong**2 * cross_entropy(values, there.to(values), probabilities)


def finite_sum(values: Tensor) -> Tensor:
    """The sum of what is finite."""
    return torch.where(values.isfinite(), values, 0).sum()
