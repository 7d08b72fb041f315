"""The [iseg] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, option
from cspdet.layers.yolo import LARGEST_CLASSES

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Iseg(Layer, names=("iseg",), known_to=("pjreddie",)):
    """Instance segmentation: a probability per class and an embedding of the instance at every pixel.

    Source: pjreddie's `iseg_layer.c`.
    """

    classes: int = option(80, "number of classes", at_least=1, at_most=LARGEST_CLASSES)
    ids: int = option(32, "length of the embedding", at_least=0, at_most=LARGEST_CLASSES)

    def check(self, x: Shape) -> Iterator[Problem]:
        """As many channels as classes and embedding have."""
        if x.channels != self.classes + self.ids:
            needed = self.classes + self.ids
            message = f"{self.classes} classes and {self.ids} ids take {needed} channels, not {x.channels}"
            yield Problem("head-filters", "classes", message, f"set `filters={needed}` in the layer before")

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """The logistic of one part."""
        ids = build.part(x, self.classes, x.channels) if x.channels > self.classes else None
        classes = build.activate("logistic", build.part(x, 0, self.classes))
        return classes if ids is None else build.join([classes, ids])

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, classes + ids, H, W), kept: logistic on the classes."""
        import torch

        return torch.cat([x[:, : self.classes].sigmoid(), x[:, self.classes :]], 1)
