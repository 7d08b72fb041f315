"""The network's own module, layer by layer: what training runs, and what hooks and changed weights have their effect on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cspdet.network import Network, as_array

if TYPE_CHECKING:
    from torch import Tensor


class ModuleEngine:
    """Runs a `Network` where its weights are; compiled, with the weights it has at the first call."""

    def __init__(self, network: Network, *, compiled: bool = False) -> None:
        import torch

        self.network = network
        self._compiled = compiled
        self._prepared: set[int] = set()
        # Frozen weights let the compiler fold batch normalisation and pack convolutions.
        self._run: Callable[[Tensor], list[Tensor]] = (
            torch.compile(network, options={"freezing": True}) if compiled else network
        )

    def prepare(self, batch: int) -> None:
        """Have the compiler do its work for so many images. It only begins when it gets some; nothing is remembered of them."""
        if self._compiled and batch not in self._prepared:
            self(np.zeros((batch, *self.network.graph.input.dimensions), np.float32))
            self.network.reset()
            self._prepared.add(batch)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each of `graph.outputs`, float32."""
        import torch

        weight = next(self.network.parameters(), torch.empty(0))
        with torch.inference_mode():
            x = torch.from_numpy(images).to(weight.device, weight.dtype)
            return [as_array(output) for output in self._run(x)]
