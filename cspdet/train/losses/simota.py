"""YOLOv7's loss: truths shared out over all heads by cost, and auxiliary heads that learn what their leads would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its customary name
from torch import Tensor

from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo
from cspdet.train.losses.assign import Cells, Grid, Pool, Truths, candidates, owners
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.losses.boxes import overlap

# The constants of YOLOv7's `data/hyp.scratch.p5.yaml`, which are for three heads, 80 classes and 640x640 pixels; and the
# weight of the objectness, from the finest map to the coarsest, of three heads and of any other number.
_BOX, _OBJECTNESS, _CLASSES = 0.05, 0.7, 0.3
_BALANCE_OF_THREE = (4.0, 1.0, 0.4)
_BALANCE = (4.0, 1.0, 0.25, 0.06, 0.02)
_FOCUS, _FOCAL_SHARE = 1.5, 0.25


class Matches(NamedTuple):
    """The boxes of one head that learn, and the truths they learn, as numbers of rows of `Truths`, (P,)."""

    cells: Cells
    truth: Tensor


def simota_loss(
    heads: Sequence[Yolo],
    raws: Sequence[Tensor],
    truth: Tensor,
    network: Shape,
    progress: Progress,  # noqa: ARG001 - every loss is given it
) -> Loss:
    """The loss of all heads with `assigner=simota` together, auxiliary ones included.

    Of each head, the box loss is the mean of 1 - CIoU over its matches, the class loss the mean binary cross-entropy there, and
    the objectness loss the mean binary cross-entropy over all its boxes, whose targets are the matches' CIoU, not below 0, and
    0 elsewhere. They are weighted as `gains` and `loss_weight` say, and their sum is multiplied by the batch.

    Auxiliary heads learn the truths where their leads' predictions have them; but they may do so in more cells
    (`neighbours`). Their boxes reach no further for that, and with `scale_x_y=2` half a cell, so they cannot fit a truth
    perfectly in a cell that is further off: YOLOv7's restriction of the decoder.

    Unlike YOLOv7's code, this trains the class of a head that has but one, since Darknet multiplies by it.
    Source: YOLOv7, 2207.02696, section 4.2 and figure 5; `utils/loss.py:ComputeLossOTA` and `ComputeLossAuxOTA`.

    Args:
        heads: the heads; those with `aux=1` anywhere among them, with the layer number of a head in `lead`.
        raws: what each head reads, (N, anchors (5 + classes), H, W). With `new_coords` these are probabilities already. As
            float16 they are 1 where the logistic's argument is above 8, and get no gradient there: use bfloat16 or float32.
        truth: (N, M, 5) of class, centre x, centre y, width, height, relative to the image. Rows of classes that a head does
            not have, of -1 as in padding, and without width or height are ignored.
        network: the input of this batch.
        progress: not used.

    Returns:
        `parts` has the shares `box`, `objectness` and `classes` of the total; and of the heads that detect, `count`, the
        number of matches, and `overlap`, the sum of their IoU.
    """
    with torch.autocast(raws[0].device.type, enabled=False):
        truths = real_truths(truth, min(head.classes for head in heads), network, _precise(raws[0][:0]).dtype)
        matches = assign(heads, raws, truths, network)
        sums = {name: truths.box.new_zeros(()) for name in ("box", "objectness", "classes", "count", "overlap")}
        weights = gains(heads, raws, network)
        for head, raw, found, weight in zip(heads, raws, matches, weights, strict=True):
            terms, likeness = _terms(head, raw, found, truths, network)
            for name, term, gain in zip(("box", "objectness", "classes"), terms, weight, strict=True):
                sums[name] = sums[name] + len(raw) * head.loss_weight * gain * term
            if not head.aux:
                sums["count"] = sums["count"] + len(likeness)
                sums["overlap"] = sums["overlap"] + likeness.sum()
        total = sums["box"] + sums["objectness"] + sums["classes"]
    return Loss(total, total.detach(), {name: value.detach() for name, value in sums.items()})


def assign(heads: Sequence[Yolo], raws: Sequence[Tensor], truths: Truths, network: Shape) -> list[Matches]:
    """The matches of each head. Leads share out the truths among them, and so do the auxiliary heads, by their leads' boxes.

    `topk` is that of the first lead, or of the first auxiliary head; by default 10, and 20 where there are auxiliary heads
    (`ComputeLossOTA` and `ComputeLossAuxOTA`).
    """
    number = {head.index: place for place, head in enumerate(heads) if not head.aux}
    leads = [*number.values()]
    auxiliary = [place for place, head in enumerate(heads) if head.aux]
    led_by = {place: number[heads[place].lead.resolve(heads[place].index)[0]] for place in auxiliary}
    found: dict[int, Matches] = {}
    for group, sources in ((leads, leads), (auxiliary, [led_by[place] for place in auxiliary])):
        if group:
            topk = heads[group[0]].topk or (20 if auxiliary else 10)
            looking = [heads[place] for place in group]
            reading = [(heads[source], raws[source]) for source in sources]
            found.update(zip(group, _share_out(looking, reading, truths, network, topk), strict=True))
    return [found[place] for place in range(len(heads))]


@torch.no_grad()
def _share_out(
    heads: Sequence[Yolo], reading: Sequence[tuple[Yolo, Tensor]], truths: Truths, network: Shape, topk: int
) -> list[Matches]:
    """The matches of `heads`, each judged by what another head predicts."""
    cells, pools = [], []
    for head, (source, raw) in zip(heads, reading, strict=True):
        grid = grid_of(source, raw, network)
        there = candidates(grid, truths, head.neighbours or (5 if head.aux else 3), head.anchor_t)
        picked = _picked(source, raw, there)
        scores = picked[:, 4:] if source.new_coords else picked[:, 4:].sigmoid()
        cells.append(there)
        pools.append(Pool(there.image, _decoded(source, picked, there, grid), scores[:, 0], scores[:, 1:]))
    classes = min(pool.classes.shape[1] for pool in pools)
    pools = [pool._replace(classes=pool.classes[:, :classes]) for pool in pools]
    owner = owners(Pool(*(torch.cat(each) for each in zip(*pools, strict=True))), truths, topk)
    found = []
    for there, mine in zip(cells, owner.split_with_sizes([len(each.image) for each in cells]), strict=True):
        learning = (mine >= 0).nonzero()[:, 0]
        found.append(Matches(there.at(learning), mine[learning]))
    return found


def gains(heads: Sequence[Yolo], raws: Sequence[Tensor], network: Shape) -> list[tuple[float, float, float]]:
    """The factors on each head's box, objectness and class loss.

    `iou_normalizer`, `obj_normalizer` and `cls_normalizer` are the factors themselves, where given. Otherwise, with n heads
    that detect: .05 · 3/n; .7 · 3/n · pixels/640² · the head's balance, which is 4 for the finest map, and less for coarser
    ones; .3 · 3/n · classes/80. An auxiliary head has its lead's balance.
    Source: YOLOv7's `train.py` and `utils/loss.py`.
    """
    cells = [raw.shape[2] * raw.shape[3] for raw in raws]
    detecting = sorted((place for place, head in enumerate(heads) if not head.aux), key=lambda place: -cells[place])
    balance = _BALANCE_OF_THREE if len(detecting) == 3 else _BALANCE
    rank = {heads[place].index: min(rank, len(balance) - 1) for rank, place in enumerate(detecting)}
    share = 3 / len(detecting)
    pixels = network.height * network.width / 640**2
    found = []
    for head in heads:
        lead = head.lead.resolve(head.index)[0] if head.aux else head.index
        usual = {
            "iou_normalizer": _BOX * share,
            "obj_normalizer": _OBJECTNESS * share * pixels * balance[rank[lead]],
            "cls_normalizer": _CLASSES * share * head.classes / 80,
        }
        box, objectness, classes = (getattr(head, name) if name in head.given else gain for name, gain in usual.items())
        found.append((box, objectness, classes))
    return found


def real_truths(truth: Tensor, classes: int, network: Shape, dtype: torch.dtype) -> Truths:
    """The rows of (N, M, 5) that are truths."""
    box = truth[..., 1:].to(dtype)
    kept = (truth[..., 0] >= 0) & (truth[..., 0] < classes) & box.isfinite().all(2) & (box[..., 2:] > 0).all(2)
    image, row = kept.nonzero(as_tuple=True)
    pixels = box.new_tensor([network.width, network.height] * 2)
    return Truths(image, truth[image, row, 0].long(), box[image, row] * pixels)


def grid_of(head: Yolo, raw: Tensor, network: Shape) -> Grid:
    """The grid that the head has on such a map."""
    height, width = raw.shape[2:]
    precise = _precise(raw[:0])
    cell = precise.new_tensor([network.width / width, network.height / height])
    return Grid(height, width, cell, precise.new_tensor([head.anchor(number) for number in head.used]))


def _terms(
    head: Yolo, raw: Tensor, found: Matches, truths: Truths, network: Shape
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Box, objectness and class loss of a head, each a mean; and the IoU of its matches."""
    picked = _picked(head, raw, found.cells)
    boxes, wanted = _decoded(head, picked, found.cells, grid_of(head, raw, network)), truths.box[found.truth]
    likeness = overlap(boxes, wanted, "ciou", constant_weight=True)
    objectness = _precise(raw[:, 4 :: raw.shape[1] // head.anchor_count])
    target = torch.zeros_like(objectness)
    target[tuple(found.cells)] = likeness.detach().clamp(0)
    scores = picked[:, 5:]
    labels = torch.full_like(scores, 0.5 * head.label_smooth_eps)
    labels.scatter_(1, truths.kind[found.truth][:, None], 1 - 0.5 * head.label_smooth_eps)
    # Of no matches, sums are 0 and have gradients, where means would be NaN.
    matches = max(1, len(likeness))
    box = (1 - likeness).sum() / matches
    classes = _entropy(head, scores, labels).sum() / (matches * scores.shape[1])
    return (box, _entropy(head, objectness, target).mean(), classes), overlap(boxes.detach(), wanted)


def _entropy(head: Yolo, x: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, with `focal_loss=1` weighted by YOLOv7's `FocalLoss` of γ = 1.5 and α = .25."""
    if head.new_coords:
        # Above the smallest normal number, the gradient 1/p still cancels the logistic's own.
        smallest = torch.finfo(x.dtype).tiny
        loss = -(target * x.clamp(smallest).log() + (1 - target) * (1 - x).clamp(smallest).log())
    else:
        loss = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    if not head.focal_loss:
        return loss
    probability = x if head.new_coords else x.sigmoid()
    missed = target * (1 - probability) + (1 - target) * probability
    share = target * _FOCAL_SHARE + (1 - target) * (1 - _FOCAL_SHARE)
    return loss * share * missed.clamp(0) ** _FOCUS


def _picked(head: Yolo, raw: Tensor, cells: Cells) -> Tensor:
    """What the head reads of these boxes, (P, 5 + classes), in float32 at least."""
    _, channels, height, width = raw.shape
    entries = channels // head.anchor_count
    first = (cells.image * channels + cells.anchor * entries) * height * width + cells.row * width + cells.column
    # Indexing the numbers as they lie has a gradient that lies as they do, which is twice as fast to sum up.
    place = first[:, None] + torch.arange(entries, device=raw.device) * (height * width)
    return _precise(raw.reshape(-1)[place])


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _decoded(head: Yolo, picked: Tensor, cells: Cells, grid: Grid) -> Tensor:
    """Boxes (P, 4) in pixels, as `Yolo.decode` has them."""
    centre, size = picked[:, :2], picked[:, 2:4]
    if not head.new_coords:
        centre = centre.sigmoid()
    centre = centre * head.scale_x_y - 0.5 * (head.scale_x_y - 1) + torch.stack([cells.column, cells.row], 1)
    size = (4 * size**2 if head.new_coords else size.exp()) * grid.anchors[cells.anchor]
    return torch.cat([centre * grid.cell, size], 1)
