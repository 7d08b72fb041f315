"""Pictures of networks: complete, legible as far as that can be measured, and the same every time."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from cspdet.cfg.source import Source
from cspdet.diagram.draw import draw
from cspdet.diagram.grid import grid
from cspdet.diagram.layout import BOX_HEIGHT, LANE_WIDTH, Layout, layout
from cspdet.diagram.shapes import Group, Line, Picture, Rectangle, Text
from cspdet.diagram.sketch import INPUT, Role, Sketch, sketch
from cspdet.diagram.svg import svg
from cspdet.graph import Graph
from cspdet.models import find
from cspdet.rules import examine, load
from tests.analysis.nets import Net, densenet40
from tests.analysis.random_nets import graphs
from tests.conftest import ROOT, SHIPPED, reference_files

SVG = "{http://www.w3.org/2000/svg}"
CORPUS = reference_files("corpus/*.cfg")


def shipped(name: str) -> Graph:
    return load(Source.read(find(name).cfg))[0]


def laid_out(graph: Graph) -> tuple[Sketch, Layout]:
    drawn = sketch(graph)
    return drawn, layout(drawn, grid(drawn), lambda _: LANE_WIDTH, (0, 0))


def check_lines(graph: Graph) -> None:
    """No line runs through a box, nor along another that comes from elsewhere."""
    drawn, found = laid_out(graph)
    assert found.centres.keys() == {box.key for box in drawn.boxes}
    assert len({*found.centres.values()}) == len(found.centres)
    boxes = np.array([*found.centres.values()])
    half = np.array([LANE_WIDTH / 2, BOX_HEIGHT / 2])
    segments = []
    for wire, points in found.lines.items():
        assert points[0] == (found.centres[wire.source][0], found.centres[wire.source][1] + BOX_HEIGHT / 2)
        assert (np.abs(np.subtract(points[-1], found.centres[wire.target])) <= half + 0.1).all()
        segments += [(*one, *two, wire.source) for one, two in pairwise(points) if one != two]
    ends = np.array(segments)
    low, high = np.minimum(ends[:, :2], ends[:, 2:4]), np.maximum(ends[:, :2], ends[:, 2:4])
    assert (low == high).any(1).all()
    through = ((low[:, None] < boxes + half - 0.1) & (high[:, None] > boxes - half + 0.1)).all(2)
    assert not through.any(), [segments[each] for each in np.flatnonzero(through.any(1))]
    for axis in (0, 1):
        level = np.flatnonzero(low[:, axis] == high[:, axis])
        start, stop, at = low[level, 1 - axis], high[level, 1 - axis], low[level, axis]
        upon = (np.minimum(stop[:, None], stop) - np.maximum(start[:, None], start) > 0.1) & (np.abs(at[:, None] - at) < 0.1)
        upon &= ends[level, 4][:, None] != ends[level, 4]
        assert not upon.any(), [segments[each] for each in level[upon.any(1)]]


def groups(picture: Picture, kind: str) -> list[Group]:
    return [each for each in picture.shapes if isinstance(each, Group) and each.kind == kind]


def texts(picture: Picture) -> list[str]:
    shapes = [shape for each in picture.shapes for shape in (each.shapes if isinstance(each, Group) else (each,))]
    return [shape.text for shape in shapes if isinstance(shape, Text)]


@pytest.mark.reference
@pytest.mark.parametrize("path", [*SHIPPED, *CORPUS], ids=lambda path: path.stem)
def test_every_network(path: Path) -> None:
    graph, _ = examine(Source.read(path))
    if graph is None:
        pytest.skip("no Darknet loads it, either")
    start = time.process_time()
    picture = draw(graph, path.stem)
    text = svg(picture)
    assert time.process_time() - start < 1
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    layers = [
        int(number)
        for each in root.iter(f"{SVG}g")
        if each.get("class") == "layer"
        for number in each.get("data-layers", "").split()
    ]
    assert sorted(layers) == [node.index for node in graph.nodes]
    # Each has a box, its number and words on it, and says more under the pointer.
    for each in root.iter(f"{SVG}g"):
        if each.get("class") == "layer":
            assert [child.tag.removeprefix(SVG) for child in each] == ["title", "rect", "text", "text"]
    assert len([each for each in root.iter(f"{SVG}g") if each.get("class") == "input"]) == 1
    check_lines(graph)
    check_frame(picture)


def check_frame(picture: Picture) -> None:
    """Everything is inside of the picture."""
    for each in picture.shapes:
        for shape in each.shapes if isinstance(each, Group) else (each,):
            if isinstance(shape, Rectangle):
                corners = [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
            else:
                corners = list(shape.points) if isinstance(shape, Line) else [(shape.x, shape.y)]
            assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in corners), shape


@given(graphs(most=14))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_networks_of_all_shapes(graph: Graph) -> None:
    drawn = sketch(graph)
    assert sorted(layer for box in drawn.boxes for layer in box.layers) == [node.index for node in graph.nodes]
    keys = {box.key for box in drawn.boxes}
    assert all(read.source in keys for box in drawn.boxes for read in box.reads)
    check_lines(graph)
    picture = draw(graph, "x")
    check_frame(picture)
    assert svg(picture) == svg(draw(graph, "x"))


def test_stretches_of_yolov4() -> None:
    picture = draw(shipped("yolov4"), "yolov4")
    repeated = [text for text in texts(picture) if text.startswith("×")]
    assert repeated == ["×2", "×8", "×8", "×4", "×2", "×2", "×2", "×3"]
    first = groups(picture, "stretch")[0]
    assert first.layers == (15, 16, 17, 18, 19, 20)
    assert first.title == "2 times layers 15 to 17"
    boxes = {each.layers: each for each in groups(picture, "layer")}
    assert len(boxes) == 87
    # The 8 times that the residual block of the third stage has its 3x3 convolution.
    assert (*range(29, 51, 3),) in boxes
    # A route to one layer is a line to the layer that reads it.
    assert (3, 4) in boxes


def test_columns_and_bands_of_yolov4() -> None:
    """The backbone goes right, the pyramid back left, and its second half right again."""
    drawn = sketch(shipped("yolov4"))
    found = grid(drawn)
    assert [size for size, _ in found.columns] == [(608 // 2**step,) * 2 for step in range(6)]
    assert len(found.bands) == 3

    def cell(key: int) -> tuple[int, int]:
        place = found.places[key]
        column = next(number for number, (_, lanes) in enumerate(found.columns) if place.lane in lanes)
        return column, next(number for number, rows in enumerate(found.bands) if place.row in rows)

    assert [cell(key) for key in (INPUT, 0, 1, 54, 85, 104, 113, 117)] == [
        (0, 0),
        (0, 0),
        (1, 0),
        (3, 0),
        (4, 0),
        *[(5, 0)] * 3,
    ]
    assert [cell(key) for key in (118, 120, 128, 139)] == [(4, 1), (4, 1), (3, 1), (3, 1)]
    assert [cell(key) for key in (141, 150, 152, 161)] == [(4, 2), (4, 2), (5, 2), (5, 2)]


def test_lines_of_a_cross_stage_partial_network() -> None:
    """What goes around the blocks runs straight down beside them."""
    drawn, found = laid_out(shipped("yolov4"))
    around = next(points for wire, points in found.lines.items() if (wire.source, wire.target) == (25, 53))
    assert len(around) == 2
    assert around[0][0] == around[1][0]
    roles = {(read.source, box.key): read.role for box in drawn.boxes for read in box.reads}
    assert roles[25, 53] is Role.CONCAT
    assert roles[29, 30] is Role.PLAIN
    assert roles[27, 30] is Role.RESIDUAL


def test_dense_blocks_show_how_channels_grow() -> None:
    picture = draw(densenet40().graph(), "densenet40")
    assert [text for text in texts(picture) if "…" in text] == ["28…160", "172…304", "316…448"]
    assert [text for text in texts(picture) if text.startswith("×")] == ["×12"] * 3


def test_squeeze_and_excitation_stays_in_its_column() -> None:
    net = Net(32)
    net.conv(3, 8)
    net.add("avgpool")
    net.conv(1, 2)
    net.conv(1, 8)
    net.add("scale_channels", from_=0)
    net.conv(3, 8, 2)
    net.add("avgpool")
    found = grid(sketch(net.graph()))
    assert [size for size, _ in found.columns] == [(32, 32), (16, 16), (1, 1)]
    assert len(found.bands) == 1


def test_a_detour_to_smaller_maps_stays_in_its_column() -> None:
    """As elastic blocks make; where the smaller maps are read by others, there is none."""
    for last, columns in ((-5, [(32, 32)]), (None, [(32, 32), (16, 16)])):
        net = Net(32)
        net.conv(3, 8)
        net.add("maxpool", size=2, stride=2)
        net.conv(3, 8)
        net.conv(1, 8)
        net.add("upsample", stride=2)
        if last:
            net.add("shortcut", from_=last)
        else:
            net.route(2)
            net.conv(3, 8)
        assert [size for size, _ in grid(sketch(net.graph())).columns] == columns


def test_constants_stand_beside_what_reads_them() -> None:
    net = Net(32)
    net.conv(3, 8)
    net.add("implicit", filters=8)
    net.route(0)
    net.conv(3, 8)
    net.add("shift_channels", from_=1)
    drawn = sketch(net.graph())
    assert [box.key for box in drawn.boxes if not box.reads] == [INPUT, 1]
    assert len(grid(drawn).columns) == 1


def test_words_on_boxes() -> None:
    net = Net(32)
    net.conv(3, 8, 2)
    net.conv(3, 8, groups=8)
    net.conv(3, 8, groups=2, dilation=2)
    net.add("deconvolutional", filters=8, size=2, stride=2)
    net.add("maxpool", size=3, stride_x=2, stride_y=1)
    net.add("maxpool", maxpool_depth=1, out_channels=2)
    net.add("route", layers=-2, groups=2, group_id=1)
    net.add("partial_split", ratio=0.25)
    net.add("reorg3d", stride=2)
    net.add("upsample", stride=2)
    net.add("shortcut", from_=-1)
    net.add("avgpool")
    net.add("connected", output=3)
    found = texts(draw(net.graph(), "x"))
    words = [
        "3×3 /2",
        "3×3 dw",
        "3×3 g2 d2",
        "deconv 2×2 ×2",
        "max 3×3 /2×1",
        "maxout 4:1",
        "part 2/2",
        "part 0.25",
        "reorg /2",
    ]
    assert [text for text in found if text in [*words, "up ×2", "+", "avgpool", "connected"]] == [
        *words,
        "up ×2",
        "+",
        "avgpool",
        "connected",
    ]


def test_heads_are_marked() -> None:
    boxes = groups(draw(shipped("yolov4-tiny"), "x"), "layer")
    heads = [each for each in boxes if each.layers in ((30,), (37,))]
    words = [[shape.text for shape in each.shapes if isinstance(shape, Text)] for each in heads]
    assert words == [["30", "yolo 3×(80+5)"], ["37", "yolo 3×(80+5)"]]
    fills = {each.layers: each.shapes[0].fill for each in boxes if isinstance(each.shapes[0], Rectangle)}
    assert fills[(30,)] == fills[(37,)]
    assert fills[(30,)] not in {fill for layers, fill in fills.items() if layers not in ((30,), (37,))}


def test_titles_tell_all() -> None:
    titles = {each.layers: each.title for each in groups(draw(shipped("yolov4-tiny"), "x"), "layer")}
    assert titles[0,] == "layer 0 [convolutional], 416x416x3 → 208x208x32, leaky, 0.0748 BFLOPs, 992 parameters"
    assert titles[8,] == "layer 8 [route], 104x104x64 + 104x104x64 → 104x104x128"
    four = {each.layers: each.title for each in groups(draw(shipped("yolov4"), "x"), "layer")}
    assert four[(*range(29, 51, 3),)].endswith("; and 4 more like it")


@pytest.mark.parametrize("name", ["<&>\"'", "a]]>b", "\x00\x1b[31m", "名前", "x" * 500, ""])
def test_odd_names(name: str) -> None:
    root = ET.fromstring(svg(draw(densenet40().graph(), name)))
    title = root.find(f"{SVG}title")
    assert title is not None
    assert (title.text or "") == "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


def test_one_layer_is_enough() -> None:
    net = Net(8)
    net.conv(1, 7)
    check_lines(net.graph())
    found = texts(draw(net.graph(), "x"))
    assert [text for text in found if text in ("input", "1×1")] == ["input", "1×1"]
    assert "7" in found  # channels that nothing reads


def test_the_documentation_shows_what_is_drawn() -> None:
    assert (ROOT / "docs" / "yolov4-tiny.svg").read_text("utf-8") == svg(draw(shipped("yolov4-tiny"), "yolov4-tiny"))
