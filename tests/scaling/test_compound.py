"""Scaled networks: published figures, real cfgs, and that nothing else changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.comparison.difference import difference
from cspdet.errors import CspdetError, UsageError
from cspdet.graph import Graph
from cspdet.plain import plain_text
from cspdet.rules import examine, load
from cspdet.scaling.compound import scaled
from cspdet.scaling.stages import stages
from tests.conftest import ROOT, SHIPPED, reference_files
from tests.scaling.material import START, conv, csp, csp_neck, elan, filters, network, osa, route, scale

HEAD = "[convolutional]\nfilters=24\nsize=1\n\n[yolo]\nclasses=3\nnum=3\nanchors=1,2, 3,4, 5,6\n"


def read(path: Path) -> Graph | None:
    return examine(Source.read(path))[0]


def corpus(reference: Path, name: str) -> Graph:
    graph = read(reference / "corpus" / f"{name}.cfg")
    assert graph
    return graph


# -- what is published --------------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize(
    ("depth", "width", "parameters", "operations"),
    [
        (None, "1", 47.0, 125.5),
        (None, "1.25", 73.4, 195.5),
        ("2", "1", 69.3, 187.6),
        ("1.5", "1.25", 71.3, 189.9),
        ("1.5", None, 71.3, 189.9),
    ],
)
def test_the_ablation_of_yolov7(reference: Path, depth: str, width: str, parameters: float, operations: float) -> None:
    """Table 3: YOLOv7-X scaled down to "v7-X light", and that by width only, by depth only, and by both as it should be."""
    large = corpus(reference, "AlexeyAB__darknet__yolov7x")
    light = scale(large, "0.6667")
    assert light.width == Fraction(4, 5)
    found = scale(light.graph, depth, width).graph
    # The paper's counts leave out what the cfgs have besides, up to 0.2 %.
    assert found.parameters / 1e6 == pytest.approx(parameters, rel=0.003)
    assert found.operations / 1e9 == pytest.approx(operations, rel=0.003)
    if depth == "1.5":
        assert difference(found, large).same


@pytest.mark.reference
def test_yolov7_becomes_yolov7x_but_for_its_neck(reference: Path) -> None:
    """The neck of YOLOv7 has another block than that of YOLOv7-X: narrower convolutions, all of which are joined."""
    small, large = (corpus(reference, f"AlexeyAB__darknet__{name}") for name in ("yolov7", "yolov7x"))
    found = scale(small, "1.5")
    assert found.width == Fraction(5, 4)
    compared = difference(found.graph, large)
    inside = {index for stage in stages(large) if stage.first > 80 for index in (*stage.layers, *stage.joins)}
    assert {each.node.index for each in compared.layers if each.status == "changed"} == inside
    assert not [each for each in compared.layers if each.first is None or each.second is None]
    convolutions = {index for stage in stages(large) for index in stage.layers} & inside
    for each in compared.layers:
        assert each.first
        assert each.second
        if each.node.index not in convolutions:
            assert each.first.output == each.second.output  # of the joins, too


@pytest.mark.reference
@pytest.mark.parametrize(
    "names",
    [
        ("AlexeyAB__darknet__yolov4-csp-swish", "AlexeyAB__darknet__yolov4-csp-x-swish"),
        ("WongKinYiu__PyTorch_YOLOv4__yolov4-csp-mish", "WongKinYiu__PyTorch_YOLOv4__yolov4-csp-x-mish"),
        ("WongKinYiu__PyTorch_YOLOv4__yolov4-pacsp-mish", "WongKinYiu__PyTorch_YOLOv4__yolov4-pacsp-x-mish"),
        ("WongKinYiu__yolor__yolor_csp", "WongKinYiu__yolor__yolor_csp_x"),
    ],
    ids=lambda names: names[0],
)
def test_yolov4_csp_becomes_its_large_sister(reference: Path, names: tuple[str, str]) -> None:
    """All of it but the first convolution, which stays at 32 there, and one more pair behind the pyramid pooling."""
    small, large = (corpus(reference, name) for name in names)
    found = difference(scale(small, "1.25", "1.25").graph, large, training=False)
    assert [each.node.index for each in found.layers if each.status == "changed"] == [0]
    assert found.layers[0].changes[0][:3] == ("filters", "40", "32")
    added = [each for each in found.layers if each.status == "added"]
    assert len(added) == 2
    assert [each for each in found.layers if each.status == "removed"] == []
    assert {each.node.index for each in found.layers if each.status == "affected"} == {1}
    assert found.second.parameters - found.first.parameters == sum(each.parameters for each in (*added, *found.layers[:2]))


def test_deeper_backbones_of_yolov7() -> None:
    """W6 to E6: 4 → 6 convolutions, 1.25 times as wide; to D6: 4 → 8, and 1.5 times."""
    body = conv(64) + elan(64, 256) + conv(256, 3, 2) + elan(128, 512) + HEAD
    graph = network(body)
    for depth, groups, width in (("1.5", 3, Fraction(5, 4)), ("2", 4, Fraction(3, 2))):
        found = scale(graph, depth)
        assert found.width == width
        wider = (int(each * width) for each in (64, 256, 256, 512))
        stem, out, down, last = wider
        expected = conv(stem) + elan(64, out, groups) + conv(down, 3, 2) + elan(128, last, groups) + HEAD
        assert difference(found.graph, network(expected)).same


# -- rules --------------------------------------------------------------------------------------------------------------


def test_the_width_of_a_chain() -> None:
    """It is widened by what its length leaves to be widened, and never to balance its length."""
    graph = network(conv(64) + elan(64, 256) + HEAD)
    for depth, width, inner, outer in (
        (None, "1.25", 80, 320),
        ("1.5", "1.25", 64, 320),
        ("2", "1", 64, 256),
        ("1.5", "1.5", 80, 384),  # 1.5 / 1.25
        ("1.5", "0.5", 32, 128),
        ("0.5", "0.75", 64, 192),  # one group less: 4 → 3 outputs
        ("0.5", "1", 64, 256),
    ):
        found = filters(scale(graph, depth, width).graph)
        assert found[1] == found[4] == inner
        assert found[-3] == outer
    widths = [scale(graph, depth).width for depth in ("1", "1.5", "2", "0.5")]
    assert widths == [1, Fraction(5, 4), Fraction(3, 2), Fraction(3, 4)]


def test_blocks_that_grow_differently_ask_for_a_width() -> None:
    graph = network(conv(16, 3, 2) + osa(8, 32) + osa(8, 32) + HEAD)
    with pytest.raises(UsageError) as caught:
        scale(graph, "2")
    assert "grow by 1.556 to 1.714, not all by one factor" in caught.value.message
    assert "--width" in caught.value.help
    assert [stage.count for stage in scale(graph, "2", "1").stages] == [5, 5]


def test_cross_stage_partial_stages_keep_their_width() -> None:
    found = scale(network(conv(16, 3, 2) + csp(8, 16, 2) + csp_neck(8, 2) + HEAD), "2")
    assert found.width == 1
    assert difference(found.graph, network(conv(16, 3, 2) + csp(8, 16, 4) + csp_neck(8, 4) + HEAD)).same


def test_nothing_to_deepen() -> None:
    graph = network(conv(16) + HEAD)
    with pytest.raises(CspdetError) as caught:
        scale(graph, "2", "1.5")
    assert caught.value.message.startswith("nothing in `X.cfg` can be deepened")
    assert scale(graph, "1", "1").graph.parameters == graph.parameters
    assert filters(scale(graph, None, "1.5").graph) == [24, 24, 24]


# -- text ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*SHIPPED, *reference_files("corpus/*.cfg")], ids=lambda path: path.stem)
def test_scaling_by_one_adds_a_remark(path: Path) -> None:
    graph = read(path)
    if graph is None:
        return
    found = scale(graph, "1", "1")
    remark, rest = found.text.split("\n", 1)
    assert remark.rstrip("\r") == f"# {path.name}, scaled by cspdet: depth 1, width 1 (YOLOv7, section 4.2)"
    assert rest == plain_text(graph)
    assert difference(graph, found.graph).same


@pytest.mark.parametrize("path", [*SHIPPED, *reference_files("corpus/*[0-9x]*.cfg")[::9]], ids=lambda path: path.stem)
def test_real_networks(path: Path) -> None:
    """Whatever repeats, doubled, and halved again, is the network; scaled in both, it is one that runs, with the same heads."""
    graph = read(path)
    if graph is None or any("hidden" in node.layer.options for node in graph.nodes):
        return
    depth = "2" if stages(graph) else None
    deep = scale(graph, depth, "1")
    assert difference(graph, scale(deep.graph, "0.5" if depth else None, "1").graph).same
    for factors in ((depth, "1.1"), ("0.5" if depth else None, "0.3")):
        found = scale(graph, *factors)
        again, diagnostics = examine(Source(str(path), found.text))
        assert again
        assert {each.code for each in diagnostics if each.severity != "note"} <= {
            each.code for each in examine(graph.source)[1] if each.severity != "note"
        }
        assert [head.output for head in again.heads] == [head.output for head in graph.heads]
        assert again.nodes[-1].output == graph.nodes[-1].output


def test_text_is_left_as_it_was() -> None:
    body = (
        "# the stem\r\n" + conv(16, 3, 2).replace("\n", "\r\n") + "\r\n; a block\r\n"
        "[convolutional] \r\nfilters = 8\r\n# not padded\r\nsize=1\r\n\r\n[route]\r\nlayers= -2\r\n\r\n"
        "[convolutional]\r\nfilters=8\r\nsize=1\r\n#comment at its end\r\n\r\n"
        "[convolutional]\r\nfilters=8\r\nsize = 3\r\npad=1\r\n\r\n"
        "[convolutional]\r\nsize=3\r\npad=1\r\nfilters=8\r\n# last\r\n\r\n"
        "[route]\r\nlayers= -1, -2, -3, -5\r\n\r\n## head\r\n" + HEAD.replace("\n", "\r\n")
    )
    graph = network(body, START.replace("\n", "\r\n"))
    found = scale(graph, "1.5", "1")
    remark = "# X.cfg, scaled by cspdet: depth 1.5, width 1 (YOLOv7, section 4.2)\r\n"
    copied = "pad=1\r\nfilters=8\r\n\r\n[convolutional]\r\nsize=3\r\npad=1\r\nfilters=8\r\n# last"
    expected = remark + graph.source.text.replace("pad=1\r\nfilters=8\r\n# last", copied)
    assert found.text == expected.replace("layers= -1, -2, -3, -5", "layers= -1, -2, -3, -4, -6")
    # Made shorter, the layers go with what stands before them, but for what stands before the next layer.
    less = scale(graph, "0.5", "1").text
    gone = "\r\n\r\n[convolutional]\r\nsize=3\r\npad=1\r\nfilters=8"
    assert less.replace("depth 0.5", "depth 1.5") == remark + graph.source.text.replace(gone, "").replace(
        "layers= -1, -2, -3, -5", "layers= -1, -2, -4"
    )


def test_numbers_stay_relative_or_absolute() -> None:
    body = conv(16, 3, 2) + csp(8, 16, 2) + conv(16) + route(12, -1) + HEAD
    deep = scale(network(body), "2", "1")
    assert "layers=-1,-16" in deep.text
    assert "layers=18,-1" in deep.text
    assert difference(deep.graph, network(conv(16, 3, 2) + csp(8, 16, 4) + conv(16) + route(18, -1) + HEAD)).same


def test_ascending_lists_stay_ascending() -> None:
    """YOLOv7-tiny names the outputs of its chains from the first to the last."""
    body = conv(16) + conv(8, 1) + route(-2) + conv(8, 1) + conv(8) * 2 + route(-5, -3, -2, -1) + HEAD
    assert "layers=-7,-5,-4,-3,-2,-1" in scale(network(body), "2").text


def test_the_authoring_language_is_written_out() -> None:
    page = (ROOT / "docs" / "language.md").read_text("utf-8").split("```ini\n")[1].split("```")[0]
    graph = load(Source("example.cfg", page).set({"width": "0.5"}))[0]
    found = scale(graph, "2", "1")
    assert found.text.startswith("# example.cfg, scaled by cspdet: depth 2, width 1 (YOLOv7, section 4.2)\n")
    assert "$" not in found.text
    assert found.graph.names is None
    assert {stage.count: count for stage, count in found.stages.items()} == {3: 6}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1"])
def test_the_encoding_stays(encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    data = (mark + "# Größe\n" + START + conv(16) + HEAD).encode(encoding)
    graph = load(Source.decode("名前.cfg", data))[0]
    found = scale(graph, None, "2")
    again = Source.decode("X.cfg", found.graph.source.encode(found.text))
    assert again.encoding == encoding
    assert again.text.splitlines()[1] == "# Größe"


def test_dialects_are_followed() -> None:
    cfg = START + "[convolutional]\nfilters=16\nfilters=32\n" + HEAD
    graph = load(Source("X.cfg", cfg), DIALECTS["pytorch"])[0]
    found = scaled(graph, None, Fraction(2))
    assert "filters=16\nfilters=64\n" in found.text


# -- what it computes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "depth"), [("elan", "1.5"), ("elan", "3"), ("osa", "2"), ("csp", "2"), ("csp", "1.5")])
def test_a_deeper_network_with_idle_layers_computes_the_same(form: str, depth: str) -> None:
    """With weights of 0 in the added layers, and for what comes from them, every other layer puts out what it did."""
    import torch

    from cspdet.network import Network

    block = {"elan": elan, "osa": osa, "csp": csp}[form](8, 16, 2)
    small = network(conv(16, 3, 2) + block + conv(8) + route(-2, 0) + HEAD, START.replace("64", "16"))
    large = scale(small, depth, "1").graph
    pairs = {each.second.index: each.first.index for each in difference(small, large).layers if each.first and each.second}
    assert len(pairs) == len(small.nodes)
    one, two = Network(small).eval(), Network(large).eval()
    generator = torch.Generator().manual_seed(0)
    for name, value in one.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + (0.5 if "var" in name else -0.5))
    there = one.state_dict()
    for name, value in two.state_dict().items():
        _, number, rest = name.split(".", 2)
        value.zero_()
        if int(number) in pairs:
            old = there[f"layers.{pairs[int(number)]}.{rest}"]
            if value.shape == old.shape:
                value.copy_(old)
            else:
                _spread(small, large, pairs, int(number), old, value)
    x = torch.rand((1, 3, 16, 16), generator=generator)
    before, after = one.trace(x), two.trace(x)
    same = [(new, index) for new, index in pairs.items() if before[index].shape == after[new].shape]
    assert len(same) >= len(pairs) - 1  # all but the join
    for new, index in same:
        torch.testing.assert_close(after[new], before[index])


def _spread(small: Graph, large: Graph, pairs: dict[int, int], index: int, old: object, value: object) -> None:
    """Weights for what is joined: those that were, where their layers stand now."""
    offset = 0
    old_offsets, position = {}, 0
    join = small.nodes[pairs[index]].sources[0]
    for source in small.nodes[join].sources:
        old_offsets[source] = position
        position += small.nodes[source].output.channels
    for source in large.nodes[large.nodes[index].sources[0]].sources:
        channels = large.nodes[source].output.channels
        if source in pairs:
            start = old_offsets[pairs[source]]
            value[:, offset : offset + channels] = old[:, start : start + channels]  # type: ignore[index]
        offset += channels
