"""What layers compute, against slow loops written from Darknet's semantics and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cspdet.cfg.dialect import ALEXEYAB, PJREDDIE, Dialect
from cspdet.layers.base import Shape, Sources
from tests.layers.examples import Example
from tests.layers.test_every_layer import module_of

Floats = NDArray[np.float64]


def forward(example: Example, *inputs: Floats) -> Floats:
    """The layer's output for one image, and the module it came from."""
    with torch.inference_mode():
        out = module_of(example)(*(torch.from_numpy(each[None].astype(np.float32)) for each in inputs))
    return out[0].double().numpy()  # type: ignore[no-any-return]


def state(example: Example) -> dict[str, Floats]:
    return {name: value.double().numpy() for name, value in module_of(example).state_dict().items()}


def image(*shape: int, seed: int = 3) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# -- convolutions -----------------------------------------------------------------------------------------------------


def convolve(
    x: Floats,
    weights: Floats,
    stride: tuple[int, int],
    padding: int | tuple[int, int],
    groups: int = 1,
    dilation: int = 1,
    fill: float = 0,
) -> Floats:
    filters, channels, *sizes = weights.shape
    down, right = (padding, padding) if isinstance(padding, int) else padding
    x = np.pad(x, ((0, 0), (down, down), (right, right)), constant_values=fill)
    high, wide = (dilation * (size - 1) + 1 for size in sizes)
    height, width = (x.shape[1] - high) // stride[0] + 1, (x.shape[2] - wide) // stride[1] + 1
    out = np.zeros((filters, height, width))
    for f in range(filters):
        first = f // (filters // groups) * channels
        for i in range(height):
            for j in range(width):
                top, left = i * stride[0], j * stride[1]
                patch = x[first : first + channels, top : top + high : dilation, left : left + wide : dilation]
                out[f, i, j] = (patch * weights[f]).sum()
    return out


def normalise(x: Floats, arrays: dict[str, Floats], dialect: Dialect = ALEXEYAB) -> Floats:
    mean, variance, scale, bias = (arrays[f"norm.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    deviation = np.sqrt(variance) + 1e-6 if dialect is PJREDDIE else np.sqrt(variance + 1e-5)
    return (x - mean[:, None, None]) / deviation[:, None, None] * scale[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("dialect", [ALEXEYAB, PJREDDIE], ids=lambda dialect: dialect.name)
def test_convolution_with_everything(dialect: Dialect) -> None:
    options = {
        "filters": 4,
        "size": 3,
        "pad": True,
        "groups": 2,
        "stride_x": 2,
        "stride_y": 1,
        "batch_normalize": 1,
        "activation": "relu",
    }
    example = Example("convolutional", options, (Shape(6, 7, 8),), dialect)
    x = image(6, 7, 8)
    arrays = state(example)
    expected = np.maximum(normalise(convolve(x, arrays["conv.weight"], (1, 2), 1, 2), arrays, dialect), 0)
    assert np.allclose(forward(example, x), expected, atol=1e-4)


def test_xnor_multiplies_signs() -> None:
    options = {"filters": 3, "size": 3, "pad": True, "xnor": True, "batch_normalize": 1, "activation": "leaky"}
    example = Example("convolutional", options, (Shape(4, 6, 5),))
    x, arrays = image(4, 6, 5), state(example)
    factor = arrays["norm.weight"] / np.sqrt(arrays["norm.running_var"] + 1e-5)
    folded = arrays["conv.weight"] * factor[:, None, None, None]
    bias = arrays["norm.bias"] - arrays["norm.running_mean"] * factor
    signs = np.where(folded > 0, 1, -1) * np.abs(folded).mean((1, 2, 3), keepdims=True)
    out = convolve(np.where(x > 0, 1.0, -1.0), signs, (1, 1), 1, fill=-1) + bias[:, None, None]
    assert np.allclose(forward(example, x), np.where(out > 0, out, 0.1 * out), atol=1e-5)


@pytest.mark.parametrize("own", [0, 1])
def test_sharing_takes_weights_but_not_options(own: int) -> None:
    """A layer with `share_index` has its own stride, padding and activation, but the other's batch normalisation."""
    owner = Example("convolutional", {"filters": 4, "size": 3, "pad": True, "batch_normalize": 1}, (Shape(5, 6, 7),))
    options = {
        "filters": 4,
        "size": 3,
        "stride": 2,
        "batch_normalize": own,
        "activation": "relu",
        "share_index": Sources((-3,)),
    }
    example = Example("convolutional", options, (Shape(5, 6, 7),))
    x, arrays = image(5, 6, 7), state(owner)
    with torch.inference_mode():
        out = module_of(example)(torch.from_numpy(x[None].astype(np.float32)), parts=module_of(owner))
    expected = np.maximum(normalise(convolve(x, arrays["conv.weight"], (2, 2), 0), arrays), 0)
    assert np.allclose(out[0], expected, atol=1e-4)


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 2, 1), (2, 2, 0), (4, 1, 2), (3, 9, 1), (12, 10, 2)])
def test_deconvolution_spreads_kernels(size: int, stride: int, padding: int) -> None:
    options = {"filters": 3, "size": size, "stride": stride, "padding": padding, "activation": "linear"}
    example = Example("deconvolutional", options, (Shape(4, 5, 6),), PJREDDIE)
    x, arrays = image(4, 5, 6), state(example)
    full = np.zeros((3, 4 * stride + size, 5 * stride + size))
    for c in range(4):
        for i in range(5):
            for j in range(6):
                full[:, i * stride : i * stride + size, j * stride : j * stride + size] += x[c, i, j] * arrays["conv.weight"][c]
    cut = full[:, padding : full.shape[1] - padding, padding : full.shape[2] - padding]
    assert np.allclose(forward(example, x), cut + arrays["conv.bias"][:, None, None], atol=1e-5)


