"""Small networks and pictures to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cspdet.cfg.source import Source
from cspdet.graph import Graph
from cspdet.rules import load

NET = """[net]
width=64
height=64
channels=3
batch=4
subdivisions=2
learning_rate=.01
momentum=.9
decay=.0005
max_batches={steps}
burn_in={burn_in}
{net}

[convolutional]
batch_normalize={normalize}
filters=8
size=3
stride=2
pad=1
activation=leaky
{first}

[convolutional]
batch_normalize={normalize}
filters=8
size=3
stride=4
pad=1
activation=leaky

{between}
[convolutional]
filters=14
size=1
activation=linear

[yolo]
mask=0,1
anchors=16,16, 32,32
num=2
classes=2
ignore_thresh=.7
{head}
"""


def graph_of(text: str) -> Graph:
    graph, _ = load(Source("X.cfg", text))
    return graph


def tiny_text(net: str = "", head: str = "", first: str = "", normalize: int = 1, steps: int = 20, between: str = "") -> str:
    """The cfg of `tiny`."""
    burn_in = min(4, steps - 1)
    return NET.format(net=net, burn_in=burn_in, head=head, first=first, normalize=normalize, steps=steps, between=between)


def tiny(**values: Any) -> Graph:
    """A network of three convolutions with one head for two classes."""
    return graph_of(tiny_text(**values))


def shapes(folder: Path, count: int, seed: int = 0, size: int = 96) -> Path:
    """A data set of coloured shapes on noise: squares are class 0, discs class 1. Gives the `.data` file."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    names = []
    for number in range(count):
        picture = random.integers(0, 90, (size, size, 3), np.uint8)
        rows = []
        for place in range(int(random.integers(1, 3))):
            kind, side = int(random.integers(2)), int(random.integers(size // 4, size // 2 - 2))
            left = int(random.integers(0, size // 2 - side + 1)) + place * size // 2
            top = int(random.integers(0, size - side + 1))
            colour = (40, 220, 60) if kind else (60, 60, 250)
            if kind:
                cv2.circle(picture, (left + side // 2, top + side // 2), side // 2, colour, -1)
            else:
                cv2.rectangle(picture, (left, top), (left + side - 1, top + side - 1), colour, -1)
            box = ((left + side / 2) / size, (top + side / 2) / size, side / size, side / size)
            rows.append(f"{kind} " + " ".join(f"{value:.6f}" for value in box))
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text("\n".join(rows) + "\n")
        names.append(f"images/{number}.png")
    (folder / "list.txt").write_text("\n".join(names) + "\n")
    (folder / "shapes.names").write_text("square\ndisc\n")
    (folder / "shapes.data").write_text(
        "classes = 2\ntrain = list.txt\nvalid = list.txt\nnames = shapes.names\nbackup = backup\n"
    )
    return folder / "shapes.data"
