"""What layers and options compute that are cspdet's own, against slow loops and PyTorch's operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import channel_shuffle, interpolate, max_pool2d, max_unpool2d

from cspdet.cfg.dialect import PJREDDIE
from cspdet.cfg.source import Source
from cspdet.layers.base import Shape, Sources
from cspdet.network import Network
from cspdet.rules import load
from tests.layers.examples import Example
from tests.layers.test_every_layer import module_of
from tests.layers.test_meaning import Floats, convolve, forward, image, state

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


# -- deconvolutions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("size", "stride", "padding", "more"),
    [(3, 2, 1, 1), (2, 2, 0, 0), (2, 3, 0, 2), (4, 1, 2, 0), (3, 9, 1, 8), (12, 10, 2, 3)],
)
def test_deconvolution_spreads_each_group(size: int, stride: int, padding: int, more: int, groups: int) -> None:
    options = {"filters": 8, "size": size, "stride": stride, "padding": padding, "activation": "linear"}
    options |= {"groups": groups, "output_padding": more}
    example = Example("deconvolutional", options, (Shape(4, 5, 6),), PJREDDIE)
    x, arrays = image(4, 5, 6), state(example)
    weights = arrays["conv.weight"]
    assert weights.shape == (4, 8 // groups, size, size)
    full = np.zeros((8, 4 * stride + size + more, 5 * stride + size + more))
    for c in range(4):
        group = c // (4 // groups)
        filters = slice(group * (8 // groups), (group + 1) * (8 // groups))
        for i in range(5):
            for j in range(6):
                full[filters, i * stride : i * stride + size, j * stride : j * stride + size] += x[c, i, j] * weights[c]
    cut = full[:, padding : full.shape[1] - padding, padding : full.shape[2] - padding]
    assert np.allclose(forward(example, x), cut + arrays["conv.bias"][:, None, None], atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("stride", [2, 9])
def test_deconvolution_is_the_transpose_of_a_convolution(stride: int, groups: int) -> None:
    """⟨K x, y⟩ = ⟨x, Kᵀ y⟩ for the sizes that `output_padding` chooses between, with the same weights."""
    for more in range(stride):
        large = Shape(6, 2 * stride + 3 + more, 3 * stride + 3 + more)
        conv = Example("convolutional", {"filters": 9, "size": 3, "stride": stride, "groups": groups}, (large,))
        small = conv.make().shape(large)
        assert small == Shape(9, 3, 4)
        options = {"filters": 6, "size": 3, "stride": stride, "groups": groups, "output_padding": more, "activation": "linear"}
        back = Example("deconvolutional", options, (small,), PJREDDIE)
        assert back.make().shape(small) == large
        x, y, weights = image(*large.dimensions), image(*small.dimensions, seed=4), state(back)["conv.weight"]
        spread = forward(back, y) - state(back)["conv.bias"][:, None, None]
        assert np.isclose((convolve(x, weights, (stride, stride), 0, groups) * y).sum(), (spread * x).sum(), rtol=1e-4)


def test_what_a_depthwise_deconvolution_costs() -> None:
    x = Shape(64, 13, 13)
    options = {"filters": 64, "size": 4, "stride": 2, "padding": 1, "groups": 64, "batch_normalize": True}
    layer = Example("deconvolutional", options, (x,)).make()
    assert layer.shape(x) == Shape(64, 26, 26)
    assert layer.operations(x) == 2 * 64 * 16 * 169
    assert {name: array.size for name, array in layer.arrays(x).items()} == {
        "norm.bias": 64,
        "norm.weight": 64,
        "norm.running_mean": 64,
        "norm.running_var": 64,
        "conv.weight": 1024,
    }
    assert layer.columns() == ("64/64", "4 x 4/ 2")


def test_a_deconvolution_starts_as_pjreddies_does() -> None:
    """`scale = .02`, times output pixels over input pixels: four times as many here."""
    text = "[net]\nwidth=16\nheight=12\nchannels=32\n[deconvolutional]\nfilters=64\nsize=4\nstride=2\npadding=1\n"
    network = Network(load(Source("made.cfg", text), PJREDDIE)[0])
    weights = network.state_dict()["layers.0.conv.weight"]
    assert abs(weights.mean()) < 0.002
    assert 0.078 < weights.std() < 0.082
    assert (network.state_dict()["layers.0.conv.bias"] == 0).all()


# -- upsampling -------------------------------------------------------------------------------------------------------


def interpolated(x: Floats, stride: int) -> Floats:
    """Each output pixel's centre in the input, where pixel i lies at i; beyond the outermost centres, their values go on."""
    channels, height, width = x.shape
    out = np.zeros((channels, height * stride, width * stride))
    for i in range(height * stride):
        for j in range(width * stride):
            row = min(max((i + 0.5) / stride - 0.5, 0), height - 1)
            column = min(max((j + 0.5) / stride - 0.5, 0), width - 1)
            for a in range(height):
                for b in range(width):
                    out[:, i, j] += x[:, a, b] * max(0, 1 - abs(row - a)) * max(0, 1 - abs(column - b))
    return out


