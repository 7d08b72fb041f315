"""The [partial_split] section, which is cspdet's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, OneSource, Problem, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class PartialSplit(Layer, names=("partial_split",), known_to=("cspdet",)):
    """One part of the channels, split at any ratio: the base feature map x0 = [x0', x0''] of a cross stage partial network.

    `[route] groups=` splits into equal parts only. Of C channels, part 0 has the first round(ratio C), part 1 the rest.
    Source: CSPNet, 1911.11929, section 3.1.
    """

    ratio: float = option(0.5, "share of the channels in part 0", at_least=0, at_most=1)
    part: int = option(0, "which part to keep, 0 or 1", at_least=0, at_most=1)
    from_: OneSource = option(OneSource((-1,)), "layer to split: relative if negative, else counted from the first")

    def sources(self) -> tuple[int, ...]:
        """The layer of `from`, by default the one before."""
        return self.from_.resolve(self.index)

    def first(self, channels: int) -> int:
        """Channels in part 0."""
        return int(self.ratio * channels + 0.5)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Two parts with a channel each."""
        if not 0 < self.first(x.channels) < x.channels:
            message = f"`ratio={self.ratio:g}` of {x.channels} channels leaves a part without any"
            yield Problem("empty-part", "ratio", message, "choose a ratio that leaves both parts a channel")

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C', H, W)."""
        first = self.first(x.channels)
        return Shape(x.channels - first if self.part else first, x.height, x.width)

    def passes_on(self, x: Shape) -> bool:
        """Always."""
        return True

    def columns(self) -> tuple[str, str]:
        """Ratio and part."""
        return " ".join(map(str, self.sources())), f"{self.ratio:g} part {self.part}"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A part."""
        first = self.first(x.channels)
        return build.part(x, first, x.channels) if self.part else build.part(x, 0, first)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H, W)."""
        first = self.first(x.shape[1])
        return x[:, first:] if self.part else x[:, :first]
