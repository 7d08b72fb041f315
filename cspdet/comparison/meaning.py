"""What the options of a layer come to, so that equal layers compare equal however they are written."""

from __future__ import annotations

from typing import Any, NamedTuple

from cspdet.layers.activation import DARKNETS_NAMES
from cspdet.layers.base import Layer, attribute
from cspdet.layers.block import padded
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.deconvolutional import Deconvolutional
from cspdet.layers.maxpool import Maxpool
from cspdet.layers.option import shown
from cspdet.layers.pooling import Pooling
from cspdet.layers.yolo import Yolo

REFERENCES = ("Sources", "OneSource")

# Factors that are YOLOv7's own where a head with `assigner=simota` does not give them.
_SIMOTAS = ("iou_normalizer", "obj_normalizer", "cls_normalizer")
_YOLOV7S = "YOLOv7's"


class Value(NamedTuple):
    """What an option comes to, as one would write it; and whether it matters to training only."""

    text: str
    training: bool = False


def meaning(layer: Layer) -> dict[str, Value]:
    """The value of every option of a layer that counts, with defaults applied; references to layers are not among them.

    What several options say together is one value (`stride`, `stride_x` and `stride_y`; `pad` and `padding`), and what another
    option makes void is left out.
    """
    found = {
        name: Value(_text(name, layer), each.training) for name, each in layer.options.items() if each.kind not in REFERENCES
    }
    for name, value in _effective(layer).items():
        training = name in found and found.pop(name).training
        if value is not None:
            found[name] = Value(_written(value), training)
    return found


def references(layer: Layer) -> dict[str, tuple[tuple[int, ...], bool]]:
    """The layers that each option names, by their own numbers; and whether that matters to training only."""
    return {
        name: (getattr(layer, attribute(name)).resolve(layer.index), each.training)
        for name, each in layer.options.items()
        if each.kind in REFERENCES
    }


def _text(name: str, layer: Layer) -> str:
    value = getattr(layer, attribute(name))
    return "" if value is None else _written(DARKNETS_NAMES.get(value, value) if name.endswith("activation") else value)


def _written(value: Any) -> str:
    """The value with as many digits as tell it from all others."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    text = shown(value)
    return repr(value) if isinstance(value, float) and float(text) != value else text


def _effective(layer: Layer) -> dict[str, Any]:
    """Values that are not what the option alone says; None where it says nothing."""
    if isinstance(layer, Convolutional):
        return {
            "stride": _steps(layer.strides),
            "stride_x": None,
            "stride_y": None,
            "size": _steps(layer.sizes),
            "size_x": None,
            "size_y": None,
            "padding": _steps(
                (padded(layer.pad, layer.padding, layer.sizes[0]), padded(layer.pad, layer.padding, layer.sizes[1]))
            ),
            "pad": None,
            "dilation": 1 if layer.sizes == (1, 1) else layer.dilation,
            "groups": 1 if layer.xnor else layer.groups,
            "batch_normalize": 2 if layer.cbn else layer.batch_normalize,
            "cbn": None,
            **({} if layer.xnor else {"bin_output": None}),
        }
    if isinstance(layer, Deconvolutional):
        return {"padding": layer.cut, "pad": None}
    if isinstance(layer, Pooling):
        return {
            "size": layer.window,
            "stride": _steps(layer.strides),
            "stride_x": None,
            "stride_y": None,
            "padding": layer.total_padding,
            **({"out_channels": None} if isinstance(layer, Maxpool) and not layer.maxpool_depth else {}),
        }
    if isinstance(layer, Yolo):
        usual = _SIMOTAS if layer.assigner == "simota" else ()
        return {"mask": layer.used, **{name: _YOLOV7S for name in usual if name not in layer.given}}
    return {}


def _steps(pair: tuple[int, int]) -> str:
    """One number for both axes, or those of width and height."""
    vertical, horizontal = pair
    return f"{vertical}" if vertical == horizontal else f"{horizontal}x{vertical}"
