"""Weights as programs hold them: batch normalisation folded into what lies before it, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cspdet.cfg.dialect import Dialect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cspdet.program.builder import Builder, Value

    Arrays = Mapping[str, NDArray[np.float32]]


def folded(arrays: Arrays, dialect: Dialect, kind: str, axis: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and biases of `conv` or `linear`, with what `norm` does after it, if that is there.

    `axis` is that of the outputs. Source: `network.c:fuse_conv_batchnorm`.
    """
    import numpy as np

    weight = arrays[f"{kind}.weight"]
    if "norm.weight" not in arrays:
        return weight, arrays[f"{kind}.bias"]
    scale, shift = scale_and_shift(arrays, dialect)
    shape = [1] * weight.ndim
    shape[axis] = -1
    return (weight * scale.reshape(shape)).astype(np.float32), shift.astype(np.float32)


def scale_and_shift(arrays: Arrays, dialect: Dialect) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor and summand per channel that together do what `norm` does at inference."""
    import numpy as np

    variance, mean, weight, bias = (
        arrays[f"norm.{name}"].astype(np.float64) for name in ("running_var", "running_mean", "weight", "bias")
    )
    # A file of another network may have negative variances; what comes of them is not a number, here as in PyTorch.
    with np.errstate(invalid="ignore", divide="ignore"):
        outside = dialect.epsilon_outside_root
        deviation = np.sqrt(variance) + dialect.epsilon if outside else np.sqrt(variance + dialect.epsilon)
        scale = weight / deviation
    return scale, bias - mean * scale


def blurred_value(build: Builder, x: Value, kind: int, stride: tuple[int, int]) -> Value:
    """The fixed depthwise filter of `antialiasing` (`convolutional_layer.c:make_convolutional_layer`)."""
    import numpy as np

    row: Any = np.array([0.5, 0.5] if kind == 2 else [0.25, 0.5, 0.25], np.float32)
    kernel = np.broadcast_to(row[:, None] * row, (x.channels, 1, len(row), len(row)))
    border = (0, 0, 0, 0) if kind == 2 else (1, 1, 1, 1)
    return build.convolve(x, kernel, np.zeros(x.channels, np.float32), stride, border, groups=x.channels)
