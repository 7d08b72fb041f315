"""The [dropout] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, option

if TYPE_CHECKING:
    from torch import Tensor


class Dropout(Layer, names=("dropout",)):
    """Zeros a share of its inputs in training; passes them on at inference. Source: `dropout_layer.c`."""

    reads_images = False

    probability: float = option(0.2, "share of the inputs that is zeroed", at_least=0, at_most=1, training=True)
    dropblock: bool = option(False, "zero whole squares instead", training=True)
    dropblock_size_rel: float = option(0.0, "side of the square as a share of the map", training=True)
    dropblock_size_abs: float = option(0.0, "side of the square in pixels; 7 if neither is given", training=True)

    def columns(self) -> tuple[str, str]:
        """Probability."""
        return "", f"p = {self.probability:.3f}"

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """Any shape, kept."""
        if not parts.training:
            return x
        from torch.nn.functional import dropout

        return dropout(x, self.probability)
