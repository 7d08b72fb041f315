"""What the papers print, from cfg text alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspdet.analysis.access import access
from cspdet.analysis.cost import Cost, cost
from cspdet.cfg.source import Source
from cspdet.models import find
from cspdet.rules import load
from tests.analysis.nets import Net, classifier, csppelee, csppelee_efm, densenet40, pelee, pelee_yolo, vovnet27_slim

FAMILY = "WongKinYiu__CrossStagePartialNetworks__"


def of(net: Net) -> Cost:
    return cost(net.graph())


def shipped(name: str, side: int) -> Cost:
    return cost(load(Source.read(find(name).cfg), width=side, height=side)[0])


def bflops(cost: Cost) -> float:
    return round(cost.graph.operations / 1e9, 4)


def peak(cost: Cost) -> float:
    return round(cost.bottleneck.node.operations / 1e9, 4)


def weights(cost: Cost) -> int:
    """As CSPNet counts them: without biases and statistics."""
    return sum(array.size for node in cost.graph.nodes for array in node.arrays.values() if array.role == "weights")


def test_densenet_40_moves_3_7_million_numbers() -> None:
    """As VoVNet has it; the classifier is no convolution."""
    found = of(densenet40())
    assert found.access.cost == 3_679_504
    assert (weights(found), round(found.graph.operations / 2e6, 1)) == (1_001_616, 264.9)


def test_vovnet_27_slim() -> None:
    """12.64 M numbers at 224x224 without the classifier, where a stride of 2 reads four times the pixels that it writes."""
    found = of(vovnet27_slim(224))
    last = found.layers[-2]
    assert round((found.access.cost - last.access.cost) / 1e6, 2) == 12.64
    assert round(found.convolutions_traffic / 1e6, 2) == 9.64
    assert bflops(found) == 4.3549


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "traffic", "printed"), [("csresnext50-omega", 32_644_024, 32.6), ("resnext50-leaky", 34_413_496, 34.4)]
)
def test_cio_of_csp(reference: Path, name: str, traffic: int, printed: float) -> None:
    """CSPNet prints both: to the printed digit with pooling and softmax, and not with convolutions alone."""
    graph, _ = load(Source.read(reference / "corpus" / f"{FAMILY}{name}.cfg"), width=256, height=256)
    found = cost(graph)
    assert found.traffic == traffic
    assert round(traffic / 1e6, 1) == printed != round(found.convolutions_traffic / 1e6, 1)


@pytest.mark.parametrize(
    ("net", "size", "operations", "count"),
    [(pelee, 224, 1.0166, 2_791_520), (csppelee, 224, 0.8880, 2_831_712)],
)
def test_the_classifiers_of_pelee(net, size: int, operations: float, count: int) -> None:  # type: ignore[no-untyped-def]
    found = of(classifier(net(size)[0]))
    assert (bflops(found), weights(found)) == (operations, count)


def test_the_bottleneck_of_pelee() -> None:
    """CSPNet, figure 7: 80 % less in the detector, 44 % less in the backbone, at 416x416."""
    old, new = of(pelee_yolo()), of(csppelee_efm())
    assert (bflops(old), weights(old)) == (5.0564, 3_888_736)
    assert (peak(old), peak(new)) == (0.9968, 0.1994)
    assert round(1 - peak(new) / peak(old), 3) == 0.8
    # It is the 3x3 convolution that reads the concatenation of the finer scale.
    assert old.bottleneck.node.inputs[0] == (640, 26, 26, True)
    backbone, csp = of(pelee(416)[0]), of(csppelee(416)[0])
    assert (peak(backbone), peak(csp)) == (0.3544, 0.1994)
    assert (bflops(csp), round(1 - peak(csp) / peak(backbone), 3)) == (3.0582, 0.437)


def test_maxout_saves_three_quarters_of_the_memory() -> None:
    """CSPNet: 4 channels become 1 where the pyramid is generated."""
    layers = of(csppelee_efm()).layers
    pooled = [each.node for each in layers if getattr(each.node.layer, "maxpool_depth", False)]
    assert [node.output.size / node.inputs[0].size for node in pooled] == [1 / 4, 1 / 4, 1 / 8]


@pytest.mark.parametrize(
    ("name", "side", "highest", "total"), [("yolov3-tiny", 416, 1.595, 5.571), ("yolov4-tiny", 416, 1.196, 6.910)]
)
def test_highest_bars(name: str, side: int, highest: float, total: float) -> None:
    found = shipped(name, side)
    assert (round(peak(found), 3), round(bflops(found), 3)) == (highest, total)


@pytest.mark.parametrize(
    ("name", "side", "mac", "cio"),
    [
        ("densenet40", 32, 3_679_504, None),
        ("resnext50-darknet", 256, None, 34_413_496),
        ("csresnext50", 256, None, 32_644_024),
    ],
)
def test_models_that_ship_have_the_printed_figures(name: str, side: int, mac: int | None, cio: int | None) -> None:
    found = shipped(name, side)
    assert mac is None or found.access.cost == mac
    assert cio is None or found.traffic == cio


def test_bottlenecks_of_models_that_ship() -> None:
    detectors = [peak(shipped(name, 416)) for name in ("pelee-yolo", "cspeleenet-efm")]
    backbones = [peak(shipped(name, 416)) for name in ("peleenet", "cspeleenet")]
    assert (detectors, backbones) == ([0.9968, 0.1994], [0.3544, 0.1994])


def test_all_figures_of_one_network_agree() -> None:
    found = shipped("yolov4", 608)
    assert found.access.cost == sum(access(node).cost for node in found.graph.nodes)
    assert (found.longest_path, found.longest_shortest_path) == (98, 17)
    # 110 convolutions, each in its place.
    assert sum(each.access.cost > 0 for each in found.layers) == 110
    assert found.field is not None
    assert found.field.node.index == 160
