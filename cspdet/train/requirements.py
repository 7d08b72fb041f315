"""What must hold before a network is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.layers.base import Shape
from cspdet.layers.recurrent import Recurrent
from cspdet.rules import examine
from cspdet.train import diagnose

# Steps whose sizes are looked at.
_LOOKED_AT = 5000


def check_recipe(graph: Graph) -> None:
    """See that [net] describes a training, of a network that can be trained.

    Raises:
        UsageError: it does not.
    """
    net = graph.net
    if net.max_batches < 1:
        message = f"`max_batches` of `{graph.source.path}` is {'absent' if 'max_batches' not in net.given else net.max_batches}"
        raise UsageError(message, "write into `[net]` how many steps to train")
    if net.learning_rate < 0 or net.momentum < 0 or net.decay < 0:
        raise UsageError(f"`learning_rate`, `momentum` or `decay` of `{graph.source.path}` is below 0", "see `[net]`")
    if graph.input.channels not in (1, 3):
        message = f"the network reads {graph.input.channels} channels; training reads pictures of 1 or 3"
        raise UsageError(message, "set `channels=3`")
    for node in graph.nodes:
        if isinstance(node.layer, Recurrent):
            message = f"{diagnose.place(graph, node)} keeps a state from picture to picture"
            raise UsageError(f"{message}, which cannot be trained here", "train networks without recurrent sections")


def check_shares(mini_batch: int, processes: int) -> None:
    """See that every process gets as many images of a mini-batch.

    Raises:
        UsageError: it does not.
    """
    if mini_batch % processes:
        message = f"a mini-batch of {mini_batch} images does not divide among {processes} processes"
        raise UsageError(message, "choose `batch` and `subdivisions` so that batch / subdivisions / processes is whole")


def check_steps_left(graph: Graph, batch: int, seen: int) -> None:
    """See that weights which have seen so many images have steps before them.

    Raises:
        UsageError: they have not.
    """
    if seen // batch >= graph.net.max_batches:
        message = f"these weights have seen {seen:,} images, which are {seen // batch:,} steps of {batch}"
        message = f"{message}; `max_batches={graph.net.max_batches}` is reached"
        raise UsageError(message, "give `-clear` to count from 0")


def check_sizes(graph: Graph, size: Callable[[int], Shape]) -> None:
    """See that the network can be run at every size that multi-scale training has, of a step by its number.

    Raises:
        UsageError: it cannot.
    """
    blocks = range(1, min(graph.net.max_batches, _LOOKED_AT) + 1, 10)
    for each in sorted({size(iteration) for iteration in (*blocks, graph.net.max_batches)} - {graph.input}):
        runs, diagnostics = examine(graph.source, graph.dialect, width=each.width, height=each.height)
        if runs is None:
            first = next(found for found in diagnostics if found.severity == "error")
            message = f"`{graph.source.path}` asks for other sizes by `random`, but cannot be run at {each.width}x{each.height}"
            raise UsageError(f"{message}: {first.message}", "set `resize_step=64` (128, …) in `[net]`, or `random=0`")


def check_trained(graph: Graph, parameters: Sequence[nn.Parameter]) -> None:
    """See that anything is trained.

    Raises:
        UsageError: nothing is.
    """
    if not any(value.requires_grad for value in parameters):
        message = "no layer is trained: all are frozen by `stopbackward`, `dont_update`, `onlyforward` or `train_only_bn`"
        raise UsageError(f"`{graph.source.path}`: {message}", "leave a layer before a head that is trained")
