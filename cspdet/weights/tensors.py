"""`.safetensors` files: the same arrays, keyed by layer as in the network's state_dict (`layers.12.conv.weight`).

The header of the `.weights` file travels in the metadata, so that converting there and back gives the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UsageError, WeightsError
from cspdet.files import temporary
from cspdet.graph import Graph
from cspdet.text import brief, printable
from cspdet.weights.codec import Extent, Header, Slot, layout, look_at
from cspdet.weights.foreign import SAFETENSORS, recognise

Floats = NDArray[np.float32]

_EXTENTS: tuple[Extent, ...] = ("read", "all", "convolutions")


def read_safetensors(path: str | Path, graph: Graph) -> tuple[dict[str, Floats], Header, Extent]:
    """Arrays by key, the header, and which arrays there are.

    Raises:
        UsageError: the file is missing or cannot be read.
        WeightsError: it is damaged, something else, or its arrays are not those of the graph.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    start, size = look_at(path)
    foreign = recognise(start, size)
    if foreign and foreign is not SAFETENSORS:
        raise WeightsError(f"`{path}` is not a safetensors file: {foreign.what}", foreign.cure)
    try:
        with safe_open(str(path), "np") as file:
            metadata = file.metadata() or {}
            extent = _extent(path, metadata)
            wanted = {slot.key: slot.array.shape for slot in layout(graph, extent)}
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
            there = {key: (tuple(each.get_shape()), each.get_dtype()) for key, each in slices.items()}
            _compare(path, graph, wanted, there)
            arrays: dict[str, Floats] = {key: file.get_tensor(key) for key in wanted}
    except (SafetensorError, OSError, TypeError, ValueError, MemoryError) as error:
        reason = printable(" ".join(str(error).split())[:200])
        raise WeightsError(f"`{path}` is not a whole safetensors file: {reason}", "fetch or convert it again") from None
    return arrays, _header(path, metadata), extent


def write_safetensors(
    path: str | Path, header: Header, extent: Extent, arrays: Iterable[tuple[Slot, Floats]], **more: str
) -> None:
    """Write a `.safetensors` file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors: dict[str, Any] = {slot.key: np.ascontiguousarray(values) for slot, values in arrays}
    metadata = {"format": "cspdet", "darknet_header": json.dumps(list(header)), "extent": extent, **more}
    with temporary(path) as beside:
        try:
            save_file(tensors, str(beside), metadata)
        except SafetensorError as error:
            if system := re.search(r"\(os error ([0-9]+)\)", str(error)):  # a full disk, say
                raise OSError(int(system[1]), os.strerror(int(system[1]))) from None
            raise UsageError(f"cannot write `{path}`: {printable(' '.join(str(error).split())[:200])}") from None


def _extent(path: Path, metadata: dict[str, str]) -> Extent:
    extent = metadata.get("extent", "all")
    if extent not in _EXTENTS:
        raise WeightsError(f"`{path}` has a form that cspdet does not know: `{printable(brief(extent))}`", "convert it again")
    return extent


def _compare(
    path: Path, graph: Graph, wanted: dict[str, tuple[int, ...]], there: dict[str, tuple[tuple[int, ...], str]]
) -> None:
    """The file's arrays must be the graph's, in shape and kind."""
    head = f"`{path}` does not fit `{graph.source.path}`"
    cure = "use the cfg the weights were made with"
    for key, shape in wanted.items():
        if key not in there:
            raise WeightsError(f"{head}: it has no `{key}`", cure)
        if there[key] != (shape, "F32"):
            raise WeightsError(f"{head}: `{key}` is {there[key][0]} of {there[key][1]}, not {shape} of F32", cure)
    foreign = next((key for key in there if key not in wanted), None)
    if foreign is not None:
        raise WeightsError(f"{head}: nothing in the cfg is `{printable(brief(foreign, 80))}`", cure)


def _header(path: Path, metadata: dict[str, str]) -> Header:
    text = metadata.get("darknet_header")
    if text is None:
        return Header()
    try:
        major, minor, revision, seen, wide = json.loads(text)
        header = Header(int(major), int(minor), int(revision), int(seen), bool(wide))
        Header.unpack(header.pack().ljust(20, b"\0"))
        # The version decides how wide it is; of versions from 1000 on, pjreddie's and AlexeyAB's programs think differently.
        if header.wide != (header.major * 10 + header.minor >= 2) and max(header.major, header.minor) < 1000:
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError, struct.error, WeightsError):
        raise WeightsError(f"`{path}` has a damaged header: `{printable(brief(text))}`", "convert it again") from None
    return header
