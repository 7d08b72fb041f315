"""What repeats is found by the graph."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.scaling.stages import Stage, stages
from tests.scaling.material import conv, csp, csp_neck, elan, network, osa, route, shortcut


def found(body: str) -> list[tuple[str, int, int, int]]:
    return [(stage.kind, stage.first, stage.length, stage.count) for stage in stages(network(body))]


def test_elan() -> None:
    (stage,) = stages(network(conv(16, 3, 2) + elan(8, 32)))
    # 0 the stem, 1 one path, 2 and 3 the entry of the other, 4 and 5 a group, 6 and 7 another, 8 the join.
    assert (stage.kind, stage.first, stage.length, stage.count) == ("concatenation", 4, 2, 2)
    assert (stage.joins, stage.inner, stage.outputs) == ((8,), frozenset({1, 3, 4, 5, 6, 7}), (5, 7))


@given(st.integers(2, 5), st.integers(1, 3))
def test_elan_of_any_size(groups: int, length: int) -> None:
    graph = network(conv(16, 3, 2) + elan(8, 32, groups, length))
    (stage,) = stages(graph)
    assert (stage.first, stage.length, stage.count) == (4, length, groups)
    # (paths + groups) × 8 channels become (paths + groups after) × 8.
    for depth in ("1", "1.5", "2", "0.5"):
        now = stage.units(Fraction(depth))
        assert stage.growth(graph, Fraction(depth)) == Fraction(2 + now, 2 + groups)


def test_elan_with_narrow_convolutions() -> None:
    """YOLOv7's neck joins every convolution, and they are half as wide as the paths."""
    (stage,) = stages(network(conv(16) + conv(16, 1) + route(-2) + conv(16, 1) + conv(8) * 4 + route(-1, -2, -3, -4, -5, -7)))
    assert (stage.first, stage.length, stage.count, stage.inner) == (4, 1, 4, frozenset({1, 3, 4, 5, 6, 7}))


def test_one_shot_aggregation() -> None:
    """What a block reads is joined as well, but is no part of it."""
    first, second = stages(network(conv(16, 3, 2) + osa(8, 32) + osa(12, 48)))
    assert (first.first, first.length, first.count, first.inner) == (1, 1, 5, frozenset(range(1, 6)))
    assert (second.first, second.length, second.count, second.inner) == (8, 1, 5, frozenset(range(8, 13)))


def test_extended_elan() -> None:
    """E-ELAN: every group of channels of each layer goes into its own join (YOLOv7, figure 2d)."""
    grouped = conv(16, 3, 1, "groups=2")
    body = conv(16, 3, 2) + conv(16, 1) + route(-2) + conv(16, 1) + grouped * 4
    body += route(-1, -3, -5, -7, more="groups=2\ngroup_id=0\n") + route(-2, -4, -6, -8, more="groups=2\ngroup_id=1\n")
    (stage,) = stages(network(body + shortcut(-2)))
    assert (stage.first, stage.length, stage.count, stage.joins) == (4, 2, 2, (8, 9))


def test_residual_stages() -> None:
    block = conv(8, 1) + conv(16) + shortcut(-3)
    body = conv(16) + block * 3 + conv(32, 3, 2) + (conv(16, 1) + conv(32) + shortcut(-3))
    assert found(body) == [("residual", 1, 3, 3), ("residual", 11, 3, 1)]


def test_cross_stage_partial_stages() -> None:
    assert found(conv(16, 3, 2) + csp(8, 16, 3)) == [("residual", 4, 3, 3)]
    assert found(conv(16, 3, 2) + csp_neck(8, 2)) == [("chain", 3, 2, 2)]
    assert found(conv(16, 3, 2) + csp_neck(8, 1)) == []  # nothing repeats
    # Its end is joined once more, further down.
    assert found(conv(16, 3, 2) + csp_neck(8, 2) + route(6, 1)) == [("chain", 3, 2, 2)]


def test_the_first_block_of_a_stage_counts() -> None:
    # ResNet: a projection beside the first block.
    block = conv(8, 1) + conv(8) + conv(32, 1) + shortcut(-4)
    first = conv(8, 1) + conv(8, 3, 2) + conv(32, 1) + route(-4) + conv(32, 1, 2) + shortcut(-3)
    (stage,) = stages(network(conv(16) + first + block * 2))
    assert (stage.first, stage.count, stage.before) == (7, 2, 1)
    assert [stage.units(Fraction(depth)) for depth in ("1", "2", "1/2", "1/16")] == [2, 5, 1, 1]
    # MobileNetV2: the first block strides, and has no shortcut.
    block = conv(24, 1) + conv(24, 3, 1, "groups=24") + conv(8, 1) + shortcut(-4)
    first = conv(24, 1) + conv(24, 3, 2, "groups=24") + conv(8, 1)
    (stage,) = stages(network(conv(8) + first + block * 2))
    assert (stage.first, stage.count, stage.before) == (4, 2, 1)


def test_blocks_with_their_own_blocks() -> None:
    """Squeeze and excitation is part of a residual block; of blocks around blocks, the inner ones are repeated."""
    gate = "[avgpool]\n" + conv(4, 1) + conv(16, 1) + "[scale_channels]\nfrom=-4\n\n"
    block = conv(16, 1) + gate + shortcut(-6)
    assert found(conv(16) + block * 2) == [("residual", 1, 6, 2)]
    inner = conv(8, 1) + conv(16) + shortcut(-3)
    assert found(conv(16) + conv(16) + inner * 2 + conv(16) + shortcut(-9)) == [("residual", 2, 3, 2)]
    # A VoVNet module with a residual connection: its chain is what is deepened.
    assert found(conv(32) + osa(8, 32) + shortcut(-8)) == [("concatenation", 1, 1, 5)]


@pytest.mark.parametrize(
    "body",
    [
        conv(16) * 4,
        # A dense block: every layer reads all before it.
        conv(16) + (conv(8, 1) + conv(8) + route(-1, -3)) * 3,
        # Spatial pyramid pooling.
        conv(16, 1) + "[maxpool]\nsize=5\n" + route(-2) + "[maxpool]\nsize=9\n" + route(-1, -3, -4),
        # Two convolutions are joined with something that comes from elsewhere.
        conv(16) + conv(8, 1) + conv(16) + conv(16) + route(-4) + "[maxpool]\nsize=3\n" + route(-1, -3),
        # What lies within the chain is read from outside as well.
        conv(16) + conv(8, 1) + route(-2) + conv(8, 1) + conv(8) * 4 + route(-1, -3, -5, -7) + conv(16) + route(-4, -1),
        # A block with two inputs.
        conv(16) + conv(16) + conv(8, 1) + route(-1, -3) + conv(16) + shortcut(-4),
        # Layers of unlike strides, activations, sizes.
        conv(16) + conv(8, 1) + route(-2) + conv(8, 1) + conv(8) + conv(8).replace("swish", "mish") + route(-1, -2, -3, -5),
    ],
)
def test_what_does_not_repeat(body: str) -> None:
    assert found(body) == []


@given(st.integers(1, 40), st.fractions(Fraction(1, 16), 16))
def test_units_are_the_nearest_number(count: int, depth: Fraction) -> None:
    units = Stage("residual", 0, 1, count).units(depth)
    assert units >= 1
    assert abs(units - count * depth) <= Fraction(1, 2) or (units == 1 and count * depth < 1)
    assert Stage("residual", 0, 1, count).units(Fraction(1)) == count
