"""Receptive fields, against what really changes when pixels of the input do."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from numpy.typing import NDArray

from cspdet.analysis.receptive import POINT, Field, receptive_fields, through
from cspdet.graph import Graph
from cspdet.layers.maxunpool import Maxunpool
from cspdet.layers.reorg import Reorg, Reorg3d
from cspdet.layers.window import Window, everywhere
from cspdet.network import Network
from tests.analysis.nets import Net
from tests.analysis.random_nets import graphs
from tests.layers.examples import EXAMPLES, Example
from tests.layers.test_every_layer import inputs_of, module_of

Seen = NDArray[np.bool_]

# These are said to read the whole map, though no single pixel does.
SHUFFLES = (Reorg, Reorg3d)


def spoilt(x: torch.Tensor, axis: int) -> torch.Tensor:
    """One image with n lines → n images, each with one line that is no number."""
    images = x.repeat(x.shape[axis], *(1,) * (x.dim() - 1))
    for line in range(len(images)):
        images[line].select(axis - 1, line).fill_(math.nan)
    return images


def lines(values: torch.Tensor, axis: int) -> torch.Tensor:
    """(N, C, H, W) → (N, lines), where a line counts if anything in it does."""
    values = values.flatten(1)[:, :, None, None] if values.dim() < 4 else values
    return values.any(1).any(4 - axis)


def influence(example: Example, which: int, axis: int) -> Seen:
    """(lines of the output, lines of the input): whether one is computed from the other."""
    inputs = inputs_of(example, 1)
    batch = [each.repeat(inputs[which].shape[axis], *(1,) * (each.dim() - 1)) for each in inputs]
    with torch.no_grad():
        before = module_of(example)(*batch)
        batch[which] = spoilt(inputs[which], axis)
        after = module_of(example)(*batch)
    return lines(~torch.isclose(before, after, rtol=1e-5), axis).T.numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_layer_says_what_it_reads(example: Example) -> None:
    layer = example.make()
    reach = layer.reach(*example.inputs)
    assert len(reach) == len(example.inputs)
    if layer.names[0] == "region" and layer.dialect.region_box_major:
        pytest.skip("its output is a list of boxes, whose places in memory are not where they are on the map")
    for which, axis in product(range(len(reach)), (2, 3)):
        shape, windows = example.inputs[which], reach[which]
        if not shape.image:
            assert windows is None or windows == everywhere(shape)
            continue
        for line, seen in enumerate(influence(example, which, axis)):
            real = {*np.flatnonzero(seen).tolist()}
            wanted = set[int]()
            if windows:
                step, first, last, spread = windows[axis - 2]
                first, last = -((-line * step - first) // spread), (line * step + last) // spread
                # A blur behind it reads what lies between, too.
                dilation = 1 if getattr(layer, "antialiasing", 0) else getattr(layer, "dilation", 1)
                wanted = {*range(first, last + 1, dilation)} & {*range(shape.dimensions[axis - 1])}
            # At the edge, PyTorch multiplies the next pixel by 0, which shows where that is no number.
            if getattr(layer, "mode", "") == "bilinear" and line < layer.stride:
                real &= wanted
            if (isinstance(layer, SHUFFLES) and windows == everywhere(shape)) or (isinstance(layer, Maxunpool) and which):
                assert real <= wanted
            else:
                assert real == wanted


@given(graphs(most=7, parts=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_networks(graph: Graph) -> None:
    """In the middle of each map, the smallest rectangle around the pixels whose change shows."""
    network = Network(graph).double()
    fields = receptive_fields(graph)
    compared = 0
    for axis in (2, 3):
        x = torch.rand(1, *graph.input.dimensions, dtype=torch.float64)
        with torch.no_grad():
            traced = network.trace(spoilt(x, axis))
        size = graph.input.dimensions[axis - 1]
        for node, out in zip(graph.nodes, traced, strict=True):
            both = fields[node.index]
            assert both is not None
            field, seen = both[axis - 2], lines(out.isnan(), axis).T.numpy()
            middle = len(seen) // 2
            for line in range(middle, min(middle + field.period, len(seen))):
                wanted, real = field.at(line), np.flatnonzero(seen[line])
                if wanted and (wanted[0] < size // 4 or wanted[1] > size - size // 4):
                    continue  # near the border it is cut
                assert wanted == ((real[0], real[-1]) if len(real) else None), node
                compared += 1
    assume(compared)


def test_channels_are_not_told_apart() -> None:
    """A half of the channels counts as all of them, though here they are the left pixels of squares."""
    net = Net(32, channels=2)
    net.add("reorg3d", stride=2)
    net.add("route", layers=-1, groups=4, group_id=0)
    assert receptive_fields(net.graph())[1].size == (2, 2)  # type: ignore[union-attr]


def test_the_textbook() -> None:
    """Chains of 3x3 convolutions: 2 more pixels each, times the stride; VGG's 212 at its last pooling."""
    net = Net(64)
    for _ in range(3):
        net.conv(3, 1)
    assert [receptive_fields(net.graph())[index].size for index in range(3)] == [(3, 3), (5, 5), (7, 7)]  # type: ignore[union-attr]
    vgg = Net(224)
    for repeated in (2, 2, 3, 3, 3):
        for _ in range(repeated):
            vgg.conv(3, 1)
        vgg.add("maxpool", size=2, stride=2, padding=0)
    fields = receptive_fields(vgg.graph())[vgg.count - 1]
    assert fields is not None
    assert (fields.size, fields.vertical.stride) == ((212, 212), 32)


def test_stacked_dilation() -> None:
    """1, 2, 4 see 3, 7 and 15 pixels, as the lectures have it."""
    net = Net(64)
    for dilation in (1, 2, 4):
        net.conv(3, 1, dilation=dilation)
    fields = receptive_fields(net.graph())
    assert [fields[index].size[0] for index in range(3)] == [3, 7, 15]  # type: ignore[union-attr]


def test_pooling_over_the_whole_map_and_what_it_scales() -> None:
    net = Net(32)
    net.conv(3, 4)
    net.add("avgpool")
    net.conv(1, 4)
    net.add("scale_channels", from_=0)
    net.conv(3, 4)
    fields = receptive_fields(net.graph())
    # 3x3 windows of all 32 pixels, the padding included.
    assert [fields[index].size for index in range(5)] == [(3, 3), *[(34, 34)] * 4]  # type: ignore[union-attr]


def test_what_is_not_computed_from_the_image() -> None:
    net = Net(32)
    net.conv(3, 4)
    net.add("implicit", filters=4)
    net.add("shift_channels", from_=1)
    net.route(0)
    net.add("shift_channels", from_=1)
    fields = receptive_fields(net.graph())
    assert fields[1] is fields[2] is None
    assert fields[4] == fields[0]


def test_large_factors_end() -> None:
    """Pixels of maps that were enlarged beyond measure are not told apart: both of the input's, and one around them."""
    net = Net(2)
    net.conv(3, 1)
    for _ in range(5):
        net.add("upsample", stride=4)
    net.conv(3, 1)
    found = receptive_fields(net.graph())[net.count - 1]
    assert found is not None
    assert (found.size, found.vertical.period) == ((4, 4), 1)


def test_steps_of_a_window() -> None:
    """Upsampling by 2, then 3x3: two pixels, whichever way."""
    twice = through(POINT, Window(1, -1, 0, 2), 8)
    assert twice == Field(1, ((0, 0), (0, 0)))
    assert through(twice, Window(1, -1, 1), 16) == Field(1, ((-1, 0), (0, 1)))
    assert through(twice, Window(2, 0, 1), 16) == POINT
