"""The forms that convolutions are trained in: what they start as, what they may be, and what is left of them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import cspdet
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, Dialect
from cspdet.cfg.source import Source
from cspdet.detector import Detector
from cspdet.network import Network
from cspdet.rules import load
from cspdet.train.reparameterize import ImplicitConvolution, RepConvolution, expand, folded_state, has_identity
from tests.test_rules import conv, section


def rep(filters: int = 6, **options: object) -> str:
    return conv(**{"filters": filters, "size": 3, "pad": 1, "batch_normalize": 1, "activation": "swish", "rep": 1, **options})


def shortcut(source: object) -> str:
    return section("shortcut", from_=source, activation="linear")


def route(*layers: int) -> str:
    return section("route", layers=",".join(map(str, layers)))


PLAIN = {
    "one": rep(),
    "identity": rep(4),
    "stride": rep(stride=2),
    "groups": rep(8, groups=2) + rep(8, groups=4),
    "depthwise": rep(4, groups=4),
    "dilation": rep(4, dilation=2),
    "large": rep(4, size=5),
    "wide": rep(4, size=1, size_x=5) + rep(4, size_y=7),
    "blur": rep(4, antialiasing=1, stride=2),
    "bias": rep(4, batch_normalize=0),
    "residual": rep(4) + rep(4) + shortcut(-2),
    "implicit": conv(filters=6, implicit=1),
    "implicit groups": conv(filters=6, groups=2, implicit=1, activation="logistic"),
    "implicit stride": conv(filters=5, stride=2, implicit=1),
    "both": rep(4) + rep(8, stride=2) + conv(filters=14, activation="logistic", implicit=1),
}


def network_of(sections: str, dialect: Dialect = ALEXEYAB, seed: int = 0, channels: int = 4) -> Network:
    """A network whose arrays, statistics included, are anything."""
    text = section("net", width=12, height=10, channels=channels) + sections
    network = Network(load(Source("made.cfg", text), dialect)[0])
    randomise(network, seed)
    return network


def randomise(network: Network, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.3 if name.endswith(("running_var", "factor")) else -1, 1.5, generator=generator)


def images(network: Network, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, *network.graph.input.dimensions, generator=torch.Generator().manual_seed(7))


def plain_of(network: Network) -> Network:
    plain = Network(network.graph)
    plain.load_state_dict(folded_state(network))
    return plain


def forms(network: Network) -> Iterator[RepConvolution | ImplicitConvolution]:
    for module in network.modules():
        if isinstance(module, RepConvolution | ImplicitConvolution):
            yield module


# A strict program refuses the options.
LENIENT = {name: dialect for name, dialect in DIALECTS.items() if not dialect.strict}


@pytest.mark.parametrize("dialect", LENIENT.values(), ids=LENIENT)
@pytest.mark.parametrize("sections", PLAIN.values(), ids=PLAIN)
def test_folded_is_expanded(sections: str, dialect: Dialect) -> None:
    """Whatever the branches' numbers are."""
    network = network_of(sections, dialect)
    expand(network)
    assert [*forms(network)]
    randomise(network, 1)
    x = images(network)
    with torch.no_grad():
        expected, found = network(x)[0], plain_of(network)(x)[0]
    assert expected.std() > 0.05
    assert (found - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())


