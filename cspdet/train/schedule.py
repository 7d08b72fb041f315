"""The learning rate and the network's size, step by step. Both depend on the number of the step alone."""

from __future__ import annotations

import math
import random

from cspdet.layers.base import Shape
from cspdet.layers.net import Net

# Steps between two changes of size, and at the end, at the largest one, for the statistics of batch normalisation
# (`detector.c:train_detector`).
_STEPS_OF_A_SIZE = 10
_LAST_STEPS = 100


def learning_rate(net: Net, iteration: int, seed: int = 0) -> float:
    """The rate of step `iteration`, counted from 1 (`network.c:get_current_rate`); infinite where it overflows.

    The rate of `random` is drawn anew for each step, from `seed` and the step's number.
    """
    try:
        return _learning_rate(net, iteration, seed)
    except (OverflowError, ValueError, ZeroDivisionError):
        return math.inf


def _learning_rate(net: Net, iteration: int, seed: int) -> float:
    start = float(net.learning_rate)
    if iteration < net.burn_in:
        return start * math.pow(iteration / net.burn_in, net.power)
    match net.policy:
        case "step":
            return start * math.pow(net.scale, iteration // max(net.step, 1))
        case "steps":
            return _after_steps(net, iteration)
        case "exp":
            return start * math.pow(net.gamma, iteration)
        case "poly":
            return start * math.pow(max(0.0, 1 - iteration / max(net.max_batches, 1)), net.power)
        case "random":
            return start * math.pow(random.Random(f"rate {seed} {iteration}").random(), net.power)  # noqa: S311
        case "sigmoid" | "sig":
            # Darknet takes the word `sigmoid`, not the `sig` that its own cfgs have; both mean this.
            return start / (1 + math.exp(min(net.gamma * (iteration - net.step), 700)))
        case "sgdr":
            return _in_cycle(net, iteration)
    return start


def _after_steps(net: Net, iteration: int) -> float:
    """Scaled at every step passed, in the order written, up to the first to come."""
    rate = net.learning_rate
    for step, scale in zip(net.steps, net.scales, strict=False):
        if step > iteration:
            break
        rate *= scale
    return rate


def _in_cycle(net: Net, iteration: int) -> float:
    """Half a cosine per cycle, down to `learning_rate_min`; each cycle is `sgdr_mult` times as long as the one before."""
    start, length = 0, max(net.sgdr_cycle or net.max_batches, 1)
    while start + length < iteration:
        start += length
        length *= max(net.sgdr_mult, 1)
    rest = net.learning_rate - net.learning_rate_min
    return net.learning_rate_min + 0.5 * rest * (1 + math.cos(math.pi * (iteration - start) / length))


def input_size(net: Net, network: Shape, reach: float, iteration: int, seed: int = 0) -> Shape:
    """The network's input in step `iteration` of multi-scale training (`detector.c:train_detector`).

    `reach` is `random` of the last head: 0 keeps the size; 1 draws a factor up to 1.4 and its inverse, another number up to
    that, anew every ten steps. Sides are multiples of `resize_step`. As in Darknet, a factor f makes a side of f times its
    share and one step more, and the last hundred steps have the largest size.
    """
    if not reach:
        return network
    largest = 1.4 if reach == 1 else max(reach, 1 / reach)
    draw = random.Random(f"size {seed} {(iteration - 1) // _STEPS_OF_A_SIZE}")  # noqa: S311
    factor = draw.uniform(1, largest)
    if draw.random() < 0.5:
        factor = 1 / factor
    if net.max_batches and iteration > net.max_batches - _LAST_STEPS:
        factor = largest
    step = max(net.resize_step, 1)

    def side(extent: int) -> int:
        return max(step, round(factor * extent / step + 1) * step)

    width, height = side(network.width), side(network.height)
    if factor < 1 and (width > network.width or height > network.height):
        width, height = network.width, network.height
    return network._replace(width=width, height=height)
