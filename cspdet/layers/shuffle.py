"""The [shuffle] section, which is cspdet's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import REQUIRED, Layer, Problem, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Shuffle(Layer, names=("shuffle",), known_to=("cspdet",)):
    """The channels of all groups in turn, so that each group of the next convolution sees some of every group of the last.

    Of C channels in g groups of n, output channel k g + i is the input's i n + k: the first of each group, then the second.
    Source: ShuffleNet, 1707.01083, section 3.1.
    """

    groups: int = option(REQUIRED, "groups of channels, as of the convolution before", at_least=1)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Groups that divide the channels."""
        if x.channels % self.groups:
            message = f"{x.channels} channels do not divide into {self.groups} groups"
            yield Problem("groups-divide", "groups", message, "use a divisor of the number of channels")

    def columns(self) -> tuple[str, str]:
        """Groups."""
        return "", f"{self.groups} groups"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Other dimensions, in another order."""
        c, h, w = x.dimensions
        groups = build.transpose(build.reshape(x, self.groups, c // self.groups, h, w), 1, 0, 2, 3)
        return build.reshape(groups, c, h, w)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        n, c, h, w = x.shape
        return x.reshape(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)
