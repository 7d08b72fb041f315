"""What the sections of a cfg mean: one class per section type, and the one list of them."""

from __future__ import annotations

from cspdet.layers.activation_layer import ActivationLayer
from cspdet.layers.avgpool import Avgpool
from cspdet.layers.base import Layer
from cspdet.layers.batchnorm import Batchnorm
from cspdet.layers.channels import AlternateChannels, ControlChannels, SelectChannels, ShiftChannels
from cspdet.layers.connected import Connected
from cspdet.layers.contrastive import Contrastive
from cspdet.layers.conv_lstm import ConvLstm
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.cost import Cost
from cspdet.layers.crnn import Crnn
from cspdet.layers.crop import Crop
from cspdet.layers.deconvolutional import Deconvolutional
from cspdet.layers.detection import Detection
from cspdet.layers.dropout import Dropout
from cspdet.layers.empty import Blank, Empty
from cspdet.layers.gaussian_yolo import GaussianYolo
from cspdet.layers.gru import Gru
from cspdet.layers.history import History
from cspdet.layers.implicit import Implicit, ImplicitAdd, ImplicitCat, ImplicitMul
from cspdet.layers.iseg import Iseg
from cspdet.layers.l2norm import L2norm
from cspdet.layers.local import Local
from cspdet.layers.local_avgpool import LocalAvgpool
from cspdet.layers.logistic import Logistic
from cspdet.layers.lstm import Lstm
from cspdet.layers.maxpool import Maxpool
from cspdet.layers.maxunpool import Maxunpool
from cspdet.layers.net import Net
from cspdet.layers.normalization import Normalization
from cspdet.layers.partial_split import PartialSplit
from cspdet.layers.region import Region
from cspdet.layers.reorg import Reorg, Reorg3d
from cspdet.layers.rnn import Rnn
from cspdet.layers.route import Route, RouteLhalf
from cspdet.layers.sam import Sam
from cspdet.layers.scale_channels import ScaleChannels
from cspdet.layers.shortcut import Shortcut
from cspdet.layers.shuffle import Shuffle
from cspdet.layers.softmax import Softmax
from cspdet.layers.upsample import Upsample
from cspdet.layers.yolo import Yolo

# Adding a section type is one file and one line here. The order is that of `cspdet layers`.
LAYERS: tuple[type[Layer], ...] = (
    Net,
    Convolutional,
    Deconvolutional,
    Local,
    Connected,
    Maxpool,
    Maxunpool,
    LocalAvgpool,
    Avgpool,
    Upsample,
    Reorg,
    Reorg3d,
    Crop,
    Route,
    RouteLhalf,
    PartialSplit,
    Shuffle,
    Shortcut,
    ScaleChannels,
    Sam,
    ShiftChannels,
    ControlChannels,
    AlternateChannels,
    SelectChannels,
    Implicit,
    ImplicitAdd,
    ImplicitMul,
    ImplicitCat,
    ActivationLayer,
    Batchnorm,
    Normalization,
    L2norm,
    Dropout,
    Empty,
    Blank,
    Rnn,
    Gru,
    Lstm,
    Crnn,
    ConvLstm,
    History,
    Yolo,
    GaussianYolo,
    Region,
    Detection,
    Softmax,
    Logistic,
    Iseg,
    Cost,
    Contrastive,
)


def _by_name() -> dict[str, type[Layer]]:
    found: dict[str, type[Layer]] = {}
    for layer in LAYERS:
        for name in layer.names:
            if name in found:
                raise ValueError(f"the section name `{name}` is taken twice: by {found[name].__name__} and {layer.__name__}")
            found[name] = layer
    return found


BY_NAME: dict[str, type[Layer]] = _by_name()
