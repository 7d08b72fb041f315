"""The [contrastive] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, OneSource, Problem, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Contrastive(Layer, names=("contrastive",), known_to=("alexeyab", "hank-ai")):
    """A contrastive loss over embeddings. At inference it writes nothing: its output stays zero.

    Source: `representation_layer.c`.
    """

    reads_images = False

    classes: int = option(1000, "number of classes", at_least=1, training=True)
    yolo_layer: OneSource = option(OneSource(), "the [yolo] layer whose truths it uses", training=True)
    temperature: float = option(1.0, "divides the similarities", training=True)
    cls_normalizer: float = option(1.0, "factor on the loss", training=True)
    max_delta: float = option(float("inf"), "largest gradient", training=True)
    contrastive_neg_max: int = option(3, "largest number of negatives", training=True)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Darknet follows `yolo_layer` without looking."""
        if not self.yolo_layer:
            yield Problem(
                "contrastive-yolo",
                None,
                "`[contrastive]` does not say its `yolo_layer`",
                "add `yolo_layer=-…`",
                "warning",
                "Darknet crashes",
            )

    def shape(self, x: Shape) -> Shape:
        """Any → as many numbers."""
        return Shape.vector(x.size)

    def reach(self, x: Shape) -> tuple[None]:
        """Nothing: the output is zero."""
        return (None,)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Zeros."""
        return build.zeros(build.reshape(x, -1))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, length) zeros."""
        return x.new_zeros(x.shape[0], x[0].numel())
