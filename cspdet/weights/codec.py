"""`.weights` ↔ named arrays.

A file is a header and then float32 numbers, little-endian, layer by layer, without names, sizes or gaps; only a cfg tells
what they are. Source: `parser.c:load_weights_upto`, `save_weights_upto`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.errors import UsageError, WeightsError
from cspdet.files import replacing
from cspdet.graph import Graph
from cspdet.layers.base import Array
from cspdet.missing import no_such_file
from cspdet.paths import exists, is_file, is_folder
from cspdet.text import counted
from cspdet.weights.foreign import recognise

Floats = NDArray[np.float32]

# Every file known has version 0.1 or 0.2; Darknet itself gives a meaning to numbers above 1000.
_LARGEST_VERSION = 10_000


class Header(NamedTuple):
    """Version, and the number of images the weights were trained on."""

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0
    # `seen` has 64 bits since version 0.2.
    wide: bool = True

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return 20 if self.wide else 16

    @property
    def transposed(self) -> bool:
        """Whether the matrices of connected layers stand as inputs x outputs."""
        return self.major > 1000 or self.minor > 1000

    def pack(self) -> bytes:
        """Its bytes."""
        return struct.pack("<iiiQ" if self.wide else "<iiiI", self.major, self.minor, self.revision, self.seen)

    @classmethod
    def unpack(cls, data: bytes, dialect: Dialect = ALEXEYAB) -> Header:
        """The header at the start of `data`.

        Raises:
            WeightsError: there is none.
        """
        if len(data) < 16:
            raise WeightsError(f"only {counted(len(data), 'byte')}; the header alone has 16 or 20")
        major, minor, revision = struct.unpack_from("<iii", data)
        if not (min(major, minor, revision) >= 0 and max(major, minor) < _LARGEST_VERSION):
            raise WeightsError(f"it starts with version {major}.{minor}.{revision}, which no weights file has")
        wide = major * 10 + minor >= 2
        if dialect.name == "pjreddie" and (major >= 1000 or minor >= 1000):
            wide = False
        if wide and len(data) < 20:
            raise WeightsError(f"only {len(data)} bytes; the header alone has 20")
        return cls(major, minor, revision, struct.unpack_from("<Q" if wide else "<I", data, 12)[0], wide)


class WeightsFile(NamedTuple):
    """An open file: its numbers are mapped, not read; changing them does not change the file."""

    path: Path
    header: Header
    numbers: Floats
    # Bytes behind the last whole number.
    rest: int = 0


# Which arrays a file holds: those that Darknet reads; all of them, those of `dontload` layers included; or those of
# convolutions alone, as the PyTorch forks write them.
Extent = Literal["read", "all", "convolutions"]


class Slot(NamedTuple):
    """The place of one array in the stream of numbers."""

    layer: int
    name: str
    array: Array
    start: int

    @property
    def key(self) -> str:
        """The array's key in the network's state_dict."""
        return f"layers.{self.layer}.{self.name}"

    @property
    def end(self) -> int:
        """Where the next one starts."""
        return self.start + self.array.size


def open_weights(path: str | Path, dialect: Dialect = ALEXEYAB) -> WeightsFile:
    """Map a `.weights` file.

    Raises:
        UsageError: it is not there or cannot be read.
        WeightsError: it is empty, or something else.
    """
    path = Path(path)
    start, size = look_at(path)
    if foreign := recognise(start, size):
        raise WeightsError(f"`{path}` is not a weights file: {foreign.what}", foreign.cure)
    try:
        header = Header.unpack(start, dialect)
    except WeightsError as error:
        raise WeightsError(f"`{path}` is not a weights file: {error.message}", "fetch it again, from its author") from None
    count, rest = divmod(size - header.size, 4)
    numbers = np.zeros(0, np.float32)
    if count:
        # Copy on write: parameters may be trained or folded in place without a copy of what stays as it is.
        try:
            numbers = np.memmap(path, "<f4", "c", header.size, (count,))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"cannot map `{path}` into memory: {reason.lower()}") from None
    return WeightsFile(path, header, numbers, rest)


def look_at(path: Path) -> tuple[bytes, int]:
    """The first bytes of a file that can be mapped, and its size.

    Raises:
        UsageError: it is not there, cannot be read, or is a pipe or device.
        WeightsError: it is empty.
    """
    if is_folder(path):
        raise UsageError(f"`{path}` is a directory, not a weights file", f"name a file in it: `{path / 'X.weights'}`")
    if exists(path) and not is_file(path):
        raise UsageError(f"`{path}` is no ordinary file", "weights are mapped into memory; save them to disk first")
    try:
        with path.open("rb") as file:
            start, size = file.read(512), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read `{path}`: {reason.lower()}") from None
    if not size:
        raise WeightsError(f"`{path}` is empty", "the download was cut, or the disk was full; fetch it again")
    return start, size


def layout(graph: Graph, extent: Extent = "read") -> tuple[Slot, ...]:
    """The slots of the stream for a graph."""
    slots = []
    start = 0
    for node in graph.nodes:
        arrays = node.layer.stored_arrays(*node.inputs) if extent != "all" else node.arrays
        if extent == "convolutions" and node.layer.names[0] != "convolutional":
            continue
        for name, array in arrays.items():
            slots.append(Slot(node.index, name, array, start))
            start = slots[-1].end
    return tuple(slots)


def read(file: WeightsFile, slots: Iterable[Slot]) -> Iterator[tuple[Slot, Floats]]:
    """The arrays of the slots that lie within the file: views of it, or copies where the file has another order."""
    for slot in slots:
        if slot.end > len(file.numbers):
            return
        numbers = file.numbers[slot.start : slot.end]
        yield slot, _in_order(numbers, slot.array, file.header)


def write(path: str | Path, header: Header, arrays: Iterable[tuple[Slot, Floats]]) -> int:
    """Write a `.weights` file, whole or not at all; gives the number of numbers.

    Raises:
        UsageError: it cannot be written.
    """
    count = 0
    with replacing(path) as file:
        file.write(header.pack())
        for slot, values in arrays:
            stored = np.ascontiguousarray(_as_stored(values, slot.array, header), "<f4")
            file.write(stored.data)
            count += stored.size
    return count


def _turned(array: Array, header: Header) -> bool:
    return array.stored == "flipped" or (array.stored == "connected" and header.transposed)


def _in_order(numbers: Floats, array: Array, header: Header) -> Floats:
    if _turned(array, header):
        return np.ascontiguousarray(numbers.reshape(-1, array.shape[0]).T).reshape(array.shape)
    return numbers.reshape(array.shape)


def _as_stored(values: Floats, array: Array, header: Header) -> Floats:
    return values.reshape(array.shape[0], -1).T if _turned(array, header) else values
