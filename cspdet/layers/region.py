"""The [region] section: the head of YOLOv2 and YOLO9000."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Problem, Shape, option
from cspdet.layers.head import Head, first_anchors
from cspdet.layers.softmax import check_tree, tree_softmax, tree_softmax_value
from cspdet.layers.tree import WithTree
from cspdet.layers.yolo import LARGEST_ANCHORS, LARGEST_CLASSES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cspdet.boxes import Candidates
    from cspdet.layers.decoding import LoweredBoxes
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Region(WithTree, Head, names=("region",), known_to=("alexeyab", "pjreddie", "hank-ai")):
    """Boxes relative to anchors, an objectness and a softmax over the classes, at every cell of a map.

    A cell's box is centred at (cell + σ(t)) / map and is anchor e^t cells large. With `tree`, a class's probability is the
    product along its branch. AlexeyAB's output is box by box, pjreddie's channel by channel. Source: `region_layer.c`.
    """

    classes: int = option(20, "number of classes", at_least=1, at_most=LARGEST_CLASSES)
    num: int = option(1, "number of anchors", at_least=1, at_most=LARGEST_ANCHORS)
    anchors: tuple[float, ...] = option((), "widths and heights in cells; .5 where absent")
    coords: int = option(4, "numbers that describe a box", at_least=4, at_most=4)
    softmax: bool = option(False, "softmax over the classes")
    tree: str = option("", "file of a class hierarchy")
    map: str = option("", "file that maps the classes to others", training=True)
    classfix: int = option(0, "-1: an objectness below .5 counts as 0")
    background: bool = option(False, "no logistic on the objectness", known_to=("pjreddie",))
    max: int = option(200, "largest number of true boxes per image", at_least=1, training=True)
    bias_match: bool = option(False, "match truths to anchors by size", training=True)
    jitter: float = option(0.2, "largest random shift of the image's edges", training=True)
    resize: float = option(1.0, "largest random scale of the image", training=True)
    rescore: bool = option(False, "train the objectness towards the overlap", training=True)
    thresh: float = option(0.5, "overlap above which a box that is no match is not punished", training=True)
    random: float = option(0.0, "change the network's size during training", training=True)
    absolute: bool = option(False, "absolute boxes", training=True)
    log: bool = option(False, "logarithmic sizes", training=True)
    sqrt: bool = option(False, "square roots of sizes", training=True)
    focal_loss: bool = option(False, "focal loss of the classes", training=True)
    coord_scale: float = option(1.0, "factor on the box loss", training=True)
    object_scale: float = option(1.0, "factor on the objectness loss where there is an object", training=True)
    noobject_scale: float = option(1.0, "factor on the objectness loss elsewhere", training=True)
    mask_scale: float = option(1.0, "factor on the mask loss", training=True)
    class_scale: float = option(1.0, "factor on the class loss", training=True)
    max_delta: float = option(float("inf"), "largest gradient", training=True)

    @property
    def anchor_count(self) -> int:
        """Boxes per cell."""
        return self.num

    def check(self, x: Shape) -> Iterator[Problem]:
        """`anchors` and `num` must agree, and a tree with the classes."""
        if len(self.anchors) != 2 * self.num:
            message = f"`anchors` has {len(self.anchors)} numbers for `num={self.num}`: two for each are needed"
            consequence, cure = "Darknet makes the missing ones half a cell", "give one width and height for each"
            cures: tuple[tuple[str, str], ...] = ()
            if len(self.anchors) > 2 * self.num:
                consequence = "Darknet ignores the rest"
                if x.channels == self.needed():
                    cure, cures = f"remove those behind the first {2 * self.num}", first_anchors(self.anchors, self.num)
            yield Problem(
                "anchors-num",
                "anchors" if self.anchors else "num",
                message,
                cure,
                "warning",
                consequence,
                cures=cures,
            )
        yield from check_tree(self, self.classes)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """For layers that read what the head makes of its input."""
        pjreddie = not self.dialect.region_box_major
        apart = build.reshape(x, self.num, -1, x.dimensions[1] * x.dimensions[2])
        boxes = build.transpose(apart, 2, 0, 1)  # (H W, anchors, entries)
        xy, wh, objectness, classes = (
            build.part(boxes, *ends, axis=2) for ends in ((0, 2), (2, 4), (4, 5), (5, boxes.dimensions[2]))
        )
        if self.hierarchy:
            classes = tree_softmax_value(build, classes, self.hierarchy)
        elif self.softmax:
            classes = build.softmax(classes, 2)
        elif pjreddie:
            classes = build.activate("logistic", classes)
        if pjreddie:
            xy = build.activate("logistic", xy)
        if not (pjreddie and self.background):
            objectness = build.activate("logistic", objectness)
        out = build.join([xy, wh, objectness, classes], 2)
        return build.reshape(build.transpose(out, 1, 2, 0) if pjreddie else out, *x.dimensions)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, anchors (5 + classes), H, W) → the same shape; its numbers box-major where the dialect is AlexeyAB's.

        AlexeyAB applies the logistic to the objectness and a softmax to the classes, and leaves the centres to the decoding;
        pjreddie applies it to centres and objectness, and to the classes where there is no softmax.
        """
        import torch

        n, c, h, w = x.shape
        boxes = x.reshape(n, self.num, -1, h, w).permute(0, 3, 4, 1, 2)  # (N, H, W, anchors, entries)
        xy, wh, objectness, classes = boxes[..., :2], boxes[..., 2:4], boxes[..., 4:5], boxes[..., 5:]
        pjreddie = not self.dialect.region_box_major
        if self.hierarchy:
            classes = tree_softmax(classes.flatten(0, 3), self.hierarchy).reshape(classes.shape)
        elif self.softmax:
            classes = classes.softmax(4)
        elif pjreddie:
            classes = classes.sigmoid()
        if pjreddie:
            xy = xy.sigmoid()
        if not (pjreddie and self.background):
            objectness = objectness.sigmoid()
        out = torch.cat([xy, wh, objectness, classes], 4)
        return (out.permute(0, 3, 4, 1, 2) if pjreddie else out).reshape(n, c, h, w)

    def decode(self, raw: NDArray[np.float32], network: Shape, threshold: float) -> Candidates:
        """`get_region_boxes`. Darknet keeps every box, with objectness 1; those that no class of passes are left out here."""
        import numpy as np

        from cspdet.boxes import Candidates, objects, passing, sigmoid

        _, h, w = raw.shape
        cells = raw.reshape(self.num, -1, h * w)
        pjreddie = not self.dialect.region_box_major
        tree = self.hierarchy
        # A class's score is at most the objectness where the classes went through a softmax.
        least = threshold if tree is not None or self.softmax else -1
        if self.classfix == -1 and 0 <= least < 0.5:
            least = np.nextafter(np.float32(0.5), np.float32(0))  # what is less counts as 0
        cell, anchor, objectness = objects(cells[:, 4], float(least), logistic=not (pjreddie and self.background))
        if self.classfix == -1:
            objectness = np.where(objectness < 0.5, np.float32(0), objectness)
        y, x = np.divmod(cell, w)
        picked = cells[anchor, :, cell]
        anchors = np.array((*self.anchors, *(0.5,) * (2 * self.num))[: 2 * self.num], np.float32).reshape(-1, 2)[anchor]
        with np.errstate(over="ignore"):
            size = np.exp(picked[:, 2:4]) * anchors / np.array([w, h], np.float32)
        centre = (np.stack([x, y], 1) + sigmoid(picked[:, :2])) / np.array([w, h], np.float32)
        classes = picked[:, 5:]
        if tree:
            score = _deepest(classes, tree.parents, tree.groups)
        else:
            if self.softmax:
                classes = np.exp(classes - classes.max(1, keepdims=True, initial=-np.inf))
                classes = classes / classes.sum(1, keepdims=True)
            elif pjreddie:
                classes = sigmoid(classes)
            score = passing(objectness[:, None] * classes, threshold)
        xywh = np.concatenate([centre, size], 1).astype(np.float32)
        found = Candidates(xywh, np.ones_like(objectness), score.astype(np.float32))
        return found.kept(np.flatnonzero(score.any(1)))

    def lower_boxes(self, build: Builder, raw: Value, network: Shape) -> LoweredBoxes | None:
        """The same of all cells, with their own objectness; None with a tree."""
        from cspdet.layers.decoding import LoweredBoxes, cells, scaled, stretched
        from cspdet.program.operations import Activation

        if self.tree:
            return None
        pjreddie = not self.dialect.region_box_major
        sides = (*self.anchors, *(0.5,) * (2 * self.num))[: 2 * self.num]
        found = cells(build, raw, [*zip(sides[::2], sides[1::2], strict=True)])
        centre = stretched(build, found, build.activate("logistic", found.column(build, 0, 2)), 1)
        size = scaled(build, found, build.function(found.column(build, 2, 4), Activation("exp")), found.map_size)
        objectness = found.column(build, 4)
        if not (pjreddie and self.background):
            objectness = build.activate("logistic", objectness)
        if self.classfix == -1:
            below = build.function(build.affine(objectness, -1, 0.5), Activation("sign"))
            objectness = build.combine("multiply", objectness, build.affine(below, -0.5, 0.5))
        classes = found.column(build, 5, 5 + self.classes)
        if self.softmax:
            classes = build.softmax(classes, 1)
        elif pjreddie:
            classes = build.activate("logistic", classes)
        scores = build.combine("multiply", classes, objectness)
        return LoweredBoxes(build.join([centre, size], 1), objectness, scores)


def _deepest(logits: NDArray[np.float32], parents: tuple[int, ...], groups: tuple[int, ...]) -> NDArray[np.float32]:
    """For each box, the probability of the last class in the file that is more likely than not; 0 for all others.

    Probabilities multiply from the root down. Source: `tree.c:hierarchy_predictions`, `region_layer.c:get_region_boxes`.
    """
    import numpy as np

    group, parent = np.array(groups), np.array(parents)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    largest = np.maximum.reduceat(logits, starts, axis=1)
    exponential = np.exp(logits - largest[:, group])
    probability = exponential / np.add.reduceat(exponential, starts, axis=1)[:, group]
    ends = [*starts[1:], len(group)]
    for start, end in zip(starts, ends, strict=True):
        if parent[start] >= 0:
            probability[:, start:end] *= probability[:, [parent[start]]]
    likely = probability > 0.5
    last = likely.shape[1] - 1 - np.argmax(likely[:, ::-1], axis=1)
    rows = np.flatnonzero(likely.any(1))
    score = np.zeros_like(logits)
    score[rows, last[rows]] = probability[rows, last[rows]]
    return score
