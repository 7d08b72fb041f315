"""Which boxes of a head are trained towards which truths."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo
from cspdet.train.losses.boxes import centred, overlap
from cspdet.train.losses.truths import Truths, constant

# The order of hits that are none of truths in their cells: a box is left alone, but learns its class; or is close to a truth.
LEFT_ALONE, CLOSE = -2, -1


class Place(NamedTuple):
    """Where a box is: image, number of the anchor within the head, and cell, row by row; (K,) each."""

    image: Tensor
    slot: Tensor
    cell: Tensor


class Hits(NamedTuple):
    """Pairs of a box and the truth it is trained towards, K of them.

    Rows that are not `real` stand for nothing. A GPU carries them along because picking the others would make it wait; their
    image is the one behind the last, so that what is written there can be cut off.
    """

    place: Place
    real: Tensor
    boxes: Tensor  # (K, 4)
    classes: Tensor
    # Of the hits of one box, Darknet takes those of smaller numbers first. Those of truths have the truth's, 0 and above;
    # no two hits of a box have the same.
    order: Tensor

    @property
    def assigned(self) -> Tensor:
        """Whether it is a hit of a truth in its cell, (K,)."""
        return self.real & (self.order >= 0)

    @property
    def boxed(self) -> Tensor:
        """Whether it is a hit that trains the box's place, (K,)."""
        return self.real & (self.order >= CLOSE)

    @property
    def scale(self) -> Tensor:
        """How much more small truths count, (K,): 2 - area."""
        return 2 - self.boxes[:, 2] * self.boxes[:, 3]

    def readable(self, images: int) -> Place:
        """Places that can be read, too, where there is nothing."""
        return self.place._replace(image=self.place.image.clamp(max=images - 1))

    def only(self, chosen: Tensor, images: int) -> Place:
        """The places of the rows that are chosen, (K,); nowhere for the rest."""
        return self.place._replace(image=torch.where(chosen & self.real, self.place.image, images))


def picks_freely(values: Tensor) -> bool:
    """Whether rows can be picked by what is in them at no cost: everywhere but on a GPU, which would make the program wait."""
    return values.device.type == "cpu"


def join(parts: list[Hits]) -> Hits:
    """All of them, one behind the other; only the real ones, where those can be picked."""
    if picks_freely(parts[0].real):
        parts = [_picked(part, part.real.nonzero()[:, 0]) for part in parts]
    places = Place(*(torch.cat(each) for each in zip(*(part.place for part in parts), strict=True)))
    rest = [torch.cat(each) for each in zip(*(part[1:] for part in parts), strict=True)]
    return Hits(places, *rest)


def _picked(hits: Hits, chosen: Tensor) -> Hits:
    return Hits(Place(*(each[chosen] for each in hits.place)), *(each[chosen] for each in hits[1:]))


def assigned(head: Yolo, truths: Truths, points: Tensor, network: Shape, rows: int, columns: int) -> Hits:
    """The boxes that each truth is assigned: those of the cell that its point, (N, M, 2), is in, and of anchors like it.

    A point on the right or lower edge belongs to the last cell; to Darknet, to whatever comes next in its memory.
    """
    n, m = truths.counted.shape
    slots = head.anchor_count
    chosen = _alike(head, truths, network) & truths.counted[..., None]
    column = (points[..., 0] * columns).long().clamp(0, columns - 1)
    row = (points[..., 1] * rows).long().clamp(0, rows - 1)
    image = torch.arange(n, device=points.device)[:, None, None]
    slot = torch.arange(slots, device=points.device)
    order = torch.arange(m, device=points.device)[:, None]

    def spread(values: Tensor) -> Tensor:
        return values.expand(n, m, slots).reshape(-1)

    place = Place(spread(torch.where(chosen, image, n)), spread(slot), spread((row * columns + column)[..., None]))
    boxes = truths.boxes[:, :, None].expand(n, m, slots, 4).reshape(-1, 4)
    return Hits(place, chosen.reshape(-1), boxes, spread(truths.classes[..., None]), spread(order))


def _alike(head: Yolo, truths: Truths, network: Shape) -> Tensor:
    """Whether an anchor of the head is assigned a truth by its size alone, (N, M, A).

    The most alike of all anchors, of the other heads' too, is; and with `iou_thresh` below 1, all that are more alike than
    that. `iou_thresh_kind` says what is alike, but only in the latter case.
    """
    sizes = truths.boxes[..., None, 2:]  # (N, M, 1, 2)
    shapes = centred(sizes)
    everyone = _anchors(range(head.num), head, network, sizes)
    best = overlap(everyone, shapes).argmax(-1, keepdim=True)
    # Of an anchor that is named twice, only the first is ever assigned.
    known = [number < head.num and number not in head.used[:slot] for slot, number in enumerate(head.used)]
    own = constant([number if right else -1 for number, right in zip(head.used, known, strict=True)], sizes, torch.long)
    alike = own == best
    if head.iou_thresh < 1:
        enough = overlap(_anchors(head.used, head, network, sizes), shapes, head.iou_thresh_kind) > head.iou_thresh
        alike = alike | (enough & (own >= 0))
    return alike


def _anchors(numbers: range | tuple[int, ...], head: Yolo, network: Shape, like: Tensor) -> Tensor:
    """Anchors as boxes around the origin, relative to the network's input, (A, 4)."""
    sizes = [head.anchor(number) for number in numbers]
    return centred(constant([(w / network.width, h / network.height) for w, h in sizes], like))


def everywhere(truths: Truths, which: Tensor, chosen: Tensor, order: int) -> Hits:
    """A hit for each box that is chosen, (N, A, S), with the truth of its image that `which` says."""
    sizes = [torch.arange(length, device=which.device) for length in which.shape]
    image, slot, cell = (each.reshape(-1) for each in torch.meshgrid(sizes, indexing="ij"))
    real, which = chosen.reshape(-1), which.reshape(-1)
    if truths.counted.shape[1]:
        boxes, classes = truths.boxes[image, which], truths.classes[image, which]
    else:
        boxes, classes = truths.boxes.new_zeros(len(which), 4), which
    place = Place(torch.where(real, image, len(truths.counted)), slot, cell)
    return Hits(place, real, boxes, classes, torch.full_like(which, order))


def ends(hits: Hits, images: int, slots: int, cells: int) -> tuple[Tensor, Tensor]:
    """Whether a hit is the first of its box, and the last, in Darknet's order; (K,) each."""
    nowhere = images * slots * cells
    image, slot, cell = hits.place
    box = torch.where(hits.real, (image * slots + slot) * cells + cell, nowhere)
    far = torch.iinfo(torch.long).max
    first = hits.order.new_full((nowhere + 1,), far).scatter_reduce_(0, box, hits.order, "amin")
    last = hits.order.new_full((nowhere + 1,), -far).scatter_reduce_(0, box, hits.order, "amax")
    return hits.real & (first[box] == hits.order), hits.real & (last[box] == hits.order)
