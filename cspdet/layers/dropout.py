"""The [dropout] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

# The side of a block where neither option gives it.
_SIDE = 7


class Dropout(Layer, names=("dropout",)):
    """Zeros a share of its inputs in training; passes them on at inference.

    With `dropblock`, whole squares are zeroed instead, at most one in each map; squares and probability grow from nothing to
    their full size until 85 % of the training is done. Source: `dropout_layer.c`, `dropout_layer_kernels.cu`; DropBlock,
    1810.12890.
    """

    reads_images = False

    probability: float = option(0.2, "share of the inputs that is zeroed", at_least=0, at_most=1, training=True)
    dropblock: bool = option(False, "zero whole squares instead", training=True)
    dropblock_size_rel: float = option(0.0, "side of the square as a share of the map", training=True)
    dropblock_size_abs: float = option(0.0, "side of the square in pixels; 7 if neither is given", training=True)

    def passes_on(self, x: Shape) -> bool:
        """Always, at inference."""
        return True

    def columns(self) -> tuple[str, str]:
        """Probability."""
        return "", f"p = {self.probability:.3f}"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """What it reads."""
        return x

    def parts(self, x: Shape) -> Parts:
        """`ramp`, from 0 to 1 as training goes on, which whoever trains has to set."""
        import torch

        return {"ramp": torch.zeros(())} if self.dropblock else {}

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """Any shape, kept."""
        if not parts.training:
            return x
        from torch.nn.functional import dropout

        if self.dropblock and x.dim() == 4:
            return self._drop_blocks(x, parts.ramp)
        return dropout(x, self.probability)

    def _drop_blocks(self, x: Tensor, ramp: Tensor) -> Tensor:
        """Zero a square of each map, where one of its pixels draws less than probability / square; scale up what is left.

        `ramp` stays a tensor: as a number it would be compiled in, and every step of a training would compile anew.
        """
        import torch

        n, c, height, width = x.shape
        side = self.dropblock_size_rel * width if self.dropblock_size_rel else int(self.dropblock_size_abs) or _SIDE
        block = (side * ramp).floor().clamp(1, min(width, height))
        drawn, place = torch.rand(n, c, height * width, device=x.device).min(2)
        dropped = drawn < self.probability * ramp / block**2
        top = (place // width).minimum(height - block)[..., None, None]
        left = (place % width).minimum(width - block)[..., None, None]
        row = torch.arange(height, device=x.device)[:, None]
        column = torch.arange(width, device=x.device)
        inside = (row >= top) & (row < top + block) & (column >= left) & (column < left + block)
        kept = (~(inside & dropped[..., None, None])).to(x.dtype)
        return x * kept / kept.mean((1, 2, 3), keepdim=True).clamp_min(1e-6)
