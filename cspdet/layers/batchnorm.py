"""The [batchnorm] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Array, Layer, Shape

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Batchnorm(Layer, names=("batchnorm",), known_to=("alexeyab", "pjreddie", "pytorch")):
    """Batch normalisation on its own. Source: `batchnorm_layer.c`."""

    def arrays(self, x: Shape) -> dict[str, Array]:
        """In the order of `load_batchnorm_weights`."""
        roles = {
            "bias": "biases",
            "weight": "scales",
            "running_mean": "rolling_mean",
            "running_var": "rolling_variance",
        }
        return {f"norm.{name}": Array((x.channels,), role) for name, role in roles.items()}

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A product and a sum."""
        from cspdet.layers.folding import scale_and_shift

        shape = (-1, *(1 for _ in x.dimensions[1:]))
        scale, shift = (build.constant(each.reshape(shape)) for each in scale_and_shift(arrays, self.dialect))
        return build.combine("add", build.combine("multiply", x, scale), shift)

    def parts(self, x: Shape) -> Parts:
        """`norm`."""
        from cspdet.layers.functional import batch_norm

        return {"norm": batch_norm(x.channels, self.dialect)}

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W), kept."""
        from cspdet.layers.functional import batch_normalize

        return batch_normalize(parts.norm, x, self.dialect)
