"""Cfg texts of published networks that have no published cfg, written from the papers' tables."""

from __future__ import annotations

from cspdet.cfg.source import Source
from cspdet.graph import Graph
from cspdet.rules import load


class Net:
    """Writes sections, and counts them."""

    def __init__(self, width: int, height: int | None = None, channels: int = 3) -> None:
        self.text = f"[net]\nwidth={width}\nheight={height or width}\nchannels={channels}\n"
        self.count = 0

    def add(self, name: str, **options: object) -> int:
        """A section; gives its number. `from_` stands for the option `from`."""
        lines = (f"{key.rstrip('_')}={value}\n" for key, value in options.items())
        self.text += f"[{name}]\n{''.join(lines)}"
        self.count += 1
        return self.count - 1

    def conv(self, size: int, filters: int, stride: int = 1, **options: object) -> int:
        options = {"batch_normalize": 1, "activation": "relu"} | options
        return self.add("convolutional", size=size, stride=stride, pad=1, filters=filters, **options)

    def route(self, *layers: int) -> int:
        return self.add("route", layers=",".join(map(str, layers)))

    def pool(self) -> int:
        return self.add("local_avgpool", size=2, stride=2)

    def yolo(self) -> int:
        """The last convolution of a head for COCO, and the head."""
        self.conv(1, 255, batch_normalize=0, activation="linear")
        return self.add("yolo", mask="0,1,2", anchors="8,8, 16,16, 32,32", num=3, classes=80)

    def graph(self) -> Graph:
        return load(Source("made.cfg", self.text))[0]


def densenet40() -> Net:
    """DenseNet-40 with growth 12 for CIFAR (1608.06993): no bottlenecks, no compression."""
    net = Net(32)
    last = net.conv(3, 16)
    for block in range(3):
        for _ in range(12):
            new = net.conv(3, 12)
            last = net.route(last, new)
        if block < 2:
            net.conv(1, 160 if block == 0 else 304)
            last = net.pool()
    net.add("avgpool")
    net.add("connected", output=10, activation="linear")
    net.add("softmax")
    return net


def dense(net: Net, last: int, layers: int, bottleneck: int) -> int:
    """PeleeNet's two-way dense layers, of growth 32."""
    for _ in range(layers):
        net.conv(1, bottleneck)
        net.conv(3, 16)
        deep = net.conv(3, 16)
        net.route(last)
        net.conv(1, bottleneck)
        shallow = net.conv(3, 16)
        last = net.route(last, shallow, deep)
    return last


def pelee(width: int) -> tuple[Net, list[int]]:
    """The backbone of PeleeNet (1804.06882), and the last layers of its stages before they are pooled."""
    net = Net(width)
    stem = net.conv(3, 32, 2)
    pooled = net.add("maxpool", size=2, stride=2)
    net.route(stem)
    net.conv(1, 16)
    net.route(pooled, net.conv(3, 32, 2))
    last = net.conv(1, 32)
    ends = []
    stages = ((3, 16, 128), (4, 32, 256), (8, 64, 512), (6, 64, 704))
    for number, (layers, bottleneck, filters) in enumerate(stages):
        dense(net, last, layers, bottleneck)
        ends.append(net.conv(1, filters))
        last = net.pool() if number < 3 else ends[-1]
    return net, ends


def pelee_yolo() -> Net:
    """PeleeNet with the head of YOLOv3-tiny, at 416: the first network of CSPNet's figure 7."""
    net, ends = pelee(416)
    neck = net.conv(1, 256)
    net.conv(3, 256)
    net.yolo()
    net.route(neck)
    net.conv(1, 128)
    both = net.route(net.add("upsample", stride=2), ends[2])
    net.route(net.conv(3, 128), both)
    net.yolo()
    return net


def csppelee(width: int) -> tuple[Net, list[int]]:
    """The backbone of CSPPeleeNet (1911.11929), half of the channels around each dense block; stages before they are pooled."""
    net = Net(width)
    stem = net.conv(3, 32, 2)
    net.add("maxpool", size=2, stride=2)
    pooled = net.conv(1, 32)
    net.route(stem)
    net.conv(1, 16)
    last = net.route(pooled, net.conv(3, 32, 2))
    ends = []
    stages = ((2, 16, 96, 128), (4, 32, 192, 256), (8, 64, 384, 512), (4, 64, 384, 640))
    for number, (layers, bottleneck, growth, filters) in enumerate(stages):
        half = (64, 128, 256, 512)[number] // 2
        around = net.conv(1, half)
        net.route(last)
        dense(net, net.conv(1, half), layers, bottleneck)
        ends.append(net.route(around, net.conv(1, growth)))
        if number < 3:
            net.pool()
        last = net.conv(1, filters)
    return net, ends


def csppelee_efm() -> Net:
    """CSPPeleeNet with an exact fusion model, at 416: the second network of CSPNet's figure 7.

    The figure shows every convolution's bar. How it fuses at 52x52 it leaves open, and here that is as simple as can be.
    """
    net, ends = csppelee(416)
    net.conv(1, 256)
    net.conv(3, 256)
    net.conv(1, 128)
    net.route(net.add("upsample", stride=2), maxout(net, ends[2], 128))
    net.conv(1, 128)
    net.conv(3, 128)
    middle = net.conv(1, 64)
    net.route(net.add("upsample", stride=2), maxout(net, ends[1], 64))
    net.conv(1, 64)
    fine = net.conv(3, 64)
    net.yolo()
    net.route(fine)
    net.route(net.conv(3, 128, 2), maxout(net, ends[2], 64), middle)
    net.conv(1, 128)
    middle = net.conv(3, 128)
    net.yolo()
    net.route(middle)
    net.conv(3, 256, 2)
    net.conv(1, 128)
    net.conv(3, 128)
    net.yolo()
    return net


def maxout(net: Net, layer: int, channels: int) -> int:
    """The largest of every few channels."""
    net.route(layer)
    return net.add("maxpool", maxpool_depth=1, out_channels=channels, size=1, stride=1)


def classifier(net: Net) -> Net:
    """The end of a network for ImageNet."""
    net.add("avgpool")
    net.conv(1, 1000, batch_normalize=0, activation="linear")
    net.add("softmax")
    return net


def vovnet27_slim(width: int) -> Net:
    """VoVNet-27-slim (1904.09730)."""
    net = Net(width)
    for filters, stride in ((64, 2), (64, 1), (128, 2)):
        net.conv(3, filters, stride)
    for number, (filters, out) in enumerate(((64, 128), (80, 256), (96, 384), (112, 512))):
        if number:
            net.add("maxpool", size=3, stride=2, padding=1)
        start = net.count - 1
        net.route(*[net.conv(3, filters) for _ in range(5)], start)
        net.conv(1, out)
    return classifier(net)
