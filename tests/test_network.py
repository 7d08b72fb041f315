"""The network as a PyTorch module."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

import cspdet
from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.errors import CfgError
from cspdet.models import known
from cspdet.network import Network
from cspdet.rules import load
from tests.conftest import ROOT

# The models that there are weights for.
TRAINED = [model.cfg for name, model in known().items() if model.official or name.startswith("cspdet")]

CSP = """
[net]
width=64
height=32
channels=3
[convolutional]
filters=8
size=3
pad=1
stride=2
batch_normalize=1
activation=mish
[partial_split]
ratio=.25
[partial_split]
ratio=.25
part=1
from=-2
[convolutional]
filters=6
size=3
pad=1
batch_normalize=1
activation=leaky
[shortcut]
from=-2
activation=linear
[route]
layers=-1,1
[maxpool]
size=2
stride=2
[convolutional]
filters=14
activation=linear
[yolo]
classes=2
num=2
anchors=4,4,8,8
"""
SHARING = """
[net]
width=16
height=16
channels=4
[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
activation=leaky
[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
share_index=0
activation=mish
"""

RECURRENT = """
[net]
inputs=6
[gru]
output=5
[lstm]
output=4
[rnn]
output=3
hidden=4
[softmax]
"""

OWN = """
[net]
width=20
height=12
channels=3
[convolutional]
filters=8
size=1
size_x=7
pad=1
batch_normalize=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=8
size_y=3
pad=1
groups=4
batch_normalize=1
activation=leaky
[shuffle]
groups=4
[maxunpool]
from=1
[convolutional]
filters=8
size=3
stride=2
batch_normalize=1
activation=leaky
[deconvolutional]
filters=8
size=3
stride=2
groups=8
output_padding=1
batch_normalize=1
activation=leaky
[upsample]
stride=2
mode=bilinear
[upsample]
stride=2
mode=nails
[convolutional]
filters=3
size=4
stride=4
activation=linear
"""

CFGS = {"csp": CSP, "sharing": SHARING, "recurrent": RECURRENT, "own": OWN}


def make(text: str, seed: int = 0, **size: int) -> Network:
    graph, _ = load(Source("made.cfg", text), **size)
    network = Network(graph, seed=seed)
    for name, value in network.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
    return network


def picture(network: Network, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, *network.graph.input.dimensions, generator=torch.Generator().manual_seed(5))


def same(one: list[torch.Tensor], two: list[torch.Tensor], tolerance: float = 0.0) -> bool:
    return len(one) == len(two) and all(torch.allclose(a, b, atol=tolerance, rtol=0) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("text", CFGS.values(), ids=CFGS)
def test_copies_compute_the_same(text: str) -> None:
    network = make(text)
    x = picture(network)
    with torch.inference_mode():
        expected = network(x)
        for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), _through_a_file(network)):
            twin.reset()
            assert same(twin(x), expected)


def _through_a_file(network: Network) -> Network:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    twin = make_like(network)
    twin.load_state_dict(torch.load(buffer, weights_only=True))
    return twin


def make_like(network: Network) -> Network:
    return Network(network.graph, seed=9)


@pytest.mark.parametrize("text", CFGS.values(), ids=CFGS)
def test_export(text: str) -> None:
    network = make(text)
    x = picture(network)
    expected = network(x)
    network.reset()
    program = torch.export.export(network, (x,))
    assert same(list(program.module()(x)), expected, 1e-6)


@pytest.mark.parametrize("text", CFGS.values(), ids=CFGS)
def test_compile_without_graph_breaks(text: str) -> None:
    network = make(text)
    x = picture(network)
    with torch.no_grad():
        expected = network(x)
        network.reset()
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        assert same(compiled(x), expected, 1e-6)


@pytest.mark.parametrize("text", [CSP, OWN], ids=["csp", "own"])
def test_trace_and_forward_agree(text: str) -> None:
    """`forward` frees, reorders and overwrites; `trace` keeps everything."""
    network = make(text)
    x = picture(network, 2)
    with torch.inference_mode():
        traced = network.trace(x)
        assert same(network(x), [traced[index] for index in network.graph.outputs], 1e-5)
        again = network.trace(x)
    assert same(traced, again)
    for node, out in zip(network.graph.nodes, traced, strict=True):
        assert out.shape == (2, *node.output.dimensions)


def test_batch_and_size_are_free() -> None:
    network = make(CSP)
    with torch.inference_mode():
        large = network(torch.rand(3, 3, 96, 128))[0]
    assert large.shape == (3, 14, 24, 32)


def test_each_image_of_a_batch_is_its_own() -> None:
    network = make(CSP)
    x = picture(network, 3)
    with torch.inference_mode():
        whole = network(x)[0]
        parts = torch.cat([network(each[None])[0] for each in x])
    assert torch.allclose(whole, parts, atol=1e-5)


def test_tensors_are_freed_after_their_last_use() -> None:
    network = make(CSP)
    alive: list[weakref.ref[torch.Tensor]] = []
    largest = 0

    def watch(_: Any, __: Any, out: torch.Tensor) -> None:
        nonlocal largest
        alive.append(weakref.ref(out))
        largest = max(largest, sum(ref() is not None for ref in alive))

    for layer in network.layers:
        layer.register_forward_hook(watch)
    with torch.inference_mode():
        network(picture(network))
    # At most four outputs are needed at one time: both parts of the split, the sum, and what is being made.
    assert len(alive) >= 8
    assert largest <= 4
    gc.collect()


def test_what_a_pooling_read_is_freed_once_its_maxima_are_put_back() -> None:
    network = make(OWN)
    alive: list[weakref.ref[torch.Tensor]] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda _layer, _inputs, out: alive.append(weakref.ref(out)))
    there: list[list[int]] = []
    for layer in network.layers:
        layer.register_forward_pre_hook(
            lambda _layer, _inputs: there.append([number for number, each in enumerate(alive) if each() is not None])
        )
    with torch.inference_mode():
        network(picture(network))
    assert there[:6] == [[], [0], [0, 1], [0, 2], [0, 3], [4]]


@pytest.mark.parametrize("text", [CSP, OWN], ids=["csp", "own"])
def test_training_reaches_every_weight(text: str) -> None:
    network = make(text).train()
    network(picture(network, 2))[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_statistics_move_by_a_tenth_as_in_darknet() -> None:
    network = make(CSP).train()
    before = network.state_dict()["layers.0.norm.running_mean"].clone()
    x = picture(network, 2)
    convolved = network.layers[0].conv(x)
    network(x)
    expected = 0.9 * before + 0.1 * convolved.mean((0, 2, 3))
    assert torch.allclose(network.state_dict()["layers.0.norm.running_mean"], expected, atol=1e-5)


def test_shared_weights_are_one() -> None:
    network = make(SHARING)
    assert not any(name.startswith("layers.1.") for name in network.state_dict())
    twin = copy.deepcopy(network)
    twin.state_dict()["layers.0.conv.weight"].zero_()
    with torch.inference_mode():
        assert not same(network.trace(picture(network)), twin.trace(picture(twin)))


def test_state_lasts_until_it_is_reset() -> None:
    network = make(RECURRENT)
    x = picture(network)
    with torch.inference_mode():
        first, second = network(x)[0], network(x)[0]
        network.reset()
        again = network(x)[0]
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    one, two, other = make(CSP, 1), make(CSP, 1), make(CSP, 2)
    key = "layers.0.conv.weight"
    assert torch.equal(one.state_dict()[key], two.state_dict()[key])
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])
    bound = (2 / 27) ** 0.5
    assert 0.9 * bound < one.state_dict()[key].abs().max() <= bound


def test_layers_are_found_by_number_and_say_what_they_are() -> None:
    network = make(CSP)
    assert "[convolutional]" in repr(network.layers[0])
    assert "filters=8" in repr(network.layers[0])
    assert isinstance(network.layers[0].conv, torch.nn.Conv2d)
    assert isinstance(network.layers[0].norm, torch.nn.BatchNorm2d)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_models_with_weights_run_in_every_dialect(path: Path, dialect: str) -> None:
    source = Source.read(path)
    if DIALECTS[dialect].strict and any("assigner" in head.layer.given for head in load(source)[0].heads):
        # That program refuses files with options of cspdet's own.
        with pytest.raises(CfgError, match="only cspdet knows"):
            load(source, DIALECTS[dialect])
        return
    graph, _ = load(source, DIALECTS[dialect], width=64, height=96)
    network = Network(graph, empty=True)
    network.load_arrays({})
    with torch.inference_mode():
        outputs = network(torch.rand(1, 3, 96, 64))
    assert [tuple(out.shape[1:]) for out in outputs] == [head.inputs[0].dimensions for head in graph.heads]


def test_peak_memory_of_yolov4_at_608() -> None:
    """At most one and a half times the weights, and the two largest outputs that live together."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux's /proc to see the peak")
    command = [sys.executable, "-m", "tests.peak_memory", "yolov4"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    peak, limit = (float(word) for word in found.stdout.split()[:2])
    assert peak <= limit, found.stdout


def test_public_names_are_there() -> None:
    for name in cspdet.__all__:
        assert getattr(cspdet, name) is not None
    assert {*cspdet.__all__} <= {*dir(cspdet)}
    with pytest.raises(AttributeError):
        cspdet.no_such_name  # noqa: B018


def test_the_sign_of_a_deviation_does_not_matter() -> None:
    """Darknet multiplies a random number of either sign by it."""
    network = Network(load(Source("made.cfg", "[net]\nwidth=4\nheight=4\nchannels=3\n[implicit]\nmean=1\nstd=-.5\n"))[0])
    (value,) = network.state_dict().values()
    assert 0.3 < value.std() < 0.7
    assert 0.8 < value.mean() < 1.2


@pytest.mark.parametrize("sections", ["[conv]\nstride_x=8\nantialiasing=1\n", "[conv]\n[conv]\nsize=3\npad=1\nstride_x=8\n"])
def test_maps_of_one_channel(sections: str) -> None:
    """PyTorch's convolution has trouble with them; see `functional.plain`."""
    network = Network(load(Source("made.cfg", "[net]\nwidth=8\nheight=3\nchannels=8\n" + sections))[0])
    x = torch.rand(2, 8, 3, 8)
    with torch.inference_mode():
        assert torch.allclose(network(x)[-1], network.trace(x)[-1])
