"""What layers and options compute that are cspdet's own, against slow loops and PyTorch's operations."""

from __future__ import annotations

import numpy as np
import pytest

from cspdet.layers.base import Shape
from tests.layers.examples import Example
from tests.layers.test_meaning import convolve, forward, image, state

# -- kernels with two sides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "stride", "dilation"),
    [(1, 7, (1, 1), 1), (7, 1, (1, 1), 1), (3, 1, (1, 1), 2), (5, 3, (1, 1), 1), (3, 3, (1, 1), 2), (2, 5, (3, 2), 1)],
)
def test_kernels_with_two_sides(height: int, width: int, stride: tuple[int, int], dilation: int) -> None:
    """With `pad=1`, each axis is padded for its own side, so that the map keeps its size where the sides are odd."""
    options = {"filters": 4, "size_x": width, "size_y": height, "pad": True, "groups": 2, "activation": "linear"}
    options |= {"dilation": dilation, "stride_y": stride[0], "stride_x": stride[1]}
    example = Example("convolutional", options, (Shape(6, 9, 8),))
    x, arrays = image(6, 9, 8), state(example)
    padding = (height // 2 * dilation, width // 2 * dilation)
    expected = convolve(x, arrays["conv.weight"], stride, padding, 2, dilation) + arrays["conv.bias"][:, None, None]
    assert arrays["conv.weight"].shape == (4, 3, height, width)
    assert expected.shape[1:] == ((9, 8) if stride == (1, 1) else (4, 4))
    assert np.allclose(forward(example, x), expected, atol=1e-5)


def test_signs_under_kernels_with_two_sides() -> None:
    options = {"filters": 3, "size_x": 5, "size_y": 1, "pad": True, "xnor": True, "activation": "linear"}
    example = Example("convolutional", options, (Shape(4, 6, 5),))
    x, arrays = image(4, 6, 5), state(example)
    weights = arrays["conv.weight"]
    signs = np.where(weights > 0, 1, -1) * np.abs(weights).mean((1, 2, 3), keepdims=True)
    expected = convolve(np.where(x > 0, 1.0, -1.0), signs, (1, 1), (0, 2), fill=-1) + arrays["conv.bias"][:, None, None]
    assert np.allclose(forward(example, x), expected, atol=1e-5)


def test_two_thin_kernels_cost_less_than_a_square_one() -> None:
    """Known answers: 2 · 256 · 256 · 7 · 17² operations, not 2 · 256 · 256 · 7² · 17²."""
    x = Shape(256, 17, 17)
    thin = Example("convolutional", {"filters": 256, "size": 1, "size_x": 7, "pad": True, "batch_normalize": 1}, (x,)).make()
    square = Example("convolutional", {"filters": 256, "size": 7, "pad": True, "batch_normalize": 1}, (x,)).make()
    assert thin.shape(x) == square.shape(x) == x
    assert (thin.operations(x), square.operations(x)) == (265_158_656, 7 * 265_158_656)
    assert [array.size for array in thin.arrays(x).values()] == [256, 256, 256, 256, 458_752]
    assert thin.arrays(x)["conv.weight"].fan_in == 256 * 7
    assert thin.columns() == ("256", "7 x 1/ 1")
