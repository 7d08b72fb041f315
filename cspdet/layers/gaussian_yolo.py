"""The [Gaussian_yolo] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Shape, option
from cspdet.layers.option import OWN
from cspdet.layers.yolo import Yolo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cspdet.boxes import Candidates
    from cspdet.layers.decoding import LoweredBoxes
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

# From the predicted point to the box's centre, in box sizes.
POINTS = {"center": 0.0, "left_top": 0.5, "right_bottom": -0.5}


class GaussianYolo(Yolo, names=("Gaussian_yolo",), known_to=("alexeyab", "hank-ai")):
    """A YOLO head that also predicts how sure it is of each coordinate, and discounts its scores by that.

    Entries per anchor: x and its deviation, y, width, height likewise, objectness, classes. Source: `gaussian_yolo_layer.c`;
    Gaussian YOLOv3, 1904.04620.
    """

    entries = 9

    nms_kind: str = option(
        "default",
        "how overlapping boxes are suppressed",
        choices=("default", "greedynms", "diounms", "cornersnms"),
        fallback="default",
    )
    yolo_point: str = option("center", "point of the box that lies in the cell", choices=tuple(POINTS), fallback="center")
    assigner: str = option("darknet", "what assigns truths to boxes", choices=("darknet",), training=True, known_to=OWN)
    uc_normalizer: float = option(1.0, "factor on the deviations' loss", training=True)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """For layers that read what the head makes of its input."""
        entries = build.reshape(x, self.anchor_count, -1, *x.dimensions[1:])
        probabilities = build.activate("logistic", entries)
        stretched = build.affine(probabilities, self.scale_x_y, -0.5 * (self.scale_x_y - 1))
        columns = [
            build.part(source, start, stop, 1)
            for source, start, stop in (
                (stretched, 0, 1),
                (probabilities, 1, 2),
                (stretched, 2, 3),
                (probabilities, 3, 4),
                (entries, 4, 5),
                (probabilities, 5, 6),
                (entries, 6, 7),
                (probabilities, 7, entries.dimensions[1]),
            )
        ]
        return build.reshape(build.join(columns, 1), *x.dimensions)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, anchors (9 + classes), H, W), kept: logistic on all but the means of width and height; centres stretched."""
        import torch

        n, _, h, w = x.shape
        entries = x.reshape(n, self.anchor_count, -1, h, w)
        probabilities = entries.sigmoid()
        stretched = probabilities * self.scale_x_y - 0.5 * (self.scale_x_y - 1)
        columns = [stretched[:, :, 0:1], probabilities[:, :, 1:2], stretched[:, :, 2:3], probabilities[:, :, 3:4]]
        columns += [entries[:, :, 4:5], probabilities[:, :, 5:6], entries[:, :, 6:7], probabilities[:, :, 7:]]
        return torch.cat(columns, 2).reshape(n, -1, h, w)

    def decode(self, raw: NDArray[np.float32], network: Shape, threshold: float) -> Candidates:
        """`get_gaussian_yolo_detections`."""
        import numpy as np

        from cspdet.boxes import Candidates, objects, passing, sigmoid

        _, h, w = raw.shape
        cells = raw.reshape(self.anchor_count, -1, h * w)
        cell, anchor, objectness = objects(cells[:, 8], threshold)
        y, x = np.divmod(cell, w)
        picked = cells[anchor, :, cell]
        centre = sigmoid(picked[:, [0, 2]]) * np.float32(self.scale_x_y) - np.float32(0.5 * (self.scale_x_y - 1))
        anchors = np.array([self.anchor(number) for number in self.used], np.float32)[anchor]
        with np.errstate(over="ignore"):
            size = np.exp(picked[:, [4, 6]]) * anchors / np.array([network.width, network.height], np.float32)
        place = (np.stack([x, y], 1) + centre) / np.array([w, h], np.float32) + np.float32(POINTS[self.yolo_point]) * size
        doubt = sigmoid(picked[:, [1, 3, 5, 7]]).mean(1, keepdims=True)
        score = passing(objectness[:, None] * sigmoid(picked[:, 9:]) * (1 - doubt), threshold)
        xywh = np.concatenate([place, size], 1).astype(np.float32)
        return Candidates(xywh, objectness, score)

    def lower_boxes(self, build: Builder, raw: Value, network: Shape) -> LoweredBoxes:
        """The same of all cells."""
        from cspdet.layers.decoding import LoweredBoxes, cells, network_size, scaled, stretched
        from cspdet.program.operations import Activation

        found = cells(build, raw, [self.anchor(number) for number in self.used])
        logistic = build.activate("logistic", found.entries)
        place = build.part(logistic, 0, 3, 1, 2)
        size = build.function(build.part(found.entries, 4, 7, 1, 2), Activation("exp"))
        size = scaled(build, found, size, network_size(network))
        shift = POINTS[self.yolo_point]
        centre = stretched(build, found, place, self.scale_x_y)
        centre = centre if shift == 0 else build.combine("add", centre, build.affine(size, shift, 0))
        doubt = build.reduce(build.part(logistic, 1, 8, 1, 2), "mean", 1)
        objectness = build.part(logistic, 8, 9, 1)
        sure = build.combine("multiply", objectness, build.affine(doubt, -1, 1))
        scores = build.combine("multiply", build.part(logistic, 9, 9 + self.classes, 1), sure)
        return LoweredBoxes(build.join([centre, size], 1), objectness, scores)
