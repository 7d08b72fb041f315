"""The anchors of a cfg."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspdet.cfg.source import Source
from cspdet.data.anchors import anchor_text
from cspdet.data.cfg_anchors import anchor_heads, in_units, present, rewritten, unsuited
from cspdet.errors import CspdetError, UsageError
from cspdet.graph import Graph
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo
from cspdet.rules import examine, load
from tests.conftest import DETECTORS, reference_files

TWO = """[net]
width=416
channels=3
height=208
[convolutional]
filters=14
size=1
stride=32
activation=linear
[yolo]
classes=2
mask = 2,3 # the large ones
anchors = 10,20,  30,40 , 50,60,70,80   # all of them
num=4
[route]
layers=-2
[convolutional]
filters=14
size=1
stride=1
activation=linear
[yolo]
classes=2
mask=0,1
 anchors=10,20,30,40,50,60,70,80
num=4
"""
REGION = """[net]
width=416
channels=3
height=208
[convolutional]
filters=12
size=1
stride=32
activation=linear
[region]
classes=1
num=2
anchors = 1.0, 2, 3.5
"""


def graph(text: str) -> Graph:
    return load(Source("net.cfg", text))[0]


def test_heads() -> None:
    first, second = anchor_heads(graph(TWO))
    assert first.units == second.units == (416, 208)
    np.testing.assert_allclose(first.sizes * (416, 208), [(10, 20), (30, 40), (50, 60), (70, 80)])
    assert (first.used, second.used) == ((2, 3), (0, 1))
    assert first.stride == 32
    np.testing.assert_allclose(present((first, second)) * (416, 208), [(10, 20), (30, 40), (50, 60), (70, 80)])
    np.testing.assert_allclose(present((first,)) * (416, 208), [(50, 60), (70, 80)])


def test_a_region_head_counts_in_cells() -> None:
    (head,) = anchor_heads(graph(REGION))
    assert head.units == (13, 7)
    np.testing.assert_allclose(head.sizes * (13, 7), [(1, 2), (3.5, 0.5)])
    assert anchor_text(in_units(head, np.array([(0.1, 0.5), (1, 1)]))) == "1.3000,3.5000, 13.0000,7.0000"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_the_anchors_change(end: str, mark: bytes) -> None:
    data = mark + ("# caf\u00e9\n" + TWO).replace("\n", end).encode("utf-8")
    source = Source.decode("net.cfg", data)
    made = load(source)[0]
    heads = anchor_heads(made)
    new = np.array([(0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.5, 0.5)])
    text = "42,42, 83,62, 125,83, 208,104"
    wanted = data.replace(b"10,20,  30,40 , 50,60,70,80", text.encode()).replace(b"10,20,30,40,50,60,70,80", text.encode())
    assert source.encode(rewritten(made, heads, new)) == wanted


@pytest.mark.parametrize("path", [*DETECTORS, *reference_files("corpus/*yolov[234]*.cfg")], ids=lambda path: path.stem)
@pytest.mark.reference
def test_real_cfgs_get_new_anchors_and_nothing_else(path: Path) -> None:
    source = Source.read(path)
    made, _ = examine(source)
    if made is None:  # some are broken
        assert "matrix" in path.stem
        return
    if not any(isinstance(node.layer, Yolo | Region) for node in made.heads):
        with pytest.raises(UsageError, match="has no head with anchors"):
            anchor_heads(made)
        return
    heads = anchor_heads(made)
    new = np.sort(np.random.default_rng(0).uniform(0.1, 1, heads[0].sizes.shape), 0)
    if made.names is not None:
        with pytest.raises(CspdetError, match="this head's anchors come from a variable, a block or another file"):
            rewritten(made, heads, new)
        return
    text = rewritten(made, heads, new)
    again = anchor_heads(load(Source(str(path), text))[0])
    for head in again:
        np.testing.assert_allclose(head.sizes, in_units(head, new) / head.units)
    lines = [(old, line) for old, line in zip(source.text.split("\n"), text.split("\n"), strict=True) if old != line]
    assert len(lines) == len(heads)
    assert all(line.replace(" ", "").startswith("anchors=") for _, line in lines)


def test_what_stands_in_the_way() -> None:
    made = graph(TWO)
    with pytest.raises(UsageError, match=r"`net.cfg` has `num=4` anchors, not 3"):
        rewritten(made, anchor_heads(made), np.ones((3, 2)))
    made = graph(TWO.replace(" anchors=10,20,30,40,50,60,70,80\n", ""))
    with pytest.raises(CspdetError, match=r"net.cfg:22:2: this head has no `anchors=`"):
        rewritten(made, anchor_heads(made), np.ones((4, 2)))
    with pytest.raises(CspdetError, match="this head has `num=5`, the first `num=4`"):
        anchor_heads(graph(TWO[:-6] + "num=5\n"))
    with pytest.raises(UsageError, match="has no head with anchors"):
        anchor_heads(graph("[net]\nwidth=8\nheight=8\nchannels=3\n[dropout]\n"))


def strides(first: int, second: int) -> Graph:
    """Heads of two strides, the coarser first; on a square input."""
    text = TWO.replace("height=208", "height=416").replace("stride=32", f"stride={first}")
    return graph(text.replace("[route]\nlayers=-2\n", "[route]\nlayers=0\n[upsample]\n" + f"stride={first // second}\n"))


def test_masks_that_suit() -> None:
    heads = anchor_heads(strides(32, 16))
    assert [head.stride for head in heads] == [32, 16]
    fine, coarse = [(20, 20), (50, 60)], [(70, 90), (300, 200)]
    assert unsuited(heads, np.array([*fine, *coarse]) / 416) == ""
    # Within twice the limits.
    assert unsuited(heads, np.array([(20, 20), (119, 119), (31, 31), (300, 200)]) / 416) == ""
    said = unsuited(heads, np.array([*fine[:1], (130, 121), (29, 29), coarse[1]]) / 416)
    assert said == "the head of stride 16 (up to 60 pixels) has 130x121, that of stride 32 (from 60 on pixels) has 29x29"


def test_a_single_head_suits_any_anchors() -> None:
    made = graph(TWO[: TWO.index("[route]")])
    assert unsuited(anchor_heads(made), np.array([(0.001, 0.001)] * 2 + [(1, 1)] * 2)) == ""
    assert unsuited(anchor_heads(graph(REGION)), np.array([(0.001, 0.001), (1, 1)])) == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[define]\nsizes=1,2\n[net]\nwidth=32\nheight=32\nchannels=6\n[yolo]\nanchors=$sizes\nnum=1\nclasses=1\n", 8),
        ("[block]\nname=h\n[yolo]\nanchors=1,2\nnum=1\nclasses=1\n[end]\n[net]\nwidth=32\nheight=32\nchannels=6\n[h]\n", 4),
    ],
)
def test_anchors_that_are_worked_out_are_left_alone(text: str, line: int) -> None:
    made, _ = load(Source("X.cfg", text))
    with pytest.raises(CspdetError, match=f"X.cfg:{line}:9: this head's anchors come from"):
        rewritten(made, anchor_heads(made), np.ones((1, 2)))
