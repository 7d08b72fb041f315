"""The cfgs that ship: what their first lines say is true, and each runs forwards and backwards."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import cspdet
from cspdet.about import About, Figure, about, figures, measured
from cspdet.cfg.source import Source
from cspdet.errors import CfgError
from cspdet.graph import Graph, Node
from cspdet.models import known
from cspdet.plain import plain_text
from cspdet.rules import load
from tests.conftest import REFERENCE, ROOT, SHIPPED

# How long the sides of the input are where a network is run: the first of these that leaves something of its maps.
_SIDES = (64, 96)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_figures_at_the_top_are_those_of_the_network(path: Path) -> None:
    source = Source.read(path)
    found = about(source.text)
    assert found.title
    assert found.paper
    assert found.published or found.computed
    checked = figures(found)
    # None is printed in a way that is not understood, and so not checked.
    printed = re.findall(r"\b(?:weights|parameters|numbers|BFLOPs|adds)\b", f"{found.published} {found.computed}")
    assert len(checked) == len(printed)
    assert any(each.size is None for each in checked), "no count of weights, parameters or numbers"
    assert any(each.size is not None for each in checked), "no cost at a size"
    for each in checked:
        size = dict(zip(("width", "height"), each.size, strict=True)) if each.size else {}
        graph, _ = load(source, **size)
        assert measured(each, graph) == each.printed, each


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_runs_forwards_and_backwards(path: Path) -> None:
    graph = small(Source.read(path))
    network = cspdet.Network(graph)
    network.train()
    shape = graph.input
    outputs = network(torch.rand(2, shape.channels, shape.height, shape.width), auxiliary=True)
    assert all(bool(output.isfinite().all()) for output in outputs)
    sum(output.square().mean() for output in outputs).backward()  # type: ignore[union-attr]
    for name, value in network.named_parameters():
        # A sum is finite only if each number is, and quicker to have.
        assert value.grad is None or bool(value.grad.sum().isfinite()), name
    assert any(value.grad is not None and bool(value.grad.any()) for value in network.parameters())


def small(source: Source) -> Graph:
    """The network with a small input; with its own, if it runs with no other."""
    graph, _ = load(source)
    for side in _SIDES:
        sides = (min(side, graph.input.height), min(side, graph.input.width))
        height, width = (step * max(1, each // step) for each, step in zip(sides, graph.stride, strict=True))
        with suppress(CfgError):
            return load(source, width=width, height=height)[0]
    return graph


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_plain_form_is_the_same_network(path: Path) -> None:
    graph, _ = load(Source.read(path))
    plain, _ = load(Source("plain.cfg", plain_text(graph)))
    assert [(node.sources, node.output, node.operations, node.parameters) for node in plain.nodes] == [
        (node.sources, node.output, node.operations, node.parameters) for node in graph.nodes
    ]


# Public cfgs of the same networks, and the variables with which the shipped ones are these.
SAME: dict[str, tuple[str, dict[str, str]]] = {
    "csdarknet53": ("AlexeyAB__darknet__csdarknet53-omega", {"activation": "mish"}),
    "csdarknet53-omega": ("AlexeyAB__darknet__csdarknet53-omega", {}),
    "csdarknet53-elastic": ("WongKinYiu__CrossStagePartialNetworks__csdarknet53-elastic", {}),
    "csresnet50": ("WongKinYiu__CrossStagePartialNetworks__csresnet50-omega", {"activation": "mish"}),
    "csresnet50-elastic": ("WongKinYiu__CrossStagePartialNetworks__csresnet50-elastic", {}),
    "csresnext50": ("WongKinYiu__CrossStagePartialNetworks__csresnext50-gamma", {}),
    "csresnext50-elastic": ("WongKinYiu__CrossStagePartialNetworks__csresnext50-elastic", {}),
    "csresnext50-panet-spp": ("AlexeyAB__darknet__csresnext50-panet-spp", {}),
    "csmobilenet-v2": ("WongKinYiu__CrossStagePartialNetworks__csmobilenet-v2", {}),
    "yolov1": ("pjreddie__darknet__yolov1", {}),
    "yolov2": ("AlexeyAB__darknet__yolov2", {}),
    "yolov2-tiny": ("AlexeyAB__darknet__yolov2-tiny", {}),
    "yolov3": ("AlexeyAB__darknet__yolov3", {}),
    "yolov3-tiny": ("AlexeyAB__darknet__yolov3-tiny", {}),
    "yolov3-tiny-prn": ("AlexeyAB__darknet__yolov3-tiny-prn", {}),
    "yolov4": ("AlexeyAB__darknet__yolov4", {}),
    "yolov4-tiny": ("AlexeyAB__darknet__yolov4-tiny", {}),
    "yolov4-csp": ("AlexeyAB__darknet__yolov4-csp", {}),
    "yolov4x-mish": ("AlexeyAB__darknet__yolov4-csp-x-mish", {}),
    "yolov4-p5": ("AlexeyAB__darknet__yolov4-p5-frozen", {}),
    "yolov4-p6": ("AlexeyAB__darknet__yolov4-p6", {}),
    "yolov7-tiny": ("AlexeyAB__darknet__yolov7-tiny", {}),
    "yolov7": ("AlexeyAB__darknet__yolov7", {}),
    "yolov7x": ("AlexeyAB__darknet__yolov7x", {}),
}


@pytest.mark.reference
@pytest.mark.parametrize("name", SAME)
def test_it_is_the_public_network_layer_by_layer(name: str) -> None:
    public, variables = SAME[name]
    mine, _ = load(Source.read(known()[name].cfg).set(variables))
    theirs, _ = load(Source.read(REFERENCE / "corpus" / f"{public}.cfg"), width=mine.input.width, height=mine.input.height)
    for one, other in zip(mine.nodes, theirs.nodes, strict=True):
        assert row(one) == row(other)


def row(node: Node) -> tuple[object, ...]:
    """What Darknet's layer table says of a layer, what it reads, its weights, and what matters to detection of a head."""
    layer = node.layer
    counted = [name for name, option in layer.options.items() if not option.training] if layer.is_head else ["activation"]
    options = {name: getattr(layer, name, None) for name in counted}
    return (node.name, layer.columns(), node.inputs, node.output, node.sources, node.operations, node.arrays, options)