@pytest.mark.parametrize(("height", "width"), [(4, 5), (1, 3), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3, 8])
def test_bilinear_upsampling(stride: int, height: int, width: int) -> None:
    x = image(2, height, width)
    example = Example("upsample", {"stride": stride, "mode": "bilinear", "scale": 0.5}, (Shape(2, height, width),))
    assert np.allclose(forward(example, x), 0.5 * interpolated(x, stride), atol=1e-5)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_bilinear_keeps_pixels_where_nearest_has_them(stride: int) -> None:
    """Away from the border, the middle of what a lone pixel spreads over is that of its square."""
    x = np.zeros((1, 5, 5))
    x[0, 1, 2] = 1
    for mode in ("nearest", "bilinear"):
        out = forward(Example("upsample", {"stride": stride, "mode": mode}, (Shape(1, 5, 5),)), x)[0]
        assert np.isclose(out.sum(), stride**2)
        rows, columns = (np.arange(len(out)) + 0.5) / stride, (np.arange(len(out)) + 0.5) / stride
        assert np.isclose((out.sum(1) * rows).sum() / out.sum(), 1.5)
        assert np.isclose((out.sum(0) * columns).sum() / out.sum(), 2.5)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_bed_of_nails(stride: int) -> None:
    x = image(3, 4, 5)
    expected = np.zeros((3, 4 * stride, 5 * stride))
    for i in range(4):
        for j in range(5):
            expected[:, i * stride, j * stride] = 2 * x[:, i, j]
    example = Example("upsample", {"stride": stride, "mode": "nails", "scale": 2.0}, (Shape(3, 4, 5),))
    assert np.allclose(forward(example, x), expected, atol=1e-6)


def test_modes_cost_nothing_and_say_what_they_are() -> None:
    x = Shape(3, 4, 5)
    for mode, column in (("nearest", "2x"), ("bilinear", "bilinear 2x"), ("nails", "nails 2x")):
        layer = Example("upsample", {"mode": mode}, (x,)).make()
        assert (layer.shape(x), layer.operations(x), layer.arrays(x)) == (Shape(3, 8, 10), 0, {})
        assert layer.columns() == ("", column)


# -- unpooling --------------------------------------------------------------------------------------------------------

WINDOWS = [(2, 2, None), (2, 1, None), (3, 2, None), (5, 1, None), (3, 2, 1), (4, 3, 2), (2, 2, 0), (2, 3, 2), (6, 4, 9)]


def unpooling(size: int, stride: int, padding: int | None, before: Shape) -> Example:
    """With what it reads: the pooling's output, then its input."""
    pooling = {"size": size, "stride": stride} | ({} if padding is None else {"padding": padding})
    small = Example("maxpool", pooling, (before,)).make().shape(before)
    return Example("maxunpool", {"from": Sources((3,))}, (small, before), pooling=pooling)


@pytest.mark.parametrize("levels", [2, 1000], ids=["ties", "no ties"])
@pytest.mark.parametrize(("height", "width"), [(7, 8), (12, 9), (4, 5)])
@pytest.mark.parametrize(("size", "stride", "padding"), WINDOWS)
def test_values_return_to_where_the_maxima_were(
    size: int, stride: int, padding: int | None, height: int, width: int, levels: int
) -> None:
    example = unpooling(size, stride, padding, Shape(2, height, width))
    small, _ = example.inputs
    x = image(*small.dimensions)
    before = np.random.default_rng(7).integers(0, levels, (2, height, width)).astype(float)
    first = -((size - 1 if padding is None else padding) // 2)
    expected = np.zeros_like(before)
    for c in range(2):
        for i in range(small.height):
            for j in range(small.width):
                top, left = first + i * stride, first + j * stride
                rows, columns = range(max(0, top), min(height, top + size)), range(max(0, left), min(width, left + size))
                places = [(row, column) for row in rows for column in columns]
                values = [before[c][place] for place in places]
                expected[c][places[values.index(max(values))]] += x[c, i, j]  # `index` finds the first
    assert np.allclose(forward(example, x, before), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "stride", "padding"), WINDOWS)
def test_unpooling_is_the_backward_pass_of_pooling(size: int, stride: int, padding: int | None) -> None:
    """In either order of memory."""
    example = unpooling(size, stride, padding, Shape(3, 11, 10))
    pooling = module_of(Example("maxpool", example.pooling or {}, (example.inputs[1],)))
    for form in (torch.contiguous_format, torch.channels_last):
        before = torch.randint(0, 9, (2, 3, 11, 10)).float().contiguous(memory_format=form).requires_grad_()
        pooled = pooling(before)
        x = torch.randn(pooled.shape).contiguous(memory_format=form)
        pooled.backward(x)
        assert torch.allclose(module_of(example)(x, before), before.grad, atol=1e-5)


