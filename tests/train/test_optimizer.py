"""Darknet's update rule, what is frozen, and the averages."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cspdet.network import Network
from cspdet.train import optimizer
from cspdet.train.average import Average, DarknetAverage
from tests.train.material import graph_of, tiny, tiny_text


def gradients(network: Network, seed: int) -> None:
    torch.manual_seed(seed)
    for value in network.parameters():
        value.grad = torch.randn_like(value) if value.requires_grad else None


def test_the_update_is_darknets() -> None:
    """`update_convolutional_layer`, written out; Darknet sums over the batch, and its updates are negative gradients."""
    graph = tiny()
    network = Network(graph)
    net, batch = graph.net, 4
    made = optimizer.make(network)
    wanted = {name: value.detach().numpy().astype(np.float64) for name, value in network.named_parameters()}
    updates = {name: np.zeros_like(value) for name, value in wanted.items()}
    for step in range(1, 6):
        gradients(network, step)
        rate = 0.01 * step
        for name, value in network.named_parameters():
            assert value.grad is not None
            updates[name] -= value.grad.numpy() * batch
            if name.endswith("conv.weight"):
                updates[name] -= net.decay * batch * wanted[name]
            wanted[name] += rate / batch * updates[name]
            updates[name] *= net.momentum
        optimizer.set_rate(made, rate)
        made.step()
    for name, value in network.named_parameters():
        np.testing.assert_allclose(value.detach().numpy(), wanted[name], rtol=2e-5, atol=2e-6)


def test_adam_takes_its_options() -> None:
    made = optimizer.make(Network(tiny(net="adam=1\nB1=.8\nB2=.99\neps=.001")))
    assert isinstance(made, torch.optim.Adam)
    assert made.defaults["betas"] == (0.8, 0.99)
    assert made.defaults["eps"] == 0.001


def test_only_weights_decay() -> None:
    network = Network(tiny())
    decaying = {each.name for each in optimizer.parameters(network) if each.decays}
    assert decaying == {"layers.0.conv.weight", "layers.1.conv.weight", "layers.2.conv.weight"}


@pytest.mark.parametrize(
    ("option", "still"),
    [
        ("", set()),
        ("dont_update=5", {0}),
        ("dont_update=4", set()),
        ("onlyforward=1", {0}),
        ("train_only_bn=1", {0}),
        ("burnin_update=1", set()),
        ("burnin_update=2", {0}),
        ("stopbackward=1", {0}),
        ("stopbackward=6", {0}),
        ("stopbackward=5", set()),
    ],
)
def test_frozen_layers(option: str, still: set[int]) -> None:
    network = Network(tiny(first=option))
    assert optimizer.frozen(network.graph, 5) == still
    optimizer.freeze(network, 5)
    assert {index for index in (0, 1, 2) if not network.layers[index].conv.weight.requires_grad} == still  # type: ignore[union-attr]


def test_stopbackward_ends_at_its_step() -> None:
    network = Network(tiny(first="stopbackward=6"))
    assert [optimizer.freeze(network, step) for step in (1, 2, 5, 6, 7)] == [True, False, False, True, False]


def test_layers_that_nothing_needs_are_frozen() -> None:
    text = tiny_text().replace("[yolo]", "[route]\nlayers=-2\n[convolutional]\nfilters=3\n[route]\nlayers=-3\n[yolo]")
    assert optimizer.frozen(graph_of(text), 5) == {4}


def test_the_rate_of_a_layer() -> None:
    network = Network(tiny(first="learning_rate=.5"))
    made = optimizer.make(network)
    optimizer.set_rate(made, 0.1)
    rates = {id(value): group["lr"] for group in made.param_groups for value in group["params"]}
    assert rates[id(network.layers[0].conv.weight)] == pytest.approx(0.05)  # type: ignore[union-attr]
    assert rates[id(network.layers[1].conv.weight)] == pytest.approx(0.1)  # type: ignore[union-attr]


def test_clip_keeps_weights_small() -> None:
    network = Network(tiny(first="clip=.01"))
    optimizer.clip(network)
    assert float(network.layers[0].conv.weight.detach().abs().max()) == pytest.approx(0.01)  # type: ignore[union-attr]
    assert float(network.layers[1].conv.weight.detach().abs().max()) > 0.05  # type: ignore[union-attr]


def step(network: Network, amount: float) -> None:
    with torch.no_grad():
        for value in network.parameters():
            value.add_(amount)
        network.layers[0].norm.running_mean.add_(amount)  # type: ignore[union-attr]


def test_the_average_warms_up() -> None:
    network = Network(tiny())
    average = Average(network, 0.999)
    key = "layers.0.norm.running_mean"
    wanted = float(network.state_dict()[key][0])
    for number in range(1, 30):
        step(network, 0.1)
        average.update(network)
        kept = 0.999 * (1 - math.exp(-number / 2000))
        wanted = kept * wanted + (1 - kept) * float(network.state_dict()[key][0])
    assert float(average.state[key][0]) == pytest.approx(wanted, rel=1e-4)


def test_darknets_average() -> None:
    """It starts at half of the steps, and takes the weights' place a thousand steps before the end."""
    network = Network(tiny(net="ema_alpha=.99", steps=6000))
    average = DarknetAverage(network, network.graph)
    assert (average.start, average.end) == (3000, 5000)
    key = "layers.0.norm.weight"
    untouched = float(average.state[key][0])
    for iteration in range(2990, 3000):
        step(network, 0.001)
        average.follow(network, iteration)
    assert float(average.state[key][0]) == untouched
    wanted = 0.0
    for iteration in range(3000, 5000):
        step(network, 0.001)
        weight = float(network.state_dict()[key][0])
        wanted = weight if iteration == 3000 else 0.99 * wanted + 0.01 * weight
        average.follow(network, iteration)
    assert float(average.state[key][0]) == pytest.approx(wanted, rel=1e-4)
    mean = network.state_dict()["layers.0.norm.running_mean"].clone()
    average.follow(network, 5000)
    assert torch.equal(network.state_dict()[key], average.state[key])
    assert torch.equal(network.state_dict()["layers.0.norm.running_mean"], mean)
    step(network, 0.001)
    average.follow(network, 5001)
    assert float(average.state[key][0]) == pytest.approx(wanted, rel=1e-4)
