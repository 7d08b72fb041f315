"""What sorts of layers there are, for pictures: each has a colour."""

from __future__ import annotations

from enum import Enum

from cspdet.graph import Node
from cspdet.layers.avgpool import Avgpool
from cspdet.layers.base import Layer
from cspdet.layers.channels import AlternateChannels, ControlChannels, SelectChannels, ShiftChannels
from cspdet.layers.connected import Connected
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.cost import Cost
from cspdet.layers.deconvolutional import Deconvolutional
from cspdet.layers.iseg import Iseg
from cspdet.layers.local import Local
from cspdet.layers.logistic import Logistic
from cspdet.layers.maxunpool import Maxunpool
from cspdet.layers.partial_split import PartialSplit
from cspdet.layers.pooling import Pooling
from cspdet.layers.recurrent import Recurrent
from cspdet.layers.reorg import Reorg, Reorg3d
from cspdet.layers.route import Route, RouteLhalf
from cspdet.layers.sam import Sam
from cspdet.layers.scale_channels import ScaleChannels
from cspdet.layers.shortcut import Shortcut
from cspdet.layers.shuffle import Shuffle
from cspdet.layers.softmax import Softmax
from cspdet.layers.upsample import Upsample


class Kind(Enum):
    """A sort of layers, and its name in a legend."""

    CONVOLUTION = "convolution"
    POINT = "1×1 convolution"
    GROUPED = "grouped convolution"
    DENSE = "connected, recurrent"
    POOL = "pooling"
    RESIZE = "resize, reorganise"
    CONCAT = "route"
    SUM = "shortcut"
    SCALE = "attention"
    OTHER = "other"
    HEAD = "head, output"


COLORS = {
    Kind.CONVOLUTION: "#2f6fb3",
    Kind.POINT: "#8fb9e3",
    Kind.GROUPED: "#5b4bb0",
    Kind.DENSE: "#3b8f8a",
    Kind.POOL: "#4e9a51",
    Kind.RESIZE: "#b98a1f",
    Kind.CONCAT: "#d9772b",
    Kind.SUM: "#c9403f",
    Kind.SCALE: "#b0489a",
    Kind.OTHER: "#9aa0a8",
    Kind.HEAD: "#2b2f36",
}

_KINDS: dict[type[Layer] | tuple[type[Layer], ...], Kind] = {
    Deconvolutional: Kind.CONVOLUTION,
    (Connected, Recurrent, Local): Kind.DENSE,
    (Pooling, Avgpool): Kind.POOL,
    (Upsample, Maxunpool, Reorg, Reorg3d, Shuffle): Kind.RESIZE,
    (Route, RouteLhalf, PartialSplit): Kind.CONCAT,
    Shortcut: Kind.SUM,
    (ScaleChannels, Sam, ShiftChannels, ControlChannels, SelectChannels, AlternateChannels): Kind.SCALE,
    (Softmax, Logistic, Iseg, Cost): Kind.HEAD,
}


def kind_of(node: Node) -> Kind:
    """The sort of a layer."""
    layer = node.layer
    if isinstance(layer, Convolutional):
        if layer.groups > 1:
            return Kind.GROUPED
        return Kind.POINT if layer.sizes == (1, 1) else Kind.CONVOLUTION
    if layer.is_head:
        return Kind.HEAD
    return next((kind for types, kind in _KINDS.items() if isinstance(layer, types)), Kind.OTHER)
