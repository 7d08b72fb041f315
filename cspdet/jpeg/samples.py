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

# Which of the coefficients, in order of frequency, each place of an 8x8 block takes.
_ORDER = np.argsort(ZIGZAG)


def pixels(file: File, coefficients: NDArray[np.int16]) -> Samples:
    """(H, W, 3) BGR, from the coefficients of all blocks as `entropy.coefficients` gives them."""
    frame = file.frame
    planes, first = [], 0
    for each in frame.components:
        high, wide = frame.rows * each.down, frame.columns * each.across
        table = file.quantisation[each.table].astype(np.int16)
        plane = _plane(coefficients[:, first : first + high * wide], table, high, wide)
        first += high * wide
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
        image[top : top + rows] = _to_bgr(*(plane[top : top + rows] for plane in planes))
    return image


def _plane(coefficients: NDArray[np.int16], table: NDArray[np.int16], high: int, wide: int) -> Samples:
    """The samples of one component of so many rows and columns of blocks."""
    plane = np.empty((high, 8, wide, 8), np.uint8)
    step = max(1, _BLOCKS // wide)
    for top in range(0, high, step):
        blocks = coefficients[:, top * wide : (top + step) * wide] * table[:, None]
        plane[top : top + step] = _inverse_transform(blocks).reshape(8, 8, -1, wide).transpose(2, 0, 3, 1)
    return plane.reshape(8 * high, 8 * wide)


def _fixed(value: float) -> int:
    """A constant with 12 binary places, rounded as a C cast does."""
    return int(value * 4096 + 0.5)


# What each value of a colour difference adds to the colours. stb computes with 20 binary places and, of the blue share of
# green, drops the lower 16; as y has no places, the half that rounds is in here, and of green 4 places are enough.
_DIFFERENCE, _HALF = np.arange(-128, 128), 1 << 19
_RED = (_DIFFERENCE * (_fixed(1.40200) << 8) + _HALF >> 20).astype(np.int16)
_BLUE = (_DIFFERENCE * (_fixed(1.77200) << 8) + _HALF >> 20).astype(np.int16)
_GREEN_OF_RED = (_DIFFERENCE * -(_fixed(0.71414) << 8) + _HALF >> 16).astype(np.int16)
_GREEN_OF_BLUE = (_DIFFERENCE * -(_fixed(0.34414) << 8) >> 16).astype(np.int16)


def _transform_8(s: Ints, offset: int, places: int) -> Ints:
    """The one-dimensional inverse transform of eight rows; `offset` is added, and so many binary places are dropped.

    In place wherever possible: most of the time goes into fetching memory.
    """
    found = np.empty(s.shape, np.int32)
    t3 = (s[2] + s[6]) * _fixed(0.5411961)
    t2 = s[6] * _fixed(-1.847759065)
    t2 += t3
    t3 += s[2] * _fixed(0.765366865)
    p3, p4, p1, p2 = s[7] + s[3], s[5] + s[1], s[7] + s[1], s[5] + s[3]
    p5 = (p3 + p4) * _fixed(1.175875602)
    p1 *= _fixed(-0.899976223)
    p2 *= _fixed(-2.562915447)
    p3 *= _fixed(-1.961570560)
    p4 *= _fixed(-0.390180644)
    p3 += p5
    p4 += p5
    odd = s[1] * _fixed(1.501321110), s[3] * _fixed(3.072711026), s[5] * _fixed(2.053119869), s[7] * _fixed(0.298631336)
    for each, first, second in zip(odd, (p1, p2, p2, p1), (p4, p3, p4, p3), strict=True):
        each += first
        each += second
    for row, other, inner, sign in ((0, 3, t3, 1), (1, 2, t2, -1)):
        t = s[0] + s[4] if sign > 0 else s[0] - s[4]
        t <<= 12
        t += offset
        for place, even in ((row, t + inner), (other, np.subtract(t, inner, out=t))):
            np.add(even, odd[place], out=found[place])
            np.subtract(even, odd[place], out=found[7 - place])
    found >>= places
    return found


def _inverse_transform(blocks: NDArray[np.int16]) -> Samples:
    """(64 in order of frequency, blocks) → (8 rows, 8 columns, blocks) samples of 0 … 255."""
    s = blocks[_ORDER].astype(np.int32).reshape(8, 8, -1)
    s = _transform_8(_transform_8(s, 512, 10).transpose(1, 0, 2), 65536 + (128 << 17), 17)
    return np.clip(s, 0, 255, out=s).astype(np.uint8).transpose(1, 0, 2)


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


def _to_bgr(y: Samples, cb: Samples, cr: Samples) -> Samples:
    """YCbCr → BGR."""
    import cv2

    green, more, blue, red = (
        np.asarray(cv2.LUT(plane, share), np.int16)
        for plane, share in ((cr, _GREEN_OF_RED), (cb, _GREEN_OF_BLUE), (cb, _BLUE), (cr, _RED))
    )
    green += more
    green >>= 4
    for each in (blue, green, red):
        each += y
        np.clip(each, 0, 255, out=each)
    return np.asarray(cv2.merge([each.astype(np.uint8) for each in (blue, green, red)]), np.uint8)


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror as the EXIF orientation asks, as a Darknet built with OpenCV does."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image
