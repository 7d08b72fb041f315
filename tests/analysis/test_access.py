"""Memory access cost and CIO, layer by layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.analysis.access import access
from cspdet.analysis.convolutions import convolutions
from cspdet.analysis.traffic import traffic
from cspdet.graph import Node
from tests.analysis.nets import Net


def convolution(width: int, height: int, channels: int, filters: int, size: int, **options: object) -> Node:
    net = Net(width, height, channels)
    net.add("convolutional", filters=filters, size=size, pad=1, **options)
    return net.graph().nodes[0]


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from((1, 3, 5)),
    st.integers(1, 3),
)
def test_the_equations_of_vovnet(width: int, height: int, channels: int, filters: int, size: int, groups: int) -> None:
    channels, filters = channels * groups, filters * groups
    found = access(convolution(width, height, channels, filters, size, groups=groups))
    weights = size**2 * channels * filters // groups
    multiplications = weights * height * width
    assert found.cost == height * width * (channels + filters) + weights
    bound = 2 * (height * width * multiplications / size**2) ** 0.5 + multiplications / (height * width)
    assert found.bound == pytest.approx(bound)
    assert found.cost >= bound * (1 - 1e-12)
    assert (found.excess == pytest.approx(1)) == (channels == filters and groups == 1)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_strides(width: int, height: int, channels: int, filters: int, stride: int) -> None:
    node = convolution(width, height, channels, filters, 3, stride=stride)
    found = access(node)
    rows, columns = -(-height // stride), -(-width // stride)
    assert traffic(node) == height * width * channels + rows * columns * filters
    assert found.cost == traffic(node) + 9 * channels * filters
    assert found.excess >= 1 - 1e-12


def test_groups_cost_memory() -> None:
    """ShuffleNetV2, guideline 2: at the same computation, the more groups, the more numbers are moved."""
    nodes = [convolution(14, 14, 24 * groups, 24, 1, groups=groups) for groups in (1, 2, 4, 8)]
    assert len({node.operations for node in nodes}) == 1
    found = [access(node) for node in nodes]
    assert [each.cost for each in found] == sorted({each.cost for each in found})
    assert len({each.bound for each in found}) == 1


def test_only_convolutions_are_counted() -> None:
    net = Net(8)
    net.conv(3, 4)
    net.add("maxpool", size=2, stride=2)
    net.route(-1, -1)
    net.add("shortcut", from_=-1)
    net.add("avgpool")
    net.add("connected", output=5)
    net.add("softmax")
    nodes = net.graph().nodes
    assert [access(node).cost for node in nodes] == [64 * 7 + 108, 0, 0, 0, 0, 0, 0]
    assert [traffic(node) for node in nodes] == [64 * 7, 64 * 4 + 16 * 4, 0, 0, 16 * 8 + 8, 0, 10]


def test_other_convolutions() -> None:
    net = Net(8, channels=2)
    net.add("deconvolutional", filters=4, size=2, stride=2)
    net.add("crnn", hidden=3, output=5, size=3, pad=1)
    net.add("conv_lstm", output=6, size=3, pad=1)
    nodes = net.graph().nodes
    assert access(nodes[0]) == (128 + 1024 + 32, 2 * (128 * 1024) ** 0.5 + 32)
    assert [work[:3] for work in convolutions(nodes[1])] == [(1024, 768, 108), (768, 768, 81), (768, 1280, 135)]
    assert len(convolutions(nodes[2])) == 8


def test_shared_weights_are_read_again() -> None:
    net = Net(8, channels=4)
    for options in ({}, {"share_index": 0}):
        net.add("convolutional", filters=4, size=3, pad=1, **options)
    first, second = net.graph().nodes
    assert (second.parameters, access(first)) == (0, access(second))


def test_where_a_blur_strides_the_convolution_does_not() -> None:
    plain = convolution(8, 8, 2, 3, 3)
    blurred = convolution(8, 8, 2, 3, 3, stride=2, antialiasing=1)
    assert blurred.output.size == plain.output.size // 4
    assert access(blurred) == access(plain)
