"""Compressed data → coefficients (T.81, Annex F).

Only finding where the blocks start takes a step at a time, and that with a table that reads several symbols at once; all else
is done for many blocks together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.jpeg.markers import DamagedError, File

Ints = NDArray[np.int32]

# Coefficients come in order of frequency; this is the place of each in its 8x8 block.
ZIGZAG = np.array(sorted(range(64), key=lambda n: (n // 8 + n % 8, n % 8 if (n // 8 + n % 8) % 2 == 0 else n // 8)))

_END = 1 << 13  # marks an entry of the fast table behind which the block ends


class _Huffman(NamedTuple):
    """A Huffman table by the next 16 bits: code length (0: no code) and symbol; and the fast table of AC codes."""

    length: NDArray[np.int32]
    symbol: NDArray[np.int32]
    # For DC codes, how many bits the symbol and its number take. For AC codes, the same of up to four symbols (at most 46 bits,
    # so 6 bits hold it), how many coefficients they are (up to 64, in the 7 bits above), and whether the block ends behind
    # them: bits | coefficients << 6 | _END.
    fast: list[int]


def coefficients(file: File) -> Ints:
    """All coefficients, (units, blocks of a unit, 64), each block's row by row, the DC ones summed up.

    Raises:
        DamagedError: the data is not what the tables code.
    """
    units, order = file.frame.rows * file.frame.columns, len(file.unit)
    tables = {number: _huffman(*file.huffman[number], number >= 0x10) for block in file.unit for number in block[1:]}
    per_segment = file.restart or units
    segments = file.segments()[: -(-units // per_segment)]
    if len(segments) * per_segment < units:
        raise DamagedError
    # A few zeros behind each segment, so that a damaged one is noticed before it runs into the next.
    data = np.frombuffer(b"".join(segment + bytes(8) for segment in segments), np.uint8).astype(np.uint32)
    joined = data[:-2] << 16 | data[1:-1] << 8 | data[2:]
    # The 16 bits that follow each bit of the data.
    ahead = (joined[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).reshape(-1)
    starts = np.empty(units * order, np.int64)
    size, offset = per_segment * order, 0
    steps = [(tables[block.dc], tables[block.ac]) for block in file.unit]
    for number, segment in enumerate(segments):
        _find_blocks(ahead, offset, 8 * len(segment), steps, starts[number * size : (number + 1) * size])
        offset += 8 * (len(segment) + 8)
    out = np.zeros((len(starts), 64), np.int32)
    place = np.arange(len(starts)) % order
    for dc, ac in {block[1:] for block in file.unit}:
        rows = np.flatnonzero(np.isin(place, [index for index, block in enumerate(file.unit) if block[1:] == (dc, ac)]))
        _read_blocks(ahead, starts[rows], tables[dc], tables[ac], out, rows)
    by_unit = out.reshape(units, order, 64)
    for component in {block.component for block in file.unit}:
        own = [index for index, block in enumerate(file.unit) if block.component == component]
        for first in range(0, units, per_segment):
            differences = by_unit[first : first + per_segment, own, 0]
            by_unit[first : first + per_segment, own, 0] = differences.reshape(-1).cumsum().reshape(differences.shape)
    return by_unit


def _find_blocks(
    ahead: NDArray[np.uint16],
    offset: int,
    length: int,
    unit: list[tuple[_Huffman, _Huffman]],
    starts: NDArray[np.int64],
) -> None:
    """Fill `starts` with the bit at which each block of a segment begins; the segment has `length` bits from `offset`."""
    bits = memoryview(ahead[offset : offset + length + 64])  # type: ignore[arg-type]
    steps = [(dc.fast, ac.fast, ac) for dc, ac in unit]
    order = len(steps)
    found = []
    position = 0
    for block in range(len(starts)):
        found.append(position)
        dc, fast, table = steps[block % order]
        if position >= length:
            raise DamagedError
        position += dc[bits[position]]
        count = 1
        while True:
            # The zeros behind the segment are enough for one step beyond its end.
            if position > length:
                raise DamagedError
            entry = fast[bits[position]]
            total = count + (entry >> 6 & 127)
            if total >= 64:
                position = _step(bits, position, count, table, length)
                break
            position += entry & 63
            if entry & _END:
                break
            if not entry:
                raise DamagedError
            count = total
    if position > length + 7:
        raise DamagedError
    starts[:] = found
    starts += offset


def _step(bits: Any, position: int, count: int, table: _Huffman, limit: int) -> int:
    """Symbol by symbol to the end of a block whose last coefficients the fast table would read past."""
    while count < 64:
        if position > limit:
            raise DamagedError
        window = bits[position]
        length, symbol = int(table.length[window]), int(table.symbol[window])
        if not length:
            raise DamagedError
        position += length + (symbol & 15)
        if not symbol:
            break
        count += (symbol >> 4) + 1
    return position


def _read_blocks(
    ahead: NDArray[np.uint16],
    position: NDArray[np.int64],
    dc: _Huffman,
    ac: _Huffman,
    out: Ints,
    rows: NDArray[np.intp],
) -> None:
    """The coefficients of the blocks that begin at these bits: the n-th symbol of all blocks at once."""
    size = dc.symbol[ahead[position]]
    position = position + dc.length[ahead[position]]
    out[rows, 0] = _extended(ahead[position], size)
    position = position + size
    count = np.ones(len(rows), np.int64)
    while len(rows):
        window = ahead[position]
        length, symbol = ac.length[window], ac.symbol[window]
        if not length.all():
            raise DamagedError
        position = position + length
        size = symbol & 15
        count = count + (symbol >> 4)
        store = size > 0
        if (count[store] > 63).any():
            raise DamagedError
        out[rows[store], ZIGZAG[count[store]]] = _extended(ahead[position[store]], size[store])
        position, count = position + size, count + 1
        going = (symbol != 0) & (count < 64)
        rows, position, count = rows[going], position[going], count[going]


def _extended(window: NDArray[np.uint16], size: Ints) -> Ints:
    """The signed number in the first `size` bits: those that begin with 0 are negative (T.81, F.2.2.1)."""
    value = window.astype(np.int32) >> (16 - size)
    return np.where((size > 0) & (value < 1 << np.maximum(size - 1, 0)), value - (1 << size) + 1, value)


@lru_cache(maxsize=32)  # most files have the tables of T.81, Annex K
def _huffman(counts: bytes, symbols: bytes, ac: bool) -> _Huffman:
    """The table of a DHT segment, spread out over all 16-bit windows."""
    length, symbol = np.zeros(65536, np.int32), np.zeros(65536, np.int32)
    code = at = 0
    for size, count in enumerate(counts, 1):
        for each in symbols[at : at + count]:
            begin, end = code << (16 - size), (code + 1) << (16 - size)
            if end > 65536:
                raise DamagedError
            length[begin:end], symbol[begin:end] = size, each
            code += 1
        at += count
        code <<= 1
    if not ac:
        if (symbol > 15).any():
            raise DamagedError
        return _Huffman(length, symbol, (length + symbol).tolist())
    bits, coefficients, ends = length + (symbol & 15), (symbol >> 4) + 1, (symbol == 0) & (length > 0)
    coefficients = np.where(ends | (length == 0), 0, coefficients)
    window = np.arange(65536)
    total, passed, ended = bits.copy(), coefficients.copy(), ends.copy()
    for _ in range(3):  # more than four symbols hardly ever fit into 16 bits
        rest = (window << np.minimum(total, 16)) & 0xFFFF
        more = ~ended & (total < 16) & (length[rest] > 0) & (length[rest] <= 16 - total) & (length > 0)
        passed += np.where(more, coefficients[rest], 0)
        ended |= more & ends[rest]
        total += np.where(more, bits[rest], 0)
    return _Huffman(length, symbol, np.where(length > 0, total | passed << 6 | ended * _END, 0).tolist())
