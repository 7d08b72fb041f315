"""Any file of weights as arrays by state_dict key."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.graph import Graph
from cspdet.weights.codec import Extent, Header, layout, open_weights, read
from cspdet.weights.fit import doubt, fit
from cspdet.weights.tensors import read_safetensors


class Loaded(NamedTuple):
    """Arrays by state_dict key, and the form they were stored in."""

    arrays: dict[str, NDArray[np.float32]]
    header: Header
    extent: Extent
    # The first layer that the file has nothing for; None where it has all.
    ends_before: int | None = None
    # What is odd about a file that fits.
    doubt: str | None = None


def read_any(path: str | Path, graph: Graph) -> Loaded:
    """The weights of a `.weights` or `.safetensors` file for a graph.

    Raises:
        UsageError: the file is missing or cannot be read.
        WeightsError: it is damaged, something else, or for another cfg.
    """
    if Path(path).suffix == ".safetensors":
        arrays, header, extent = read_safetensors(path, graph)
        odd = doubt(path, graph, ((slot, arrays[slot.key]) for slot in layout(graph, extent)))
        return Loaded(arrays, header, extent, None, odd)
    file = open_weights(path, graph.dialect)
    found = fit(file, graph)
    pairs = [*read(file, found.slots)]
    arrays = {slot.key: values for slot, values in pairs}
    return Loaded(arrays, file.header, found.extent, found.ends_before, doubt(path, graph, pairs))
