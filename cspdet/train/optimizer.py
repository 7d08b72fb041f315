"""What is trained, and how fast: Darknet's update rule as parameter groups of PyTorch's own optimisers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from cspdet.graph import Graph
from cspdet.layers.base import Layer
from cspdet.network import Network

# Only these decay; biases and the scales of batch normalisation do not (`update_convolutional_layer`).
_DECAYING = ("weights", "shortcut_weights")


class Trained(NamedTuple):
    """A parameter, the layer it belongs to, and whether it decays."""

    name: str
    value: nn.Parameter
    layer: Layer
    decays: bool


def parameters(network: Network) -> Iterator[Trained]:
    """All parameters of a network. Of those that a training form adds, kernels decay."""
    for node, module in zip(network.graph.nodes, network.layers, strict=True):
        arrays = node.arrays
        for name, value in module.named_parameters():
            kernel = name.endswith(".weight") and value.dim() > 1
            decays = arrays[name].role in _DECAYING if name in arrays else kernel
            yield Trained(f"layers.{node.index}.{name}", value, node.layer, decays)


def frozen(graph: Graph, iteration: int) -> set[int]:
    """The layers whose weights stay as they are in step `iteration` (`network_kernels.cu:update_network_gpu`).

    With `stopbackward=1` those up to and including the layer; with a larger number, until that step
    (`network.c:backward_network`). Unlike in Darknet, frozen weights do not decay. Their statistics of batch normalisation go
    on, as in Darknet. Layers that no output needs are frozen, too.
    """
    still = {node.index for node in graph.nodes if node.arrays} - needed(graph)
    for node in graph.nodes:
        layer = node.layer
        waits = layer.burnin_update and layer.burnin_update * graph.net.burn_in > iteration
        if layer.onlyforward or layer.train_only_bn or waits or (layer.dont_update and layer.dont_update >= iteration):
            still.add(node.index)
    stops = [node.index for node in graph.nodes if node.layer.stopbackward == 1 or node.layer.stopbackward > iteration]
    return still | set(range(max(stops, default=-1) + 1))


def thaws(graph: Graph) -> bool:
    """Whether it depends on the step what is frozen."""
    layers = [node.layer for node in graph.nodes]
    return any(layer.stopbackward > 1 or layer.burnin_update or layer.dont_update for layer in layers)


def needed(graph: Graph) -> set[int]:
    """The layers that the heads and auxiliary heads need, or the output where there are none."""
    found = {*graph.outputs, *graph.auxiliary_outputs}
    for node in reversed(graph.nodes):
        if node.index in found:
            found.update(node.sources)
            if node.shares is not None:
                found.add(node.shares)
    return found - {-1}


def freeze(network: Network, iteration: int) -> bool:
    """Let gradients reach what is trained in step `iteration`; gives whether that has changed."""
    still = frozen(network.graph, iteration)
    changed = False
    for node, module in zip(network.graph.nodes, network.layers, strict=True):
        for value in module.parameters():
            wanted = node.index not in still
            changed |= value.requires_grad != wanted
            value.requires_grad_(wanted)
    return changed


def make(network: Network) -> Optimizer:
    """The optimiser that `[net]` asks for: momentum, or Adam.

    Darknet sums gradients over the batch and divides by it in the update, which is the same as PyTorch's rule on their mean:
    updates = momentum · updates + gradient + decay · weight; weight -= rate · updates.
    """
    net = network.graph.net
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for each in parameters(network):
        groups.setdefault((each.layer.learning_rate, each.decays), []).append(each.value)
    options: list[dict[str, Any]] = [
        {"params": values, "factor": factor, "weight_decay": net.decay * decays} for (factor, decays), values in groups.items()
    ]
    if net.adam:
        return Adam(options, lr=net.learning_rate, betas=(net.B1, net.B2), eps=net.eps)
    return torch.optim.SGD(options, lr=net.learning_rate, momentum=net.momentum)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """The learning rate of every group in this step."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


@torch.no_grad()
def clip(network: Network) -> None:
    """Keep the weights of layers with `clip` within ± that (`update_convolutional_layer_gpu`)."""
    for node, module in zip(network.graph.nodes, network.layers, strict=True):
        if node.layer.clip:
            for name, value in module.named_parameters():
                if name in node.arrays and node.arrays[name].role == "weights":
                    value.clamp_(-node.layer.clip, node.layer.clip)


@torch.no_grad()
def mend(network: Network) -> None:
    """`try_fix_nan`: what is no number becomes 0, in gradients, weights and statistics (`blas_kernels.cu:fix_nan_and_inf`)."""
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    for each in (*gradients, *network.parameters(), *network.buffers()):
        if each.is_floating_point():
            each.nan_to_num_(0, 0, 0)
