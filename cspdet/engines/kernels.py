"""The operations of a program as functions of PyTorch.

On CPUs the convolutions are oneDNN's, which PyTorch has behind names of its own: with the weights packed once, in the order
that the kernels read them in, and the activation computed while the numbers are still in registers. Before they are used,
their result is compared with that of the ordinary convolution; where it differs, or the names are not there, the ordinary one
is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspdet.engines import winograd
from cspdet.program.operations import (
    LINEAR,
    Activate,
    Activation,
    Combine,
    Constant,
    Convolve,
    Deconvolve,
    Enlarge,
    Join,
    Operation,
    Pad,
    Part,
    Pool,
    Product,
    Program,
    Reduce,
    Reshape,
    Softmax,
    Transpose,
    Unpool,
)

if TYPE_CHECKING:
    from torch import Tensor

Run = Callable[..., "Tensor"]

# What oneDNN can compute while it stores a convolution, under PyTorch's names.
_FUSED = {"linear": "none", "relu": "relu", "leaky": "leaky_relu", "logistic": "sigmoid", "tanh": "tanh", "swish": "swish"}
# Numbers that mish works on at a time: in float32, half a megabyte, which stays in the second-level cache.
_CHUNK = 2**17
# Floating point operations and pixels, up to which a matrix product is faster than a convolution of single pixels.
_SMALL_PRODUCT = (40e6, 2048)


def runner(operation: Operation, program: Program, device: Any) -> Run:
    """What computes an operation."""
    import torch
    from torch.nn import functional

    def tensor(array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    match operation:
        case Constant(value=value):
            constant = tensor(value)[None]
            return lambda: constant
        case Convolve():
            return _convolution(operation, program, device)
        case Deconvolve(stride=stride, cut=cut, extra=extra, groups=groups):
            weight, bias = tensor(operation.weight), tensor(operation.bias)
            return lambda x: functional.conv_transpose2d(x.contiguous(), weight, bias, stride, cut, extra, groups)
        case Pool():
            return _pooling(operation, program, device)
        case Activate(activation=activation):
            return _activation(activation, overwrite=False)
        case Combine(kind="mend"):
            return lambda x, other: torch.where(x.isfinite(), x, other)
        case Combine(kind=kind):
            combine: Run = getattr(torch, {"power": "pow"}.get(kind, kind))
            return combine
        case Join(axis=axis):
            if any(source >= 0 and isinstance(program.operations[source], Constant) for source in operation.inputs):
                return lambda *values: torch.cat(_spread(values), axis + 1)
            return lambda *values: torch.cat(values, axis + 1)
        case Part(axis=axis, start=start, stop=stop, step=step):
            where = (slice(None),) * (axis + 1) + (slice(start, stop, step),)
            return lambda x: x[where]
        case Pad(before=before, behind=behind, value=value):
            around = [each for pair in zip(reversed(before), reversed(behind), strict=True) for each in pair]
            return lambda x: functional.pad(x, around, value=value)
        case Enlarge(factor=factor, mode="nearest"):
            return lambda x: functional.interpolate(x, scale_factor=float(factor), mode="nearest")
        case Enlarge(factor=factor):
            return lambda x: functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
        case Reshape(dimensions=dimensions):
            return lambda x: x.reshape(x.shape[0], *dimensions)
        case Transpose(order=order):
            moved = (0, *(axis + 1 for axis in order))
            return lambda x: x.permute(moved)
        case Reduce(kind=kind, axes=axes):
            over = tuple(axis + 1 for axis in axes)
            name = {"mean": "mean", "sum": "sum", "maximum": "amax"}[kind]
            return lambda x: getattr(x, name)(over, keepdim=True)
        case Softmax(axis=axis):
            return lambda x: x.softmax(axis + 1)
        case Product(weight=array, bias=offset):
            return _product(tensor(array), None if offset is None else tensor(offset))
        case Unpool(size=size, stride=stride, border=border):
            return lambda x, before: _unpooled(x, before, size, stride, border)
    raise AssertionError(f"no such operation: {operation}")


def _spread(values: Sequence[Tensor]) -> list[Tensor]:
    """Constants get the batch of the others."""
    batch = max(value.shape[0] for value in values)
    return [value if value.shape[0] == batch else value.expand(batch, *value.shape[1:]) for value in values]


# -- convolutions -----------------------------------------------------------------------------------------------------------


def _convolution(operation: Convolve, program: Program, device: Any) -> Run:
    import torch
    from torch.nn import functional

    if device.type == "cpu" and _is_small_product(operation):
        return _pixel_convolution(operation)

    if device.type == "cpu" and winograd.pays(operation):
        return _activated(winograd.convolution(operation), operation.activation)

    top, left, bottom, right = operation.border
    around = None if (top, left) == (bottom, right) else (left, right, top, bottom)
    padding = (0, 0) if around else (top, left)
    stride, groups, activation = operation.stride, operation.groups, operation.activation
    dilation = (operation.dilation, operation.dilation)
    weight = torch.from_numpy(np.array(operation.weight, np.float32)).to(device)
    bias = torch.from_numpy(np.array(operation.bias, np.float32)).to(device)
    fused = activation.function in _FUSED
    summed = len(operation.inputs) > 1
    # PyTorch 2.13 reads the wrong memory of maps of one channel in channels-last order (`layers.functional.plain`).
    packed = device.type == "cpu" and _onednn_is_right() and weight.shape[1] * groups > 1
    if packed:
        name, scalars = _FUSED[activation.function] if fused else "none", _scalars(activation)
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight.contiguous(memory_format=torch.channels_last),
            padding,
            stride,
            dilation,
            groups,
            (1, *program.dimensions(operation.inputs[0])),
        )
        pointwise = torch.ops.mkldnn._convolution_pointwise.default
        binary = torch.ops.mkldnn._convolution_pointwise.binary

        def run(x: Tensor) -> Tensor:
            found: Tensor = pointwise(x, weight, bias, padding, stride, dilation, groups, name, scalars, "")
            return found

        def run_sum(x: Tensor, other: Tensor) -> Tensor:
            geometry = (padding, stride, dilation, groups)
            found: Tensor = binary(x, other, weight, bias, *geometry, "add", 1.0, "relu" if name == "relu" else None, [], "")
            return found
    else:
        weight = weight.contiguous(memory_format=torch.channels_last)

        def run(x: Tensor) -> Tensor:
            x = x.squeeze(1).unsqueeze(1) if x.shape[1] == 1 else x
            found: Tensor = functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
            return found

        def run_sum(x: Tensor, other: Tensor) -> Tensor:
            return run(x).add_(other)

    fused = fused and not (summed and activation.function != "relu")  # of sums, oneDNN takes ReLU only
    after = None if (packed and fused) or activation == LINEAR else _activation(activation, overwrite=True)
    return _around(run_sum if summed else run, around, after)


def _is_small_product(operation: Convolve) -> bool:
    """Whether a convolution of single pixels is so small that a matrix product is done before oneDNN's has begun.

    That takes some 25 microseconds before it computes anything. Of many pixels with few channels, the product is slower.
    """
    pixels = operation.weight.shape[2:] == (1, 1) and operation.stride == (1, 1) and not any(operation.border)
    _, height, width = operation.dimensions
    size = height * width
    small = 2 * operation.weight.size * size <= _SMALL_PRODUCT[0] and size <= _SMALL_PRODUCT[1]
    return pixels and operation.groups == 1 and small


def _pixel_convolution(operation: Convolve) -> Run:
    """A convolution of single pixels as a product of the pixels' channels and the weights."""
    import torch

    filters, channels = operation.weight.shape[:2]
    weight = torch.from_numpy(np.ascontiguousarray(operation.weight.reshape(filters, channels).T))
    bias = torch.from_numpy(np.array(operation.bias, np.float32))

    def run(x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        rows = torch.addmm(bias, x.permute(0, 2, 3, 1).reshape(-1, channels), weight)
        return rows.view(batch, height, width, filters).permute(0, 3, 1, 2)

    return _activated(run, operation.activation)


def _activated(convolve: Run, activation: Activation) -> Run:
    """What adds the second input, if there is one, and applies the function after a convolution."""
    after = _activation(activation, overwrite=True)

    def run(x: Tensor, *others: Tensor) -> Tensor:
        found = convolve(x)
        for other in others:
            found.add_(other)
        return after(found)

    return run


def _around(run: Run, around: Sequence[int] | None, after: Run | None) -> Run:
    """What pads the first input before it, and applies a function after it."""
    from torch.nn import functional

    if around is None:
        return run if after is None else lambda *inputs: after(run(*inputs))

    def padded(x: Tensor, *others: Tensor) -> Tensor:
        found = run(functional.pad(x, [*around]), *others)
        return found if after is None else after(found)

    return padded


def _scalars(activation: Activation) -> list[float]:
    return [activation.low] if activation.function == "leaky" else []


@cache
def _onednn_is_right() -> bool:
    """Whether oneDNN's convolution is there under the names used here, and computes what the ordinary one does."""
    import torch
    from torch.nn import functional

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 9, 9, generator=generator).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(16, 8, 3, 3, generator=generator), torch.randn(16, generator=generator)
    geometry: Any = ((1, 1), (2, 2), (1, 1), 1)
    try:
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, (1, 8, 9, 9))
        found = torch.ops.mkldnn._convolution_pointwise.default(x, packed, bias, *geometry, "leaky_relu", [0.1], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, functional.leaky_relu(functional.conv2d(x, weight, bias, 2, 1), 0.1), atol=1e-4)


