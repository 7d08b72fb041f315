"""The [local_avgpool] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.pooling import Pooling

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class LocalAvgpool(Pooling, names=("local_avgpool", "local_avg"), known_to=("alexeyab", "hank-ai", "pytorch")):
    """The mean of the pixels under the window; what lies outside the map does not count. Source: `maxpool_layer.c`."""

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A pooling."""
        return build.pool(x, "mean", (self.window, self.window), self.strides, self.border(x.dimensions, self.strides))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H', W')."""
        import torch
        from torch.nn.functional import avg_pool2d

        def total(values: Tensor) -> Tensor:
            values, padding = self.windows(values, self.strides, 0.0)
            return avg_pool2d(values, self.window, self.strides, padding, divisor_override=1)

        return total(x) / total(torch.ones_like(x[:1, :1]))
