"""The [crop] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, option
from cspdet.layers.option import LARGEST_SIDE
from cspdet.layers.window import Window, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Crop(Layer, names=("crop",), known_to=("alexeyab", "pjreddie")):
    """The centre of the image, its values stretched from 0 … 1 to -1 … 1. In training, a random crop.

    Source: `crop_layer.c`.
    """

    crop_height: int = option(1, "height of the crop", at_least=1, at_most=LARGEST_SIDE)
    crop_width: int = option(1, "width of the crop", at_least=1, at_most=LARGEST_SIDE)
    noadjust: bool = option(False, "leave the values as they are")
    shift: float = option(0.0, "largest shift", training=True)
    flip: bool = option(False, "mirror half of the images", training=True)
    angle: float = option(0.0, "largest rotation in degrees", training=True)
    saturation: float = option(1.0, "largest factor on the saturation", training=True)
    exposure: float = option(1.0, "largest factor on the brightness", training=True)

    def check(self, x: Shape) -> Iterator[Problem]:
        """An image at least as large as the crop."""
        for name, wanted, there in (
            ("crop_height", self.crop_height, x.height),
            ("crop_width", self.crop_width, x.width),
        ):
            if wanted > there:
                message = f"`{name}={wanted}` is more than the {there} pixels there are"
                yield Problem("crop-size", name, message, "make the network's input larger, or the crop smaller")

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C, crop_height, crop_width)."""
        return Shape(x.channels, self.crop_height, self.crop_width)

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """The row and the column of a map where the crop begins."""
        return (height - self.crop_height) // 2, (width - self.crop_width) // 2

    def reach(self, x: Shape) -> tuple[Windows]:
        """One pixel, so far from the upper left."""
        top, left = self.corner(x.height, x.width)
        return ((Window(1, top, top), Window(1, left, left)),)

    def passes_on(self, x: Shape) -> bool:
        """Where the values stay as they are."""
        return self.noadjust

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A part."""
        top, left = self.corner(*x.dimensions[1:])
        x = build.part(build.part(x, top, top + self.crop_height, 1), left, left + self.crop_width, 2)
        return x if self.noadjust else build.affine(x, 2, -1)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, crop_height, crop_width)."""
        top, left = self.corner(*x.shape[2:])
        x = x[:, :, top : top + self.crop_height, left : left + self.crop_width]
        return x if self.noadjust else x * 2 - 1