# -- activations ------------------------------------------------------------------------------------------------------------


def _activation(activation: Activation, *, overwrite: bool) -> Run:
    import torch
    from torch.nn import functional

    name, low, high = activation
    if name == "linear":
        return lambda x: x
    if name == "mish":
        return mish_ if overwrite else lambda x: mish_(x.clone())
    # PyTorch's kernels take up to ten times as long for maps in channels-last order, unless they are given as rows.
    rows: dict[str, tuple[Callable[[Tensor], Any], Run]] = {
        "logistic": (torch.sigmoid_, torch.sigmoid),
        "leaky": (lambda x: functional.leaky_relu_(x, low), lambda x: functional.leaky_relu(x, low)),
        "swish": (lambda x: functional.silu(x, inplace=True), functional.silu),
        "relu": (torch.relu_, torch.relu),
        "tanh": (torch.tanh_, torch.tanh),
        "elu": (functional.elu_, functional.elu),
        "selu": (functional.selu_, functional.selu),
        "exp": (torch.exp_, torch.exp),
        "floor": (torch.floor_, torch.floor),
        "sqrt": (torch.sqrt_, torch.sqrt),
        "clip": (lambda x: x.clamp_(low, high), lambda x: x.clamp(low, high)),
    }
    if name == "sign":
        return lambda x: torch.where(x > 0, 1.0, -1.0)
    inside, outside = rows[name]
    if not overwrite:
        return outside

    def run(x: Tensor) -> Tensor:
        inside(_row(x))
        return x

    return run


