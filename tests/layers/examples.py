"""One or more examples of every section type: options and what the layer reads. The suite over `LAYERS` runs on them."""

from __future__ import annotations

from typing import Any, NamedTuple

from cspdet.cfg.dialect import ALEXEYAB, HANK_AI, PJREDDIE, PYTORCH, Dialect
from cspdet.layers import BY_NAME, Layer
from cspdet.layers.base import Shape, Sources


class Example(NamedTuple):
    name: str
    options: dict[str, Any]
    inputs: tuple[Shape, ...]
    dialect: Dialect = ALEXEYAB
    # The layer's own number; `from` and `layers` are resolved against it.
    index: int = 9
    # The options of a [maxpool] as layer 3.
    pooling: dict[str, Any] | None = None

    def make(self) -> Layer:
        layer = BY_NAME[self.name](self.index, self.dialect, self.options)
        if self.pooling is not None:
            layer.look_back({3: BY_NAME["maxpool"](3, self.dialect, self.pooling)})
        return layer

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({options}){'' if self.dialect is ALEXEYAB else self.dialect.name}"


IMAGE = Shape(8, 12, 10)
LAST = Sources((-2,))
CONVOLUTION = {"filters": 6, "size": 3, "pad": True, "activation": "leaky"}
RECURRENT = {"output": 6, "hidden": 5, "size": 3, "pad": True, "activation": "leaky"}

