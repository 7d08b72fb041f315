"""The loss of [Gaussian_yolo]: that of [yolo], but for what follows (`gaussian_yolo_layer.c`; 1904.04620).

- Each coordinate is a normal distribution, with a mean μ and a deviation s. Both learn by -½ (2 - area) log(f + 1e-9) for
  each true coordinate t, where f = e^(-½ ((t - μ) / s)²) / (√(2 π) (s + .3)); unless `iou_loss` is not `mse`, then the means
  learn by the overlap. `iou_normalizer` and the class multipliers are factors on what the means learn, `uc_normalizer` on
  what the deviations do. As with [yolo], what is said of x or a deviation goes to the raw one (`exact`: through the logistic).
- The cell of a truth is that of its `yolo_point`. With a corner for the point, x learns what the overlap says of it, minus
  (`left_top`) or plus half of what it says of the width, as if the box hung at the point's other side, and the width learns
  nothing through the point. (`exact`: all derivatives are there.)
- With `objectness_smooth`, a box that is left alone learns the square of its overlap, and the class of the truth it
  overlaps. Assigned boxes learn objectness 1 all the same.
- The delta of means and deviations is divided by the number of classes with a positive delta whatever `iou_thresh` is.
- `max_delta` limits them with `mse`, too. `focal_loss` and `new_coords` do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

import torch
from torch import Tensor

from cspdet.layers.base import Shape
from cspdet.layers.gaussian_yolo import POINTS, GaussianYolo
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.losses.boxes import overlap
from cspdet.train.losses.hits import LEFT_ALONE, Hits, everywhere
from cspdet.train.losses.objective import Objective


def gaussian_yolo_loss(head: GaussianYolo, raw: Tensor, truth: Tensor, network: Shape, progress: Progress) -> Loss:  # noqa: ARG001 - as all losses
    """The loss of a [Gaussian_yolo] head; `raw` is (N, anchors (9 + classes), H, W).

    All else is as with `yolo_loss`, but `box` in the parts has the deviations in it, and `cost` is always the sum of squares.
    """
    return GaussianObjective(head, raw, truth, network).loss()


class GaussianObjective(Objective):
    """What a [Gaussian_yolo] head predicts for a batch, and what it is to learn."""

    head: GaussianYolo
    coordinates = (0, 2, 4, 6)
    objectness = 8
    new_coords = False
    focal_loss = False
    keeps_objectness = False

    @property
    def needs_match(self) -> bool:
        """Whether it matters which truth a box overlaps most, wherever it is."""
        return super().needs_match or self.head.objectness_smooth

    def boxes(self, shares: Sequence[Tensor], cell: Tensor, anchor: Tensor) -> Tensor:
        """Boxes (…, 4), relative to the image."""
        found = super().boxes(shares, cell, anchor)
        size = found[..., 2:]
        return torch.cat([found[..., :2] + POINTS[self.head.yolo_point] * size, size], -1)

    def points(self) -> Tensor:
        """Which point of a truth says the cell, (N, M, 2)."""
        return self.truths.boxes[..., :2] - POINTS[self.head.yolo_point] * self.truths.boxes[..., 2:]

    def smooth(self, best: Tensor) -> Tensor:
        """What the objectness of a box that is left alone learns of its overlap."""
        return best**2

    def dense_hits(self, best: Tensor, which: Tensor, alone: Tensor) -> list[Hits]:
        """The hits that do not depend on the truths' cells; (N, A, S) each."""
        found = [everywhere(self.truths, which, alone, LEFT_ALONE)] if self.head.objectness_smooth else []
        return found + (super().dense_hits(best, which, alone) if self.head.truth_thresh < 1 else [])

    def normal(self, entries: Tensor, hits: Hits) -> tuple[Tensor, Tensor, Tensor]:
        """Means and deviations of the hits' coordinates, and what they should be, (K, 4) each."""
        means = torch.stack(self.picked_shares(entries), 1)
        deviations = torch.stack([entries[:, each + 1] for each in self.coordinates], 1).sigmoid()
        points = hits.boxes[:, :2] - POINTS[self.head.yolo_point] * hits.boxes[:, 2:]
        return means, deviations, self.box_targets(hits, points[:, 0], points[:, 1])

    def box_delta(self, entries: Tensor, hits: Hits) -> Tensor:
        """The delta of the hits' means and deviations, (K, 8) (`delta_gaussian_yolo_box`)."""
        means, deviations, targets = self.normal(entries, hits)
        distance = (targets - means) / deviations
        density = likelihood(distance, deviations)
        factor = 0.5 * hits.scale[:, None] * density / (density + _LEAST)
        by_mean = factor * distance / deviations
        by_deviation = factor * (distance**2 / deviations - 1 / (deviations + _WIDER))
        if self.head.iou_loss != "mse":
            by_mean = self.overlap_gradient(entries, hits)
            by_mean[:, :2] -= POINTS[self.head.yolo_point] * by_mean[:, 2:]
            by_mean[:, 2:] *= means[:, 2:].exp()
        by_mean = by_mean * (self.importance(hits) * self.head.iou_normalizer)[:, None]
        return self.limited(torch.stack([by_mean, by_deviation * self.head.uc_normalizer], 2).flatten(1))

    def divisor(self, classes: Tensor, objectness: Tensor) -> Tensor:
        """What the delta of each hit's box is divided by, from that of its classes, (K,)."""
        return (classes > 0).sum(1).clamp(min=1)

    def cost(self, entries: Tensor, hits: Hits, parts: dict[str, Tensor]) -> Tensor:
        """What Darknet prints."""
        return parts["objectness"] + parts["classes"] + parts["box"]

    def shared_by(self, marks: Tensor) -> Tensor:
        """What the loss of each hit's box is divided by, (K,)."""
        return (marks >= 0).sum(1).clamp(min=1)

    def box_loss(self, entries: Tensor, hits: Hits) -> Tensor:
        """What the hits' boxes lack, (K,): a term that only the means learn from, and one for the deviations."""
        means, deviations, targets = self.normal(entries, hits)

        def surprise(mean: Tensor, deviation: Tensor) -> Tensor:
            """The weighted negative logarithm of how likely the targets are."""
            return -hits.scale / 2 * (likelihood((targets - mean) / deviation, deviation) + _LEAST).log().sum(1)

        by_mean = surprise(means, deviations.detach())
        if self.head.iou_loss != "mse":
            by_mean = 1 - overlap(self.picked_boxes(entries, hits), hits.boxes, self.head.iou_loss)
        by_deviation = surprise(means.detach(), deviations)
        return self.importance(hits) * self.head.iou_normalizer * by_mean + self.head.uc_normalizer * by_deviation


# What keeps a small density from having an infinite logarithm, and a small deviation from an infinite density.
_LEAST, _WIDER = 1e-9, 0.3


def likelihood(distance: Tensor, deviation: Tensor) -> Tensor:
    """The density of a normal distribution, `distance` deviations from its mean; not its true one, as Darknet has it."""
    return (-(distance**2) / 2).exp() / (sqrt(2 * pi) * (deviation + _WIDER))
