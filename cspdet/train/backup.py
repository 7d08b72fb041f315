"""Where a training keeps what it has made: weights, its checkpoint, its chart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cspdet.graph import Graph
from cspdet.network import as_array
from cspdet.train.chart import draw
from cspdet.train.log import Log
from cspdet.weights.codec import Header, layout, write


class Backup:
    """The files of one training in its folder; each is written whole or not at all."""

    def __init__(self, folder: Path, name: str, graph: Graph) -> None:
        self.folder, self.name, self.graph = folder, name, graph

    def weights(self, suffix: str) -> Path:
        """The place of `X_last.weights` and its kin."""
        return self.folder / f"{self.name}_{suffix}.weights"

    @property
    def checkpoint(self) -> Path:
        """The place of the checkpoint."""
        return self.folder / f"{self.name}.checkpoint"

    def write(self, suffix: str, state: Mapping[str, Tensor], images: int) -> None:
        """Write the state of a plain network that was trained on so many images.

        Raises:
            UsageError: it cannot be written.
        """
        slots = ((slot, as_array(state[slot.key])) for slot in layout(self.graph, "all"))
        write(self.weights(suffix), Header(seen=images), slots)

    def draw(self, log: Log) -> None:
        """Draw the chart beside the log."""
        if log.rows and log.path is not None:
            net = self.graph.net
            largest = net.max_chart_loss if "max_chart_loss" in net.given else math.inf
            draw(log.path.with_name(f"chart_{self.name}.png"), log.rows, self.name, net.max_batches, largest)
