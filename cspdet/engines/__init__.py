"""Ways to run a graph, one file each. An engine is called with the input and gives the raw outputs, both as numpy arrays."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """(N, C, H, W) → one array for each of `graph.outputs`, float32."""

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the network once."""
        ...
