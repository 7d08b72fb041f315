"""What a whole network is trained towards: the sum of its heads' losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cspdet.errors import UsageError
from cspdet.graph import Graph, Node
from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo
from cspdet.train.losses import LOSSES
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.losses.simota import simota_loss

# YOLOv7 multiplies its mean losses by the batch and does not divide in the update; its learning rates and decays are those of
# batches of 64. With this factor they mean the same here, whatever the batch.
_NOMINAL_BATCH = 64


def check(graph: Graph) -> None:
    """See that there is a loss for every head.

    Raises:
        UsageError: the network has no head, or one that cannot be trained.
    """
    if not graph.heads:
        raise UsageError(f"`{graph.source.path}` has no detection head to train", "end it in `[yolo]` sections")
    for node in (*graph.heads, *graph.auxiliary_heads):
        if type(node.layer) not in LOSSES:
            line = node.section.name_span.line
            known = ", ".join(f"`[{kind.names[0]}]`" for kind in LOSSES)
            raise UsageError(f"{graph.source.path}:{line}: `[{node.name}]` cannot be trained", f"what can: {known}")


def detection_loss(heads: Sequence[Node], raws: Sequence[Tensor], truth: Tensor, network: Shape, progress: Progress) -> Loss:
    """The loss of a detector, summed over the batch.

    `raws` are what the heads read, `truth` (N, M, 5) class, x, y, width, height, filled up with rows of class -1. `parts` has
    the sums of all heads by name, and for each head its cost, named `layer N`.

    Heads with `assigner=simota` are trained together, as they share their candidates; all others by themselves.
    """
    losses: list[Loss] = []
    by_head: dict[str, Tensor] = {}
    joint = [index for index, node in enumerate(heads) if isinstance(node.layer, Yolo) and node.layer.assigner == "simota"]
    for index, (node, raw) in enumerate(zip(heads, raws, strict=True)):
        if index not in joint:
            losses.append(LOSSES[type(node.layer)](node.layer, raw, truth, network, progress))
            by_head[f"layer {node.index}"] = losses[-1].cost.detach()
    if joint:
        layers = [heads[index].layer for index in joint]
        found = simota_loss(layers, [raws[index] for index in joint], truth, network, progress)  # type: ignore[arg-type]
        losses.append(found._replace(total=_NOMINAL_BATCH * found.total))
        by_head["layers " + ", ".join(str(heads[index].index) for index in joint)] = losses[-1].cost.detach()
    total = torch.stack([loss.total for loss in losses]).sum()
    # Darknet prints the mean of the heads' costs (`network.c:get_network_cost`).
    cost = torch.stack([loss.cost.detach() for loss in losses]).sum() / max(1, len(heads) - len(joint) + bool(joint))
    names = {name: None for loss in losses for name in loss.parts}
    zero = torch.zeros((), device=total.device)
    parts = {name: torch.stack([loss.parts.get(name, zero).float() for loss in losses]).sum() for name in names}
    return Loss(total, cost, parts | by_head)
