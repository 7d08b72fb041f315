"""The marker segments of a JPEG file: what stands before and between the compressed data (T.81, Annex B)."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Larger images are left to OpenCV, whose decoder needs less memory.
_LARGEST_IMAGE = 2**24


class DamagedError(Exception):
    """The data does not decode."""


class Component(NamedTuple):
    """One of the image's planes: its number, sampling factors and quantisation table."""

    number: int
    across: int
    down: int
    table: int


class Frame(NamedTuple):
    """Size and planes of the image."""

    width: int
    height: int
    components: tuple[Component, ...]

    @property
    def across(self) -> int:
        """The largest horizontal sampling factor."""
        return max(each.across for each in self.components)

    @property
    def down(self) -> int:
        """The largest vertical sampling factor."""
        return max(each.down for each in self.components)

    @property
    def columns(self) -> int:
        """How many units of the scan stand in a row."""
        return -(-self.width // (8 * self.across))

    @property
    def rows(self) -> int:
        """How many rows of units there are."""
        return -(-self.height // (8 * self.down))


class Block(NamedTuple):
    """One of the 8x8 blocks of a unit: the place of its component in the frame, and the Huffman tables it is coded with."""

    component: int
    dc: int
    ac: int


class File:
    """The marker segments of a JPEG."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.quantisation: dict[int, NDArray[np.int32]] = {}
        self.huffman: dict[int, tuple[bytes, bytes]] = {}
        self.frame = Frame(0, 0, ())
        self.restart = 0
        self.jfif = False
        self.transform = -1
        self.orientation = 1
        # Of the only scan: the blocks of one unit, and where the data starts.
        self.unit: tuple[Block, ...] = ()
        self.start = 0

    def parse(self) -> bool:
        """Read up to the scan; False where the file is of a kind that is not decoded here."""
        data, position = self.data, 2
        while True:
            while position < len(data) and data[position] != 0xFF:
                position += 1  # stray bytes between segments are allowed
            while position < len(data) and data[position] == 0xFF:
                position += 1
            if position + 3 > len(data):
                raise DamagedError
            marker = data[position]
            length = int.from_bytes(data[position + 1 : position + 3])
            body = data[position + 3 : position + 1 + length]
            position += 1 + length
            if length < 2 or position > len(data):
                raise DamagedError
            if marker in (0xC0, 0xC1):
                if not self.read_frame(body):
                    return False
            elif 0xC2 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                return False
            elif marker == 0xDA:
                self.start = position
                return self.read_scan(body)
            else:
                self.read_other(marker, body)

    def read_frame(self, body: bytes) -> bool:
        """Size and components; False where they are of a kind that is not decoded here."""
        precision, height, width, count = struct.unpack_from(">BHHB", body)
        if precision != 8 or not height or not width or count not in (1, 3) or width * height > _LARGEST_IMAGE:
            return False
        components = tuple(
            Component(body[at], body[at + 1] >> 4, body[at + 1] & 15, body[at + 2]) for at in range(6, 6 + 3 * count, 3)
        )
        if count == 1:
            components = (components[0]._replace(across=1, down=1),)
        if any(each.across not in (1, 2, 4) or each.down not in (1, 2, 4) for each in components):
            return False
        self.frame = Frame(width, height, components)
        return True

    def read_scan(self, body: bytes) -> bool:
        """The tables of every component; False where one is absent, or the scan has not all of them in the frame's order."""
        components = self.frame.components
        if not components:
            raise DamagedError
        count = body[0]
        if [body[at] for at in range(1, 1 + 2 * count, 2)] != [each.number for each in components]:
            return False
        self.unit = tuple(
            Block(index, body[2 + 2 * index] >> 4, 0x10 | (body[2 + 2 * index] & 15))
            for index, each in enumerate(components)
            for _ in range(each.across * each.down)
        )
        # The frames of cameras may rely on the tables of T.81, Annex K, which OpenCV knows.
        return all(number in self.huffman for block in self.unit for number in block[1:])

    def read_other(self, marker: int, body: bytes) -> None:
        """Tables, the restart interval and what applications add."""
        if marker == 0xDB:
            at = 0
            while at < len(body):
                wide, number = body[at] >> 4, body[at] & 15
                size = 128 if wide else 64
                values = np.frombuffer(body, ">u2" if wide else "u1", 64, at + 1).astype(np.int32)
                self.quantisation[number] = values
                at += 1 + size
        elif marker == 0xC4:
            at = 0
            while at + 17 <= len(body):
                counts = body[at + 1 : at + 17]
                total = sum(counts)
                self.huffman[body[at]] = (counts, body[at + 17 : at + 17 + total])
                at += 17 + total
        elif marker == 0xDD:
            self.restart = int.from_bytes(body[:2])
        elif marker == 0xE0 and body[:5] == b"JFIF\0":
            self.jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) > 11:
            self.transform = body[11]
        elif marker == 0xE1 and body[:6] == b"Exif\0\0":
            self.orientation = orientation(body[6:])

    def segments(self) -> list[bytes]:
        """The scan's data between restart markers, without stuffing."""
        found = []
        begin = self.start
        while True:
            end, following = next_marker(self.data, begin)
            # In front of a marker, any number of 0xFF may stand; one that is data has a zero behind it.
            found.append(self.data[begin:end].rstrip(b"\xff").replace(b"\xff\x00", b"\xff"))
            if not 0xD0 <= following <= 0xD7:
                return found
            begin = end + 2


def next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Where the compressed data from `position` on ends: the place of the next marker's 0xFF, and the byte behind it.

    Raises:
        DamagedError: the file ends before.
    """
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise DamagedError
        following = data[position + 1]
        if following and following != 0xFF:
            return position, following
        position += 1 + (not following)


def has_end(data: bytes) -> bool:
    """Whether a JPEG file of any kind has an end behind its last scan; what follows there, such as a film, is ignored."""
    position, scanned = 2, False
    try:
        while True:
            position, marker = next_marker(data, position)
            if marker == 0xD9:
                return scanned
            position += 2
            if not 0xD0 <= marker <= 0xD7 and marker != 0x01:
                scanned = scanned or marker == 0xDA
                position += int.from_bytes(data[position : position + 2])
    except DamagedError:
        return False


def orientation(tiff: bytes) -> int:
    """The orientation tag of EXIF data, 1 to 8; 1 where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * entry)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
