"""The convolutions that a layer consists of."""

from __future__ import annotations

from typing import NamedTuple

from cspdet.graph import Node
from cspdet.layers.base import Shape
from cspdet.layers.block import Convolution
from cspdet.layers.conv_lstm import ConvLstm
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.crnn import Crnn
from cspdet.layers.deconvolutional import Deconvolutional


class Work(NamedTuple):
    """What one convolution moves for one image, in numbers: it reads, writes, and multiplies with so many weights."""

    reads: int
    writes: int
    weights: int
    groups: int = 1


def convolutions(node: Node) -> tuple[Work, ...]:
    """Of [convolutional] and [deconvolutional] the one, of [crnn] and [conv_lstm] all; of any other layer none.

    [connected] and [local] are none: they use each weight once.
    """
    layer = node.layer
    if isinstance(layer, Convolutional):
        return (_work(layer.block(node.inputs[0]), node.inputs[0]),)
    if isinstance(layer, Deconvolutional):
        return (Work(node.inputs[0].size, node.output.size, node.arrays["conv.weight"].size, layer.groups),)
    if isinstance(layer, Crnn | ConvLstm):
        return tuple(_work(block, node.inputs[0]) for block in layer.blocks(node.inputs[0]).values())
    return ()


def _work(block: Convolution, x: Shape) -> Work:
    """Of a block on a map as large as `x`."""
    reads = x._replace(channels=block.channels)
    return Work(reads.size, block.shape(x).size, block.kernel.size, block.groups)