@pytest.mark.parametrize("share", [25, 75])
def test_the_share_that_passes_by_is_a_variable(share: int) -> None:
    one, _ = load(Source.read(known()[f"cspeleenet-{share}"].cfg))
    other, _ = load(Source.read(known()["cspeleenet"].cfg).set({"gamma": f"{share / 100}"}))
    assert [row(node) for node in one.nodes] == [row(node) for node in other.nodes]


@pytest.mark.parametrize("name", ["yolov7-w6", "yolov7-e6", "yolov7-e6e", "yolov7-d6"])
def test_auxiliary_heads_are_added_for_training(name: str) -> None:
    source = Source.read(known()[name].cfg)
    plain, _ = load(source)
    trained, _ = load(source.set({"auxiliary": "1"}))
    assert [row(node) for node in plain.nodes] == [row(node) for node in trained.nodes[: len(plain.nodes)]]
    assert len(trained.heads) == len(trained.auxiliary_heads) == 4
    if name == "yolov7-d6":  # as the comment at its top says
        assert measured(Figure("154.7", "parameters", millions=True), trained) == "154.7"
        assert measured(Figure("806.2", "BFLOPs", size=(1280, 1280)), trained) == "806.2"


def test_the_classes_of_classifiers_are_a_variable() -> None:
    classifiers = 0
    for path in SHIPPED:
        source = Source.read(path)
        graph, _ = load(source)
        if graph.nodes[-1].name == "softmax":
            fewer, _ = load(source.set({"classes": "7"}))
            assert fewer.nodes[-1].output.size == 7, path.stem
            classifiers += 1
    assert classifiers > 40


