"""3x3 convolutions by Winograd's algorithm compute what convolutions do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cspdet.engines import winograd
from cspdet.engines.torch import make
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Convolve, Program

SIDES = st.integers(1, 21)
BORDERS = st.tuples(*[st.integers(0, 3)] * 4)


def expected(x: torch.Tensor, operation: Convolve) -> torch.Tensor:
    """The convolution in float64."""
    top, left, bottom, right = operation.border
    weight, bias = (torch.from_numpy(each).double() for each in (operation.weight, operation.bias))
    return functional.conv2d(functional.pad(x.double(), (left, right, top, bottom)), weight, bias)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, BORDERS, st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32), st.booleans())
def test_any_shape(
    height: int, width: int, border: tuple[int, int, int, int], batch: int, channels: int, filters: int, seed: int, last: bool
) -> None:
    """Of any sides, borders and batch, in both orders of memory."""
    top, left, bottom, right = border
    high, wide = height + top + bottom - 2, width + left + right - 2
    if min(high, wide) < 1:
        return
    random = np.random.default_rng(seed)
    weight = random.standard_normal((filters, channels, 3, 3)).astype(np.float32)
    bias = random.standard_normal(filters).astype(np.float32)
    operation = Convolve((-1,), (filters, high, wide), 0, weight, bias, border=border)
    x = torch.from_numpy(random.standard_normal((batch, channels, height, width)).astype(np.float32))
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    right_ones = expected(x, operation)
    found = winograd.convolution(operation)(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), right_ones, atol=3e-5 * (1 + right_ones.abs().max().item()), rtol=0)


def test_rows_of_tiles_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many fit into the cache."""
    random = np.random.default_rng(0)
    weight, bias = random.standard_normal((4, 3, 3, 3)).astype(np.float32), np.zeros(4, np.float32)
    operation = Convolve((-1,), (4, 33, 18), 0, weight, bias, border=(1, 1, 1, 1))
    x = torch.from_numpy(random.standard_normal((2, 3, 33, 18)).astype(np.float32))
    for chunk in (1, 36 * 5 * 3, 36 * 5 * 3 * 4, 2**20):
        monkeypatch.setattr(winograd, "_CHUNK", chunk)
        torch.testing.assert_close(winograd.convolution(operation)(x).double(), expected(x, operation), atol=1e-3, rtol=0)


def test_the_engine_takes_it_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution with a sum and Mish behind it, and one that is too small."""
    random = np.random.default_rng(0)
    build = Builder()
    wide = random.standard_normal((128, 128, 3, 3)).astype(np.float32) / 34
    first = build.convolve(Value(-1, (128, 19, 18)), wide, np.ones(128, np.float32), border=(1, 1, 1, 1))
    total = build.activate("mish", build.combine("add", first, Value(-1, (128, 19, 18))))
    last = build.convolve(total, wide[:8], np.zeros(8, np.float32), border=(1, 1, 1, 1))
    program = Program((128, 19, 18), tuple(build.operations), (last.number,))
    assert [winograd.pays(each) for each in program.operations if isinstance(each, Convolve)] == [True, False]
    images = random.standard_normal((2, 128, 19, 18)).astype(np.float32)
    (found,) = make(program)(images)
    monkeypatch.setattr(winograd, "pays", lambda _: False)
    (plain,) = make(program)(images)
    np.testing.assert_allclose(found, plain, atol=1e-4)
    assert not np.array_equal(found, plain)
