"""Where a training keeps what it has made: weights, its checkpoint, its chart."""

from __future__ import annotations

import filecmp
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor

from cspdet.errors import UsageError
from cspdet.files import check_writable
from cspdet.graph import Graph
from cspdet.network import as_array
from cspdet.paths import is_folder
from cspdet.train.chart import draw
from cspdet.train.log import Log
from cspdet.weights.codec import Header, layout, write


class Backup:
    """The files of one training in its folder; each is written whole or not at all."""

    def __init__(self, folder: Path, name: str, graph: Graph) -> None:
        self.folder, self.name, self.graph = folder, name, graph
        # The step that the checkpoint is of.
        self.saved: int | None = None

    def weights(self, suffix: str) -> Path:
        """The place of `X_last.weights` and its kin."""
        return self.folder / f"{self.name}_{suffix}.weights"

    @property
    def checkpoint(self) -> Path:
        """The place of the checkpoint."""
        return self.folder / f"{self.name}.checkpoint"

    @property
    def log(self) -> Path:
        """The place of the log."""
        return self.folder / f"log_{self.name}.csv"

    @property
    def chart(self) -> Path:
        """The place of the chart."""
        return self.folder / f"chart_{self.name}.png"

    def check(self) -> None:
        """See that the files could be written, before there is anything to write.

        Raises:
            UsageError: one cannot.
        """
        for path in (*map(self.weights, ("last", "best", "final")), self.checkpoint, self.log, self.chart):
            if is_folder(path):
                cure = "move it away, or name another folder by `--backup`"
                raise UsageError(f"cannot write `{path}`: a folder stands in its place", cure)
            check_writable(path)

    @property
    def complete(self) -> bool:
        """Whether the weights of the last step are those of the end, too."""
        with suppress(OSError):
            return filecmp.cmp(self.weights("last"), self.weights("final"), shallow=False)
        return False

    @contextmanager
    def told(self, iteration: int) -> Iterator[None]:
        """Have errors of writing say where this leaves a training that has made so many steps.

        Raises:
            UsageError: what is written within cannot be written.
        """
        try:
            yield
        except UsageError as error:
            how = "start again: no step was saved"
            if self.saved is not None:
                how = f"`--resume` goes on from step {self.saved:,}, which is saved in `{self.checkpoint}`"
            if self.saved == iteration == self.graph.net.max_batches:
                how = f"`--resume` writes it: all steps are made, and saved in `{self.checkpoint}`"
            raise UsageError(
                f"{error.message}; training ends at step {iteration:,}", f"once it can be written, {how}"
            ) from None

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
            draw(self.chart, log.rows, self.name, net.max_batches, largest)