def test_local_has_weights_of_its_own_everywhere() -> None:
    example = Example("local", {"filters": 2, "size": 3, "pad": 1, "activation": "linear"}, (Shape(3, 4, 5),))
    x, arrays = image(3, 4, 5), state(example)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    expected = np.array(arrays["bias"])
    for place in range(20):
        i, j = divmod(place, 5)
        for f in range(2):
            expected[f, i, j] += (padded[:, i : i + 3, j : j + 3] * arrays["weight"][place, f]).sum()
    assert np.allclose(forward(example, x), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("name", ["convolutional", "maxpool"])
def test_antialiasing_blurs_while_striding(name: str, kind: int) -> None:
    options = {"size": 1 if name == "convolutional" else 2, "stride": 2, "antialiasing": kind}
    sharp = options | {"stride": 1, "antialiasing": 0}
    extra = {"filters": 3, "activation": "linear"} if name == "convolutional" else {}
    shape = (Shape(3, 7, 8),)
    x = image(3, 7, 8)
    before = forward(Example(name, sharp | extra, shape), x)
    row = np.array([1.0, 2, 1])
    kernel = np.outer(row, row) / 16 if kind == 1 else np.full((2, 2), 0.25)
    expected = np.concatenate([convolve(plane[None], kernel[None, None], (2, 2), 1 if kind == 1 else 0) for plane in before])
    assert np.allclose(forward(Example(name, options | extra, shape), x), expected, atol=1e-5)


# -- pooling and reshaping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["maxpool", "local_avgpool"])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, None), (2, 1, None), (3, 2, None), (5, 1, None), (3, 2, 1), (4, 3, 2), (2, 2, 0)]
)
@pytest.mark.parametrize(("height", "width"), [(7, 8), (12, 9)])
def test_pooling_windows(name: str, size: int, stride: int, padding: int | None, height: int, width: int) -> None:
    options = {"size": size, "stride": stride} | ({} if padding is None else {"padding": padding})
    total = size - 1 if padding is None else padding
    x = image(2, height, width)
    rows, columns = (height + total - size) // stride + 1, (width + total - size) // stride + 1
    expected = np.zeros((2, rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride - total // 2, j * stride - total // 2
            window = x[:, max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)]
            expected[:, i, j] = window.max((1, 2)) if name == "maxpool" else window.mean((1, 2))
    assert np.allclose(forward(Example(name, options, (Shape(2, height, width),)), x), expected, atol=1e-5)


def test_maxpool_over_depth() -> None:
    x = image(8, 3, 4)
    expected = np.stack([x[g::3].max(0) for g in range(3)])
    example = Example("maxpool", {"maxpool_depth": True, "out_channels": 3}, (Shape(8, 3, 4),))
    assert np.allclose(forward(example, x), expected)


def historic(x: Floats, w: int, h: int, c: int, stride: int, *, scatter: bool) -> Floats:
    """The index arithmetic of `reorg_cpu`, for sizes (w, h, c); `scatter` is its forward=1."""
    inner = c // (stride * stride)
    flat, out = x.reshape(-1), np.zeros(x.size)
    for k in range(c):
        for j in range(h):
            for i in range(w):
                near = i + w * (j + h * k)
                offset = k // inner
                far = (i * stride + offset % stride) + w * stride * ((j * stride + offset // stride) + h * stride * (k % inner))
                if scatter:
                    out[far] = flat[near]
                else:
                    out[near] = flat[far]
    return out


@pytest.mark.parametrize("reverse", [False, True])
def test_reorg_in_its_historic_order(reverse: bool) -> None:
    x = image(8, 6, 4)
    expected = historic(x, 4, 6, 8, 2, scatter=reverse)
    shape = (2, 12, 8) if reverse else (32, 3, 2)
    example = Example("reorg", {"stride": 2, "reverse": reverse}, (Shape(8, 6, 4),))
    assert np.allclose(forward(example, x), expected.reshape(shape), atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_reorg3d_passes_the_outputs_sizes(reverse: bool) -> None:
    x = image(32, 4, 6)
    c, h, w = (8, 8, 12) if reverse else (128, 2, 3)
    expected = historic(x, w, h, c, 2, scatter=reverse)
    example = Example("reorg3d", {"stride": 2, "reverse": reverse}, (Shape(32, 4, 6),))
    assert np.allclose(forward(example, x), expected.reshape(c, h, w), atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_reorg_flattens_at_pjreddie(reverse: bool) -> None:
    x = image(4, 2, 2)
    flat, out = x.reshape(-1), np.zeros(16)
    for c in range(4):
        for i in range(4):
            out[i * 4 + c if not reverse else c * 4 + i] = flat[c * 4 + i if not reverse else i * 4 + c]
    example = Example("reorg", {"stride": 2, "flatten": True, "reverse": reverse}, (Shape(4, 2, 2),), PJREDDIE)
    assert np.allclose(forward(example, x).reshape(-1), out, atol=1e-6)


def test_reorg_extra_appends_zeros() -> None:
    x = image(1, 3, 3)
    out = forward(Example("reorg", {"extra": 1}, (Shape(1, 3, 3),), PJREDDIE), x)
    assert np.allclose(out, [*x.reshape(-1), 0], atol=1e-6)


def test_upsample_sums_when_it_shrinks() -> None:
    x = image(2, 4, 6)
    expected = 0.5 * x.reshape(2, 2, 2, 3, 2).sum((2, 4))
    assert np.allclose(forward(Example("upsample", {"stride": -2, "scale": 0.5}, (Shape(2, 4, 6),)), x), expected, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_normalisation_lacks_a_channel(size: int) -> None:
    """Darknet's running sum, as its loop runs."""
    x = image(7, 2, 3)
    square = x**2
    sums = np.full_like(x, 1.5)
    for k in range(size // 2):
        sums[0] += 0.3 * square[k]
    for k in range(1, 7):
        sums[k] = sums[k - 1]
        before, after = k - (size - 1) // 2 - 1, k + size // 2
        if before >= 0:
            sums[k] -= 0.3 * square[before]
        if after < 7:
            sums[k] += 0.3 * square[after]
    options = {"size": size, "alpha": 0.3, "beta": 0.6, "kappa": 1.5}
    found = forward(Example("normalization", options, (Shape(7, 2, 3),)), x)
    good = sums > 0  # the missing channel can make the sum negative, and then the power is no number
    assert np.allclose(found[good], (x * np.where(good, sums, 1) ** -0.6)[good], rtol=1e-3, atol=1e-4)


def test_crop_takes_the_centre() -> None:
    x = image(3, 9, 8)
    out = forward(Example("crop", {"crop_height": 4, "crop_width": 5}, (Shape(3, 9, 8),)), x)
    assert np.allclose(out, x[:, 2:6, 1:6] * 2 - 1, atol=1e-6)


# -- joining ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(4, 6), (2, 3), (12, 18)])
@pytest.mark.parametrize("channels", [3, 5, 8])
def test_shortcut_between_unequal_maps(height: int, width: int, channels: int) -> None:
    """`shortcut_cpu` of pjreddie's Darknet, with w1, h1, c1 the added map and w2, h2, c2 the output."""
    x, other = image(5, 4, 6), image(channels, height, width, seed=4)
    stride, sample = max(1, width // 6), max(1, 6 // width)
    expected = x.copy()
    for k in range(min(5, channels)):
        for j in range(min(4, height)):
            for i in range(min(6, width)):
                expected[k, j * sample, i * sample] += other[k, j * stride, i * stride]
    example = Example("shortcut", {"from": Sources((-2,))}, (Shape(5, 4, 6), Shape(channels, height, width)))
    assert np.allclose(forward(example, x, other), expected, atol=1e-6)


def test_shortcut_scales_at_pjreddie() -> None:
    x, other = image(5, 2, 2), image(3, 2, 2, seed=4)
    options = {"from": Sources((-2,)), "alpha": 0.5, "beta": 3.0}
    shapes = (Shape(5, 2, 2), Shape(3, 2, 2))
    expected = np.concatenate([0.5 * x[:3] + 3 * other, x[3:]])
    assert np.allclose(forward(Example("shortcut", options, shapes, PJREDDIE), x, other), expected, atol=1e-6)
    assert np.allclose(forward(Example("shortcut", options, shapes), x, other)[:3], x[:3] + other, atol=1e-6)


@pytest.mark.parametrize("normalization", ["relu", "softmax"])
@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
def test_shortcut_weights(kind: str, normalization: str) -> None:
    options = {"from": Sources((-2, -3)), "weights_type": kind, "weights_normalization": normalization}
    example = Example("shortcut", options, (Shape(4, 2, 3), Shape(4, 2, 3), Shape(3, 2, 3)))
    inputs = [image(4, 2, 3), image(4, 2, 3, seed=5), image(3, 2, 3, seed=6)]
    weights = state(example)["weight"].reshape(3, -1)
    weights = np.maximum(weights, 0.001) if normalization == "relu" else np.exp(weights - weights.max(0))
    weights = weights / (1e-4 + weights.sum(0))
    expected = np.zeros((4, 2, 3))
    for number, each in enumerate(inputs):
        for c in range(min(4, len(each))):
            expected[c] += weights[number, c if kind == "per_channel" else 0] * each[c]
    assert np.allclose(forward(example, *inputs), expected, atol=1e-5)


def test_route_takes_one_group_of_each() -> None:
    one, two = image(4, 2, 3), image(6, 2, 3, seed=5)
    options = {"layers": Sources((-1, -2)), "groups": 2, "group_id": 1}
    out = forward(Example("route", options, (Shape(4, 2, 3), Shape(6, 2, 3))), one, two)
    assert np.allclose(out, np.concatenate([one[2:], two[3:]]), atol=1e-6)


def test_route_strings_unequal_maps_together() -> None:
    one, two = image(4, 2, 3), image(2, 4, 6, seed=5)
    out = forward(Example("route", {"layers": Sources((-1, -2))}, (Shape(4, 2, 3), Shape(2, 4, 6))), one, two)
    assert np.allclose(out, [*one.reshape(-1), *two.reshape(-1)], atol=1e-6)


@pytest.mark.parametrize(("ratio", "first"), [(0.25, 2), (0.5, 4), (0.7, 6), (0.1, 1)])
def test_partial_split_parts_make_the_whole(ratio: float, first: int) -> None:
    x = image(8, 2, 3)
    parts = [forward(Example("partial_split", {"ratio": ratio, "part": part}, (Shape(8, 2, 3),)), x) for part in (0, 1)]
    assert len(parts[0]) == first
    assert np.allclose(np.concatenate(parts), x, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["scale_channels", "sam", "shift_channels", "control_channels", "select_channels", "alternate_channels"]
)
def test_channel_arithmetic(name: str) -> None:
    x, vector = image(3, 4, 5), image(3, 1, 1, seed=7)
    if name == "scale_channels":
        assert np.allclose(
            forward(Example(name, {"from": Sources((-2,))}, (Shape(3), Shape(3, 4, 5))), vector, x), vector * x, atol=1e-6
        )
        return
    other = x * 0.5 if name == "sam" else vector
    shape = Shape(*other.shape)
    expected = {
        "sam": lambda: other * x,
        "shift_channels": lambda: other + x,
        "control_channels": lambda: other * x,
        "select_channels": lambda: logistic(other) * x,
        "alternate_channels": lambda: np.concatenate([np.broadcast_to(other, x.shape), x]),
    }[name]()
    assert np.allclose(forward(Example(name, {"from": Sources((-2,))}, (Shape(3, 4, 5), shape)), x, other), expected, atol=1e-5)


def test_scale_channels_by_pixel() -> None:
    x, pixels = image(3, 4, 5), image(1, 4, 5, seed=7)
    example = Example("scale_channels", {"from": Sources((-2,)), "scale_wh": True}, (Shape(1, 4, 5), Shape(3, 4, 5)))
    assert np.allclose(forward(example, pixels, x), pixels * x, atol=1e-6)


def test_l2norm_makes_unit_vectors() -> None:
    out = forward(Example("l2norm", {}, (Shape(5, 2, 3),), PJREDDIE), image(5, 2, 3))
    assert np.allclose((out**2).sum(0), 1, atol=1e-5)


# -- recurrent --------------------------------------------------------------------------------------------------------


def dense(arrays: dict[str, Floats], name: str, x: Floats) -> Floats:
    """One part of a recurrent layer, with bias."""
    return arrays[f"{name}.linear.weight"] @ x + arrays[f"{name}.linear.bias"]


def steps(example: Example, inputs: list[Floats]) -> list[Floats]:
    module = module_of(example)
    with torch.inference_mode():
        outs = [module(torch.from_numpy(each[None].astype(np.float32))) for each in inputs]
    return [out[0].double().numpy() for out in outs]


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("own", [0, 1, 2])
def test_rnn(own: int, shortcut: bool) -> None:
    options = {"output": 3, "hidden": 4, "activation": "tanh", "logistic": own, "shortcut": shortcut}
    example = Example("rnn", options, (Shape.vector(5),))
    arrays, inputs = state(example), [image(5, seed=seed) for seed in range(3)]
    activation = [np.tanh, logistic, lambda x: 2 * logistic(x) - 1][own]
    hidden = np.zeros(4)
    for x, found in zip(inputs, steps(example, inputs), strict=True):
        new = np.tanh(dense(arrays, "input", x)) + activation(dense(arrays, "self", hidden))
        hidden = new + hidden if shortcut else new
        assert np.allclose(found[:, 0, 0], np.tanh(dense(arrays, "output", hidden)), atol=1e-5)


@pytest.mark.parametrize(("dialect", "tanh"), [(ALEXEYAB, False), (ALEXEYAB, True), (PJREDDIE, False), (PJREDDIE, True)])
def test_gru(dialect: Dialect, tanh: bool) -> None:
    example = Example("gru", {"output": 4, "tanh": tanh}, (Shape.vector(5),), dialect)
    arrays, inputs = state(example), [image(5, seed=seed) for seed in range(3)]
    hidden = np.zeros(4)
    for x, found in zip(inputs, steps(example, inputs), strict=True):
        z = logistic(dense(arrays, "input_z", x) + dense(arrays, "state_z", hidden))
        r = logistic(dense(arrays, "input_r", x) + dense(arrays, "state_r", hidden))
        candidate = dense(arrays, "input_h", x) + dense(arrays, "state_h", r * hidden)
        candidate = np.tanh(candidate) if tanh and dialect is PJREDDIE else logistic(candidate)
        hidden = z * hidden + (1 - z) * candidate
        assert np.allclose(found, hidden, atol=1e-5)


@pytest.mark.parametrize("dialect", [ALEXEYAB, PJREDDIE], ids=lambda dialect: dialect.name)
def test_lstm(dialect: Dialect) -> None:
    example = Example("lstm", {"output": 4}, (Shape.vector(5),), dialect)
    arrays, inputs = state(example), [image(5, seed=seed) for seed in range(3)]
    hidden, cell = np.zeros(4), np.zeros(4)
    for x, found in zip(inputs, steps(example, inputs), strict=True):
        f, i, g, o = (dense(arrays, f"w{gate}", hidden) + dense(arrays, f"u{gate}", x) for gate in "figo")
        cell = logistic(f) * cell + logistic(i) * np.tanh(g)
        hidden = logistic(o) * np.tanh(cell)
        assert np.allclose(found, hidden, atol=1e-5)


@pytest.mark.parametrize(
    ("dialect", "first", "second"),
    [(ALEXEYAB, "wf wi wg wo", "uf ui ug uo"), (PJREDDIE, "wi wf wo wg", "ui uf uo ug")],
    ids=["alexeyab", "pjreddie"],
)
def test_lstm_gates_lie_in_the_dialects_order(dialect: Dialect, first: str, second: str) -> None:
    layer = Example("lstm", {"output": 4}, (Shape.vector(5),), dialect).make()
    order = list(dict.fromkeys(name.split(".")[0] for name in layer.arrays(Shape.vector(5))))
    assert order == first.split() + second.split()


def test_gru_gates_lie_in_the_dialects_order() -> None:
    orders = {}
    for dialect in (ALEXEYAB, PJREDDIE):
        layer = Example("gru", {"output": 4}, (Shape.vector(5),), dialect).make()
        orders[dialect.name] = list(dict.fromkeys(name.split(".")[0] for name in layer.arrays(Shape.vector(5))))
    assert orders["alexeyab"] == ["input_z", "input_r", "input_h", "state_z", "state_r", "state_h"]
    assert orders["pjreddie"] == ["state_z", "state_r", "state_h", "input_z", "input_r", "input_h"]


def test_conv_lstm_keeps_its_cell_in_bounds() -> None:
    options = {"output": 3, "size": 3, "pad": True, "peephole": True, "state_constrain": 1}
    example = Example("conv_lstm", options, (Shape(2, 4, 5),))
    arrays, inputs = state(example), [3 * image(2, 4, 5, seed=seed) for seed in range(4)]

    def part(name: str, x: Floats) -> Floats:
        return convolve(x, arrays[f"{name}.conv.weight"], (1, 1), 1) + arrays[f"{name}.conv.bias"][:, None, None]

    hidden, cell = np.zeros((3, 4, 5)), np.zeros((3, 4, 5))
    for x, found in zip(inputs, steps(example, inputs), strict=True):
        f, i, g, o = (part(f"w{gate}", hidden) + part(f"u{gate}", x) for gate in "figo")
        cell_new = logistic(f + part("vf", cell)) * cell + logistic(i + part("vi", cell)) * np.tanh(g)
        hidden = logistic(o + part("vo", cell_new)) * np.tanh(cell_new)
        cell = np.clip(cell_new, -1, 1)
        assert np.allclose(found, hidden, atol=1e-4)


def test_a_new_batch_size_starts_with_an_empty_state() -> None:
    example = Example("gru", {"output": 4}, (Shape.vector(5),))
    x = torch.from_numpy(image(5).astype(np.float32))
    with torch.inference_mode():
        module = module_of(example)
        fresh = module(x[None].expand(3, -1))
        module(x[None])
        again = module(x[None].expand(3, -1))
    assert torch.allclose(fresh, again)


# -- heads ------------------------------------------------------------------------------------------------------------


def test_softmax_in_groups_and_with_temperature() -> None:
    x = image(12)
    groups = np.exp(x.reshape(3, 4) / 2)
    expected = (groups / groups.sum(1, keepdims=True)).reshape(-1)
    assert np.allclose(
        forward(Example("softmax", {"groups": 3, "temperature": 2.0}, (Shape.vector(12),)), x), expected, atol=1e-6
    )


def test_iseg_activates_the_classes_only() -> None:
    x = image(8, 2, 3)
    out = forward(Example("iseg", {"classes": 3, "ids": 5}, (Shape(8, 2, 3),), PJREDDIE), x)
    assert np.allclose(out, np.concatenate([logistic(x[:3]), x[3:]]), atol=1e-6)


def test_detection_softmax_is_per_cell() -> None:
    options = {"classes": 3, "num": 2, "side": 2, "coords": 4, "softmax": True}
    x = image(52)
    classes = np.exp(x[:12].reshape(4, 3))
    expected = np.concatenate([(classes / classes.sum(1, keepdims=True)).reshape(-1), x[12:]])
    assert np.allclose(forward(Example("detection", options, (Shape.vector(52),)), x), expected, atol=1e-6)


def test_conv_lstm_without_bounds_and_with_what_is_not_a_number() -> None:
    """`if (l.state_constrain)`, and both cell and output are repaired (`conv_lstm_layer.c`)."""
    module = module_of(Example("conv_lstm", {"output": 2, "size": 3, "pad": True, "state_constrain": 0}, (Shape(2, 4, 5),)))
    with torch.inference_mode():
        for _ in range(3):
            out = module(10 * torch.ones(1, 2, 4, 5))
        assert out.abs().max() > 0.1
        broken = module(torch.full((1, 2, 4, 5), torch.nan))
        assert torch.allclose(broken.flatten(), 1 / torch.arange(1, 41))
        assert module(torch.ones(1, 2, 4, 5)).isfinite().all()
