"""The [yolo] section: the head of YOLOv3, YOLOv4, YOLOv7 and their kin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from cspdet.layers.base import OneSource, Problem, Shape, option
from cspdet.layers.head import Head, first_anchors
from cspdet.layers.option import NOT_PJREDDIE, OWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cspdet.boxes import Candidates
    from cspdet.layers.decoding import LoweredBoxes
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

LOSSES = ("mse", "iou", "giou", "diou", "ciou")
OVERLAPS = ("iou", "giou", "diou", "ciou")
ASSIGNERS = {
    "darknet": "the anchor whose shape is nearest, in the cell of the truth's centre",
    "simota": "over all heads at once, as many as fit well and at the least cost, as YOLOv7 is trained",
}
LARGEST_CLASSES = 100_000
LARGEST_ANCHORS = 1_000


class Yolo(Head, names=("yolo",)):
    """Boxes relative to anchors, an objectness, and independent class probabilities, at every cell of a map.

    A cell's box is centred at (cell + scale_x_y σ(t) - (scale_x_y - 1) / 2) / map and is anchor e^t large; with `new_coords`,
    the convolution before has the logistic activation already, and boxes are anchor (2 t)² large.

    An auxiliary head (`aux=1`) is trained beside its lead and detects nothing; detection does not compute what only it needs.
    Darknet knows no such heads and takes its boxes as well. Where the auxiliary sections are the last, the weights of the
    layers before them are a weights file for the cfg without them. With `assigner=simota`, an `iou_normalizer`,
    `obj_normalizer` or `cls_normalizer` that is not given is YOLOv7's.
    Source: `yolo_layer.c`; for `assigner=simota` and auxiliary heads, YOLOv7, 2207.02696.
    """

    classes: int = option(20, "number of classes", at_least=1, at_most=LARGEST_CLASSES)
    num: int = option(1, "number of anchors in `anchors`, over all heads", at_least=1, at_most=LARGEST_ANCHORS)
    mask: tuple[int, ...] = option((), "which anchors this head uses; all if absent")
    anchors: tuple[float, ...] = option((), "widths and heights in pixels of the network's input; .5 where absent")
    scale_x_y: float = option(1.0, "stretches the centres' reach beyond their cell", known_to=NOT_PJREDDIE)
    new_coords: bool = option(False, "inputs are logistic already; sizes are (2 t)² times the anchor", known_to=NOT_PJREDDIE)
    nms_kind: str = option(
        "default",
        "how overlapping boxes are suppressed",
        choices=("default", "greedynms", "diounms"),
        fallback="default",
        known_to=NOT_PJREDDIE,
    )
    beta_nms: float = option(0.6, "exponent of the distance in `diounms`", known_to=NOT_PJREDDIE)
    max: int = option(200, "largest number of true boxes per image", at_least=1, training=True)
    map: str = option("", "file that maps the classes to others", training=True)

    iou_loss: str = option("mse", "loss of the boxes", choices=LOSSES, fallback="iou", training=True)
    iou_thresh_kind: str = option("iou", "overlap that assigns truths", choices=OVERLAPS, fallback="iou", training=True)
    ignore_thresh: float = option(0.5, "overlap above which a box that is no match is not punished", training=True)
    truth_thresh: float = option(1.0, "overlap above which a box counts as a match", training=True)
    iou_thresh: float = option(1.0, "overlap above which further anchors are assigned", training=True)
    iou_normalizer: float = option(0.75, "factor on the box loss", training=True)
    obj_normalizer: float = option(1.0, "factor on the objectness loss", training=True)
    cls_normalizer: float = option(1.0, "factor on the class loss", training=True)
    delta_normalizer: float = option(1.0, "factor on all gradients", training=True)
    max_delta: float = option(float("inf"), "largest gradient", training=True)
    gradient: str = option(
        "darknet", "`exact`: the loss's true gradient", choices=("darknet", "exact"), training=True, known_to=OWN
    )
    objectness_smooth: bool = option(False, "train the objectness towards the overlap", training=True)
    label_smooth_eps: float = option(0.0, "label smoothing", training=True)
    focal_loss: bool = option(False, "focal loss of the classes", training=True)
    assigner: str = option("darknet", "what assigns truths to boxes", choices=ASSIGNERS, training=True, known_to=OWN)
    topk: int | None = option(
        None,
        "`simota`: the overlaps of this many boxes sum up to how many a truth gets; 10, or 20 with auxiliary heads",
        at_least=1,
        training=True,
        known_to=OWN,
    )
    neighbours: int | None = option(
        None,
        "`simota`: candidate cells per truth: 1 its own, 3 and the two nearest, 5 and all four; 3, or 5 in an auxiliary head",
        at_least=1,
        at_most=5,
        training=True,
        known_to=OWN,
    )
    anchor_t: float = option(
        4.0,
        "`simota`: a truth's sides and those of a candidate's anchor differ by less than this factor",
        at_least=1,
        training=True,
        known_to=OWN,
    )
    aux: bool = option(False, "an auxiliary head, for training only; Darknet takes it for a head", training=True, known_to=OWN)
    lead: OneSource = option(
        OneSource(), "the head whose predictions assign the truths of this auxiliary head", training=True, known_to=OWN
    )
    loss_weight: float = option(
        1.0, "factor on the head's loss with `simota`; .25 is usual in an auxiliary head", training=True, known_to=OWN
    )
    counters_per_class: tuple[int, ...] = option((), "number of objects of each class, to balance them", training=True)
    jitter: float = option(0.2, "largest random shift of the image's edges", training=True)
    resize: float = option(1.0, "largest random scale of the image", training=True)
    random: float = option(0.0, "change the network's size during training; a value above 1 says how far", training=True)
    show_details: int = option(1, "print the loss's parts", training=True)

    embedding_layer: OneSource = option(OneSource(), "layer whose output tells objects apart, for tracking", training=True)
    track_history_size: int = option(5, "frames to look back", training=True)
    sim_thresh: float = option(0.8, "similarity of the same object", training=True)
    dets_for_track: int = option(1, "detections before a track begins", training=True)
    dets_for_show: int = option(1, "detections before a track is shown", training=True)
    track_ciou_norm: float = option(0.01, "share of the overlap in the similarity", training=True)

    @property
    def used(self) -> tuple[int, ...]:
        """The anchors this head uses."""
        return self.mask or tuple(range(self.num))

    @property
    def anchor_count(self) -> int:
        """Boxes per cell."""
        return len(self.used)

    @property
    def is_auxiliary(self) -> bool:
        """Whether it is a head for training only."""
        return self.aux

    @property
    def suppression(self) -> tuple[Literal["default", "greedynms", "diounms", "cornersnms"], float]:
        """Kind of non-maximum suppression, and its exponent."""
        return self.nms_kind, self.beta_nms  # type: ignore[return-value]

    def anchor(self, number: int) -> tuple[float, float]:
        """Width and height of one anchor in pixels; Darknet fills up to `num` with .5.

        Of an anchor beyond `num`, Darknet reads what lies behind its memory; here, what `anchors` says.
        """
        found = self.anchors[2 * number : 2 * number + 2]
        return (*found, *(0.5,) * (2 - len(found)))  # type: ignore[return-value]

    def check(self, x: Shape) -> Iterator[Problem]:
        """mask, anchors and num must agree; Darknet reads whatever lies behind them in memory."""
        outside = [number for number in self.used if not 0 <= number < self.num]
        if outside:
            message = f"`mask` asks for anchor {outside[0]}, but `num={self.num}` ends at {self.num - 1}"
            listed = min(outside) >= 0 and max(outside) < len(self.anchors) // 2
            cure = f"set `num={len(self.anchors) // 2}`" if listed else f"use 0 to {self.num - 1}"
            consequence = "Darknet reads past the anchors" + ("; here, they are as listed" if listed else "")
            num = (("num", str(len(self.anchors) // 2)),) if listed else ()
            yield Problem("mask-range", "mask", message, cure, "warning" if listed else "error", consequence, cures=num)
        if len(set(self.used)) < len(self.used):
            yield Problem(
                "mask-twice",
                "mask",
                "`mask` names an anchor twice",
                "name each anchor once",
                "warning",
                "two outputs predict the same boxes",
            )
        if len(self.anchors) % 2:
            message = f"`anchors` has {len(self.anchors)} numbers; they come in pairs of width and height"
            yield Problem(
                "anchors-odd", "anchors", message, "add the missing height", "warning", "Darknet pairs the last with .5"
            )
        elif len(self.anchors) // 2 != self.num:
            there = len(self.anchors) // 2
            last = f"anchors {there} to {self.num - 1}" if there < self.num - 1 else f"anchor {there}"
            consequence = f"Darknet makes {last} half a pixel large"
            cure = f"set `num={there}`" if there else "add `anchors=…`"
            # Without `mask`, `num` says how many channels there must be, too.
            cures: tuple[tuple[str, str], ...] = (("num", str(there)),) if there and self.mask else ()
            if there > self.num:
                consequence = f"Darknet uses only the first {self.num}"
                if not self.mask and x.channels == self.needed():
                    cure, cures = f"remove those behind the first {self.num}", first_anchors(self.anchors, self.num)
            elif there and max(self.used, default=0) >= there:
                cure, cures = "add the missing anchors: `mask` asks for them", ()
            yield Problem(
                "anchors-num",
                "anchors" if self.anchors else "num",
                f"{there} anchors, but `num={self.num}`",
                cure,
                "warning",
                consequence,
                cures=cures,
            )
        if self.neighbours in (2, 4):
            message = f"`neighbours={self.neighbours}`: cells left and right, above and below a truth go together"
            yield Problem("neighbour-cells", "neighbours", message, "use 1, 3 or 5")
        if self.counters_per_class and len(self.counters_per_class) != self.classes:
            message = f"{len(self.counters_per_class)} `counters_per_class` for {self.classes} classes"
            yield Problem(
                "counters-classes",
                "counters_per_class",
                message,
                "give one number for each class",
                "warning",
                "Darknet refuses to load the file",
            )

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """For layers that read what the head makes of its input."""
        entries = build.reshape(x, self.anchor_count, -1, *x.dimensions[1:])
        xy, wh, rest = (build.part(entries, *ends, axis=1) for ends in ((0, 2), (2, 4), (4, entries.dimensions[1])))
        if not self.new_coords:
            xy, rest = build.activate("logistic", xy), build.activate("logistic", rest)
        xy = build.affine(xy, self.scale_x_y, -0.5 * (self.scale_x_y - 1))
        return build.reshape(build.join([xy, wh, rest], 1), *x.dimensions)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, anchors (5 + classes), H, W), kept: logistic on all but width and height; centres stretched."""
        import torch

        n, _, h, w = x.shape
        entries = x.reshape(n, self.anchor_count, -1, h, w)
        head, rest = entries[:, :, :4], entries[:, :, 4:]
        xy, wh = head[:, :, :2], head[:, :, 2:]
        if not self.new_coords:
            xy, rest = xy.sigmoid(), rest.sigmoid()
        xy = xy * self.scale_x_y - 0.5 * (self.scale_x_y - 1)
        return torch.cat([xy, wh, rest], 2).reshape(n, -1, h, w)

    def decode(self, raw: NDArray[np.float32], network: Shape, threshold: float) -> Candidates:
        """`get_yolo_detections`: only cells whose objectness passes are looked at."""
        import numpy as np

        from cspdet.boxes import Candidates, objects, passing, sigmoid

        _, h, w = raw.shape
        cells = raw.reshape(self.anchor_count, -1, h * w)
        cell, anchor, objectness = objects(cells[:, 4], threshold, logistic=not self.new_coords)
        y, x = np.divmod(cell, w)
        picked = cells[anchor, :, cell]
        centre, size, score = picked[:, :2], picked[:, 2:4], picked[:, 5:]
        if not self.new_coords:
            centre, score = sigmoid(centre), sigmoid(score)
        centre = centre * np.float32(self.scale_x_y) - np.float32(0.5 * (self.scale_x_y - 1))
        with np.errstate(over="ignore"):
            size = size**2 * 4 if self.new_coords else np.exp(size)
        anchors = np.array([self.anchor(number) for number in self.used], np.float32)[anchor]
        xywh = np.stack(
            [
                (x + centre[:, 0]) / w,
                (y + centre[:, 1]) / h,
                size[:, 0] * anchors[:, 0] / network.width,
                size[:, 1] * anchors[:, 1] / network.height,
            ],
            1,
        ).astype(np.float32)
        return Candidates(xywh, objectness, passing(objectness[:, None] * score, threshold))

    def lower_boxes(self, build: Builder, raw: Value, network: Shape) -> LoweredBoxes:
        """The same of all cells."""
        from cspdet.layers.decoding import LoweredBoxes, cells, network_size, scaled, stretched
        from cspdet.program.operations import Activation

        found = cells(build, raw, [self.anchor(number) for number in self.used])
        place, size = found.column(build, 0, 2), found.column(build, 2, 4)
        rest = found.column(build, 4, self.classes + 5)
        if self.new_coords:
            size = build.affine(build.combine("multiply", size, size), 4, 0)
        else:
            place, rest = build.activate("logistic", place), build.activate("logistic", rest)
            size = build.function(size, Activation("exp"))
        objectness = build.part(rest, 0, 1, 1)
        centre = stretched(build, found, place, self.scale_x_y)
        xywh = build.join([centre, scaled(build, found, size, network_size(network))], 1)
        scores = build.combine("multiply", build.part(rest, 1, self.classes + 1, 1), objectness)
        return LoweredBoxes(xywh, objectness, scores)
