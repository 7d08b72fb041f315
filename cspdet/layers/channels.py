"""The PyTorch forks' [shift_channels], [control_channels], [alternate_channels] and [select_channels]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import REQUIRED, OneSource, Problem, Shape, option
from cspdet.layers.pair import Pair
from cspdet.layers.window import POINT, Window, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class _Channels(Pair):
    """Another layer, spread over the map of the layer before, meets it."""

    from_: OneSource = option(REQUIRED, "layer to spread: relative if negative, else counted from the first")

    def check(self, x: Shape, other: Shape) -> Iterator[Problem]:
        """One number per channel, or a map of the same shape."""
        for there, wanted in zip(other[:3], x[:3], strict=True):
            if there not in (1, wanted):
                cure = f"name a layer that puts out 1x1x{x.channels}"
                yield self.mismatch("scale-shape", f"{other} cannot be spread over {x}", cure, other, "")
                return

    def shape(self, x: Shape, other: Shape) -> Shape:
        """What the layer before puts out."""
        return x

    def reach(self, x: Shape, other: Shape) -> tuple[Windows, Windows]:
        """The same pixel, or the one there is."""
        return POINT, (Window(int(other.height > 1)), Window(int(other.width > 1)))


class ShiftChannels(_Channels, names=("shift_channels",), known_to=("pytorch",)):
    """The layer before plus another's number for each channel. Source: WongKinYiu's `utils/layers.py:ShiftChannel`."""

    def lower(self, build: Builder, arrays: Arrays, x: Value, other: Value) -> Value:
        """A sum."""
        return build.combine("add", other, x)

    def forward(self, parts: Any, x: Tensor, other: Tensor) -> Tensor:
        """(N, C, H, W), (N, C, 1, 1) → (N, C, H, W)."""
        return other + x


class ControlChannels(_Channels, names=("control_channels",), known_to=("pytorch",)):
    """The layer before times another's number for each channel. Source: WongKinYiu's `utils/layers.py:ControlChannel`."""

    def lower(self, build: Builder, arrays: Arrays, x: Value, other: Value) -> Value:
        """A product."""
        return build.combine("multiply", other, x)

    def forward(self, parts: Any, x: Tensor, other: Tensor) -> Tensor:
        """(N, C, H, W), (N, C, 1, 1) → (N, C, H, W)."""
        return other * x


class SelectChannels(_Channels, names=("select_channels",), known_to=("pytorch",)):
    """The layer before times the logistic of another's number. Source: WongKinYiu's `utils/layers.py:SelectChannel`."""

    def lower(self, build: Builder, arrays: Arrays, x: Value, other: Value) -> Value:
        """A product."""
        return build.combine("multiply", build.activate("logistic", other), x)

    def forward(self, parts: Any, x: Tensor, other: Tensor) -> Tensor:
        """(N, C, H, W), (N, C, 1, 1) → (N, C, H, W)."""
        return other.sigmoid() * x


class AlternateChannels(_Channels, names=("alternate_channels",), known_to=("pytorch",)):
    """Another layer, spread over the map, and behind it the layer before.

    Source: WongKinYiu's `utils/layers.py:AlternateChannel`.
    """

    def shape(self, x: Shape, other: Shape) -> Shape:
        """(C, H, W) → (2 C, H, W)."""
        return x._replace(channels=2 * x.channels)

    def lower(self, build: Builder, arrays: Arrays, x: Value, other: Value) -> Value:
        """Two maps side by side, the first spread by a sum with zeros."""
        return build.join([build.combine("add", build.zeros(x), other), x])

    def forward(self, parts: Any, x: Tensor, other: Tensor) -> Tensor:
        """(N, C, H, W), (N, C, 1, 1) → (N, 2 C, H, W)."""
        import torch

        return torch.cat([other.expand_as(x), x], 1)
