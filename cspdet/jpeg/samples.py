"""Coefficients → pixels, with the integer arithmetic of `stb_image.h`: every sample to the bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspdet.jpeg.entropy import ZIGZAG, Ints
from cspdet.jpeg.markers import File

Samples = NDArray[np.uint8]
# Room for what weighted sums of a few samples make.
Sums = NDArray[np.uint16]

# Blocks, and pixels, that are computed at a time: few enough that they stay in the processor's cache.
_BLOCKS = 2**11
_PIXELS = 2**16


def pixels(file: File, coefficients: Ints) -> Samples:
    """(H, W, 3) BGR, from the coefficients of all units as `entropy.coefficients` gives them."""
    frame = file.frame
    planes = []
    for index, each in enumerate(frame.components):
        plane = _plane(file, coefficients, index)
        high, wide = -(-frame.height * each.down // frame.down), -(-frame.width * each.across // frame.across)
        spread = _upsample(plane[:high, :wide], frame.down // each.down, frame.across // each.across)
        planes.append(spread[: frame.height, : frame.width])
    if len(planes) == 1:
        return np.repeat(planes[0][:, :, None], 3, 2)
    letters = bytes(each.number for each in frame.components) == b"RGB"
    if letters or (file.transform == 0 and not file.jfif):
        return np.stack(planes[::-1], 2)
    image = np.empty((frame.height, frame.width, 3), np.uint8)
    rows = max(1, _PIXELS // frame.width)
    for top in range(0, frame.height, rows):
        image[top : top + rows] = _to_bgr(*(plane[top : top + rows].astype(np.int32) for plane in planes))
    return image


def _plane(file: File, coefficients: Ints, index: int) -> Samples:
    """The samples of one component, whole blocks."""
    frame, component = file.frame, file.frame.components[index]
    own = [place for place, block in enumerate(file.unit) if block.component == index]
    table = np.empty(64, np.int32)
    table[ZIGZAG] = file.quantisation[component.table]
    plane = np.empty((frame.rows, component.down, 8, frame.columns, component.across, 8), np.uint8)
    units = coefficients.reshape(frame.rows, frame.columns, len(file.unit), 64)
    step = max(1, _BLOCKS // (frame.columns * len(own)))
    for first in range(0, frame.rows, step):
        blocks = units[first : first + step, :, own]
        samples = _inverse_transform((blocks.reshape(-1, 64) * table).astype(np.int16))
        grid = samples.reshape(8, 8, len(blocks), frame.columns, component.down, component.across)
        plane[first : first + step] = grid.transpose(2, 4, 0, 3, 5, 1)
    return plane.reshape(frame.rows * component.down * 8, -1)


def _fixed(value: float) -> int:
    """A constant with 12 binary places, rounded as a C cast does."""
    return int(value * 4096 + 0.5)


def _transform_8(s: list[Ints]) -> tuple[list[Ints], list[Ints]]:
    """The one-dimensional inverse transform of eight rows: the even and the odd half, 12 binary places."""
    p1 = (s[2] + s[6]) * _fixed(0.5411961)
    t2, t3 = p1 + s[6] * _fixed(-1.847759065), p1 + s[2] * _fixed(0.765366865)
    t0, t1 = (s[0] + s[4]) << 12, (s[0] - s[4]) << 12
    even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3]
    p3, p4, p1, p2 = s[7] + s[3], s[5] + s[1], s[7] + s[1], s[5] + s[3]
    p5 = (p3 + p4) * _fixed(1.175875602)
    p1, p2 = p5 + p1 * _fixed(-0.899976223), p5 + p2 * _fixed(-2.562915447)
    p3, p4 = p3 * _fixed(-1.961570560), p4 * _fixed(-0.390180644)
    odd = [
        s[1] * _fixed(1.501321110) + p1 + p4,
        s[3] * _fixed(3.072711026) + p2 + p3,
        s[5] * _fixed(2.053119869) + p2 + p4,
        s[7] * _fixed(0.298631336) + p1 + p3,
    ]
    return even, odd


def _inverse_transform(blocks: NDArray[np.int16]) -> Samples:
    """(blocks, 64) → (8 rows, 8 columns, blocks) samples of 0 … 255."""
    s = np.ascontiguousarray(blocks.reshape(-1, 8, 8).transpose(1, 2, 0)).astype(np.int32)
    even, odd = _transform_8([*s])
    rounded = [each + 512 for each in even]
    half = [(e + o) >> 10 for e, o in zip(rounded, odd, strict=True)] + [
        (e - o) >> 10 for e, o in zip(rounded[::-1], odd[::-1], strict=True)
    ]
    s = np.stack(half)
    even, odd = _transform_8([s[:, column] for column in range(8)])
    rounded = [each + (65536 + (128 << 17)) for each in even]
    full = [(e + o) >> 17 for e, o in zip(rounded, odd, strict=True)] + [
        (e - o) >> 17 for e, o in zip(rounded[::-1], odd[::-1], strict=True)
    ]
    return np.clip(np.stack(full, 1), 0, 255).astype(np.uint8)


def _upsample(plane: Samples, down: int, across: int) -> Samples:
    """Spread a plane over `down` x `across` times as many pixels: with triangular weights where a factor is 2."""
    if (down, across) == (1, 1):
        return plane
    if down > 2 or across > 2:
        return plane.repeat(down, 0).repeat(across, 1)
    if down == 1:
        return _wider(plane.astype(np.uint16)).astype(np.uint8)
    sums = 3 * plane.astype(np.uint16)
    above, below = np.concatenate([plane[:1], plane[:-1]]), np.concatenate([plane[1:], plane[-1:]])
    mixed = np.stack([sums + above, sums + below], 1).reshape(2 * len(plane), -1)
    if across == 1:
        return (mixed + 2 >> 2).astype(np.uint8)
    wide = np.empty((len(mixed), 2 * mixed.shape[1]), np.uint8)
    wide[:, 0], wide[:, -1] = mixed[:, 0] + 2 >> 2, mixed[:, -1] + 2 >> 2
    sums = 3 * mixed + 8
    wide[:, 1:-1:2] = sums[:, :-1] + mixed[:, 1:] >> 4
    wide[:, 2:-1:2] = sums[:, 1:] + mixed[:, :-1] >> 4
    return wide


def _wider(plane: Sums) -> Sums:
    """Twice the width. The last pixel but one has its weights exchanged, as in stb's code."""
    if plane.shape[1] == 1:
        return plane.repeat(2, 1)
    wide = np.empty((len(plane), 2 * plane.shape[1]), np.uint16)
    sums = 3 * plane + 2
    wide[:, 2::2] = sums[:, 1:] + plane[:, :-1] >> 2
    wide[:, 1:-1:2] = sums[:, :-1] + plane[:, 1:] >> 2
    wide[:, 0], wide[:, -1] = plane[:, 0], plane[:, -1]
    wide[:, -2] = sums[:, -2] + plane[:, -1] >> 2
    return wide


def _to_bgr(y: Ints, cb: Ints, cr: Ints) -> Samples:
    """YCbCr → BGR with 20 binary places; of the blue share of green, the lower half is dropped."""
    y = (y << 20) + (1 << 19)
    cb, cr = cb - 128, cr - 128
    red = y + cr * (_fixed(1.40200) << 8)
    green = y + cr * -(_fixed(0.71414) << 8) + (cb * -(_fixed(0.34414) << 8) >> 16 << 16)
    blue = y + cb * (_fixed(1.77200) << 8)
    return np.stack([np.clip(each >> 20, 0, 255).astype(np.uint8) for each in (blue, green, red)], 2)


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror as the EXIF orientation asks, as a Darknet built with OpenCV does."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image