EXAMPLES = (
    Example("convolutional", CONVOLUTION, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"batch_normalize": 1, "stride": 2, "activation": "mish"}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"batch_normalize": 1}, (IMAGE,), PJREDDIE),
    Example("convolutional", CONVOLUTION | {"groups": 2, "stride_x": 2, "stride_y": 1}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"dilation": 2}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"size": 1, "size_x": 7, "batch_normalize": 1}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"size_x": 2, "size_y": 5, "stride": 2, "flipped": True, "groups": 2}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"size_x": 5, "dilation": 2, "antialiasing": 1, "xnor": True}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"padding": 1, "pad": False, "size": 2}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"antialiasing": 1, "stride": 2}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"antialiasing": 2, "stride": 2}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"xnor": True, "batch_normalize": 1, "bin_output": True}, (IMAGE,)),
    Example("convolutional", CONVOLUTION | {"flipped": True}, (IMAGE,)),
    Example("deconvolutional", {"filters": 6, "size": 4, "stride": 2, "padding": 1}, (IMAGE,)),
    Example(
        "deconvolutional", {"filters": 6, "size": 3, "stride": 2, "pad": True, "batch_normalize": True}, (IMAGE,), PJREDDIE
    ),
    Example("deconvolutional", {"filters": 6, "size": 3, "stride": 2, "pad": True, "groups": 2, "output_padding": 1}, (IMAGE,)),
    Example("deconvolutional", {"filters": 6, "size": 3, "stride": 9, "groups": 2, "output_padding": 8}, (IMAGE,), PJREDDIE),
    Example("local", {"filters": 4, "size": 3, "pad": 1, "activation": "relu"}, (IMAGE,)),
    Example("local", {"filters": 4, "size": 2, "stride": 2}, (IMAGE,)),
    Example("connected", {"output": 7}, (IMAGE,)),
    Example("connected", {"output": 7, "batch_normalize": True, "activation": "relu"}, (Shape.vector(20),)),
    Example("maxpool", {"size": 2, "stride": 2}, (Shape(8, 13, 11),)),
    Example("maxpool", {"size": 5, "stride": 1}, (IMAGE,)),
    Example("maxpool", {"size": 2, "stride": 1}, (IMAGE,)),
    Example("maxpool", {"size": 3, "stride": 2, "padding": 1}, (IMAGE,)),
    Example("maxpool", {"size": 3, "stride_x": 2, "stride_y": 1}, (IMAGE,)),
    Example("maxpool", {"stride": 3}, (IMAGE,)),
    Example("maxpool", {"maxpool_depth": True, "out_channels": 3}, (IMAGE,)),
    Example("maxpool", {"size": 2, "stride": 2, "antialiasing": 1}, (IMAGE,)),
    Example("maxunpool", {"from": Sources((3,))}, (Shape(8, 7, 6), Shape(8, 13, 11)), pooling={"size": 2, "stride": 2}),
    Example("maxunpool", {"from": Sources((3,))}, (IMAGE, IMAGE), pooling={"size": 3}),
    Example("local_avgpool", {"size": 3, "stride": 2}, (Shape(8, 13, 11),)),
    Example("avgpool", {}, (IMAGE,)),
    Example("upsample", {"stride": 2, "scale": 0.5}, (IMAGE,)),
    Example("upsample", {"stride": -2}, (IMAGE,)),
    Example("upsample", {"stride": 3, "mode": "bilinear"}, (IMAGE,)),
    Example("upsample", {"mode": "bilinear", "scale": 2.0}, (Shape(2, 1, 1),)),
    Example("upsample", {"stride": 3, "mode": "nails", "scale": 2.0}, (IMAGE,)),
    Example("reorg", {"stride": 2}, (IMAGE,)),
    Example("reorg", {"stride": 2, "reverse": True}, (IMAGE,)),
    Example("reorg", {"flatten": True}, (IMAGE,), PJREDDIE),
    Example("reorg", {"flatten": True, "reverse": True}, (IMAGE,), PJREDDIE),
    Example("reorg", {"extra": 3}, (IMAGE,), PJREDDIE),
    Example("reorg3d", {"stride": 2}, (IMAGE,)),
    Example("reorg3d", {"stride": 2, "reverse": True}, (Shape(32, 6, 4),)),
    Example("crop", {"crop_height": 8, "crop_width": 7}, (IMAGE,)),
    Example("crop", {"crop_height": 8, "crop_width": 7, "noadjust": True}, (IMAGE,)),
    Example("route", {"layers": Sources((-1,))}, (IMAGE,)),
    Example("route", {"layers": Sources((-1, 3)), "groups": 2, "group_id": 1}, (IMAGE, Shape(4, 12, 10))),
    Example("route", {"layers": Sources((-1, 3))}, (IMAGE, Shape(4, 6, 5))),
    Example("route_lhalf", {"layers": Sources((-1, 3))}, (IMAGE, Shape(4, 12, 10)), PYTORCH),
    Example("partial_split", {"ratio": 0.25}, (IMAGE,)),
    Example("partial_split", {"ratio": 0.25, "part": 1}, (IMAGE,)),
    Example("shuffle", {"groups": 4}, (IMAGE,)),
    Example("shortcut", {"from": LAST}, (IMAGE, IMAGE)),
    Example("shortcut", {"from": LAST, "activation": "relu"}, (IMAGE, Shape(5, 12, 10))),
    Example("shortcut", {"from": LAST}, (IMAGE, Shape(11, 12, 10))),
    Example("shortcut", {"from": LAST}, (Shape(8, 6, 5), IMAGE)),
    Example("shortcut", {"from": LAST}, (IMAGE, Shape(8, 6, 5))),
    Example("shortcut", {"from": LAST, "alpha": 0.5, "beta": 2.0}, (IMAGE, Shape(5, 12, 10)), PJREDDIE),
    Example(
        "shortcut",
        {"from": Sources((-2, -3)), "weights_type": "per_feature", "weights_normalization": "relu"},
        (IMAGE, IMAGE, Shape(5, 12, 10)),
    ),
    Example(
        "shortcut",
        {"from": Sources((-2, -3)), "weights_type": "per_channel", "weights_normalization": "softmax"},
        (IMAGE, IMAGE, Shape(5, 12, 10)),
    ),
    Example("scale_channels", {"from": LAST}, (Shape(8), IMAGE)),
    Example("scale_channels", {"from": LAST, "scale_wh": True, "activation": "relu"}, (Shape(1, 12, 10), IMAGE)),
    Example("sam", {"from": LAST, "activation": "swish"}, (IMAGE, IMAGE)),
    Example("shift_channels", {"from": LAST}, (IMAGE, Shape(8)), PYTORCH),
    Example("control_channels", {"from": LAST}, (IMAGE, Shape(8)), PYTORCH),
    Example("alternate_channels", {"from": LAST}, (IMAGE, Shape(8)), PYTORCH),
    Example("select_channels", {"from": LAST}, (IMAGE, Shape(8)), PYTORCH),
    Example("implicit", {"filters": 5, "atoms": 3}, (IMAGE,)),
    Example("implicit_add", {"filters": 5}, (IMAGE,), PYTORCH),
    Example("implicit_mul", {"filters": 5}, (IMAGE,), PYTORCH),
    Example("implicit_cat", {"filters": 5}, (IMAGE,), PYTORCH),
    Example("activation", {"activation": "elu"}, (IMAGE,)),
    Example("batchnorm", {}, (IMAGE,)),
    Example("batchnorm", {}, (IMAGE,), PJREDDIE),
    Example("normalization", {"size": 4, "alpha": 0.1}, (IMAGE,)),
    Example("normalization", {"size": 2, "alpha": 0.1}, (IMAGE,)),
    Example("l2norm", {}, (IMAGE,), PJREDDIE),
    Example("dropout", {"probability": 0.5}, (IMAGE,)),
    Example("blank", {}, (IMAGE,), HANK_AI),
    Example("empty", {}, (IMAGE,)),
    Example("rnn", {"output": 6, "hidden": 5, "activation": "leaky", "shortcut": True}, (Shape.vector(7),)),
    Example("rnn", {"output": 6, "hidden": 5, "batch_normalize": True, "logistic": 2}, (Shape.vector(7),)),
    Example("rnn", {"output": 3, "hidden": 4, "activation": "normalize_channels", "logistic": 1}, (Shape(2, 3, 4),)),
    Example("gru", {"output": 6}, (Shape.vector(7),)),
    Example("gru", {"output": 6, "batch_normalize": True}, (Shape(2, 3, 4),)),
    Example("gru", {"output": 6, "batch_normalize": True, "tanh": True}, (Shape.vector(7),), PJREDDIE),
    Example("lstm", {"output": 6}, (Shape.vector(7),)),
    Example("lstm", {"output": 6, "batch_normalize": True}, (Shape(2, 3, 4),)),
    Example("lstm", {"output": 6, "batch_normalize": True}, (Shape.vector(7),), PJREDDIE),
    Example("crnn", RECURRENT | {"shortcut": True}, (IMAGE,)),
    Example("crnn", RECURRENT | {"hidden": 4, "groups": 2, "dilation": 2, "activation": "mish"}, (IMAGE,)),
    Example("crnn", RECURRENT | {"batch_normalize": True, "activation": "tanh"}, (IMAGE,), PJREDDIE),
    Example("conv_lstm", {"output": 6, "size": 3, "pad": True, "peephole": True}, (IMAGE,)),
    Example("conv_lstm", {"output": 6, "size": 3, "pad": True, "batch_normalize": True}, (IMAGE,)),
    Example("conv_lstm", {"output": 6, "size": 5, "pad": True, "groups": 2, "dilation": 2, "state_constrain": 0}, (IMAGE,)),
    Example("conv_lstm", {"output": 6, "size": 1, "peephole": True, "state_constrain": 1}, (IMAGE,)),
    Example("history", {"history_size": 3}, (IMAGE,)),
    Example("yolo", {"classes": 2, "num": 1, "anchors": (3.0, 4.0)}, (Shape(7, 6, 5),)),
    Example(
        "yolo", {"classes": 2, "num": 2, "mask": (1,), "anchors": (3.0, 4.0, 5.0, 6.0), "new_coords": True}, (Shape(7, 6, 5),)
    ),
    Example("yolo", {"classes": 3, "num": 2, "anchors": (3.0, 4.0, 5.0, 6.0), "scale_x_y": 1.2}, (Shape(16, 6, 5),)),
    Example("Gaussian_yolo", {"classes": 3, "num": 2, "anchors": (3.0, 4.0, 5.0, 6.0)}, (Shape(24, 6, 5),)),
    Example("Gaussian_yolo", {"classes": 2, "num": 1, "anchors": (3.0, 4.0), "scale_x_y": 1.1}, (Shape(11, 6, 5),)),
    Example("region", {"classes": 2, "num": 1, "anchors": (3.0, 4.0), "softmax": True}, (Shape(7, 6, 5),)),
    Example("region", {"classes": 2, "num": 1, "anchors": (3.0, 4.0)}, (Shape(7, 6, 5),), PJREDDIE),
    Example("region", {"classes": 3, "num": 2, "anchors": (3.0, 4.0, 5.0, 6.0), "softmax": True}, (Shape(16, 6, 5),)),
    Example(
        "region",
        {"classes": 3, "num": 2, "anchors": (3.0, 4.0, 5.0, 6.0), "softmax": True, "background": True},
        (Shape(16, 6, 5),),
        PJREDDIE,
    ),
    Example("detection", {"classes": 3, "num": 2, "side": 2, "coords": 4, "softmax": True}, (Shape.vector(52),)),
    Example("detection", {"classes": 3, "num": 2, "side": 2, "coords": 4}, (Shape.vector(52),)),
    Example("softmax", {"groups": 3, "temperature": 2.0}, (Shape.vector(12),)),
    Example("logistic", {}, (IMAGE,), PJREDDIE),
    Example("iseg", {"classes": 2, "ids": 6}, (IMAGE,), PJREDDIE),
    Example("cost", {}, (IMAGE,)),
    Example("contrastive", {"yolo_layer": Sources((-3,))}, (IMAGE,)),
)
