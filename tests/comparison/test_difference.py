"""In what networks differ, on real ones and on edits whose differences are known."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.dialect import HANK_AI, PJREDDIE
from cspdet.cfg.source import Source
from cspdet.comparison.difference import Difference, difference
from cspdet.graph import Graph
from cspdet.rules import load
from tests.comparison.material import inserted, lines, network, read, text
from tests.conftest import ROOT, SHIPPED, reference_files

YOLOV4 = load(Source.read(ROOT / "cfg" / "yolo" / "yolov4.cfg"))[0]
TINY = load(Source.read(ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg"))[0]
START = "[net]\nwidth=32\nheight=32\nchannels=3\n"


def statuses(found: Difference) -> dict[str, int]:
    """How many layers there are of each status, but for those that are the same."""
    listed = [each.status for each in found.layers]
    return {status: listed.count(status) for status in dict.fromkeys(listed) if status != "same"}


def said(found: Difference) -> list[tuple[int, str, str, str]]:
    """All changes of layers."""
    return [(each.node.index, *change[:3]) for each in found.layers for change in each.changes]


@pytest.mark.parametrize("path", [*SHIPPED, *reference_files("corpus/*.cfg")], ids=lambda path: path.stem)
def test_equal_networks_written_differently_are_the_same(path: Path) -> None:
    graph = read(path)
    if graph is None:
        return
    # References as relative and as absolute numbers, remarks, options in another order (of equal ones, the first stays first).
    order = random.Random(path.name)
    for relative in (True, False):
        shuffled = []
        for name, entries in lines(graph, lambda own, named, relative=relative: named - own if relative else named):
            places = {key: order.random() for key, _ in entries}
            shuffled.append((name, sorted(entries, key=lambda entry, places=places: places[entry[0]])))
        again = network("# the same\n" + text(shuffled).replace("[route]\n", "\n; a route\n[ route ]\n"), folder=path.parent)
        found = difference(graph, again)
        assert found.same, (found.net, [each for each in found.layers if each.status != "same"])
        assert [(each.first, each.second) for each in found.layers] == list(zip(graph.nodes, again.nodes, strict=True))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("[convolutional]\nsize=1\npad=1\nactivation=linear\n", "[convolutional]\nsize=1\nactivation=linear\n"),
        ("[convolutional]\nsize=3\npad=1\npadding=5\n", "[convolutional]\nsize=3\npadding=1\n"),
        ("[convolutional]\nstride=2\n", "[convolutional]\nstride_x=2\nstride_y=2\n"),
        ("[convolutional]\nsize=1\ndilation=2\n", "[convolutional]\nsize=1\n"),
        ("[convolutional]\nbatch_normalize=2\n", "[convolutional]\ncbn=1\n"),
        ("[convolutional]\nactivation=silu\n", "[conv]\nactivation=swish\n"),
        ("[maxpool]\nsize=2\nstride=2\n", "[max]\nstride=2\n"),
        ("[maxpool]\nsize=3\nstride=1\npadding=2\n", "[maxpool]\nsize=3\n"),
        ("[convolutional]\nfilters=4\nfilters=5\n", "[convolutional]\nfilters=4\n"),
        ("[convolutional]\nfilters=4\nfoo=5\n", "[convolutional]\nfilters=4.0\n"),
        (
            "[convolutional]\nfilters=24\n[yolo]\nclasses=3\nnum=3\nmask=0,1,2\n",
            "[conv]\nfilters=24\n[yolo]\nclasses=3\nnum=3\n",
        ),
        ("[define]\nwidth=.5\n[convolutional]\nname=one\nfilters=$(8*width)\n", "[convolutional]\nfilters=4\n"),
    ],
)
def test_only_what_counts_is_compared(one: str, two: str) -> None:
    assert difference(network(START + one), network(START + two)).same


@pytest.mark.parametrize(
    ("one", "two", "changes"),
    [
        ("[convolutional]\nsize=3\npad=1\n", "[convolutional]\nsize=3\n", [(0, "padding", "1", "0")]),
        ("[convolutional]\nstride=2\n", "[convolutional]\nstride=2\nstride_x=1\n", [(0, "stride", "2", "1x2")]),
        ("[dropout]\n", "[dropout]\nprobability=.20000001\n", [(0, "probability", "0.2", "0.20000001")]),
        ("[maxpool]\nsize=3\n", "[maxpool]\nsize=3\npadding=3\n", [(0, "padding", "2", "3")]),
        (
            "[convolutional]\nfilters=24\n[yolo]\nclasses=3\nnum=3\nassigner=simota\n",
            "[convolutional]\nfilters=24\n[yolo]\nclasses=3\nnum=3\nassigner=simota\niou_normalizer=.75\n",
            [(1, "iou_normalizer", "YOLOv7's", "0.75")],
        ),
        (
            "[dropout]\n" * 3 + "[route]\nlayers=0,1\n",
            "[dropout]\n" * 3 + "[route]\nlayers=1,0\n",
            [(3, "layers", "0, 1", "1, 0")],
        ),
    ],
)
def test_what_counts_is_found(one: str, two: str, changes: list[tuple[int, str, str, str]]) -> None:
    assert said(difference(network(START + one), network(START + two))) == changes


def test_dialects_count() -> None:
    cfg = START + "[convolutional]\nfilters=8\n[shortcut]\nfrom=-1\nalpha=2\n"
    assert difference(network(cfg), network(cfg.replace("alpha=2\n", ""))).same
    with_alpha = difference(network(cfg, PJREDDIE), network(cfg.replace("alpha=2\n", ""), PJREDDIE))
    assert said(with_alpha) == [(1, "alpha", "2", "1")]
    assert difference(network(START + "[dropout]\n", HANK_AI), network(START + "[dropout]\n")).same


def test_a_layer_at_the_top_is_one_layer_more() -> None:
    more = network(inserted(YOLOV4, 0, "convolutional", [("filters", "3"), ("size", "1")]))
    found = difference(YOLOV4, more)
    assert statuses(found) == {"added": 1}
    assert (found.layers[0].status, found.layers[0].second) == ("added", more.nodes[0])
    assert statuses(difference(more, YOLOV4)) == {"removed": 1}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([YOLOV4, TINY]), st.data())
def test_a_layer_anywhere_is_one_layer_more(graph: Graph, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(graph.nodes) - 1))
    # As many channels as there are, so that everything behind it still fits; a size that no other layer has.
    channels = graph.nodes[place - 1].output.channels if place else graph.input.channels
    entries = [("filters", str(channels)), ("size", "7"), ("pad", "1")]
    before_head = graph.nodes[place].layer.is_head
    found = difference(graph, network(inserted(graph, place, "convolutional", entries)))
    assert statuses(found) == {"added": 1}, (place, before_head)
    assert [each.second.index for each in found.layers if each.status == "added" and each.second] == [place]


def test_a_layer_that_is_left_out_is_one_layer_less() -> None:
    """The first of two convolutions of a block; what read both reads the other one and the layer before."""
    sections = lines(TINY, lambda _, named: named - (named >= 4))
    found = difference(TINY, network(text([*sections[:5], *sections[6:]])))
    assert statuses(found) == {"removed": 1, "changed": 1}
    assert said(found) == [(5, "layers", "5, 4", "4, 3")]


def test_numbers_that_were_not_moved_along_are_found() -> None:
    """Someone puts a layer at the top and forgets that routes count from there."""
    wrong = START + "[convolutional]\nfilters=8\n[maxpool]\nsize=3\n[convolutional]\nfilters=8\n[route]\nlayers=-1,1\n"
    found = difference(network(wrong), network(wrong.replace("[maxpool]", "[dropout]\n[maxpool]")))
    assert statuses(found) == {"added": 1, "changed": 1}
    assert said(found) == [(4, "layers", "2, 1", "3, 1")]
    (change,) = (each.changes[0] for each in found.layers if each.changes)
    assert (change.gone, change.new) == ((1,), (1,))


def test_another_size_of_the_input_changes_no_layer() -> None:
    cfg = (ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg").read_text()
    found = difference(TINY, network(cfg.replace("width=416", "width=320").replace("height=416", "height=320")))
    assert [change[:3] for change in found.net] == [("width", "416", "320"), ("height", "416", "320")]
    assert {*statuses(found)} == {"affected"}
    assert not found.same
    assert sum(each.operations for each in found.layers) == pytest.approx(found.second.operations - found.first.operations)
    assert sum(each.parameters for each in found.layers) == 0


def test_other_classes_change_heads_and_what_feeds_them() -> None:
    cfg = (ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg").read_text()
    found = difference(TINY, network(cfg.replace("classes=80", "classes=3").replace("filters=255", "filters=24")))
    assert statuses(found) == {"changed": 4}
    assert {each[1:] for each in said(found)} == {("classes", "80", "3"), ("filters", "255", "24")}


def test_training_can_be_left_aside() -> None:
    cfg = (ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg").read_text()
    other = network(cfg.replace("learning_rate=0.00261", "learning_rate=.001").replace("ignore_thresh=0.7", "ignore_thresh=.5"))
    found = difference(TINY, other)
    assert [change[:3] for change in found.net] == [("learning_rate", "0.00261", "0.001")]
    assert statuses(found) == {"changed": 2}
    assert found.trained_otherwise
    assert not found.same
    assert difference(TINY, other, training=False).same


def test_yolov4_and_its_small_sister() -> None:
    found = difference(YOLOV4, TINY)
    assert [each.first for each in found.layers if each.first] == [*YOLOV4.nodes]
    assert [each.second for each in found.layers if each.second] == [*TINY.nodes]
    # What it has of its own: the pools, a split of the channels with each of them, and the second head's place before the end.
    types = [each.node.name for each in found.layers if each.status == "added"]
    assert types.count("maxpool") == 3
    assert set(types) <= {"maxpool", "route", "convolutional", "yolo", "upsample"}
    assert sum(each.operations for each in found.layers) == pytest.approx(TINY.operations - YOLOV4.operations)
    assert sum(each.parameters for each in found.layers) == TINY.parameters - YOLOV4.parameters


@pytest.mark.reference
def test_known_relatives(reference: Path) -> None:
    """YOLOv7-X is YOLOv7 with two more convolutions in each of its eight blocks."""
    small, large = (read(reference / "corpus" / f"AlexeyAB__darknet__{name}.cfg") for name in ("yolov7", "yolov7x"))
    assert small
    assert large
    found = difference(small, large)
    added = [each.node for each in found.layers if each.status == "added"]
    assert len(added) == 16
    assert {(node.name, node.layer.columns()[1]) for node in added} == {("convolutional", "3 x 3/ 1")}
    assert not [each for each in found.layers if each.status == "removed"]
    first, second = ([each.index for each in graph.nodes if each.name == "route"] for graph in (small, large))
    pairs = {each.first.index: each.second.index for each in found.layers if each.first and each.second}
    assert [pairs[index] for index in first] == second


@pytest.mark.reference
def test_large_networks_take_less_than_a_second() -> None:
    graphs = [
        graph
        for path in reference_files("corpus/*p6*.cfg") + reference_files("corpus/*resnext152*.cfg")
        if (graph := read(path))
    ]
    assert max(len(graph.nodes) for graph in graphs) > 200
    for first, second in pairwise(graphs):
        start = time.process_time()
        difference(first, second)
        assert time.process_time() - start < 1 + (len(first.nodes) * len(second.nodes)) / 200**2