@pytest.mark.parametrize("dialect", LENIENT.values(), ids=LENIENT)
@pytest.mark.parametrize("sections", PLAIN.values(), ids=PLAIN)
def test_folding_is_exact(sections: str, dialect: Dialect) -> None:
    """In float64 there is no more than rounding between the two; and what is float32 has been rounded once."""
    network = network_of(sections, dialect)
    expand(network)
    randomise(network, 1)
    single, double = folded_state(network), folded_state(network.double())
    assert all(torch.equal(value, double[name].to(value.dtype)) for name, value in single.items())
    plain = Network(network.graph).double()
    plain.load_state_dict(double)
    x = images(network).double()
    with torch.no_grad():
        assert torch.allclose(network(x)[0], plain(x)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_expanded_starts_as_plain(name: str, training: bool) -> None:
    """Also in training, but for a bias, which becomes a normalisation's."""
    network = network_of(PLAIN[name]).double().train(training)
    twin = copy.deepcopy(network)
    expand(twin)
    assert all(module.training == training for module in twin.modules())
    x = images(network).double()
    expected, found = network(x)[0], twin(x)[0]
    same = torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert same == (name != "bias" or not training)


@pytest.mark.parametrize("sections", PLAIN.values(), ids=PLAIN)
def test_folded_state_is_that_of_a_plain_network_and_changes_nothing(sections: str) -> None:
    network = network_of(sections)
    plain = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
    expand(network)
    before = copy.deepcopy(network.state_dict())
    assert {*before} != {*plain}
    state = folded_state(network)
    assert {name: (value.shape, value.dtype) for name, value in state.items()} == plain
    assert [*state] == [*Network(network.graph).state_dict()]
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(value.requires_grad for value in state.values())


def test_a_network_without_forms_is_left_alone() -> None:
    network = network_of(conv(filters=4, size=3, batch_normalize=1) + conv(filters=3))
    before = network.state_dict()
    expand(network)
    state = folded_state(network)
    assert {*state} == {*before}
    assert all(torch.equal(state[name], value) for name, value in before.items())


def test_expanding_twice_changes_nothing_more() -> None:
    network = network_of(PLAIN["both"])
    expand(network)
    before = copy.deepcopy(network.state_dict())
    expand(network, seed=1)
    assert {*network.state_dict()} == {*before}
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_branches_depend_on_the_seed_alone() -> None:
    states = []
    for seed in (3, 3, 4):
        network = network_of(PLAIN["both"])
        expand(network, seed)
        states.append(network.state_dict())
    first, again, other = states
    assert all(torch.equal(again[name], value) for name, value in first.items())
    for name in ("layers.0.conv.pixel.weight", "layers.2.conv.added", "layers.2.conv.factor"):
        assert not torch.equal(first[name], other[name])


def test_implicit_knowledge_starts_as_yolov7s() -> None:
    network = network_of(conv(filters=3000, implicit=1), channels=3000)
    expand(network)
    state = network.state_dict()
    added, factor = state["layers.0.conv.added"], state["layers.0.conv.factor"]
    assert (added.mean().abs() < 0.002, 0.018 < added.std() < 0.022) == (True, True)
    assert ((factor.mean() - 1).abs() < 0.002, 0.018 < factor.std() < 0.022) == (True, True)


def test_implicit_knowledge_is_added_before_and_multiplied_behind() -> None:
    """With its gradients: the module computes with the folded convolution instead."""
    network = network_of(PLAIN["implicit groups"].replace("logistic", "linear"))
    expand(network)
    randomise(network, 2)
    (form,) = forms(network)
    assert isinstance(form, ImplicitConvolution)
    x = images(network)
    expected = form.factor.view(1, -1, 1, 1) * form.conv(x + form.added.view(1, -1, 1, 1))
    found = network(x)[0]
    assert torch.allclose(found, expected, atol=1e-5)
    gradients = [torch.autograd.grad(each.sin().sum(), [*form.parameters()]) for each in (found, expected)]
    assert len(gradients[0]) == 4
    assert all(torch.allclose(one, two, rtol=1e-4, atol=1e-4) for one, two in zip(*gradients, strict=True))


def test_the_identity_alone_is_the_input_normalised() -> None:
    network = network_of(rep(4, activation="linear"))
    expand(network)
    (form,) = forms(network)
    assert isinstance(form, RepConvolution)
    for norm in (form.norm, form.pixel_norm):
        norm.weight.data.zero_()
        norm.bias.data.zero_()
    form.identity_norm.weight.data.fill_(2)
    x = images(network)
    with torch.no_grad():
        for found in (network(x)[0], plain_of(network)(x)[0]):
            assert torch.allclose(found, 2 * x / (1 + ALEXEYAB.epsilon) ** 0.5, atol=1e-6)


# Sections, the number of a convolution in them, and whether it has its input as a branch. Four channels come in.
PLANS = [
    (rep(4), 0, True),
    (rep(6), 0, False),  # other channels
    (rep(4, stride=2), 0, False),
    (rep(4, stride_x=1, stride_y=2), 0, False),
    (rep(4, stride_x=2, stride_y=1), 0, False),
    (rep(4, groups=2), 0, True),
    (rep(4) + conv(filters=3), 0, True),
    # A residual: of the whole block, and of its last layer.
    (conv(filters=4) + rep(4) + shortcut(-2), 1, False),
    (conv(filters=4) + rep(4) + conv(filters=4) + shortcut(-3), 1, False),
    (conv(filters=4) + conv(filters=4) + rep(4) + shortcut(-3), 2, False),
    # Read again further on, but by what does not depend on the convolution.
    (conv(filters=4) + rep(4) + route(0) + conv(filters=4) + shortcut(0) + route(1), 1, True),
    # Between the ends of a residual, but neither its input nor its output.
    (conv(filters=4) + conv(filters=4) + rep(4) + conv(filters=4) + shortcut(0), 2, True),
    # A concatenation, of all or a part, and as an efficient layer aggregation has it: each second layer.
    (conv(filters=4) + rep(4) + route(-1, -2), 1, False),
    (conv(filters=4) + rep(4) + section("route", layers=-1, groups=2, group_id=1) + route(-1, 0), 1, False),
    (conv(filters=4) + rep(4) + route(1) + shortcut(0), 1, False),
    (conv(filters=4) + rep(4) + conv(filters=4) + route(-1, 0), 1, True),
    (conv(filters=4) + rep(4) + conv(filters=4) + route(-1, -2), 1, False),
    # A route of one layer joins nothing.
    (conv(filters=4) + rep(4) + route(1) + conv(filters=4), 1, True),
]


@pytest.mark.parametrize(("sections", "index", "expected"), PLANS, ids=[str(number) for number in range(len(PLANS))])
def test_plan(sections: str, index: int, expected: bool) -> None:
    network = network_of(sections)
    graph = network.graph
    assert has_identity(graph, graph.nodes[index]) == expected
    expand(network)
    (form,) = forms(network)
    assert isinstance(form, RepConvolution)
    assert (form.identity_norm is not None) == expected


def train(network: nn.Module, x: torch.Tensor, steps: int = 4) -> None:
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    network.train()
    for _ in range(steps):
        optimiser.zero_grad()
        network(x)[0].sub(0.3).square().mean().backward()
        optimiser.step()
    network.eval()


def test_training_moves_every_branch_and_folds() -> None:
    network = network_of(PLAIN["both"])
    expand(network)
    before = copy.deepcopy(network.state_dict())
    x = images(network, 8)
    train(network, x)
    for name, value in network.state_dict().items():
        assert not torch.equal(value, before[name]), name
    with torch.no_grad():
        assert torch.allclose(plain_of(network)(x)[0], network(x)[0], atol=1e-5)


def test_copies_have_forms_of_their_own() -> None:
    """As a running average of the weights has, of which the file is written."""
    network = network_of(PLAIN["both"])
    expand(network)
    average = copy.deepcopy(network)
    expected = folded_state(average)
    x = images(network, 8)
    train(network, x)
    assert all(torch.equal(value, expected[name]) for name, value in folded_state(average).items())
    with torch.no_grad():
        for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            mine.copy_(theirs if not mine.is_floating_point() else 0.25 * mine + 0.75 * theirs)
        assert torch.allclose(plain_of(average)(x)[0], average(x)[0], atol=1e-5)
        again = pickle.loads(pickle.dumps(average))
        assert torch.equal(again(x)[0], average(x)[0])


# PyTorch's 1x1 convolutions give gradients whose strides its own buckets do not expect; it copies them then.
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")
def test_training_in_parallel() -> None:
    network = network_of(PLAIN["both"])
    expand(network)
    alone = copy.deepcopy(network)
    x = images(network, 8)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        train(DistributedDataParallel(network), x)
    finally:
        torch.distributed.destroy_process_group()
    train(alone, x)
    expected = folded_state(alone)
    assert all(torch.allclose(value, expected[name], atol=1e-5) for name, value in folded_state(network).items())


def test_forms_run_in_lower_precision() -> None:
    network = network_of(PLAIN["both"])
    expand(network)
    x = images(network, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = network.train()(x)[0]
        half.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    assert (half - network(x)[0]).abs().max() < 0.05


def test_the_weights_file_is_an_ordinary_one(tmp_path: Path) -> None:
    """A cfg without the options reads it and computes the same."""
    network = network_of(PLAIN["both"])
    expand(network)
    x = images(network, 8)
    train(network, x)
    Detector(plain_of(network)).save_weights(tmp_path / "folded.weights")
    cfg = tmp_path / "plain.cfg"
    text = section("net", width=12, height=10, channels=4) + PLAIN["both"]
    cfg.write_text(text.replace("rep=1\n", "").replace("implicit=1\n", ""))
    plain = cspdet.load(cfg, tmp_path / "folded.weights").network
    with torch.no_grad():
        assert torch.allclose(plain(x)[0], network(x)[0], atol=1e-5)
