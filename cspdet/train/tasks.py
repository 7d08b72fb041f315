"""The two things that networks are trained for: finding objects, and telling what a picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - its customary name
from torch import Tensor

from cspdet.data.pictures import Picture
from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.layers.base import Shape
from cspdet.train.classified import ClassRecipe, ClassSamples
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.objective import check, detection_loss
from cspdet.train.recipe import Recipe
from cspdet.train.samples import Job, Sample, Samples


class Task(Protocol):
    """What a trainer needs to know about what it trains for."""

    # The images, as they are listed.
    pictures: Sequence[Picture]
    # How far the network's size changes; see `schedule.input_size`.
    reach: float

    def samples(self, job: Job) -> Sample:
        """The sample of a job; called in worker processes."""

    def loss(self, raws: Sequence[Tensor], truth: Tensor, size: Shape, progress: Progress) -> Loss:
        """The loss of a mini-batch, summed over its images."""


class Detecting:
    """Finding objects: every head has a loss of its own, or shares one."""

    def __init__(self, graph: Graph, pictures: Sequence[Picture], seed: int) -> None:
        """Train `graph` on pictures with boxes.

        Raises:
            UsageError: a head of the network cannot be trained.
        """
        check(graph)
        self.pictures = pictures
        self.heads = graph.heads + graph.auxiliary_heads
        self.reach = float(getattr(graph.heads[-1].layer, "random", 0))
        self.samples = Samples(pictures, Recipe.of(graph, seed))

    def loss(self, raws: Sequence[Tensor], truth: Tensor, size: Shape, progress: Progress) -> Loss:
        """`truth` is (N, M, 5): class, x, y, width, height; rows of class -1 fill up."""
        return detection_loss(self.heads, raws, truth, size, progress)


class Classifying:
    """Telling what a picture shows: cross-entropy behind a [softmax] or [logistic], else squares (`cost_layer.c`)."""

    def __init__(self, graph: Graph, pictures: Sequence[Picture], names: Sequence[str], seed: int) -> None:
        """Train `graph` on pictures whose paths tell their classes.

        Raises:
            UsageError: the network's output is not one number for each class.
        """
        last = graph.nodes[graph.outputs[0]]
        if last.output.size != len(names):
            message = f"`{graph.source.path}` ends in {last.output} outputs, but there are {len(names)} classes"
            raise UsageError(message, f"set `filters` or `output` before the end to {len(names)}")
        self.pictures = pictures
        self.kind = last.layer.names[0]
        self.reach = 1.4 if graph.net.random else 0.0
        self.samples = ClassSamples(pictures, ClassRecipe.of(graph, seed), names)

    def loss(self, raws: Sequence[Tensor], truth: Tensor, size: Shape, progress: Progress) -> Loss:
        """`truth` is (N, classes), the share of each class."""
        output = raws[0].flatten(1)
        if self.kind == "softmax":
            cost = -(truth * output.clamp_min(torch.finfo(output.dtype).tiny).log()).sum()
        elif self.kind == "logistic":
            cost = F.binary_cross_entropy(output, truth, reduction="sum")
        else:
            # The gradient that `cost_layer.c` sends back is the difference itself.
            cost = 0.5 * (output - truth).square().sum()
        right = (output.detach().argmax(1) == truth.argmax(1)).sum()
        return Loss(cost, cost.detach(), {"classes": cost.detach(), "right": right})
