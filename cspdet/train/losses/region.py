"""The loss of [region], as Darknet computes it (`region_layer.c:forward_region_layer`).

What is trained, for every image:

- The objectness of a box is trained towards 0, unless its best overlap with a truth exceeds `thresh`; with `classfix=-1`, it
  is trained towards that overlap. With `classfix` above 0, a box that is left alone learns the class of the truth it overlaps
  (`map` does not change it), and `classfix=2` weighs that with its objectness.
- While fewer than 12,800 images were seen, all boxes are drawn towards their anchors in the middle of their cells, with .01.
- A truth is assigned one box of the cell its centre is in: that of the anchor, or without `bias_match` of the prediction, that
  is most alike in size. It learns its place, its class, and objectness 1, or with `rescore` its overlap. Of several truths in
  one box, the last counts.
- With a hierarchy, a class trains the softmax of its group and those of its ancestors' groups, and of several truths in one
  box, the last counts in each group. An image with a truth whose centre is far outside (x and y above 100,000: an object
  without a box) trains nothing but its class, in the one box that most finds it there.

`delta` is minus the gradient of Σ ½ weight (target - p)² for centres and objectness, p their logistic, and for the logarithms
of sizes; of the cross-entropy for classes; and of ½ (1 - p)² times the cross-entropy for `focal_loss`. So there is nothing for
an option `gradient` to choose. Without `softmax` and a hierarchy, classes are linear, with the squared error.

What is not finite counts as 0. Where no box of a cell has a size, its first learns the truth; Darknet takes the first of the
whole batch. All this is AlexeyAB's; pjreddie's own loss has no derivative of the logistic in objectness and
centres, and weighs boxes by 2 - area. Of its forms, only the logistic classes are here. `absolute`, `log` and `sqrt` are read
and not used by any; `mask_scale` belongs to `coords` above 4, `max_delta` to [yolo].
"""

from __future__ import annotations

import torch
from torch import Tensor

from cspdet.errors import CspdetError
from cspdet.layers.base import Shape
from cspdet.layers.region import Region
from cspdet.train.losses.base import Loss, Progress, with_gradient
from cspdet.train.losses.boxes import best_match, centred, overlap
from cspdet.train.losses.hierarchy import Groups, branch_scores
from cspdet.train.losses.hits import LEFT_ALONE, Hits, Place, ends, everywhere, join
from cspdet.train.losses.objective import known, one_hot
from cspdet.train.losses.truths import constant, read_truths

# As long as fewer images were seen, boxes learn the shapes of their anchors, with this weight.
_WARM_UP, _PRIOR = 12_800, 0.01
# A truth this far to the right and below has no box.
_NO_BOX = 100_000


def region_loss(head: Region, raw: Tensor, truth: Tensor, network: Shape, progress: Progress) -> Loss:  # noqa: ARG001 - as all losses
    """The loss of a [region] head.

    Args:
        head: the head; its options say everything about the loss.
        raw: what it reads, (N, anchors (5 + classes), H, W).
        truth: (N, M, 5) rows of class, x, y, width, height, relative to the image, in the labels' order; class -1 fills up.
        network: not used: anchors are in cells.
        progress: `seen` is what matters, this batch counted in.

    Returns:
        The loss. `parts` holds `count` and `iou`, the number of assigned boxes and the sum of their intersection over union,
        and the sums of squares of the delta that are due to `objectness`, `class` and `box`. `cost` is the sum of those.

    Raises:
        UsageError: the file that `map` names was not found.
        CspdetError: the head has `background`, which makes of its objectness what no loss here is for.
    """
    if head.background and not head.dialect.region_box_major:
        raise CspdetError("a `[region]` with `background=1` cannot be trained", "remove `background`")
    with torch.no_grad():
        objective = RegionObjective(head, raw, truth)
        delta, parts = objective.delta(progress.seen)
    cost = parts["objectness"] + parts["classes"] + parts["box"]
    return Loss(with_gradient(raw, delta.reshape(raw.shape), cost), cost, parts)


