"""New numbers of channels that fit together."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.errors import CspdetError
from cspdet.graph import Graph
from cspdet.scaling.widths import rounded
from tests.scaling.material import START, conv, filters, network, route, scale, shortcut

HEAD = "[convolutional]\nfilters=24\nsize=1\n\n[yolo]\nclasses=3\nnum=3\nanchors=1,2, 3,4, 5,6\n"


def wide(body: str, width: str = "1.5") -> Graph:
    return scale(network(body), width=width).graph


@given(st.integers(1, 4096), st.fractions(Fraction(1, 16), 16), st.sampled_from([1, 2, 3, 32]))
def test_rounding(number: int, factor: Fraction, multiple: int) -> None:
    number *= multiple
    found = rounded(number, factor, multiple)
    if number == 1 or factor == 1:
        assert found == number
        return
    step = next(each for each in (8, 4, 2, 1) if number % each == 0)
    assert found % step == found % multiple == 0
    assert found >= number * factor
    assert found < number * factor + step * multiple
    # With multiples of 8, what YOLOv7's `make_divisible` gives.
    if step == 8 and multiple == 1:
        assert found == -(-number * factor // 8) * 8


def test_binary_fractions_do_not_round_up() -> None:
    """In floating point, 80 × 1.1 is more than 88, and the next multiple of 8 would be 96."""
    assert [rounded(number, Fraction("1.1")) for number in (80, 160, 64)] == [88, 176, 72]


def test_heads_and_outputs_stay() -> None:
    assert filters(wide(conv(16) + conv(20) + HEAD)) == [24, 32, 24, 24]
    assert filters(wide(conv(16) + "[convolutional]\nfilters=10\n[avgpool]\n[softmax]\n[cost]\n")) == [24, 10, 10, 10, 10]
    assert filters(wide("[connected]\noutput=64\n[connected]\noutput=10\n[softmax]\n")) == [96, 10, 10]
    # What a head reads may be joined from several layers.
    two = conv(16) + "[convolutional]\nfilters=12\n\n[route]\nlayers=-2\n\n[convolutional]\nfilters=12\n\n" + route(-1, -3)
    assert filters(wide(two + HEAD[HEAD.index("[yolo]") :])) == [24, 12, 24, 12, 24, 24]


def test_depthwise_convolutions_stay_depthwise() -> None:
    graph = wide(conv(20, 1) + conv(20, 3, 1, "groups=20") + conv(40, 3, 1, "groups=20") + conv(7, 1) + HEAD)
    assert [getattr(node.layer, "groups", None) for node in graph.nodes] == [1, 32, 32, 1, 1, None]
    assert filters(graph) == [32, 32, 64, 11, 24, 24]


def test_groups_divide_what_they_read_and_put_out() -> None:
    graph = wide(conv(64, 1) + conv(64, 3, 1, "groups=32") + conv(16) + HEAD, "1.1")
    assert filters(graph)[:2] == [96, 96]
    graph = wide(conv(24) + route(-1, more="groups=3\ngroup_id=1\n") + conv(8) + HEAD, "1.1")
    assert filters(graph)[:3] == [48, 16, 16]


def test_layers_that_meet_stay_equal() -> None:
    squeezed = conv(16) + "[avgpool]\n\n" + conv(4, 1) + conv(16, 1) + "[scale_channels]\nfrom=0\n\n" + conv(16) + shortcut(0)
    assert filters(wide(squeezed + HEAD, "1.1"))[:7] == [24, 24, 8, 24, 24, 24, 24]
    # 12 + 4 channels become 16 + 8, but 16 alone 24: whichever of them is joined decides.
    joined = conv(12) + route(-1) + conv(4) + route(-1, -3) + conv(16) + shortcut(-2)
    assert filters(wide(joined + HEAD, "1.1"))[3:6] == [24, 24, 24]
    later = conv(40) + conv(20) + route(-2) + conv(20) + route(-1, -3) + shortcut(0)
    found = filters(wide(later + HEAD, "1.2"))
    assert found[0] == found[1] + found[3] == found[5]


def test_a_mask_stays_one_channel() -> None:
    mask = conv(16) + conv(1, 1) + "[scale_channels]\nfrom=-2\nscale_wh=1\n\n"
    assert filters(wide(mask + HEAD))[:3] == [24, 1, 24]


def test_options_that_are_not_written_are_written() -> None:
    body = "[implicit]\n\n" + "[convolutional]\nfilters=16\nactivation=linear\n" + HEAD
    result = scale(network(conv(16) + body), width="1.5")
    assert "[implicit]\nfilters=192\n" in result.text
    depth = conv(32) + "[maxpool]\nmaxpool_depth=1\nout_channels=8\n" + HEAD
    assert filters(wide(depth))[:2] == [48, 12 + 4]


def test_of_options_that_are_given_twice_the_one_that_counts_is_changed() -> None:
    result = scale(network("[convolutional]\nfilters=16\nfilters=99\n" + HEAD), width="2")
    assert "filters=32\nfilters=99\n" in result.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[gru]\noutput=16\n", "the width of `[gru]` cannot be scaled"),
        (conv(16) + "[conv_lstm]\noutput=16\nsize=1\n", "the width of `[conv_lstm]` cannot be scaled"),
        (conv(300_000, 1) + HEAD, "cannot be scaled so: `filters` is 1200000"),
    ],
)
def test_what_cannot_be_widened(body: str, message: str) -> None:
    start = "[net]\ninputs=16\nbatch=1\n" if body.startswith("[gru]") else START.replace("64", "16")
    with pytest.raises(CspdetError) as caught:
        scale(network(body, start), width="4")
    assert message in caught.value.message
    assert caught.value.help
