"""The [detection] section: the head of YOLOv1."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Problem, Shape, option
from cspdet.layers.head import Head
from cspdet.layers.window import Windows, everywhere
from cspdet.layers.yolo import LARGEST_ANCHORS, LARGEST_CLASSES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cspdet.boxes import Candidates
    from cspdet.layers.decoding import LoweredBoxes
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Detection(Head, names=("detection",), known_to=("alexeyab", "pjreddie")):
    """Boxes of a fixed grid, from a vector: classes of all cells, then objectnesses, then boxes.

    A box is centred at (cell + p) / side and is p (p² with `sqrt`) of the image large. Source: `detection_layer.c`.
    """

    reads_images = False

    classes: int = option(1, "number of classes", at_least=1, at_most=LARGEST_CLASSES)
    coords: int = option(1, "numbers that describe a box; 4", at_least=1, at_most=4)
    num: int = option(1, "boxes per cell", at_least=1, at_most=LARGEST_ANCHORS)
    side: int = option(7, "cells along each side", at_least=1, at_most=1000)
    softmax: bool = option(False, "softmax over the classes")
    sqrt: bool = option(False, "sizes are square roots")
    rescore: bool = option(False, "train the objectness towards the overlap", training=True)
    max: int = option(200, "largest number of true boxes per image", at_least=1, training=True)
    jitter: float = option(0.2, "largest random shift of the image's edges", training=True)
    resize: float = option(1.0, "largest random scale of the image", training=True)
    forced: bool = option(False, "always the first box of a cell matches", training=True)
    random: float = option(0.0, "match boxes at random at first", training=True)
    reorg: bool = option(False, "inputs are channel by channel", training=True)
    coord_scale: float = option(1.0, "factor on the box loss", training=True)
    object_scale: float = option(1.0, "factor on the objectness loss where there is an object", training=True)
    noobject_scale: float = option(1.0, "factor on the objectness loss elsewhere", training=True)
    class_scale: float = option(1.0, "factor on the class loss", training=True)

    @property
    def anchor_count(self) -> int:
        """Boxes per cell."""
        return self.num

    def check(self, x: Shape) -> Iterator[Problem]:
        """Darknet reads four numbers per box, whatever `coords` says."""
        if self.coords != 4:
            message = f"`coords={self.coords}`, but a box has four numbers"
            yield Problem(
                "detection-coords",
                "coords" if "coords" in self.given else None,
                message,
                "write `coords=4`",
                cures=(("coords", "4"),),
            )

    def needed(self) -> int:
        """The length of the vector (`assert` in `make_detection_layer`)."""
        return self.side**2 * ((1 + self.coords) * self.num + self.classes)

    def formula(self) -> str:
        """How that number comes about."""
        return f"{self.side}² cells × ({self.num} boxes × {1 + self.coords} + {self.classes} classes)"

    def shape(self, x: Shape) -> Shape:
        """A vector."""
        return Shape.vector(x.size)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The whole map, which is flattened."""
        return (everywhere(x),)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """For layers that read what the head makes of its input."""
        x = build.reshape(x, -1)
        if not self.softmax:
            return x
        split = self.side**2 * self.classes
        classes = build.softmax(build.reshape(build.part(x, 0, split), -1, self.classes), 1)
        return build.join([build.reshape(classes, -1), build.part(x, split, *x.dimensions)])

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, length), with a softmax over each cell's classes if asked for."""
        import torch

        x = x.flatten(1)
        if not self.softmax:
            return x
        split = self.side**2 * self.classes
        classes = x[:, :split].reshape(x.shape[0], -1, self.classes).softmax(2).flatten(1)
        return torch.cat([classes, x[:, split:]], 1)

    def decode(self, raw: NDArray[np.float32], network: Shape, threshold: float) -> Candidates:
        """`get_detection_detections`."""
        import numpy as np

        from cspdet.boxes import Candidates, passing

        raw = raw.reshape(-1)
        cells, side = self.side**2, self.side
        classes, objectness, boxes = np.split(raw, [cells * self.classes, cells * (self.classes + self.num)])
        classes = classes.reshape(cells, 1, self.classes)
        if self.softmax:
            classes = np.exp(classes - classes.max(2, keepdims=True))
            classes = classes / classes.sum(2, keepdims=True)
        objectness = objectness.reshape(cells, self.num)
        boxes = boxes.reshape(cells, self.num, -1)[:, :, :4]
        cell = np.arange(cells)
        corner = np.stack([cell % side, cell // side], 1)[:, None]
        centre = (boxes[:, :, :2] + corner) / np.float32(side)
        size = boxes[:, :, 2:4] ** 2 if self.sqrt else boxes[:, :, 2:4]
        xywh = np.concatenate([centre, size], 2).reshape(-1, 4).astype(np.float32)
        score = passing((objectness[:, :, None] * classes).reshape(-1, self.classes), threshold)
        return Candidates(xywh, objectness.reshape(-1), score).kept(np.flatnonzero(score.any(1)))

    def lower_boxes(self, build: Builder, raw: Value, network: Shape) -> LoweredBoxes:
        """The same of all boxes."""
        import numpy as np

        from cspdet.layers.decoding import LoweredBoxes

        cells, side = self.side**2, self.side
        row = build.reshape(raw, -1)
        ends = np.cumsum([0, cells * self.classes, cells * self.num, cells * self.num * self.coords]).tolist()
        classes, objectness, boxes = (build.part(row, start, end) for start, end in pairwise(ends))
        classes = build.reshape(classes, cells, 1, self.classes)
        classes = build.softmax(classes, 2) if self.softmax else classes
        objectness = build.reshape(objectness, cells, self.num, 1)
        boxes = build.reshape(boxes, cells * self.num, self.coords)
        corners = np.stack([np.arange(cells) % side, np.arange(cells) // side], 1).repeat(self.num, 0)
        centre = build.affine(build.combine("add", build.part(boxes, 0, 2, 1), build.constant(corners)), 1 / side, 0)
        size = build.part(boxes, 2, 4, 1)
        size = build.combine("multiply", size, size) if self.sqrt else size
        scores = build.reshape(build.combine("multiply", classes, objectness), cells * self.num, self.classes)
        return LoweredBoxes(build.join([centre, size], 1), build.reshape(objectness, cells * self.num, 1), scores)
