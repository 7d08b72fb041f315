"""3x3 convolutions by Winograd's algorithm F(4x4, 3x3), in PyTorch.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", section 4.

4x4 pixels of the output take 36 products for each pair of channels in place of 144. Tiles of 6x6 pixels and the weights are
transformed by fixed matrices, so that what remains is 36 matrix products, of all tiles' channels with the weights. In exchange
the weights take four times the memory, and numbers differ by some 5e-5 of outputs around 1, as the matrices have entries from
1/24 to 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cspdet.program.operations import Convolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHT = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
# The product that every pixel of the output has once: what is added to it is added to all of them.
_BIAS = 7
# Numbers of transformed input to work on at a time: 4 MB, which stay in the cache until they are multiplied.
_CHUNK = 2**20
# With fewer channels or pixels, oneDNN's convolution is as fast; with more weights, too, and they would take much memory.
_FEWEST_CHANNELS, _FEWEST_PIXELS, _MOST_WEIGHTS = 128, 18**2, 9 * 512**2


def pays(operation: Convolve) -> bool:
    """Whether a convolution is faster this way, by the measurements in docs/engines.md."""
    filters, channels = operation.weight.shape[:2]
    _, height, width = operation.dimensions
    plain = operation.weight.shape[2:] == (3, 3) and operation.stride == (1, 1)
    plain = plain and operation.dilation == 1 and operation.groups == 1
    fits = min(filters, channels) >= _FEWEST_CHANNELS and operation.weight.size <= _MOST_WEIGHTS
    return plain and fits and height * width >= _FEWEST_PIXELS


def convolution(operation: Convolve) -> Callable[[Tensor], Tensor]:
    """What computes it with its bias, but without its activation: (N, C, H, W) → (N, filters, H', W'), channels last."""
    import torch
    from torch.nn.functional import pad

    filters, channels = operation.weight.shape[:2]
    _, height, width = operation.dimensions
    top, left, bottom, right = operation.border
    # Tiles of the output; the input is padded to as many whole ones.
    down, across = -(-height // 4), -(-width // 4)
    around = (0, 0, left, right + 4 * across - width, top, bottom + 4 * down - height)
    rows = max(1, _CHUNK // (36 * across * channels))
    weight = torch.from_numpy(np.array(operation.weight, np.float32)).view(filters * channels, 9)
    bias = torch.from_numpy(np.array(operation.bias, np.float32))
    of_input, of_weight, of_output = (
        torch.from_numpy(np.kron(each, each).astype(np.float32)) for each in (_INPUT, _WEIGHT, _OUTPUT)
    )
    weights = (of_weight @ weight.T).view(36, filters, channels).transpose(1, 2).contiguous()

    def run(x: Tensor) -> Tensor:
        padded = pad(x.permute(0, 2, 3, 1), around).contiguous()
        found = torch.empty(len(x), down, 4, across, 4, filters)
        image, row, column, _ = padded.stride()
        for number in range(len(x)):
            for first in range(0, down, rows):
                several = min(rows, down - first)
                tiles = padded.as_strided(
                    (6, 6, several, across, channels),
                    (row, column, 4 * row, 4 * column, 1),
                    padded.storage_offset() + number * image + 4 * first * row,
                )
                products = torch.bmm((of_input @ tiles.reshape(36, -1)).view(36, -1, channels), weights)
                products[_BIAS] += bias
                pixels = (of_output @ products.view(36, -1)).view(4, 4, several, across, filters)
                found[number, first : first + several] = pixels.permute(2, 0, 3, 1, 4)
        whole = found.view(len(x), 4 * down, 4 * across, filters)
        return whole[:, :height, :width].contiguous().permute(0, 3, 1, 2)

    return run
