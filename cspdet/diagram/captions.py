"""What is written on a box."""

from __future__ import annotations

from cspdet.analysis.kinds import Kind, kind_of
from cspdet.diagram.sketch import Box
from cspdet.graph import Node
from cspdet.layers.avgpool import Avgpool
from cspdet.layers.connected import Connected
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.deconvolutional import Deconvolutional
from cspdet.layers.head import Head
from cspdet.layers.maxpool import Maxpool
from cspdet.layers.partial_split import PartialSplit
from cspdet.layers.pooling import Pooling
from cspdet.layers.reorg import Reorg, Reorg3d
from cspdet.layers.route import Route, RouteLhalf
from cspdet.layers.upsample import Upsample
from cspdet.text import brief, printable


def caption(node: Node) -> str:
    """A layer in a few characters."""
    layer = node.layer
    if isinstance(layer, Convolutional):
        return _convolution(node, layer)
    if isinstance(layer, Deconvolutional):
        return f"deconv {layer.size}×{layer.size} ×{layer.stride}"
    if isinstance(layer, Maxpool) and layer.maxpool_depth:
        return f"maxout {node.inputs[0].channels // layer.out_channels}:1"
    if isinstance(layer, Pooling):
        return f"{'max' if isinstance(layer, Maxpool) else 'avg'} {layer.window}×{layer.window}{_stride(layer.strides)}"
    if isinstance(layer, Upsample):
        mode = "" if layer.mode == "nearest" else f"{layer.mode} "
        return f"{mode or 'up '}×{layer.stride}" if layer.stride > 0 else f"down /{-layer.stride}"
    if isinstance(layer, Reorg | Reorg3d):
        return f"reorg {'×' if layer.reverse else '/'}{layer.stride}"
    if isinstance(layer, Route):
        part = f"{layer.group_id + 1}/{layer.groups}" if layer.groups > 1 else ""
        return "concat" + f" {part}" * bool(part) if len(node.sources) > 1 else f"part {part}" if part else "route"
    if isinstance(layer, RouteLhalf):
        return "concat 1/2" if len(node.sources) > 1 else "part 1/2"
    if isinstance(layer, PartialSplit):
        return f"part {layer.ratio if not layer.part else 1 - layer.ratio:g}"
    if isinstance(layer, Head):
        return f"{'yolo' if 'yolo' in node.name else node.name} {layer.anchor_count}×({layer.classes}+{layer.entries})"
    if isinstance(layer, Avgpool):
        return "avgpool"
    if isinstance(layer, Connected):
        return "connected"
    plain = node.name.removesuffix("_channels").replace("_", " ")
    return {"shortcut": "+", "sam": "×"}.get(layer.names[0], brief(plain, 14))


def width(node: Node) -> float:
    """How wide a box is, in pixels."""
    if kind_of(node) is Kind.SUM:
        return 54.0
    return 80.0 if kind_of(node) is Kind.CONCAT and len(node.sources) < 5 else 102.0


def _convolution(node: Node, layer: Convolutional) -> str:
    x = node.inputs[0].channels
    grouped = "" if layer.groups == 1 else " dw" if layer.groups == x else f" g{layer.groups}"
    dilated = f" d{layer.dilation}" if layer.dilation > 1 and layer.sizes != (1, 1) else ""
    height, width = layer.sizes
    return f"{width}×{height}{grouped}{dilated}{_stride(layer.strides)}"


def _stride(strides: tuple[int, int]) -> str:
    if strides == (1, 1):
        return ""
    return f" /{strides[0]}" if strides[0] == strides[1] else f" /{strides[1]}×{strides[0]}"


def channels(box: Box) -> str:
    """What a box puts out: its channels, of the first round and of the last."""
    if not box.nodes:
        return f"{box.shape.channels}"
    first, last = box.nodes[0].output.channels, box.nodes[-1].output.channels
    return f"{first}" if first == last else f"{first}…{last}"


def title(box: Box) -> str:
    """All that fits under a pointer: number and section, shapes, cost."""
    if not box.nodes:
        return f"input {box.shape}"
    lines = []
    for node in box.nodes[:4]:
        reads = " + ".join(map(str, node.inputs[:6])) + (" + …" if len(node.inputs) > 6 else "")
        activation = getattr(node.layer, "activation", "")
        facts = [f"layer {node.index} [{node.name}]", f"{reads} → {node.output}", *([activation] if activation else [])]
        facts += [f"{node.operations / 1e9:.4f} BFLOPs"] * bool(node.operations)
        facts += [f"{node.parameters:,} parameters"] * bool(node.parameters)
        lines.append(", ".join(facts))
    more = len(box.nodes) - len(lines)
    return printable("; ".join(lines)) + (f"; and {more} more like it" if more else "")
