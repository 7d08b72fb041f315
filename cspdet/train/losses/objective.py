"""One evaluation of the loss of [yolo], and what [Gaussian_yolo] shares with it. What it does, and why, stands in `yolo.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo
from cspdet.train.losses.base import Loss, with_gradient
from cspdet.train.losses.boxes import best_match, best_overlap, overlap, overlap_gradient
from cspdet.train.losses.exact import class_loss, cross_entropy, finite_sum
from cspdet.train.losses.hits import CLOSE, LEFT_ALONE, Hits, assigned, ends, everywhere, join, picks_freely
from cspdet.train.losses.truths import class_multipliers, constant, read_truths

_Number = TypeVar("_Number", Tensor, float)

# Only a box of which one class is likelier than this may be left alone.
_LIKELY = 0.25


class Objective:
    """What a head predicts for a batch, and what it is to learn.

    Shapes: N images, M truths, A anchors of the head ("slots"), E entries, S cells, K hits.
    """

    # Where an anchor's entries are; classes follow the objectness.
    coordinates = (0, 1, 2, 3)
    objectness = 4

    def __init__(self, head: Yolo, raw: Tensor, truth: Tensor, network: Shape) -> None:
        self.head, self.raw, self.network = head, raw, network
        self.images, _, self.rows, self.columns = raw.shape
        self.slots, self.cells = head.anchor_count, self.rows * self.columns
        values = raw.detach().to(torch.promote_types(raw.dtype, torch.float32))
        self.values = values.reshape(self.images, self.slots, -1, self.cells)
        self.truths = read_truths(head, truth, values)
        self.multipliers = class_multipliers(head, values)
        self.anchors = constant([head.anchor(number) for number in head.used], values)

    @property
    def new_coords(self) -> bool:
        """Whether the head reads probabilities, and square roots of sizes."""
        return self.head.new_coords

    @property
    def focal_loss(self) -> bool:
        """Whether the classes learn by a focal loss."""
        return self.head.focal_loss

    @property
    def keeps_objectness(self) -> bool:
        """Whether an objectness that is to learn something already is left to it."""
        return self.head.objectness_smooth

    @property
    def needs_match(self) -> bool:
        """Whether it matters which truth a box overlaps most, wherever it is."""
        return self.head.truth_thresh < 1

    # -- what the head predicts ---------------------------------------------------------------------------------------

    def probability(self, values: Tensor) -> Tensor:
        """What the head makes of objectness and classes."""
        return values if self.new_coords else values.sigmoid()

    def shares(self, values: Sequence[Tensor]) -> list[Tensor]:
        """What the head makes of the four coordinates: x and y in cells, from the cell's corner; width and height raw."""
        x, y, w, h = values
        stretch = self.head.scale_x_y
        return [*(self.probability(each) * stretch - 0.5 * (stretch - 1) for each in (x, y)), w, h]

    def boxes(self, shares: Sequence[Tensor], cell: Tensor, anchor: Tensor) -> Tensor:
        """Boxes (…, 4), relative to the image."""
        x, y, w, h = shares
        wide, high = (4 * w**2, 4 * h**2) if self.new_coords else (w.exp(), h.exp())
        sizes = [wide * anchor[..., 0] / self.network.width, high * anchor[..., 1] / self.network.height]
        return torch.stack([(cell % self.columns + x) / self.columns, (cell // self.columns + y) / self.rows, *sizes], -1)

    def everything(self) -> Tensor:
        """All boxes, (N, A S, 4)."""
        shares = self.shares([self.values[:, :, each] for each in self.coordinates])
        return self.boxes(shares, torch.arange(self.cells, device=self.values.device), self.anchors[:, None]).flatten(1, 2)

    def found_objectness(self) -> Tensor:
        """All objectnesses, (N, A, S); 0 where they are not finite."""
        return known(self.probability(self.values[:, :, self.objectness]))

    def picked_shares(self, entries: Tensor) -> list[Tensor]:
        """Those of the hits, from their entries (K, E)."""
        return self.shares([entries[:, each] for each in self.coordinates])

    def picked_boxes(self, entries: Tensor, hits: Hits) -> Tensor:
        """The hits' boxes, (K, 4)."""
        return self.boxes(self.picked_shares(entries), hits.place.cell, self.anchors[hits.place.slot])

    # -- what it is to learn ------------------------------------------------------------------------------------------

    def points(self) -> Tensor:
        """Which point of a truth says the cell, (N, M, 2): its centre."""
        return self.truths.boxes[..., :2]

    def targets(self) -> tuple[Tensor, Tensor, Hits]:
        """Weight and target of every objectness, (N + 1, A, S), before any is assigned, and the hits.

        The last image takes what is written for those that are no hits.
        """
        head, shape = self.head, (self.images, self.slots, self.cells)
        pairs = self.everything(), self.truths.boxes, self.truths.counted
        best, which = best_match(*pairs) if self.needs_match else (best_overlap(*pairs), None)
        best = best.reshape(shape)
        alone = self.left_alone(best)
        hits = [assigned(head, self.truths, self.points(), self.network, self.rows, self.columns)]
        if which is not None:
            hits += self.dense_hits(best, which.reshape(shape), alone)
        weight = best.new_full((self.images + 1, *shape[1:]), head.obj_normalizer)
        target = torch.zeros_like(weight)
        if head.objectness_smooth:
            target[:-1] = torch.where(alone, self.smooth(best), 0)
        else:
            weight[:-1].masked_fill_(alone, 0)
        if head.truth_thresh < 1:
            close = best > head.truth_thresh
            target[:-1] = torch.where(close, best**2 if head.objectness_smooth else 1, target[:-1])
            weight[:-1].masked_fill_(close, head.obj_normalizer)
        return weight, target, join(hits)

    def left_alone(self, best: Tensor) -> Tensor:
        """Whether a box that overlaps a truth by this much is left alone, (N, A, S)."""
        scores, close = self.values[:, :, self.objectness + 1 :], best > self.head.ignore_thresh
        if not picks_freely(best):
            return close & (self.probability(scores.amax(2)) > _LIKELY)
        image, slot, cell = close.nonzero(as_tuple=True)
        close[image, slot, cell] = self.probability(scores[image, slot, :, cell].amax(1)) > _LIKELY
        return close

    def smooth(self, best: Tensor) -> Tensor:
        """What the objectness of a box that is left alone learns of its overlap."""
        return best

    def dense_hits(self, best: Tensor, which: Tensor, alone: Tensor) -> list[Hits]:
        """The hits that do not depend on the truths' cells; (N, A, S) each."""
        return [everywhere(self.truths, which, best > self.head.truth_thresh, CLOSE)]

    def importance(self, hits: Hits) -> Tensor:
        """How much more the hits' classes count than others, (K,)."""
        return torch.ones_like(hits.boxes[:, 0]) if self.multipliers is None else self.multipliers[hits.classes]

    def assign_objectness(self, weight: Tensor, target: Tensor, hits: Hits, chosen: Tensor) -> None:
        """Let the assigned boxes' objectness learn to be 1; of each box's hits, one is `chosen`."""
        chosen = chosen & hits.assigned
        if self.keeps_objectness:
            found = self.found_objectness()[hits.readable(self.images)]
            chosen = chosen & (weight[hits.place] * (target[hits.place] - found) == 0)
        place = hits.only(chosen, self.images)
        weight[place] = self.importance(hits) * self.head.obj_normalizer
        target[place] = 1

    def box_targets(self, hits: Hits, x: Tensor, y: Tensor) -> Tensor:
        """What the shares of the hits' boxes should be, (K, 4); their points are at x and y."""
        scale = constant([float(self.network.width), float(self.network.height)], hits.boxes)
        sizes = hits.boxes[:, 2:] * scale / self.anchors[hits.place.slot]
        sizes = (sizes / 4).sqrt() if self.new_coords else sizes.log()
        column, row = hits.place.cell % self.columns, hits.place.cell // self.columns
        return torch.stack([x * self.columns - column, y * self.rows - row, *sizes.unbind(1)], 1)

    # -- how it learns ------------------------------------------------------------------------------------------------

    def loss(self) -> Loss:
        """The loss, by the rules that `gradient` names."""
        with torch.no_grad():
            weight, target, hits = self.targets()
            first, last = ends(hits, self.images, self.slots, self.cells)
            self.assign_objectness(weight, target, hits, first if self.keeps_objectness else last)
            rule = self.exact if self.head.gradient == "exact" else self.darknet
            delta, cost, parts = rule(weight[:-1], target[:-1], hits, first)
            delta = delta.reshape(self.raw.shape)
            if self.head.delta_normalizer != 1:
                delta = delta * self.head.delta_normalizer
        return Loss(with_gradient(self.raw, delta, cost), cost, self.counts(hits) | parts)

    def darknet(self, weight: Tensor, target: Tensor, hits: Hits, first: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Darknet's delta, (N, A, E, S), its cost, and what makes it up."""
        entries = self.entries(self.values, hits)
        delta = self.values.new_zeros(self.images + 1, *self.values.shape[1:])
        objectness = weight * (target - self.found_objectness())
        delta[:-1, :, self.objectness] = objectness
        classes = self.write_classes(delta[:, :, self.objectness + 1 :], entries, hits, first)
        divisor = self.divisor(classes, delta[:, :, self.objectness][hits.place])
        boxes = torch.where(hits.boxed[:, None], self.box_delta(entries, hits), 0) / divisor[:, None]
        image, slot, cell = (each[:, None] for each in hits.place)
        where = (image, slot, torch.arange(self.objectness, device=delta.device), cell)
        delta.index_put_(where, boxes, accumulate=True)
        parts = {
            "objectness": objectness.square().sum(),
            "classes": torch.where(first[:, None], classes, 0).square().sum(),
            "box": torch.where(first[:, None], delta[where], 0).square().sum(),
        }
        return delta[:-1], self.cost(entries, hits, parts), parts

    def entries(self, values: Tensor, hits: Hits) -> Tensor:
        """The entries of the hits' boxes, (K, E); zeros where there is no hit."""
        image, slot, cell = hits.readable(self.images)
        return torch.where(hits.real[:, None], values[image, slot, :, cell], 0)

    def write_classes(self, delta: Tensor, entries: Tensor, hits: Hits, first: Tensor) -> Tensor:
        """Write the delta of the classes, (N + 1, A, classes, S); that of the hits' boxes, (K, classes)."""
        found, importance = self.probability(entries[:, self.objectness + 1 :]), self.importance(hits)
        image, slot, cell = hits.only(first, self.images)
        delta[image, slot, :, cell] = self.first_class_delta(found, hits.classes)
        own = found.gather(1, hits.classes[:, None])[:, 0]
        if self.head.truth_thresh < 1 and self.head.objectness_smooth:
            image, slot, cell = hits.only(hits.order == CLOSE, self.images)
            delta[image, slot, hits.classes, cell] = known(importance * (self.iou(entries, hits) ** 2 - own))
        image, slot, cell = hits.only(~first & hits.assigned, self.images)
        delta[image, slot, hits.classes, cell] = known(importance * (self.smoothed(1.0) - own))
        image, slot, cell = hits.place
        return delta[image, slot, :, cell]

    def first_class_delta(self, found: Tensor, classes: Tensor) -> Tensor:
        """What a box learns of its classes from its first hit: (K, classes), (K,) → (K, classes) (`delta_yolo_class`)."""
        hot = one_hot(classes, found)
        if self.focal_loss:
            own = found.gather(1, classes[:, None]) + 1e-15
            return known((hot - found) * -0.5 * (1 - own) * (2 * own * own.log() + own - 1))
        rows = known(self.smoothed(hot) - found)
        if self.multipliers is None:
            return rows
        return torch.where(hot > 0, rows * self.multipliers * self.head.cls_normalizer, rows)

    def smoothed(self, target: _Number) -> _Number:
        """A target of 0 or 1, moved towards the middle."""
        return target * (1 - self.head.label_smooth_eps) + 0.5 * self.head.label_smooth_eps

    def box_delta(self, entries: Tensor, hits: Hits) -> Tensor:
        """The delta of the hits' coordinates, (K, 4) (`delta_yolo_box`)."""
        shares, normalizer = self.picked_shares(entries), (self.importance(hits) * self.head.iou_normalizer)[:, None]
        if self.head.iou_loss == "mse":
            missing = self.box_targets(hits, hits.boxes[:, 0], hits.boxes[:, 1]) - torch.stack(shares, 1)
            return known(hits.scale[:, None] * missing * normalizer)
        gradient = self.overlap_gradient(entries, hits)
        if not self.new_coords:
            gradient[:, 2:] *= torch.stack(shares[2:], 1).exp()
        return self.limited(gradient * normalizer)

    def overlap_gradient(self, entries: Tensor, hits: Hits) -> Tensor:
        """Of the overlap, by x, y, width and height of the hits' boxes, (K, 4)."""
        boxes = self.picked_boxes(entries, hits)
        # An empty side counts as 1, so that nothing is divided by zero.
        filled = torch.where(boxes[:, 2:] == 0, 1, boxes[:, 2:])
        return overlap_gradient(torch.cat([boxes[:, :2], filled], 1), hits.boxes, self.head.iou_loss)

    def limited(self, delta: Tensor) -> Tensor:
        """The delta, none of it beyond `max_delta`."""
        return known(delta).clamp(-self.head.max_delta, self.head.max_delta)

    def divisor(self, classes: Tensor, objectness: Tensor) -> Tensor:
        """What the delta of each hit's box is divided by, from that of its classes and objectness, (K,)."""
        positive = (classes > 0).sum(1).clamp(min=1)
        return torch.where((objectness != 0) & (self.head.iou_thresh < 1), positive, 1)

    def iou(self, entries: Tensor, hits: Hits, kind: str = "iou") -> Tensor:
        """How well the hits' boxes overlap their truths, (K,)."""
        return known(overlap(self.picked_boxes(entries, hits), hits.boxes, kind))

    def counts(self, hits: Hits) -> dict[str, Tensor]:
        """How many boxes are assigned, and the sum of their intersection over union."""
        found = self.iou(self.entries(self.values, hits), hits)
        return {"count": hits.assigned.sum(), "overlap": torch.where(hits.assigned, found, 0).sum()}

    def cost(self, entries: Tensor, hits: Hits, parts: dict[str, Tensor]) -> Tensor:
        """What Darknet prints."""
        head, rest = self.head, parts["objectness"] + parts["classes"]
        if head.iou_loss == "mse" or not head.show_details:
            return rest + parts["box"]
        missing = 1 - self.iou(entries, hits, "giou" if head.iou_loss == "giou" else "iou")
        average = torch.where(hits.assigned, missing, 0).sum() / hits.assigned.sum().clamp(min=1)
        return head.iou_normalizer * average + head.obj_normalizer * rest

    # -- how it would learn by the formulas ---------------------------------------------------------------------------

    def exact(self, weight: Tensor, target: Tensor, hits: Hits, first: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Minus the gradient of the loss, (N, A, E, S), its value, and its terms."""
        marks = self.class_targets(hits)
        with torch.enable_grad():
            found = self.values[:, :, self.objectness].clone().requires_grad_()
            entries = self.entries(self.values, hits).requires_grad_()
            objectness = weight * cross_entropy(found, target, self.new_coords)
            values = entries[:, self.objectness + 1 :]
            classes = class_loss(self.head, values, marks, self.multipliers, self.new_coords, self.focal_loss)
            boxes = self.box_loss(entries, hits) / self.shared_by(marks)
            terms = {
                "objectness": finite_sum(objectness),
                "classes": finite_sum(torch.where(first[:, None], classes, 0)),
                "box": finite_sum(torch.where(hits.boxed, boxes, 0)),
            }
            total = terms["objectness"] + terms["classes"] + terms["box"]
            of_objectness, of_entries = torch.autograd.grad(total, (found, entries))
        delta = self.values.new_zeros(self.images + 1, *self.values.shape[1:])
        image, slot, cell = (each[:, None] for each in hits.place)
        where = (image, slot, torch.arange(delta.shape[2], device=delta.device), cell)
        delta.index_put_(where, -known(of_entries), accumulate=True)
        delta[:-1, :, self.objectness] = -known(of_objectness)
        delta[:, :, : self.objectness] = self.limited(delta[:, :, : self.objectness])
        return delta[:-1], total.detach(), {name: term.detach() for name, term in terms.items()}

    def class_targets(self, hits: Hits) -> Tensor:
        """What the hits' boxes should find of each class, (K, classes); -1 for those that are not assigned.

        It holds for the first hit of each box.
        """
        shape = (self.images + 1, self.slots, self.head.classes, self.cells)
        marks = self.values.new_zeros(shape, dtype=torch.uint8)
        for mark, chosen in enumerate((hits.order == LEFT_ALONE, hits.order == CLOSE, hits.assigned), 1):
            image, slot, cell = hits.only(chosen, self.images)
            marks[image, slot, hits.classes, cell] = mark
        image, slot, cell = hits.place
        found = marks[image, slot, :, cell]
        targets = torch.where(found > 0, self.values.new_full((), self.smoothed(1.0)), -1)
        if not self.head.objectness_smooth:
            return targets
        return torch.where(found == 2, self.iou(self.entries(self.values, hits), hits)[:, None] ** 2, targets)

    def shared_by(self, marks: Tensor) -> Tensor:
        """What the loss of each hit's box is divided by, (K,)."""
        number = (marks >= 0).sum(1).clamp(min=1)
        return number if self.head.iou_thresh < 1 else torch.ones_like(number)

    def box_loss(self, entries: Tensor, hits: Hits) -> Tensor:
        """What the hits' boxes lack, (K,): half the weighted squared error of the shares, or of the overlap what is not 1."""
        normalizer = self.importance(hits) * self.head.iou_normalizer
        if self.head.iou_loss == "mse":
            targets = self.box_targets(hits, hits.boxes[:, 0], hits.boxes[:, 1])
            missing = (targets - torch.stack(self.picked_shares(entries), 1)).square().sum(1)
            return normalizer * hits.scale * missing / 2
        return normalizer * (1 - overlap(self.picked_boxes(entries, hits), hits.boxes, self.head.iou_loss))


def one_hot(classes: Tensor, like: Tensor) -> Tensor:
    """1 for the class, 0 for all others: (K,) → (K, classes), in the type and shape of `like`.

    PyTorch's own looks at the numbers first, which makes a GPU wait.
    """
    return (classes[:, None] == torch.arange(like.shape[1], device=like.device)).to(like)


def known(values: Tensor) -> Tensor:
    """The values, 0 where they are not finite."""
    return values.nan_to_num(0, 0, 0)
