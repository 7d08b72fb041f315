"""Small networks of all shapes, for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from cspdet.graph import Graph
from tests.analysis.nets import Net


@st.composite
def graphs(draw: st.DrawFn, width: int = 40, height: int = 32, most: int = 9, parts: bool = True) -> Graph:
    """Convolutions, poolings, upsamplings, concatenations and sums, each reading any layers before it that fit.

    With `parts`, some read only some of the channels.
    """
    net = Net(width, height, draw(st.integers(1, 2)))
    net.conv(draw(st.sampled_from((1, 3))), draw(st.integers(1, 3)), batch_normalize=0, activation="linear")
    for _ in range(draw(st.integers(1, most))):
        _add(draw, net, parts)
    return net.graph()


def _add(draw: st.DrawFn, net: Net, parts: bool) -> None:
    nodes = net.graph().nodes
    x = nodes[-1].output
    alike = [node.index for node in nodes if node.output[1:] == x[1:]]
    kinds = ["conv", "conv", "conv", "tap", "concat", "sum", "pass", *(["half", "split"] if parts else [])]
    if min(x.height, x.width) >= 8:
        kinds += ["down", "maxpool", "local_avgpool", "dilated"]
        kinds += ["depth"] * (x.height % 2 == x.width % 2 == 0)
    if max(x.height, x.width) <= 48:
        kinds += ["up", "up", "deconv"]
    plain = {"batch_normalize": 0, "activation": "linear"}
    filters = draw(st.integers(1, 3))
    size, stride = draw(st.sampled_from((2, 3, 4))), draw(st.integers(1, 2))
    match draw(st.sampled_from(kinds)):
        case "conv":
            net.conv(draw(st.sampled_from((1, 3, 5))), filters, **plain)
        case "down":
            net.conv(draw(st.sampled_from((1, 2, 3))), filters, 2, **plain)
        case "dilated":
            net.conv(3, filters, dilation=2, **plain)
        case "maxpool":
            net.add("maxpool", size=size, stride=stride)
        case "local_avgpool":
            net.add("local_avgpool", size=size, stride=stride)
        case "depth":
            net.add("reorg3d", stride=2)
        case "up":
            net.add("upsample", stride=draw(st.integers(2, 3)))
        case "deconv":
            net.add("deconvolutional", size=size, stride=stride, padding=draw(st.integers(0, 1)), filters=filters)
        case "tap":
            net.route(draw(st.sampled_from(range(len(nodes)))))
        case "concat":
            net.route(*draw(st.lists(st.sampled_from(alike), min_size=2, max_size=3)))
        case "half":
            even = [node.index for node in nodes if node.output.channels % 2 == 0]
            if even:
                net.add("route", layers=draw(st.sampled_from(even)), groups=2, group_id=draw(st.integers(0, 1)))
        case "sum":
            net.add("shortcut", from_=draw(st.sampled_from(alike)), activation="linear")
        case "pass":
            net.add("dropout", probability=0.5)
        case "split":
            if x.channels > 1:
                net.add("partial_split", ratio=0.5)
