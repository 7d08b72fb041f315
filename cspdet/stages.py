"""Finding objects in steps: a picture as the network reads it, the network, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cspdet.boxes import Candidates, Floats, gather, passing, suppress
from cspdet.detections import Detections
from cspdet.engines import Engine
from cspdet.graph import Graph
from cspdet.image import Pixels
from cspdet.layers.head import Head
from cspdet.preprocess import Placement, Profile, prepare

# Where boxes of infinite size end, in image sizes.
_FAR = 1e6


class Prepared(NamedTuple):
    """A picture as the network reads it, (C, H, W); where it lies therein; and its own width and height."""

    x: Floats
    placement: Placement
    size: tuple[int, int]


class Stages(NamedTuple):
    """The steps of finding objects, as `Detector.stages` gives them. Each may run in another thread than the others."""

    engine: Engine
    # What the engine does before it first computes with so many images; else, it does that then.
    prepare_engine: Callable[[int], None]
    graph: Graph
    names: tuple[str, ...]
    # Whether the engine puts out boxes and scores in place of what the heads read.
    gives_boxes: bool
    threshold: float
    nms: float
    profile: Profile
    letterbox: bool | None

    @property
    def exact(self) -> bool:
        """Whether pictures should be decoded as Darknet does; see `read_image`."""
        return self.profile.scaling == "darknet"

    def prepare(self, picture: Pixels) -> Prepared:
        """Scale a picture to the network's input.

        Raises:
            UsageError: the network reads no images, or other channels.
        """
        height, width = picture.shape[:2]
        return Prepared(*prepare(picture, self.graph.input, self.profile, self.letterbox), (width, height))

    def infer(self, prepared: Sequence[Prepared]) -> list[Floats]:
        """The network's raw outputs for a batch."""
        return self.engine(np.stack([each.x for each in prepared])) if prepared else []

    def found(self, prepared: Sequence[Prepared], raw: Sequence[Floats]) -> list[Detections]:
        """What the raw outputs for a batch mean."""
        return [self._found([output[index] for output in raw], each) for index, each in enumerate(prepared)]

    # Boxes of weights that ran wild may overflow; `rows` has what becomes of them.
    @np.errstate(over="ignore", invalid="ignore")
    def _found(self, raw: list[Floats], prepared: Prepared) -> Detections:
        heads = [node.layer for node in self.graph.heads if isinstance(node.layer, Head)]
        if self.gives_boxes:
            boxes, scores = raw
            left = passing(scores, self.threshold)
            found = Candidates(boxes, left.max(1), left).kept(np.flatnonzero(left.any(1)))
        else:
            found = gather([head.decode(each, self.graph.input, self.threshold) for head, each in zip(heads, raw, strict=True)])
        found = found._replace(xywh=prepared.placement.to_picture(found.xywh))
        return rows(suppress(found, self.nms, *heads[-1].suppression), self.names, prepared.size)


def rows(found: Candidates, names: Sequence[str], size: tuple[int, int]) -> Detections:
    """A row for every class of every box (`network.c:detection_to_json`).

    A head whose weights ran wild makes boxes of any size, infinite ones too; they end a million images away, so that what is
    computed of them, and JSON, stays finite.
    """
    box, number = np.nonzero(found.scores)
    width, height = size
    x, y, w, h = np.nan_to_num(found.xywh[box], nan=0, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR).T
    xyxy = np.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], 1)
    return Detections(xyxy, found.scores[box, number], number, names, size)
