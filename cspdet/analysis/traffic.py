"""Convolutional input and output: what HarDNet takes for the traffic of memory."""

from __future__ import annotations

from cspdet.analysis.convolutions import convolutions
from cspdet.graph import Node
from cspdet.layers.avgpool import Avgpool
from cspdet.layers.pooling import Pooling
from cspdet.layers.softmax import Softmax


def traffic(node: Node) -> int:
    """CIO of a layer for one image, in numbers: c_in h_in w_in + c_out h_out w_out.

    HarDNet (1909.00948) defines it over convolutions. The figures of CSPNet (1911.11929: 34.4 M for ResNeXt50,
    32.6 M for CSPResNeXt50, at 256x256) come out only if pooling and the softmax at the end count, too: 34,413,496 and
    32,644,024. That is what is counted here; routes and shortcuts are not, for they are addresses and sums at best.
    """
    if isinstance(node.layer, Pooling | Avgpool | Softmax):
        return node.inputs[0].size + node.output.size
    return sum(work.reads + work.writes for work in convolutions(node))
