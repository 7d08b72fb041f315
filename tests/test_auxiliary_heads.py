"""Auxiliary heads: trained beside the others, no part of detection, and in the weights file all the same."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import cspdet
from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.detector import Detector
from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo
from cspdet.network import Network
from cspdet.rules import examine, load
from cspdet.train.losses.base import Progress
from cspdet.train.losses.simota import simota_loss
from tests.test_rules import conv, section

ANCHORS = "8,8, 16,12, 20,24, 28,28"
HEAD = {"classes": 2, "num": 4, "anchors": ANCHORS, "new_coords": 1, "scale_x_y": 2, "assigner": "simota"}


def net(*sections: str) -> str:
    return section("net", width=32, height=32, channels=3) + "".join(sections)


def stage(filters: int, **options: object) -> str:
    return conv(filters=filters, size=3, pad=1, stride=2, batch_normalize=1, activation="leaky", **options)


def head(mask: str, **options: object) -> str:
    return conv(filters=14, activation="logistic") + section("yolo", mask=mask, **HEAD | options)


BACKBONE = stage(4) + stage(6) + stage(8)
FIRST = head("2,3")
SECOND = section("route", layers=1) + head("0,1")
# Layers 3 to 7 are both heads; each auxiliary head has a layer of its own before its last convolution.
LAST = (
    section("route", layers=2)
    + conv(filters=5, activation="leaky")
    + head("2,3", aux=1, lead=4, loss_weight=0.25)
    + section("route", layers=1)
    + conv(filters=5, activation="leaky")
    + head("0,1", aux=1, lead=7, loss_weight=0.25)
)
PLAIN = net(BACKBONE, FIRST, SECOND)
WITH_AUXILIARY = net(BACKBONE, FIRST, SECOND, LAST)
# The auxiliary head stands between the others.
BETWEEN = net(
    BACKBONE,
    FIRST,
    section("route", layers=2),
    conv(filters=5, activation="leaky"),
    head("2,3", aux=1, lead=4),
    SECOND,
)


def network_of(text: str) -> Network:
    return Network(load(Source("made.cfg", text))[0])


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("text", "run"), [(WITH_AUXILIARY, {*range(7)} - {4}), (BETWEEN, {0, 1, 2, 3, 9, 10})], ids=["last", "between"]
)
def test_detection_does_not_run_what_only_training_needs(text: str, run: set[int]) -> None:
    network = network_of(text)
    ran: list[int] = []
    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    for training in (False, True):
        network.train(training)
        ran.clear()
        assert len(network(pictures())) == 2
        assert {*ran} == run
        ran.clear()
        outputs = network(pictures(), auxiliary=True)
        assert len(outputs) == 2 + len(network.graph.auxiliary_heads)
        heads = {node.index for node in network.graph.nodes if node.layer.is_head}
        assert {*ran} == {*range(len(network.layers))} - heads


def test_outputs_are_those_of_the_heads_in_order() -> None:
    network = network_of(BETWEEN)
    graph = network.graph
    assert [node.index for node in graph.heads] == [4, 11]
    assert [node.index for node in graph.auxiliary_heads] == [8]
    with torch.inference_mode():
        x = pictures()
        traced = network.trace(x)
        found, all_of_them = network(x), network(x, auxiliary=True)
    assert [each.shape[2] for each in all_of_them] == [4, 8, 4]
    for one, two, index in zip(all_of_them, [*found, all_of_them[2]], (3, 10, 7), strict=True):
        assert torch.equal(one, two)
        assert torch.allclose(one, traced[index], atol=1e-6)


def test_an_auxiliary_head_finds_nothing() -> None:
    """The same weights find the same with the auxiliary heads and without, though those are sure of every box."""
    plain, whole = network_of(PLAIN), network_of(WITH_AUXILIARY)
    whole.load_state_dict({key: torch.full_like(value, 9) for key, value in whole.state_dict().items()})
    whole.load_state_dict(plain.state_dict(), strict=False)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    expected, found = (Detector(network)(image, threshold=0.1) for network in (plain, whole))
    assert len(expected) > 0
    assert np.array_equal(found.xyxy, expected.xyxy)
    assert np.array_equal(found.confidence, expected.confidence)
    assert whole.graph.stride == plain.graph.stride


def test_their_weights_are_in_the_file(tmp_path: Path) -> None:
    cfg = tmp_path / "with.cfg"
    cfg.write_text(WITH_AUXILIARY)
    network = network_of(WITH_AUXILIARY)
    Detector(network).save_weights(tmp_path / "all.weights")
    read = cspdet.load(cfg, tmp_path / "all.weights").network.state_dict()
    for key, value in network.state_dict().items():
        assert "num_batches" in key or torch.equal(read[key], value), key


def test_without_the_last_sections_the_file_fits_the_plain_cfg(tmp_path: Path) -> None:
    """As the section's help says: the weights before the auxiliary sections are those of the cfg without them."""
    cfg = tmp_path / "plain.cfg"
    cfg.write_text(PLAIN)
    network = network_of(WITH_AUXILIARY)
    Detector(network).save_weights(tmp_path / "part.weights", cutoff=8)
    plain = cspdet.load(cfg, tmp_path / "part.weights").network
    with torch.inference_mode():
        assert all(torch.equal(one, two) for one, two in zip(plain(pictures()), network(pictures()), strict=True))


def test_training_reaches_every_weight() -> None:
    network = network_of(WITH_AUXILIARY).train()
    nodes = network.graph.heads + network.graph.auxiliary_heads
    heads = [node.layer for node in nodes if isinstance(node.layer, Yolo)]
    truth = torch.tensor([[[0, 0.4, 0.6, 0.5, 0.6], [1, 0.7, 0.3, 0.3, 0.2]], [[1, 0.5, 0.5, 0.8, 0.9], [-1, 0, 0, 0, 0]]])
    loss = simota_loss(heads, network(pictures(), auxiliary=True), truth, Shape(3, 32, 32), Progress())
    loss.total.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_export_and_copies_know_nothing_of_them() -> None:
    network = network_of(WITH_AUXILIARY)
    x = pictures()
    with torch.no_grad():
        expected = network(x)
        assert all(torch.equal(one, two) for one, two in zip(copy.deepcopy(network)(x), expected, strict=True))
        exported = torch.export.export(network, (x,)).module()(x)
    assert len(exported) == 2
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(exported, expected, strict=True))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_own_options_count_wherever_they_do_not_stop_the_program(dialect: str) -> None:
    """Strict programs refuse what they do not know; all others go on without it, so cspdet may read it."""
    text = net(conv(filters=8, size=3, pad=1, rep=1)) + head("0,1")
    graph, diagnostics = examine(Source("made.cfg", text), DIALECTS[dialect])
    foreign = [each.message for each in diagnostics if each.severity == "error" and "only cspdet" in each.message]
    if DIALECTS[dialect].strict:
        assert graph is None
        assert foreign == ["only cspdet knows `rep` in `[convolutional]`", "only cspdet knows `assigner` in `[yolo]`"]
    else:
        assert not foreign
        assert graph is not None
        assert graph.nodes[0].layer.rep  # type: ignore[attr-defined]
