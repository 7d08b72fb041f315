"""JPEG decoding to the bit as Darknet's own reader does it.

Decoders may round as they like, and OpenCV's gives other values than Darknet's `stb_image.h` for one sample in fourteen, by
up to 3 of 255. That moves confidences by up to 0.007, and objects across the threshold. So baseline JPEGs, which is nearly
all of them, are decoded here with stb's integer arithmetic: the same boxes as Darknet. Everything else (progressive, CMYK,
…) is left to OpenCV.

Sources: ITU T.81; `stb_image.h` 2.x (`stbi__idct_block`, `stbi__resample_row_*`, `stbi__YCbCr_to_RGB_row`).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import ImageError
from cspdet.jpeg.entropy import coefficients
from cspdet.jpeg.markers import DamagedError, File, has_end
from cspdet.jpeg.samples import pixels, upright

__all__ = ["decode", "has_end"]

# Larger files are left to OpenCV, whose decoder needs less memory.
_LARGEST_FILE = 2**23


def decode(data: bytes, name: str) -> NDArray[np.uint8] | None:
    """The pixels of a baseline JPEG, (H, W, 3) BGR, turned upright; None where it is of another kind.

    Raises:
        ImageError: it is a baseline JPEG, but damaged.
    """
    if len(data) > _LARGEST_FILE:
        return None
    file = File(data)
    try:
        if not file.parse():
            return None
        image = pixels(file, coefficients(file))
    except (DamagedError, struct.error, IndexError, KeyError, ValueError, OverflowError):
        raise ImageError(f"`{name}` is damaged: its JPEG data does not decode", "fetch it again") from None
    return np.ascontiguousarray(upright(image, file.orientation))
