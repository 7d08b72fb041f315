"""Which boxes of which heads a truth is learnt by: candidates near it, and SimOTA's choice among them.

Boxes are (…, 4): centre x, centre y, width, height, in pixels of the network's input.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cspdet.train.losses.boxes import overlap


class Truths(NamedTuple):
    """The T true boxes of a batch: the image each is in (T,), its class (T,), and the boxes (T, 4)."""

    image: Tensor
    kind: Tensor
    box: Tensor


class Grid(NamedTuple):
    """What a head predicts on: a map of so many cells, the size of a cell (2,) and the anchors (A, 2), in pixels."""

    height: int
    width: int
    cell: Tensor
    anchors: Tensor


class Cells(NamedTuple):
    """P boxes of one head, by image, anchor, row and column, each (P,)."""

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor

    def at(self, index: Tensor) -> Cells:
        """Those of `index`."""
        return Cells(*(each[index] for each in self))


def candidates(grid: Grid, truths: Truths, neighbours: int, anchor_t: float) -> Cells:
    """The boxes that may learn one of the truths: near its centre, with an anchor not `anchor_t` times larger or smaller.

    The cells are that of the centre; with 3 `neighbours` also the nearer one of those left and right, and of those above and
    below; with 5 all four of them. A cell that is near several truths is one candidate; YOLOv7's own code lists it once for
    each, and so may count it twice in one truth's choice, or train it for two truths. Sorted by image, anchor, row and column.
    Source: YOLOv7's `utils/loss.py:find_3_positive` and `find_5_positive`.
    """
    ratio = truths.box[:, None, 2:] / grid.anchors
    fits = torch.maximum(ratio, 1 / ratio).amax(2) < anchor_t
    sides = ratio.new_tensor([grid.width, grid.height])
    centre = truths.box[:, :2] / grid.cell
    reach = 1.0 if neighbours == 5 else 0.5
    # Behind the centre's own cell: left, above, right, below.
    inside = [(way % 1 < reach) & (way > 1) & (neighbours > 1) for way in (centre, sides - centre)]
    near = torch.cat([torch.ones_like(inside[0][:, :1]), *inside], 1)
    shifts = reach * ratio.new_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])
    truth, anchor, shift = (fits[:, :, None] & near[:, None]).nonzero(as_tuple=True)
    place = (centre[truth] + shifts[shift]).floor().long()
    column, row = place[:, 0].clamp(0, grid.width - 1), place[:, 1].clamp(0, grid.height - 1)
    key = ((truths.image[truth] * len(grid.anchors) + anchor) * grid.height + row) * grid.width + column
    key = torch.unique(key)
    column, key = key % grid.width, key // grid.width
    row, key = key % grid.height, key // grid.height
    return Cells(key // len(grid.anchors), key % len(grid.anchors), row, column)


class Pool(NamedTuple):
    """The P candidates of a batch, of all heads: their images (P,), and what they predict.

    `box` is (P, 4), `objectness` (P,) and `classes` (P, classes), both probabilities.
    """

    image: Tensor
    box: Tensor
    objectness: Tensor
    classes: Tensor


@torch.no_grad()
def owners(pool: Pool, truths: Truths, topk: int) -> Tensor:
    """The truth that each candidate is to learn, (P,); -1 for none.

    A truth's cost at a candidate is the binary cross-entropy of √(class · objectness) over all classes, less 3 ln IoU. Each
    truth takes the k candidates of its image that cost it least, where k is the sum of its `topk` largest overlaps there,
    rounded down, but at least 1. A candidate that several truths take goes to the truth of the image it costs least; if it
    costs several the same, to the first. All candidates of an image count for each of its truths, near or not.
    Source: SimOTA of YOLOX, 2107.08430, section 2.1, as in YOLOv7's `ComputeLossOTA.build_targets`; OTA, 2103.14259.
    """
    owner = torch.full_like(pool.image, -1)
    if not len(pool.image) or not len(truths.image):
        return owner
    # A row for each truth, with the candidates of its image; rows are as long as the longest, and the rest is not `there`.
    of_image = torch.argsort(pool.image, stable=True)
    first, last = (torch.searchsorted(pool.image[of_image], truths.image, right=right)[:, None] for right in (False, True))
    place = first + torch.arange(int((last - first).max()), device=first.device)
    there = place < last
    candidate = of_image[place.clamp(max=len(of_image) - 1)]

    likeness = overlap(pool.box[candidate], truths.box[:, None]) * there
    cost = _class_cost(pool, candidate, truths.kind[:, None]) - 3 * (likeness + 1e-8).log()
    cost = torch.where(there, cost, torch.inf)

    most = min(topk, cost.shape[1])
    amount = likeness.topk(most).values.sum(1, keepdim=True).long().clamp(1)
    lowest, place = cost.topk(most, largest=False)
    taken = (torch.arange(most, device=cost.device) < amount) & lowest.isfinite()
    truth, place = taken.nonzero()[:, 0], place[taken]
    chosen = candidate[truth, place]
    owner[chosen] = truth
    several = torch.bincount(chosen, minlength=len(owner)) > 1
    truth, place = (several[candidate] & there).nonzero(as_tuple=True)
    wanted, price = candidate[truth, place], cost[truth, place]
    best = cost.new_full((len(owner),), torch.inf).scatter_reduce(0, wanted, price, "amin")
    cheapest = price == best[wanted]
    winner = torch.full_like(owner, len(truths.image)).scatter_reduce(0, wanted[cheapest], truth[cheapest], "amin")
    return torch.where(several, winner, owner)


def _class_cost(pool: Pool, candidate: Tensor, kind: Tensor) -> Tensor:
    """Of each pair of a candidate and a class: Σ of the cross-entropies of √(class · objectness) over all classes."""
    score = (pool.classes * pool.objectness[:, None]).sqrt()
    smallest = torch.finfo(score.dtype).tiny
    absent = -(1 - score).clamp(smallest).log()
    present = -score.clamp(smallest).log()
    return absent.sum(1)[candidate] + (present - absent)[candidate, kind]
