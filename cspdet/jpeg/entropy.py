"""Compressed data → coefficients (T.81, Annex F).

Only finding where the blocks start takes a step at a time, and that with a table that reads several symbols at once; all else
is done for many blocks together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.jpeg.markers import DamagedError, File

# Coefficients come in order of frequency; this is the place of each in its 8x8 block.
ZIGZAG = np.array(sorted(range(64), key=lambda n: (n // 8 + n % 8, n % 8 if (n // 8 + n % 8) % 2 == 0 else n // 8)))

# What a table says about the bits that follow: how many are the next symbol and the number behind it, how many coefficients
# they are << 6, how many bits the number has << 16. These are no numbers of coefficients: the symbol ends the block, or none
# has this code.
_END, _NONE = 128, 255
# Tables that read several symbols at once see so many bits. More would be fewer steps, but take longer to fill and to look up.
_WINDOW = 12
# Blocks whose coefficients are read at a time: few enough that what is known of their symbols takes little memory.
_BLOCKS = 2**13

Ints = NDArray[np.int32]
Places = NDArray[np.int64]


class _Codes(NamedTuple):
    """How the blocks of a component are coded.

    The tables of one symbol are for the next 16 bits; those of several, which cannot tell how long each number is, for the next
    `_WINDOW`: what a block begins with, and how it goes on.
    """

    dc: Ints
    ac: Ints
    begin: list[int]
    go_on: list[int]


def coefficients(file: File) -> NDArray[np.int16]:
    """All coefficients, (64 in order of frequency, blocks), the DC ones summed up: component by component, row by row.

    Raises:
        DamagedError: the data is not what the tables code.
    """
    place = _places(file)
    units, order = place.shape
    per_segment = file.restart or units
    segments = file.segments()[: -(-units // per_segment)]
    if len(segments) * per_segment < units:
        raise DamagedError
    kinds = {block[1:]: _codes(file.huffman[block.dc], file.huffman[block.ac]) for block in file.unit}
    # Zeros behind a segment, so that a damaged one is noticed before it runs into the next; and as many behind the last one as
    # a block can have.
    ahead = _ahead(b"".join([*(segment + bytes(8) for segment in segments), bytes(256)]))
    windows, short_windows = (memoryview(each) for each in (ahead, ahead >> (16 - _WINDOW)))  # type: ignore[arg-type]
    starts: list[int] = []
    unit, left, begin = [kinds[block[1:]] for block in file.unit], units, 0
    for segment in segments:
        end = begin + 8 * len(segment)
        starts += _find_blocks(windows, short_windows, begin, end, unit, min(per_segment, left))
        left, begin = left - per_segment, end + 8 * 8
    dc, ac = (np.concatenate([codes[index] for codes in kinds.values()]) for index in range(2))
    table = np.tile([[*kinds].index(block[1:]) << 16 for block in file.unit], units)
    position, flat = np.array(starts), place.reshape(-1)
    out = np.zeros(64 * units * order + 1, np.int16)
    for first in range(0, units * order, _BLOCKS):
        some = slice(first, first + _BLOCKS)
        _read_blocks(ahead, position[some], table[some], flat[some], dc, ac, out)
    out = out[:-1].reshape(64, -1)
    for component in {block.component for block in file.unit}:
        own = place[:, [index for index, block in enumerate(file.unit) if block.component == component]]
        out[0, own] = _sums(out[0, own], per_segment)
    return out


def _sums(differences: NDArray[np.int16], per_segment: int) -> Places:
    """What DC coefficients are, from how they differ from the one before, (units, blocks); segments begin with 0."""
    sums = differences.cumsum(dtype=np.int64)
    before = np.append(0, sums[:-1])[:: per_segment * differences.shape[1]]
    found: Places = sums.reshape(differences.shape) - before.repeat(per_segment)[: len(differences), None]
    return found


def _places(file: File) -> Places:
    """Which place each block of the scan has among all blocks, (units, blocks of a unit)."""
    frame, first, found = file.frame, 0, []
    for each in frame.components:
        count = frame.rows * frame.columns * each.down * each.across
        grid = np.arange(first, first + count).reshape(frame.rows, each.down, frame.columns, each.across)
        found.append(grid.transpose(0, 2, 1, 3).reshape(frame.rows * frame.columns, -1))
        first += count
    return np.concatenate(found, 1)


def _ahead(data: bytes) -> NDArray[np.uint16]:
    """The 16 bits that follow each bit of the data, except of the last two bytes."""
    each = np.frombuffer(data, np.uint8).astype(np.uint32)
    joined = each[:-2] << 16 | each[1:-1] << 8 | each[2:]
    ahead = np.empty((len(joined), 8), np.uint16)
    for bit in range(8):
        ahead[:, bit] = joined >> (8 - bit)
    return ahead.reshape(-1)


def _find_blocks(windows: Any, short_windows: Any, position: int, end: int, unit: Sequence[_Codes], units: int) -> list[int]:
    """The bit at which each block of a segment begins; the segment lies between these bits."""
    found = []
    for _ in range(units):
        for dc, ac, begin, go_on in unit:
            if position >= end:
                raise DamagedError
            found.append(position)
            entry = begin[short_windows[position]]
            position += entry & 63
            count = entry >> 6
            while True:
                while count < 64:
                    entry = go_on[short_windows[position]]
                    position += entry & 63
                    count += entry >> 6
                if count == 64 or _END <= count < _END + 64:
                    break
                # One that is no end, or was read behind the end: back, and on by one symbol.
                position -= entry & 63
                count -= entry >> 6
                entry = int((ac if count else dc)[windows[position]])
                position += entry & 63
                count += entry >> 6 & 255
                if count >= 64:
                    if count >= _NONE or (count > 64 and entry >> 16):
                        raise DamagedError
                    break
    if position > end + 7:
        raise DamagedError
    return found


def _read_blocks(
    ahead: NDArray[np.uint16], position: Places, table: Places, place: Places, dc: Ints, ac: Ints, out: NDArray[np.int16]
) -> None:
    """The coefficients of the blocks that begin at these bits: the n-th symbol of all blocks at once."""
    apart = len(out) // 64
    symbol = dc.take(table + ahead.take(position))
    position = position + (symbol & 63)
    found = [(position, symbol, place)]
    while len(position):
        symbol = ac.take(table + ahead.take(position))
        position = position + (symbol & 63)
        place = place + (symbol >> 6 & 255) * apart
        found.append((position, symbol, place))
        going = place < 63 * apart
        position, place, table = position[going], place[going], table[going]
    position, symbol, place = (np.concatenate(each) for each in zip(*found, strict=True))
    size = (symbol >> 16).astype(np.uint16)
    window = ahead.take(position - size)
    # Numbers that begin with 0 are negative: their bits are exchanged (T.81, F.2.2.1).
    negative = ~(window.view(np.int16) >> 15)
    value = ((window ^ negative.view(np.uint16)) >> (16 - size)).view(np.int16)
    # Behind the last of a block there is nothing but its end, or zeros.
    out[np.minimum(place, 64 * apart)] = (value ^ negative) - negative


@lru_cache(maxsize=32)  # many files have the tables of T.81, Annex K
def _codes(dc: tuple[bytes, bytes], ac: tuple[bytes, bytes]) -> _Codes:
    """The tables of two DHT segments."""
    one_dc, one_ac = _symbols(*dc, ac=False), _symbols(*ac, ac=True)
    return _Codes(one_dc, one_ac, *(_several(first, one_ac) for first in (one_dc, one_ac)))


def _symbols(counts: bytes, symbols: bytes, *, ac: bool) -> Ints:
    """The table of one symbol: a code of n bits stands in all places that begin with it."""
    length = np.repeat(np.arange(1, 17, dtype=np.int32), np.frombuffer(counts, np.uint8))[: len(symbols)]
    symbol = np.frombuffer(symbols, np.uint8)[: len(length)].astype(np.int32)
    places = 1 << (16 - length)
    if places.sum() > 65536 or (not ac and (symbol > 15).any()):
        raise DamagedError
    size = symbol & 15
    # Of the symbols without a number, one stands for 16 zeros. All others end the block, though T.81 knows only one that does.
    passed = np.where((size > 0) | (symbol == 0xF0), (symbol >> 4) + 1, _END) if ac else 1
    entries = np.append(length + size | passed << 6 | size << 16, np.int32(_NONE << 6))
    return entries.repeat(np.append(places, 65536 - places.sum()))


def _several(first: Ints, further: Ints) -> list[int]:
    """The table of several symbols, the first from one table, all others from another."""
    window = np.arange(0, 65536, 2 ** (16 - _WINDOW), dtype=np.uint16)
    entry = first[window]
    entry = np.where((entry & 63) - (entry >> 16) <= _WINDOW, entry & 0xFFFF, _NONE << 6)
    for _ in range(3):  # more than four symbols hardly ever fit
        used = entry & 63
        following = further[window << np.minimum(used, 16).astype(np.uint16)]
        whole = used + (following & 63) - (following >> 16) <= _WINDOW
        fits = (entry < _END << 6) & whole & (following != _NONE << 6)
        entry += np.where(fits, following & 0xFFFF, 0)
    table: list[int] = entry.tolist()
    return table
