"""Live memory, against the memory that PyTorch's tensors hold while a network runs."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from cspdet.analysis.activations import activations
from cspdet.cfg.source import Source
from cspdet.graph import Graph
from cspdet.models import find
from cspdet.network import Network
from cspdet.rules import load
from tests.analysis.nets import Net, densenet40
from tests.analysis.random_nets import graphs
from tests.layers.examples import EXAMPLES, Example
from tests.layers.test_every_layer import inputs_of, module_of
from tests.test_auxiliary_heads import WITH_AUXILIARY


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """In the order in which networks run."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def measured(graph: Graph, batch: int) -> dict[int, int]:
    """Bytes of all storages that hold the input or an output, after each layer has run."""
    network = Network(graph)
    alive: list[weakref.ref[torch.Tensor]] = []
    found = {}

    def watch(index: int) -> Any:
        def hook(_: Any, __: Any, out: torch.Tensor) -> None:
            alive.append(weakref.ref(out))
            tensors = [x, *(tensor for ref in alive if (tensor := ref()) is not None)]
            storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
            found[index] = sum(storages.values())

        return hook

    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(watch(index))
    x = channels_last(torch.rand(batch, *graph.input.dimensions))
    with torch.inference_mode():
        network(x)
    return found


@given(graphs(width=24, height=16))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_networks(graph: Graph) -> None:
    found = activations(graph, 2)
    assert found.alive == measured(graph, 2)
    sizes = [node.output.size for node in graph.nodes if node.index in found.alive and not node.layer.passes_on(*node.inputs)]
    assert 4 * 2 * max(sizes, default=0) <= found.peak <= found.kept
    assert {index: 2 * each for index, each in activations(graph).alive.items()} == found.alive


def test_a_whole_model() -> None:
    graph, _ = load(Source.read(find("yolov4-tiny").cfg), width=64, height=64)
    found = activations(graph, 3)
    assert found.alive == measured(graph, 3)
    # Heads read what the network returns.
    assert {*range(38)} - {*found.alive} == {30, 37}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_layer_says_whether_it_takes_memory(example: Example) -> None:
    inputs = [channels_last(each) for each in inputs_of(example)]
    with torch.inference_mode():
        out = module_of(example)(*inputs)
    shared = out.untyped_storage().data_ptr() == inputs[0].untyped_storage().data_ptr()
    layer = example.make()
    if layer.is_head:
        assert not layer.passes_on(*example.inputs)  # they do not run
    else:
        assert layer.passes_on(*example.inputs) == shared


def test_by_hand() -> None:
    """Each map has 256 pixels; the route lies in layer 0, which stays until the sum is made."""
    net = Net(16, channels=1)
    net.conv(3, 4)
    net.conv(3, 2)
    net.add("route", layers=0, groups=2, group_id=1)
    net.add("shortcut", from_=1)
    net.conv(1, 1)
    found = activations(net.graph())
    assert found.alive == {index: 1024 * maps for index, maps in enumerate((5, 7, 7, 9, 4))}
    assert found.peak == 1024 * 9
    assert found.kept == 1024 * (1 + 4 + 2 + 2 + 1)


def test_a_chain_holds_two_outputs() -> None:
    net = Net(8, channels=1)
    for _ in range(5):
        net.conv(3, 2)
    assert {*activations(net.graph()).alive.values()} == {4 * 64 * 3, 4 * 64 * 5}


def test_training_keeps_what_auxiliary_heads_read() -> None:
    graph, _ = load(Source("aux.cfg", WITH_AUXILIARY))
    kept = {node.index: node for node in graph.needed(graph.outputs + graph.auxiliary_outputs)}
    run = {node.index for node in graph.needed(graph.outputs)}
    assert run < kept.keys()
    assert {*activations(graph).alive} == run
    own = [node.output.size for node in kept.values() if node.name == "convolutional"]
    assert activations(graph).kept == 4 * (graph.input.size + sum(own))


def test_dense_blocks_cost_memory() -> None:
    """DenseNet-40 runs in the memory of two concatenations, but training keeps all of them."""
    graph = densenet40().graph()
    found, largest = activations(graph), max(node.output.size for node in graph.nodes)
    assert found.peak < 4 * 2.1 * largest
    assert found.kept > 8 * found.peak