FAMILIES = {
    "": "cspdet-nano cspdet-nano-bccd",
    "csp": "csdarknet53 csdarknet53-omega csdarknet53-elastic csresnet50 csresnet50-elastic csresnext50 csresnext50-elastic"
    " csresnext50-panet-spp peleenet pelee-yolo pelee-prn cspeleenet cspeleenet-25 cspeleenet-75 cspeleenet-prn cspeleenet-efm"
    " cspeleenet-efm-sam csmobilenet-v2 csdensenet yolov3-tiny-prn",
    "vovnet": "vovnet27-slim vovnet27-slim-yolo vovnet39 vovnet57 vovnet99 vovnet19-v2 vovnet39-v2 vovnet57-v2 vovcsp"
    " yolov4-tiny yolov4-tiny-3l",
    "elan": "yolov7-tiny yolov7 yolov7x yolov7-w6 yolov7-e6 yolov7-e6e yolov7-d6",
    "yolo": "yolov1 yolov2 yolov2-tiny yolov3 yolov3-tiny yolov3-spp yolov4 yolov4-csp yolov4x-mish yolov4-p5 yolov4-p6",
    "ancestors": "alexnet vgg16 inception-v1 inception-v4 resnet18 resnet50 resnet50-darknet resnet50-preact resnet101"
    " resnet152 wide-resnet28-10 resnext50 resnext50-darknet densenet40 densenet121 densenet201 densenet201-darknet"
    " efficientnet-b0 efficientnet-b0-darknet mobilenetv2 mobilenetv2-darknet darknet-reference darknet19 darknet53"
    " segnet-small dilated-small",
}


def test_folders_show_the_family_tree() -> None:
    named = {name: family for family, names in FAMILIES.items() for name in names.split()}
    assert {path.stem: path.parent.relative_to(ROOT / "cfg").name for path in SHIPPED} == named
    assert len(SHIPPED) == len(named)


# -- the comment at the top -------------------------------------------------------------------------------------------

COMMENT = """# X-Net: a net,
# in two lines.
# Paper: Somebody, "X", arXiv 1, section 2
# Published: 27.61 M weights, 13.07 BFLOPs at 256x256; top-1 77.2 %,
#   top-5 93.6 %
# Differs: 9.74 BFLOPs at 256x256 are printed, with another stem
# Computed: 1,234 parameters, 1.5 G multiply-adds at 224x192, 0.7 BFLOPs in convolutions at 32x32
#
# Published: 1 weights
[net]
"""


def test_what_the_comment_says() -> None:
    found = about(COMMENT)
    assert found == About(
        "X-Net: a net, in two lines.",
        'Somebody, "X", arXiv 1, section 2',
        "27.61 M weights, 13.07 BFLOPs at 256x256; top-1 77.2 %, top-5 93.6 %",
        "1,234 parameters, 1.5 G multiply-adds at 224x192, 0.7 BFLOPs in convolutions at 32x32",
        "9.74 BFLOPs at 256x256 are printed, with another stem",
    )
    assert figures(found) == (
        Figure("27.61", "weights", millions=True),
        Figure("1,234", "parameters"),
        Figure("13.07", "BFLOPs", size=(256, 256)),
        Figure("1.5", "G multiply-adds", size=(224, 192)),
        Figure("0.7", "BFLOPs", size=(32, 32), convolutions_only=True),
    )
    assert about("[net]\n") == About("")


def test_figures_are_measured() -> None:
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\n[avgpool]\n"
    graph, _ = load(Source("X.cfg", text + "[connected]\noutput=10\n"))
    kernel, matrix = 4 * 3 * 9, 4 * 10
    assert measured(Figure("1", "weights"), graph) == f"{kernel + matrix}"
    assert measured(Figure("1", "parameters"), graph) == f"{kernel + 2 * 4 + matrix + 10}"
    assert measured(Figure("1.234", "numbers", millions=True), graph) == f"{(kernel + 4 * 4 + matrix + 10) / 1e6:.3f}"
    cost = 2 * kernel * 64
    assert measured(Figure("1.23456789", "BFLOPs", size=(8, 8), convolutions_only=True), graph) == f"{cost / 1e9:.8f}"
    assert measured(Figure("1.23456789", "G multiply-adds", size=(8, 8)), graph) == f"{graph.operations / 2e9:.8f}"
