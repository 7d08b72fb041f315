"""Coefficients: of files made here, whose coefficients are known, and of damaged ones, a bit at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cspdet.jpeg.entropy import coefficients
from cspdet.jpeg.markers import DamagedError, File
from tests.conftest import reference_files

Ints = NDArray[np.int64]

# The symbols that end a block, and that stand for 16 zeros.
END, ZEROS = 0x00, 0xF0


class Table(NamedTuple):
    """A Huffman table: how many codes there are of each length, and the symbols in order."""

    counts: bytes
    symbols: bytes

    @property
    def codes(self) -> dict[str, int]:
        """The symbol of each code, written as zeros and ones (T.81, C.2)."""
        found, code, left = {}, 0, iter(self.symbols)
        for length, count in enumerate(self.counts, 1):
            for _, symbol in zip(range(count), left, strict=False):
                found[f"{code:0{length}b}"] = symbol
                code += 1
            code *= 2
        return found


def random_table(generator: np.random.Generator, symbols: list[int]) -> Table:
    """Some of the lengths are long; not all codes are given to symbols."""
    symbols = [*generator.permutation(symbols)]
    lengths: list[int] = []
    spent, shortest = 0, 2 + len(symbols).bit_length() // 2
    for left in range(len(symbols), 0, -1):
        # Each symbol that is left needs a code of 16 bits at least.
        possible = [length for length in range(shortest, 17) if spent + 2 ** (16 - length) + left <= 2**16]
        lengths.append(int(generator.choice(possible)))
        spent += 2 ** (16 - lengths[-1])
    return Table(bytes(lengths.count(length) for length in range(1, 17)), bytes(symbols))


class Made(NamedTuple):
    """A file, and its coefficients: component by component, row by row; (blocks, 64), in order of frequency."""

    data: bytes
    coefficients: list[list[int]]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


def random_file(generator: np.random.Generator) -> Made:
    """A picture of noise, with tables of its own: all symbols stand anywhere, also where no encoder writes them."""
    count = int(generator.choice([1, 3]))
    factors = [tuple(int(side) for side in generator.choice([1, 2], 2)) if count > 1 else (1, 1) for _ in range(count)]
    across, down = (max(each[axis] for each in factors) for axis in range(2))
    width, height = (int(side) for side in generator.integers(1, 36, 2))
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    restart = int(generator.choice([0, 1, 3]))
    tables = {}
    for number in range(2):
        tables[number] = random_table(generator, [*range(int(generator.integers(3, 13)))])
        others = generator.choice(np.setdiff1d(np.arange(256), [END, ZEROS]), int(generator.integers(1, 60)), replace=False)
        tables[0x10 | number] = random_table(generator, [END, ZEROS, *(int(each) for each in others)])
    frame = b"".join(bytes([index, wide << 4 | high, 0]) for index, (wide, high) in enumerate(factors))
    used = [int(each) for each in generator.integers(0, 2, count)]
    scan = b"".join(bytes([index, number << 4 | number]) for index, number in enumerate(used))
    header = [
        b"\xff\xd8",
        segment(0xDB, bytes([0]) + bytes([1] * 64)),
        segment(0xC0, bytes([8]) + height.to_bytes(2) + width.to_bytes(2) + bytes([count]) + frame),
        *(segment(0xC4, bytes([number]) + table.counts + table.symbols) for number, table in tables.items()),
        segment(0xDD, restart.to_bytes(2)),
        segment(0xDA, bytes([count]) + scan + b"\0\x3f\0"),
    ]
    words = {number: {symbol: code for code, symbol in table.codes.items()} for number, table in tables.items()}
    planes = [np.zeros((rows * high, columns * wide, 64), np.int64) for wide, high in factors]
    bits, before, body = "", [0] * count, b""
    for unit in range(rows * columns):
        if restart and unit and not unit % restart:
            body, bits, before = body + stuffed(bits) + bytes([0xFF, 0xD0 + (unit // restart - 1) % 8]), "", [0] * count
        for index, (wide, high) in enumerate(factors):
            for block in range(wide * high):
                written, found = random_block(generator, words[used[index]], words[0x10 | used[index]])
                bits += written
                before[index] = found[0] = found[0] + before[index]
                row, column = unit // columns * high + block // wide, unit % columns * wide + block % wide
                planes[index][row, column] = found
    data = b"".join(header) + body + stuffed(bits) + b"\xff\xd9"
    return Made(data, [block for plane in planes for block in plane.reshape(-1, 64).astype(np.int16).tolist()])


def random_block(generator: np.random.Generator, dc: dict[int, str], ac: dict[int, str]) -> tuple[str, list[int]]:
    """A block as zeros and ones, and what it says."""
    found = [0] * 64
    size = int(generator.choice([*dc]))
    bits = dc[size]
    more, found[0] = random_number(generator, size)
    bits += more
    at, likely = 0, generator.uniform(0, 0.3)
    while at < 63:
        symbol = END if generator.uniform() < likely else int(generator.choice([*ac]))
        passed = (symbol >> 4) + 1 if symbol & 15 or symbol == ZEROS else 64
        if passed == 64 or at + passed > 63:
            # All symbols without a number end a block, but one.
            return bits + ac[symbol if passed == 64 else END], found
        at += passed
        more, found[at] = random_number(generator, symbol & 15)
        bits += ac[symbol] + more
    return bits, found


def random_number(generator: np.random.Generator, size: int) -> tuple[str, int]:
    """A number of so many bits: how it is written (T.81, F.1.2.1), and itself."""
    bits = "".join(str(each) for each in generator.integers(0, 2, size))
    return bits, 0 if not size else int(bits, 2) - (0 if bits[0] == "1" else 2**size - 1)


def stuffed(bits: str) -> bytes:
    """Whole bytes, filled up with ones; a byte of ones is followed by one of zeros."""
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")


def slow(data: bytes) -> list[list[int]]:
    """The coefficients of a file, a bit at a time: component by component, row by row.

    Blocks begin before the end of their segment; the last one may end up to 7 bits behind it, which are zeros.
    """
    file = File(data)
    assert file.parse()
    frame = file.frame
    planes = [np.zeros((frame.rows * each.down, frame.columns * each.across, 64), np.int64) for each in frame.components]
    tables = {number: Table(*table).codes for number, table in file.huffman.items()}
    units = frame.rows * frame.columns
    segments = iter(file.segments())
    bits, at, end = "", 0, 0

    def read(count: int) -> str:
        nonlocal at
        at += count
        if at > end + 7:
            raise DamagedError
        return bits[at - count : at]

    def symbol(table: dict[str, int]) -> int:
        code = ""
        while code not in table:
            if len(code) == 16:
                raise DamagedError
            code += read(1)
        return table[code]

    def number(size: int) -> int:
        written = read(size)
        return 0 if not size else int(written, 2) - (0 if written[0] == "1" else 2**size - 1)

    def places() -> Iterator[tuple[int, int]]:
        """Of the blocks of a unit: the place of the component, and which of its blocks it is."""
        for index, each in enumerate(frame.components):
            yield from ((index, block) for block in range(each.across * each.down))

    for unit in range(units):
        if unit % (file.restart or units) == 0:
            each = next(segments, None)
            if each is None:
                raise DamagedError
            bits, at, end = "".join(f"{byte:08b}" for byte in each) + "0" * 8, 0, 8 * len(each)
            before = [0] * len(frame.components)
        for (index, block), (_, dc, ac) in zip(places(), file.unit, strict=True):
            if at >= end:
                raise DamagedError
            component = frame.components[index]
            row = unit // frame.columns * component.down + block // component.across
            column = unit % frame.columns * component.across + block % component.across
            found = planes[index][row, column]
            before[index] = found[0] = before[index] + number(symbol(tables[dc]))
            place = 0
            while place < 63:
                each_symbol = symbol(tables[ac])
                if not each_symbol & 15 and each_symbol != ZEROS:
                    break
                place += (each_symbol >> 4) + 1
                if each_symbol & 15:
                    value = number(each_symbol & 15)
                    if place > 63:
                        raise DamagedError
                    found[place] = value
    return [block for plane in planes for block in plane.reshape(-1, 64).astype(np.int16).tolist()]


def fast(data: bytes) -> list[list[int]]:
    file = File(data)
    assert file.parse()
    found: list[list[int]] = coefficients(file).T.tolist()
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_what_was_written_is_read(seed: int) -> None:
    made = random_file(np.random.default_rng(seed))
    assert slow(made.data) == made.coefficients
    assert fast(made.data) == made.coefficients


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_damaged_files(seed: int, count: int) -> None:
    """Changed bytes, cut segments: the same coefficients or the same failure as a bit at a time."""
    generator = np.random.default_rng(seed)
    data = bytearray(random_file(generator).data)
    file = File(bytes(data))
    assert file.parse()
    for _ in range(count):
        place = int(generator.integers(file.start, len(data) - 2))
        if generator.uniform() < 0.5:
            data[place] = generator.integers(0, 256)
        elif len(data) > file.start + 50:
            del data[place : min(place + int(generator.integers(1, 20)), len(data) - 2)]
    both: list[list[list[int]] | None] = []
    for way in (slow, fast):
        try:
            both.append(way(bytes(data)))
        except DamagedError:
            both.append(None)
    assert both[0] == both[1]


@pytest.mark.parametrize(
    "path",
    reference_files("data/bccd/**/*.jpg")[:2] + reference_files("data/animals6/images/*.jpg")[:3],
    ids=lambda path: path.stem,
)
def test_photographs(path: Path) -> None:
    data = path.read_bytes()
    assert fast(data) == slow(data)
