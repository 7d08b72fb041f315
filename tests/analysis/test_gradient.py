"""Gradient paths, against all ways through the graph one by one."""

from __future__ import annotations

from hypothesis import given, settings

from cspdet.analysis.gradient import gradient_paths, has_weights
from cspdet.graph import Graph
from tests.analysis.nets import Net, densenet40
from tests.analysis.random_nets import graphs


def slow(graph: Graph, index: int) -> list[int]:
    """The lengths of all ways from a layer's output to the network's."""
    found = [0] if index in graph.outputs else []
    for node in graph.nodes:
        for source in node.sources:
            if source == index:
                found += [length + has_weights(node) for length in slow(graph, node.index)]
    return found


@given(graphs(width=16, height=16, most=8))
@settings(max_examples=60, deadline=None)
def test_networks(graph: Graph) -> None:
    paths = gradient_paths(graph)
    for node in graph.nodes:
        ways = slow(graph, node.index)
        assert (min(ways), max(ways)) == paths[node.index] if ways else node.index not in paths


def test_a_chain() -> None:
    net = Net(16)
    for _ in range(4):
        net.conv(3, 2)
        net.add("maxpool", size=3, stride=1)
    assert [*gradient_paths(net.graph()).values()][::-1] == [(3, 3), (3, 3), (2, 2), (2, 2), (1, 1), (1, 1), (0, 0), (0, 0)][
        ::1
    ]


def test_residuals_shorten_the_way_and_leave_the_depth() -> None:
    net = Net(16)
    net.conv(3, 4)
    for _ in range(5):
        net.conv(1, 4)
        net.conv(3, 4)
        net.add("shortcut", from_=-3)
    assert gradient_paths(net.graph())[0] == (0, 10)


def test_an_efficient_layer_aggregation_network() -> None:
    """ELAN(64 → 256) of YOLOv7: every layer of the block is at most five from its end, and it is as deep."""
    net = Net(16)
    start = net.conv(3, 64)
    one = net.conv(1, 64)
    net.route(start)
    two = net.conv(1, 64)
    chain = [net.conv(3, 64) for _ in range(4)]
    net.route(chain[3], chain[1], two, one)
    net.conv(1, 256)
    paths = gradient_paths(net.graph())
    assert [paths[index] for index in (start, one, two, *chain)] == [(2, 6), (1, 1), (1, 5), (2, 4), (1, 3), (2, 2), (1, 1)]


def test_densenet() -> None:
    paths = gradient_paths(densenet40().graph())
    # Each concatenation is a way around; two transitions and the classifier are on all of them.
    assert paths[0] == (3, 39)


def test_constants_end_the_way() -> None:
    net = Net(16)
    net.conv(3, 4)
    unread = net.conv(3, 4)
    net.add("implicit", filters=4)
    net.route(0)
    net.add("shift_channels", from_=2)
    net.conv(1, 2)
    paths = gradient_paths(net.graph())
    assert unread not in paths
    assert paths[0] == paths[2] == (1, 1)


def test_auxiliary_heads_are_nearer() -> None:
    """The loss of training is at their end, too."""
    anchors = {"classes": 1, "num": 3, "anchors": "1,1, 2,2, 3,3", "assigner": "simota"}
    for auxiliary in ({}, {"aux": 1, "lead": 4}):
        net = Net(32)
        for _ in range(3):
            net.conv(3, 4)
        net.add("convolutional", filters=18)
        net.add("yolo", **anchors)
        net.route(0)
        net.add("convolutional", filters=18)
        net.add("yolo", **anchors, **auxiliary)
        graph = net.graph()
        assert len(graph.heads) == 2 - len(auxiliary) // 2
        paths = gradient_paths(graph)
        assert (paths[0], paths[6]) == ((1, 3), (0, 0))
        assert 4 not in paths


def test_shared_weights_are_weights() -> None:
    net = Net(16, channels=4)
    net.conv(3, 4)
    net.add("convolutional", filters=4, size=3, pad=1, share_index=0, batch_normalize=1)
    assert gradient_paths(net.graph())[0] == (1, 1)
