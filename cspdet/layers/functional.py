"""The arithmetic that several layers share, in torch. Imported only where a network runs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its customary name
from torch import Tensor, nn

from cspdet.cfg.dialect import Dialect

# Guards against division by zero in `gemm.c:activate_array_normalize_channels`.
_SMALLEST_SUM = 1e-4


def _stair(x: Tensor) -> Tensor:
    floor = torch.floor(x)
    return torch.where(torch.remainder(floor, 2) == 0, torch.floor(x / 2), x - floor + torch.floor(x / 2))


def _plse(x: Tensor) -> Tensor:
    outer = torch.where(x < 0, 0.01 * (x + 4), 0.01 * (x - 4) + 1)
    return torch.where(x.abs() > 4, outer, 0.125 * x + 0.5)


def _lhtan(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x))


def _hard_mish(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, torch.zeros_like(x)))


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.797885 * x + 0.035677 * x**3))


def _normalize_channels(x: Tensor) -> Tensor:
    positive = x.relu()
    return positive / (positive.sum(1, keepdim=True) + _SMALLEST_SUM)


def _normalize_channels_softmax(x: Tensor) -> Tensor:
    exponential = x.exp()
    return exponential / (exponential.sum(1, keepdim=True) + _SMALLEST_SUM)


_ACTIVATIONS: dict[str, Any] = {
    "linear": lambda x: x,
    "logistic": torch.sigmoid,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "mish": F.mish,
    "swish": F.silu,
    "silu": F.silu,
    "relu": F.relu,
    "relu6": F.relu6,
    "tanh": torch.tanh,
    "loggy": lambda x: 2 * x.sigmoid() - 1,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": _gelu,
    "hard_mish": _hard_mish,
    "relie": lambda x: F.leaky_relu(x, 0.01),
    "ramp": lambda x: x.relu() + 0.1 * x,
    "revleaky": lambda x: F.leaky_relu(x, 0.1),
    "plse": _plse,
    "stair": _stair,
    "hardtan": F.hardtanh,
    "lhtan": _lhtan,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": lambda x: _normalize_channels_softmax(x - x.amax(1, keepdim=True)),
}

# Those that torch can compute in the memory of their input: a third of the activations' peak memory in a deep network.
_IN_PLACE: dict[str, Any] = {
    "logistic": torch.sigmoid_,
    "leaky": lambda x: F.leaky_relu_(x, 0.1),
    "mish": lambda x: F.mish(x, inplace=True),
    "swish": lambda x: F.silu(x, inplace=True),
    "silu": lambda x: F.silu(x, inplace=True),
    "relu": torch.relu_,
    "relu6": lambda x: F.relu6(x, inplace=True),
    "tanh": torch.tanh_,
}


def activate(name: str, x: Tensor, *, fresh: bool = False) -> Tensor:
    """Activation `name` of (N, C, H, W) or (N, C). A `fresh` input, which nobody else holds, may be overwritten."""
    if fresh and name in _IN_PLACE and not torch.is_grad_enabled():
        return _IN_PLACE[name](x)  # type: ignore[no-any-return]
    return _ACTIVATIONS[name](x)  # type: ignore[no-any-return]


def batch_normalize(norm: Any, x: Tensor, dialect: Dialect, *, fresh: bool = False) -> Tensor:
    """`norm`, an `nn.BatchNorm`, with the dialect's epsilon (`blas.c:normalize_cpu`). A `fresh` input may be overwritten."""
    fresh = fresh and not torch.is_grad_enabled()
    if norm.training or not (fresh or dialect.epsilon_outside_root):
        return norm(x)  # type: ignore[no-any-return]
    scale, shift = (each.view(-1, *(1,) * (x.dim() - 2)) for each in folded(norm, dialect))
    return x.mul_(scale).add_(shift) if fresh else x * scale + shift


def folded(norm: Any, dialect: Dialect) -> tuple[Tensor, Tensor]:
    """Factor and summand per channel that together do what `norm` does at inference (`network.c:fuse_conv_batchnorm`)."""
    variance = norm.running_var
    deviation = variance.sqrt() + dialect.epsilon if dialect.epsilon_outside_root else (variance + dialect.epsilon).sqrt()
    scale = norm.weight / deviation
    return scale, norm.bias - norm.running_mean * scale


def batch_norm(channels: int, dialect: Dialect, dimensions: int = 2) -> nn.Module:
    """Batch normalisation over `channels`, whose statistics change as fast as Darknet's do.

    In a step of training, a tenth of the new statistics of maps is taken in, a twentieth of those of vectors
    (`connected_layer.c`); pjreddie takes a hundredth.
    """
    kind = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d
    return kind(channels, eps=dialect.epsilon, momentum=dialect.statistics_rate or (0.1 if dimensions == 2 else 0.05))


def plain(x: Tensor) -> Tensor:
    """A map of one channel with the strides of plain order.

    It is in channels-last order just as well; but if its strides say so, PyTorch 2.13's convolution on CPUs reads the wrong
    memory where its output is one pixel wide.
    """
    return x.squeeze(1).unsqueeze(1) if x.shape[1] == 1 else x


def blur(x: Tensor, kind: int, stride: tuple[int, int]) -> Tensor:
    """The fixed depthwise filter of `antialiasing`: 1 is 3x3 binomial with padding 1, 2 is the mean of 2x2.

    `stride` is (vertical, horizontal). Source: `convolutional_layer.c:make_convolutional_layer`.
    """
    if kind != 2:
        row = x.new_tensor([1.0, 2.0, 1.0])
        kernel = row[:, None] * row[None, :] / 16
    else:
        kernel = x.new_full((2, 2), 0.25)
    channels = x.shape[1]
    return F.conv2d(
        plain(x), kernel.expand(channels, 1, *kernel.shape), stride=stride, padding=0 if kind == 2 else 1, groups=channels
    )


def binary_sign(x: Tensor) -> Tensor:
    """1 above 0, else -1; its gradient is that of x itself (the straight-through estimator of XNOR-Net, 1603.05279)."""
    sign = torch.where(x > 0, 1.0, -1.0).to(x.dtype)
    return x + (sign - x).detach() if torch.is_grad_enabled() else sign
