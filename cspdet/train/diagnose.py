"""Where a training went wrong."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cspdet.errors import CspdetError
from cspdet.graph import Graph, Node
from cspdet.network import Network


class TrainingError(CspdetError):
    """A training that cannot go on: its numbers ran wild."""


def place(graph: Graph, node: Node) -> str:
    """A layer's place, for messages."""
    return f"layer {node.index} (`[{node.name}]`, {graph.source.path}:{node.section.name_span.line})"


@torch.no_grad()
def not_finite(network: Network, images: Tensor, parts: dict[str, Tensor]) -> str:
    """The first thing of a step that is no finite number: a weight, an image, a layer's output, a head's loss, a gradient."""
    graph = network.graph
    for node, name, value in _weights(network):
        if not bool(torch.isfinite(value).all()):
            return f"the weights of {place(graph, node)} are no numbers any more: `{name}`"
    if not bool(torch.isfinite(images).all()):
        return "the images are no numbers"
    found: list[str] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, out, node=node: found.append(_word(graph, node, out)))
        for node, module in zip(graph.nodes, network.layers, strict=True)
    ]
    try:
        network(images, auxiliary=True)
    finally:
        for hook in hooks:
            hook.remove()
    if any(found):
        return next(word for word in found if word)
    for name, value in parts.items():
        if name.startswith("layer") and not bool(torch.isfinite(value)):
            index = int(name.split()[1].rstrip(","))
            return f"the loss of the head at {place(graph, graph.nodes[index])} is no number"
    # The backward pass starts at the end.
    for node, name, value in reversed([*_weights(network)]):
        if value.grad is not None and not bool(torch.isfinite(value.grad).all()):
            return f"the gradient of `{name}` in {place(graph, node)} is no number"
    return "the loss or the sum of its gradients is beyond what numbers can hold, though each of them is a number"


def _weights(network: Network) -> Iterator[tuple[Node, str, Tensor]]:
    for node, module in zip(network.graph.nodes, network.layers, strict=True):
        for name, value in module.named_parameters():
            yield node, name, value


def _word(graph: Graph, node: Node, out: Tensor) -> str:
    if bool(torch.isfinite(out).all()):
        return ""
    return f"the output of {place(graph, node)} is no number"


def cure(checkpoint: str) -> str:
    """What may help."""
    return (
        "usual causes: a `learning_rate` too high or a `burn_in` too short, anchors of another data set, labels that "
        f"`cspdet data check` complains of, pretrained weights of another cfg; {checkpoint}"
    )