def test_unpooling_is_pytorchs_where_windows_do_not_overlap() -> None:
    before = torch.randn(2, 3, 8, 6)
    pooled, places = max_pool2d(before, 2, return_indices=True)
    x = torch.randn(pooled.shape)
    example = unpooling(2, 2, None, Shape(3, 8, 6))
    assert torch.equal(module_of(example)(x, before), max_unpool2d(x, places, 2))


def test_gradients_come_back_from_where_the_values_went() -> None:
    """Once to each value that was put back, whatever the places were found in."""
    before = torch.randn(1, 2, 7, 7, requires_grad=True)
    example = unpooling(3, 2, None, Shape(2, 7, 7))
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    module = module_of(example)
    module(x, before).sum().backward()
    assert x.grad is not None
    assert (x.grad == 1).all()
    assert before.grad is None
    assert torch.autograd.gradcheck(lambda values: module(values, before), (x,))


def test_maps_without_a_number_above_minus_infinity_have_places() -> None:
    example = unpooling(6, 4, 9, Shape(1, 5, 5))
    out = module_of(example)(torch.ones(1, 1, 3, 3), torch.full((1, 1, 5, 5), -torch.inf))
    assert out.shape == (1, 1, 5, 5)
    assert out.sum() == 9


def test_unpooling_gives_sizes_and_strides_back() -> None:
    text = "[net]\nwidth=14\nheight=13\nchannels=3\n[maxpool]\nsize=2\nstride_x=2\nstride_y=3\n[maxunpool]\nfrom=0\n"
    graph, _ = load(Source("made.cfg", text))
    pooling, node = graph.nodes
    assert (pooling.output, node.output) == (Shape(3, 5, 7), Shape(3, 13, 14))
    assert (pooling.stride, node.stride) == ((3, 2), (1, 1))
    assert node.sources == (0, -1)
    assert (node.operations, node.parameters, node.layer.columns()) == (0, 0, ("0", ""))


# -- shuffling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 6, 12])
def test_shuffling_takes_one_channel_of_each_group_in_turn(groups: int) -> None:
    x = image(12, 2, 3)
    out = forward(Example("shuffle", {"groups": groups}, (Shape(12, 2, 3),)), x)
    parts = np.split(x, groups)
    assert np.allclose(out, np.stack([part[number] for number in range(12 // groups) for part in parts]), atol=1e-6)
    assert np.allclose(out, channel_shuffle(torch.from_numpy(x[None]), groups)[0], atol=1e-6)
    back = forward(Example("shuffle", {"groups": 12 // groups}, (Shape(12, 2, 3),)), out)
    assert np.allclose(back, x, atol=1e-6)


def test_after_a_shuffle_every_group_sees_every_group() -> None:
    """Three groups of convolutions, twice: with a shuffle between, each output depends on all inputs, else on a third."""
    group = "[convolutional]\nfilters=9\ngroups=3\nactivation=linear\n"
    net = "[net]\nwidth=1\nheight=1\nchannels=9\n"
    for between, seen in (("[shuffle]\ngroups=3\n", 9), ("", 3)):
        network = Network(load(Source("made.cfg", net + group + between + group))[0])
        x = torch.ones(1, 9, 1, 1, requires_grad=True)
        for output in network(x)[0].flatten():
            (gradient,) = torch.autograd.grad(output, x, retain_graph=True)
            assert (gradient != 0).sum() == seen


# -- together ---------------------------------------------------------------------------------------------------------

DECODER = """
[net]
width=16
height=12
channels=3
[convolutional]
filters=12
size_x=5
size_y=1
size=3
pad=1
batch_normalize=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=12
size=3
pad=1
groups=3
batch_normalize=1
activation=leaky
[shuffle]
groups=3
[convolutional]
filters=12
groups=3
batch_normalize=1
activation=leaky
[maxunpool]
from=1
[route]
layers=4
[{}]
{}
[convolutional]
filters=12
activation=linear
[route]
layers=-1,5
[convolutional]
filters=3
size=3
pad=1
activation=linear
"""


@pytest.mark.parametrize(
    ("section", "options"),
    [
        ("deconvolutional", "filters=12\nsize=3\nstride=2\npad=1\ngroups=4\noutput_padding=1\nactivation=leaky"),
        ("upsample", "mode=bilinear"),
        ("upsample", "mode=nails"),
    ],
)
def test_pictures_are_learnt_by_heart(section: str, options: str) -> None:
    """Four small pictures, coarse and halved on their way, come out again: what remains of the error is a tenth."""
    network = Network(load(Source("made.cfg", DECODER.format(section, options)))[0], seed=1).train()
    pictures = interpolate(torch.rand(4, 3, 3, 4, generator=torch.Generator().manual_seed(2)), size=(12, 16), mode="nearest")
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    errors = []
    for _ in range(150):
        error = (network(pictures)[0] - pictures).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < pictures.var() / 10 < errors[0] / 10