def _row(x: Tensor) -> Tensor:
    """The numbers of a tensor as they lie in memory, if they lie without gaps."""
    import torch

    if x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x.as_strided((x.numel(),), (1,))
    return x


def mish_(x: Tensor) -> Tensor:
    """The function x tanh(log(1 + e^x)), in its place: with u = 1 + e^x it is x - 2x / (u² + 1).

    PyTorch's own kernel computes a logarithm and a tangent number by number, and takes four times as long. Where e^x is
    infinite, so is u², and x remains. Working through a buffer keeps the four passes in the cache.
    """
    import torch

    row = _row(x)
    if row.dim() > 1:
        return x.copy_(mish_(x.contiguous()))
    buffer = torch.empty(min(_CHUNK, len(row)), dtype=x.dtype, device=x.device)
    for part in torch.split(row, _CHUNK):
        square = torch.exp(part, out=buffer[: len(part)])
        square.add_(1).square_().add_(1)
        part.addcdiv_(part, square, value=-2)
    return x


# -- the rest ---------------------------------------------------------------------------------------------------------------


def _pooling(operation: Pool, program: Program, device: Any) -> Run:
    import torch
    from torch.nn import functional

    size, stride = operation.size, operation.stride
    top, left, bottom, right = operation.border
    # PyTorch adds the same before and behind, at most half a window, and takes no memory for it; the rest is added first.
    own = (min(top, bottom), min(left, right))
    if own[0] > size[0] // 2 or own[1] > size[1] // 2:
        own = (0, 0)
    rest = [left - own[1], right - own[1], top - own[0], bottom - own[0]]
    empty = float("-inf") if operation.kind == "maximum" else 0.0

    def run(x: Tensor) -> Tensor:
        x = functional.pad(x, rest, value=empty) if any(rest) else x
        if operation.kind == "maximum":
            return functional.max_pool2d(x, size, stride, own)
        return functional.avg_pool2d(x, size, stride, own, divisor_override=1)

    if operation.kind == "maximum":
        return run
    counts = run(torch.ones(1, 1, *program.dimensions(operation.inputs[0])[1:], device=device))
    return lambda x: run(x).div_(counts)


def _product(weight: Tensor, bias: Tensor | None) -> Run:
    import torch

    if bias is None:
        return lambda x: x @ weight
    if weight.dim() == 2:
        return lambda x: torch.addmm(bias, x, weight) if x.dim() == 2 else x @ weight + bias
    return lambda x: x @ weight + bias


def _unpooled(
    x: Tensor, before: Tensor, size: tuple[int, int], stride: tuple[int, int], border: tuple[int, int, int, int]
) -> Tensor:
    from torch.nn import functional

    top, left, bottom, right = border
    height, width = before.shape[2:]
    padded = functional.pad(before, (left, right, top, bottom), value=float("-inf")).contiguous()
    places = functional.max_pool2d(padded, size, stride, return_indices=True)[1]
    row = (places // padded.shape[3] - top).clamp(0, height - 1)
    column = (places % padded.shape[3] - left).clamp(0, width - 1)
    spread = x.new_zeros(before.shape).flatten(2)
    return spread.scatter_add(2, (row * width + column).flatten(2), x.flatten(2)).view(before.shape)
