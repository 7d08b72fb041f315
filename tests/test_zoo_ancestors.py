"""The ancestors among the cfgs that ship: layer for layer the public cfgs of the same networks, and as many parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cspdet
from cspdet.cfg.source import Source
from cspdet.graph import Graph, Node
from cspdet.layers.convolutional import Convolutional
from cspdet.rules import load
from tests.conftest import ROOT

_FOLDER = ROOT / "cfg" / "ancestors"
# Values of variables that make Darknet's form of a residual network out of the paper's.
_DARKNETS = {"projection": "0", "activation": "leaky", "pool": "2"}


def network(name: str, settings: dict[str, str] | None = None, **size: int) -> Graph:
    graph, _ = load(Source.read(_FOLDER / f"{name}.cfg").set(settings or {}), **size)
    return graph


# -- public cfgs ------------------------------------------------------------------------------------------------------


def row(node: Node) -> tuple[object, ...]:
    """What the layer is, whatever stands before it."""
    layer = node.layer
    options = [getattr(layer, name, None) for name in ("normalized", "activation", "total_padding")]
    reads = tuple(source - node.index for source in node.sources)
    return layer.names[0], *layer.columns(), *options, reads, node.output, node.operations, node.parameters


def rows(graph: Graph, leave_out: tuple[str, ...]) -> list[tuple[object, ...]]:
    return [row(node) for node in graph.nodes if node.layer.names[0] not in leave_out]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "settings", "public"),
    [
        ("alexnet", {"groups": "1", "response": "0"}, "AlexeyAB__darknet__alexnet"),
        ("darknet19", {}, "AlexeyAB__darknet__darknet19"),
        ("darknet53", {}, "AlexeyAB__darknet__darknet53"),
        ("darknet53", {}, "WongKinYiu__CrossStagePartialNetworks__darknet53"),
        ("darknet53", {"activation": "relu"}, "WongKinYiu__CrossStagePartialNetworks__darknet53-relu"),
        ("darknet-reference", {}, "pjreddie__darknet__darknet"),
        ("densenet201-darknet", {}, "pjreddie__darknet__densenet201"),
        ("densenet201-darknet", {"activation": "swish"}, "WongKinYiu__CrossStagePartialNetworks__densenet201-swish"),
        ("efficientnet-b0-darknet", {}, "AlexeyAB__darknet__efficientnet_b0"),
        ("efficientnet-b0-darknet", {}, "WongKinYiu__CrossStagePartialNetworks__enetb0"),
        ("mobilenetv2-darknet", {}, "WongKinYiu__CrossStagePartialNetworks__mobilenet-v2"),
        ("resnet18", _DARKNETS, "pjreddie__darknet__resnet18"),
        ("resnet50", _DARKNETS, "pjreddie__darknet__resnet50"),
        ("resnet50-darknet", {}, "pjreddie__darknet__resnet50"),
        ("resnet50-darknet", {}, "WongKinYiu__CrossStagePartialNetworks__resnet50-leaky"),
        ("resnet50-darknet", {"activation": "mish"}, "WongKinYiu__CrossStagePartialNetworks__resnet50-mish"),
        ("resnext50-darknet", {}, "WongKinYiu__CrossStagePartialNetworks__resnext50-leaky"),
        ("vgg16", {}, "pjreddie__darknet__vgg-16"),
    ],
)
def test_layers_are_those_of_public_cfgs(name: str, settings: dict[str, str], public: str, reference: Path) -> None:
    """All but the loss, and a layer that crops the picture."""
    there, _ = load(Source.read(reference / "corpus" / f"{public}.cfg"))
    first = next(node for node in there.nodes if node.layer.names[0] != "crop").inputs[0]
    here = network(name, settings, width=first.width, height=first.height)
    assert rows(here, ()) == rows(there, ("crop", "cost"))


@pytest.mark.reference
def test_the_public_resnet101_takes_the_mean_last(reference: Path) -> None:
    """The 1x1 convolution stands before the mean of all pixels there, behind it here."""
    there, _ = load(Source.read(reference / "corpus" / "pjreddie__darknet__resnet101.cfg"))
    here = network("resnet101", _DARKNETS, width=there.input.width, height=there.input.height)
    ours, theirs = rows(here, ()), rows(there, ("cost",))
    assert ours[:-3] == theirs[:-3]
    assert [each[0] for each in theirs[-3:]] == ["convolutional", "avgpool", "softmax"]
    assert [each[0] for each in ours[-3:]] == ["avgpool", "convolutional", "softmax"]


# -- published counts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("densenet40", 1_019_722),
        ("densenet121", 7_978_856),
        ("densenet201", 20_013_928),
        ("resnet50-preact", 25_549_352),
        ("wide-resnet28-10", 36_479_194),
    ],
)
def test_parameters_without_the_biases_that_only_darknet_has(name: str, published: int) -> None:
    """A convolution without batch normalisation always has a bias in Darknet; elsewhere, only the classifier does."""
    graph = network(name)
    bare = [layer.filters for layer in graph.layers[:-2] if isinstance(layer, Convolutional) and not layer.normalized]
    roles = ("weights", "biases", "scales")
    learnt = sum(array.size for node in graph.nodes for array in node.arrays.values() if array.role in roles)
    assert learnt - sum(bare) == published


# -- segmentation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dilated-small", "segnet-small"])
def test_each_pixel_gets_probabilities(name: str) -> None:
    graph = network(name, width=96, height=64)
    with torch.inference_mode():
        (probabilities,) = cspdet.Network(graph).eval()(torch.rand(2, 3, 64, 96))
    assert probabilities.shape == (2, 11, 64, 96)
    assert bool((probabilities >= 0).all())
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 64, 96), atol=1e-3)


def test_a_pixel_of_dilated_small_depends_on_67x67_places() -> None:
    """Which are four pixels apart, and see 7x7 pixels each. With weights above 0, no part of the gradient is lost."""
    side, middle = 288, 144
    net = cspdet.Network(network("dilated-small", width=side, height=side)).eval()
    with torch.no_grad():
        for each in net.parameters():
            each.fill_(0.01)
        last = [each for each in net.parameters() if each.dim() == 4][-1]
        last.copy_(torch.arange(11.0)[:, None, None, None].expand_as(last) / 100)
    picture = torch.rand(1, 3, side, side, requires_grad=True)
    (probabilities,) = net(picture)
    probabilities[0, 0, middle, middle].backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == 66 * 4 + 7
