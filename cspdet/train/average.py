"""Moving averages of the weights, which find better than the weights themselves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cspdet.graph import Graph
from cspdet.network import Network

# Steps after which the average has its full memory (YOLOv7, `utils/torch_utils.py:ModelEMA`).
_WARM_UP = 2000
# Steps at the end in which Darknet trains on from its average.
_LAST_STEPS = 1000


class Average:
    """The average of a network's state, kept beside it; integers are copied."""

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """After a step: decay · (1 - e^(-step / 2000)) of the average is kept."""
        self.steps += 1
        self.blend(network, self.decay * (1 - math.exp(-self.steps / _WARM_UP)))

    @torch.no_grad()
    def blend(self, network: Network, kept: float) -> None:
        """Keep this share of the average, and fill up with the network's weights."""
        new = network.state_dict()
        floating = [key for key, value in self.state.items() if value.is_floating_point()]
        averages: list[Tensor] = [self.state[key] for key in floating]
        torch._foreach_lerp_(averages, [new[key].detach() for key in floating], 1 - kept)
        for key, value in self.state.items():
            if not value.is_floating_point():
                value.copy_(new[key])


class DarknetAverage(Average):
    """`ema_alpha` as Darknet has it (`network.c:train_network_waitkey`, `ema_update`, `ema_apply`).

    It begins with the weights at half of `max_batches`, takes in a share of 1 - alpha of them at every step, and 1000 steps
    before the end it takes their place, so that the statistics of batch normalisation follow it. Darknet averages weights,
    biases and scales of convolutions; here, those of all layers.
    """

    def __init__(self, network: Network, graph: Graph) -> None:
        super().__init__(network, graph.net.ema_alpha)
        self.start = graph.net.max_batches // 2
        self.end = graph.net.max_batches - _LAST_STEPS

    def follow(self, network: Network, iteration: int) -> None:
        """After step `iteration`."""
        if iteration <= self.start:
            if iteration == self.start:
                self.blend(network, 0)
        elif iteration < self.end:
            self.blend(network, self.decay)
        elif iteration == self.end:
            with torch.no_grad():
                for name, value in network.named_parameters():
                    value.copy_(self.state[name])
