"""Image files."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from cspdet.errors import ImageError
from cspdet.image import decode_image
from tests.conftest import HAS_REFERENCE, REFERENCE
from tests.fuzz.common import Case, Kind, Random, Watch, check_error, expect
from tests.fuzz.text import mutate_bytes

SAMPLINGS = (0x111111, 0x211111, 0x121111, 0x221111, 0x411111)
PNG_START = b"\x89PNG\r\n\x1a\n"


def exif(orientation: int, order: str = "<") -> bytes:
    """An EXIF segment of a JPEG."""
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff


def generated_images() -> Iterator[bytes]:
    """JPEG, PNG, BMP and others, of many forms and sizes."""
    numbers = np.random.default_rng(0)
    for size, (height, width) in enumerate(((1, 1), (7, 9), (16, 16), (33, 50), (64, 48))):
        noise = numbers.integers(0, 256, (height, width, 3), np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), 3)
        for sampling in SAMPLINGS:
            choices = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_QUALITY, 30 + 15 * size]
            plain = cv2.imencode(".jpg", smooth, choices)[1].tobytes()
            yield plain
            yield cv2.imencode(".jpg", smooth, [*choices, cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes()
            yield plain[:2] + exif(1 + (size + sampling) % 8, "<>"[size % 2]) + plain[2:]
        yield cv2.imencode(".jpg", noise[:, :, 0])[1].tobytes()
        yield cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        yield cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
        alpha = np.dstack([noise, noise[:, :, :1]])
        for suffix in (".png", ".bmp", ".webp", ".tiff", ".ppm"):
            yield cv2.imencode(suffix, smooth)[1].tobytes()
        for image in (noise[:, :, 0], alpha, noise.astype(np.uint16) * 257):
            yield cv2.imencode(".png", image)[1].tobytes()
        yield cv2.imencode(".bmp", noise[:, :, 0])[1].tobytes()


class Images(Kind):
    """Image files, both decoders."""

    name = "images"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bases = [*generated_images()]
        self.large = [path.read_bytes() for path in sorted(REFERENCE.glob("images/*.jpg"))] if HAS_REFERENCE else []

    def make(self, chance: Random) -> Case:
        good = data = chance.choice(self.large if self.large and chance.random() < 0.15 else self.bases)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            way = chance.random()
            if way < 0.4 and data[:2] == b"\xff\xd8":
                data = self.mutate_jpeg(chance, data)
            elif way < 0.5 and data[:8] == PNG_START:
                data = self.mutate_png(chance, data)
            elif way < 0.6:
                data = mutate_bytes(chance, data[:64]) + data[64:]
            elif way < 0.65:
                data += chance.choice(self.bases)
            elif way < 0.68:
                data = data[: chance.randrange(len(data) + 1)]
            else:
                data = mutate_bytes(chance, data)
        return Case(data, {"good": data == good})

    def mutate_jpeg(self, chance: Random, data: bytes) -> bytes:
        """A byte behind a marker, or a whole segment."""
        found = [each.start() for each in re.finditer(rb"\xff[\xc0-\xfe]", data)]
        if not found:
            return data
        place = chance.choice(found)
        length = int.from_bytes(data[place + 2 : place + 4])
        way = chance.randrange(8)
        if way == 0:
            return data[:place] + data[place + 2 + length :]
        if way == 1:
            return data[:place] + data[place : place + 2 + length] * 2 + data[place + 2 + length :]
        if way == 2:
            return data[:place] + bytes([0xFF, chance.randrange(0xC0, 0xFF)]) + data[place + 2 :]
        if way == 3:
            inserted = chance.choice(
                (exif(chance.randrange(10)), b"\xff\xdd\0\4" + chance.randbytes(2), b"\xff\xd0", b"\xff\xd9")
            )
            return data[:place] + inserted + data[place:]
        if way == 4 and chance.random() < 0.2:
            frame = re.search(rb"\xff[\xc0-\xc2]", data)
            at = frame.start() + 5 if frame else place
            return (
                data[:at] + struct.pack(">HH", *(chance.choice((1, 8, 100, 2000, 20_000)) for _ in range(2))) + data[at + 4 :]
            )
        place += chance.randrange(2, 24)
        value = chance.choice((0, 1, 2, 3, 4, 8, 0x11, 0x12, 0x21, 0x22, 0x41, 0x44, 0x7F, 0x80, 0xFF))
        return data[:place] + bytes([value]) + data[place + 1 :]

    def mutate_png(self, chance: Random, data: bytes) -> bytes:
        """A byte of a chunk, with the right checksum."""
        chunks = []
        at = 8
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4])
            chunks.append((data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + length])))
            at += 12 + length
        if chunks:
            _, body = chance.choice(chunks[:1] + chunks)
            if body:
                body[chance.randrange(len(body))] = chance.choice((0, 1, 2, 3, 4, 6, 8, 16, 0x7F, 0x80, 0xFF))
        return PNG_START + b"".join(
            struct.pack(">I", len(body)) + name + bytes(body) + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )

    def check(self, case: Case, watch: Watch) -> None:
        shapes = []
        for exact in (True, False):
            step = "exact decoding" if exact else "decoding"
            try:
                with silence(), watch.step(step):
                    pixels = decode_image(case.data, "case", exact=exact)
            except ImageError as error:
                check_error(error)
                expect(not case.options["good"], f"{step} refuses a good file", str(error))
                continue
            good = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
            expect(good, f"what {step} gives", f"{pixels.shape} of {pixels.dtype}")
            # Of damaged EXIF data, the two may make different things.
            shapes.append(pixels.shape if case.options["good"] else tuple(sorted(pixels.shape)))
            watch.counts[step] += 1
        expect(len({*shapes}) < 2, "the two decoders give other sizes", str(shapes))


@contextmanager
def silence() -> Iterator[None]:
    """Let the decoders of OpenCV talk to nobody."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