class RegionObjective:
    """What a [region] head predicts for a batch, and what it is to learn.

    Shapes: N images, M truths, A anchors ("slots"), E entries, S cells, K hits.
    """

    def __init__(self, head: Region, raw: Tensor, truth: Tensor) -> None:
        self.head = head
        self.images, _, self.rows, self.columns = raw.shape
        self.slots, self.cells = head.num, self.rows * self.columns
        values = raw.detach().to(torch.promote_types(raw.dtype, torch.float32))
        self.values = values.reshape(self.images, self.slots, -1, self.cells)
        padded = [*head.anchors, *[0.5] * (2 * head.num)][: 2 * head.num]
        self.anchors = constant(padded, values).reshape(-1, 2)
        self.map_size = constant([float(self.columns), float(self.rows)], values)
        self.groups = Groups.of(head.hierarchy, values) if head.hierarchy else None
        self.truths = read_truths(head, truth, values)
        # The first truth of each image that has no box, and which images have one; none of their boxes is trained.
        rows = truth[:, : head.max].to(values)
        boxless = (rows[..., 0] >= 0) & (rows[..., 0] < head.classes) & (rows[..., 1:3] > _NO_BOX).all(-1)
        boxless = boxless & (self.groups is not None)
        self.boxless = boxless.any(1)
        if self.groups:
            first = boxless & (boxless.cumsum(1) == 1)
            self.boxless_class = torch.where(first, rows[..., 0], 0).sum(1).long()
            self.truths = self.truths._replace(counted=self.truths.counted & ~self.boxless[:, None])

    def delta(self, seen: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the gradient, (N, A, E, S), and the parts of the loss."""
        head, values = self.head, self.values
        delta = values.new_zeros(self.images + 1, *values.shape[1:])
        found = known(values[:, :, 4].sigmoid())
        best, which = (each.reshape(found.shape) for each in best_match(self.boxes(), self.truths.boxes, self.truths.counted))
        alone = (best > head.thresh) & (head.classfix != -1)
        missing = (best if head.classfix == -1 else 0) - found
        delta[:-1, :, 4] = torch.where(alone, 0, head.noobject_scale * missing * found * (1 - found))
        if seen < _WARM_UP:
            delta[:-1, :, :2] = _PRIOR * pull(0.5, values[:, :, :2])
            delta[:-1, :, 2:4] = -_PRIOR * values[:, :, 2:4]
        if head.classfix > 0:
            hits = join([everywhere(self.truths._replace(classes=self.truths.labels), which, alone, LEFT_ALONE)])
            weight = found[hits.readable(self.images)] if head.classfix == 2 else torch.ones_like(hits.boxes[:, 0])
            self.write_classes(delta, hits, hits.real[:, None] if self.groups else hits.real, weight)
        delta[:-1].masked_fill_(self.boxless[:, None, None, None], 0)
        hits = self.hits()
        counts = self.write_hits(delta, hits)
        if self.groups:
            self.write_boxless(delta, found, self.groups)
        delta = known(delta[:-1])
        return delta, counts | {
            "objectness": delta[:, :, 4].square().sum(),
            "classes": delta[:, :, 5:].square().sum(),
            "box": delta[:, :, :4].square().sum(),
        }

    def boxes(self) -> Tensor:
        """All boxes, (N, A S, 4), relative to the image."""
        cell = torch.arange(self.cells, device=self.values.device)
        corner = torch.stack([cell % self.columns, cell // self.columns], -1)
        entries = self.values[:, :, :4].transpose(2, 3)
        size = entries[..., 2:].exp() * self.anchors[:, None]
        return (torch.cat([corner + entries[..., :2].sigmoid(), size], -1) / self.map_size.repeat(2)).flatten(1, 2)

    def hits(self) -> Hits:
        """The box that each truth is assigned; K = N M."""
        truths, (n, m) = self.truths, self.truths.counted.shape
        place = (truths.boxes[..., :2] * self.map_size).long()
        cell = place[..., 1].clamp(0, self.rows - 1) * self.columns + place[..., 0].clamp(0, self.columns - 1)
        image = torch.arange(n, device=cell.device)[:, None].expand(n, m)
        size = self.anchors.expand(n, m, -1, -1)
        if not self.head.bias_match:
            size = size * self.values[:, :, 2:4][image, :, :, cell].exp()
        slot = known(overlap(centred(size / self.map_size), centred(truths.boxes[..., None, 2:]))).argmax(-1)
        order = torch.arange(m, device=cell.device).expand(n, m)
        real, boxes = truths.counted.reshape(-1), truths.boxes.reshape(-1, 4)
        places = Place(torch.where(truths.counted, image, n).reshape(-1), slot.reshape(-1), cell.reshape(-1))
        return Hits(places, real, boxes, truths.classes.reshape(-1), order.reshape(-1))

    def write_hits(self, delta: Tensor, hits: Hits) -> dict[str, Tensor]:
        """Write the delta of the assigned boxes; the number of those, and the sum of their intersection over union."""
        head, (image, slot, cell) = self.head, hits.readable(self.images)
        entries = self.values[image, slot, :, cell]
        corner = torch.stack([cell % self.columns, cell // self.columns], 1)
        size = entries[:, 2:4].exp() * self.anchors[slot]
        boxes = torch.cat([corner + entries[:, :2].sigmoid(), size], 1) / self.map_size.repeat(2)
        overlaps = known(overlap(boxes, hits.boxes))
        centre = pull(hits.boxes[:, :2] * self.map_size - corner, entries[:, :2])
        sizes = (hits.boxes[:, 2:] * self.map_size / self.anchors[slot]).log() - entries[:, 2:4]
        objectness = head.object_scale * pull(overlaps if head.rescore else 1, entries[:, 4])
        _, last = ends(hits, self.images, self.slots, self.cells)
        image, slot, cell = hits.only(last, self.images)
        delta[:, :, :5][image, slot, :, cell] = torch.cat(
            [head.coord_scale * torch.cat([centre, sizes], 1), objectness[:, None]], 1
        )
        chosen = self.latest(hits, self.groups) if self.groups else last
        self.write_classes(delta, hits, chosen, torch.ones_like(objectness))
        return {"count": hits.real.sum(), "overlap": torch.where(hits.real, overlaps, 0).sum()}

    def write_classes(self, delta: Tensor, hits: Hits, chosen: Tensor, weight: Tensor) -> None:
        """Write the delta of the classes of the hits' boxes (`delta_region_class`).

        The hits that are `chosen`, (K,), are of different boxes; in a hierarchy they are (K, D), of different groups.
        """
        head, (image, slot, cell) = self.head, hits.readable(self.images)
        values = self.values[:, :, 5:][image, slot, :, cell]
        scale = head.class_scale * weight[:, None]
        if self.groups:
            nodes, _, members = self.groups.branch(hits.classes)
            rows = (members == nodes[..., None]).to(values) - branch_scores(values, members)
            counted = chosen[..., None] & (members >= 0)
            image, slot, cell = (each[:, None, None].expand_as(members) for each in hits.readable(self.images))
            image = torch.where(counted, image, self.images)
            delta[:, :, 5:][image, slot, members.clamp(min=0), cell] = scale[..., None] * rows
            return
        logistic = not head.dialect.region_box_major
        found = values.softmax(1) if head.softmax else values.sigmoid() if logistic else values
        rows = scale * (one_hot(hits.classes, found) - found)
        if head.focal_loss:
            own = found.gather(1, hits.classes[:, None]) + 1e-15
            rows = rows * -0.5 * (1 - own) * (2 * own * own.log() + own - 1)
        image, slot, cell = hits.only(chosen, self.images)
        delta[:, :, 5:][image, slot, :, cell] = rows

    def latest(self, hits: Hits, groups: Groups) -> Tensor:
        """Whether a truth is the last of its box to say something of each group of its class's path, (K, D)."""
        n, m = self.truths.counted.shape
        said = groups.branch(hits.classes)[1].view(n, m, -1)
        box = (hits.place.slot * self.cells + hits.place.cell).view(n, m)
        real = hits.real.view(n, m)
        later = torch.ones(m, m, dtype=torch.bool, device=box.device).triu(1)
        later = later & (box[:, :, None] == box[:, None]) & real[:, None]
        again = torch.zeros_like(said, dtype=torch.bool)
        for level in said.unbind(2):
            again |= (later[..., None] & (said[:, :, None] == level[:, None, :, None])).any(2)
        return (real[..., None] & (said >= 0) & ~again).flatten(0, 1)

    def write_boxless(self, delta: Tensor, objectness: Tensor, groups: Groups) -> None:
        """Write the delta of the images whose truth has no box: of that truth's class, in the box that finds it likeliest."""
        if not self.boxless.any():  # worth the wait: what follows takes much memory, and few trainings need it
            return
        nodes, _, members = groups.branch(self.boxless_class)
        _, depth, length = members.shape
        picked = members.clamp(min=0).flatten(1)[:, None, :, None].expand(-1, self.slots, -1, self.cells)
        logits = self.values[:, :, 5:].gather(2, picked).view(self.images, self.slots, depth, length, self.cells)
        members = members[:, None, :, :, None]
        scores = torch.where(members >= 0, logits, -torch.inf).softmax(3)
        own = torch.where(members == nodes[:, None, :, None, None], scores, 0).sum(3)
        score = objectness * torch.where(nodes[:, None, :, None] >= 0, own, 1).prod(2)
        box = known(score).transpose(1, 2).flatten(1).argmax(1)
        image = torch.where(self.boxless, torch.arange(self.images, device=box.device), self.images)
        place = Place(image, box % self.slots, box // self.slots)
        hits = Hits(place, self.boxless, self.values.new_zeros(self.images, 4), self.boxless_class, torch.zeros_like(box))
        self.write_classes(delta, hits, self.boxless[:, None], torch.ones_like(score[:, 0, 0]))


def pull(target: Tensor | float, values: Tensor) -> Tensor:
    """What draws the logistic of `values` towards a target: minus the gradient of half the squared error."""
    found = values.sigmoid()
    return (target - found) * found * (1 - found)
