"""The learning rate and the network's size."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cspdet.layers.base import Shape
from cspdet.layers.net import Net
from cspdet.train.schedule import input_size, learning_rate


def net(**values: Any) -> Net:
    return Net(values={"learning_rate": 0.1, "max_batches": 1000, **values})


@pytest.mark.parametrize(
    ("values", "rates"),
    [
        ({}, {1: 0.1, 999: 0.1}),
        # yolov4: a thousand steps of burn-in with the fourth power, then two falls by ten.
        (
            {"learning_rate": 0.0013, "burn_in": 1000, "policy": "steps", "steps": (4000, 4500), "scales": (0.1, 0.1)},
            {1: 1.3e-15, 500: 0.0013 / 16, 999: 0.0013 * 0.999**4, 1000: 0.0013, 3999: 0.0013, 4000: 0.00013, 4500: 0.000013},
        ),
        ({"policy": "poly", "power": 2.0}, {1: 0.1 * 0.999**2, 500: 0.025, 1000: 0.0}),
        ({"policy": "step", "step": 10, "scale": 0.5}, {9: 0.1, 10: 0.05, 29: 0.025}),
        ({"policy": "exp", "gamma": 0.9}, {1: 0.09, 2: 0.081}),
        ({"policy": "sigmoid", "gamma": 0.1, "step": 100}, {100: 0.05, 0: 0.1 / (1 + math.exp(-10))}),
        ({"policy": "sig", "gamma": 0.1, "step": 100}, {100: 0.05}),
        # Cycles of 100, 200, 400 steps, each a half cosine.
        (
            {"policy": "sgdr", "sgdr_cycle": 100, "learning_rate_min": 0.02},
            {50: 0.06, 100: 0.02, 101: 0.1 - 0.04 * (1 - math.cos(math.pi / 200)), 200: 0.06, 300: 0.02, 500: 0.06},
        ),
        ({"policy": "sgdr", "learning_rate_min": 0.0}, {500: 0.05, 1000: 0.0}),
    ],
)
def test_rates(values: dict[str, Any], rates: dict[int, float]) -> None:
    for iteration, rate in rates.items():
        assert learning_rate(net(**values), iteration) == pytest.approx(rate, rel=1e-9, abs=1e-18), iteration


def test_the_random_policy_draws_by_the_step() -> None:
    rates = [learning_rate(net(policy="random", power=1.0), iteration, seed=3) for iteration in range(1, 2000)]
    assert rates == [learning_rate(net(policy="random", power=1.0), iteration, seed=3) for iteration in range(1, 2000)]
    assert sum(rates) / len(rates) == pytest.approx(0.05, rel=0.1)
    assert 0 <= min(rates) < 0.001
    assert 0.099 < max(rates) <= 0.1


def test_steps_are_applied_in_the_order_written_up_to_the_first_to_come() -> None:
    odd = net(policy="steps", steps=(100, 50), scales=(0.5, 0.1))
    assert [learning_rate(odd, iteration) for iteration in (60, 100)] == pytest.approx([0.1, 0.005])


def test_sizes() -> None:
    network = Shape(3, 320, 416)
    assert input_size(net(), network, 0, 5) == network
    sizes = [input_size(net(), network, 1, iteration) for iteration in range(1, 901)]
    assert all(size.width % 32 == 0 and size.height % 32 == 0 and size.channels == 3 for size in sizes)
    # Every ten steps another; from the inverse of 1.4 to 1.4, and one step more, as in Darknet.
    assert all(sizes[start : start + 10] == [sizes[start]] * 10 for start in range(0, 900, 10))
    assert len({*sizes}) > 8
    assert min(size.width for size in sizes) in (320, 352)
    assert max(size.width for size in sizes) in (576, 608, 640)
    # The last hundred steps have the largest one.
    assert {input_size(net(), network, 1, iteration) for iteration in range(901, 1001)} == {Shape(3, 480, 608)}
    assert {input_size(net(), network, 2.0, iteration).width for iteration in range(901, 1001)} == {864}


def test_sizes_do_not_grow_where_the_factor_shrinks() -> None:
    sizes = {
        input_size(net(resize_step=64, max_batches=0), Shape(3, 64, 64), 1.1, iteration) for iteration in range(1, 300, 10)
    }
    assert sizes == {Shape(3, 64, 64), Shape(3, 128, 128)}
