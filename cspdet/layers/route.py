"""The [route] section, and the PyTorch forks' [route_lhalf]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import REQUIRED, Layer, Problem, Shape, Sources, option
from cspdet.layers.option import NOT_PJREDDIE
from cspdet.layers.window import POINT, Windows, everywhere

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Route(Layer, names=("route",)):
    """The channels of other layers, side by side; with `groups`, one group of each.

    Maps of different sizes are strung together as a vector, which Darknet does with no more than a remark.
    Source: `parser.c:parse_route`, `route_layer.c`.
    """

    reads_images = False

    layers: Sources = option(REQUIRED, "layers to read: relative if negative, else counted from the first")
    groups: int = option(1, "equal parts that the channels of each layer are split into", at_least=1, known_to=NOT_PJREDDIE)
    group_id: int = option(0, "which part to keep, counted from 0", at_least=0, known_to=NOT_PJREDDIE)
    stream: int = option(-1, "CUDA stream", training=True)
    wait_stream: int = option(-1, "CUDA stream to wait for", training=True)

    def sources(self) -> tuple[int, ...]:
        """The layers of `layers`."""
        return self.layers.resolve(self.index)

    def check(self, *inputs: Shape) -> Iterator[Problem]:
        """Groups that exist and divide; a remark on sizes that differ."""
        if self.group_id >= self.groups:
            message = f"group {self.group_id} of {self.groups}: they are counted from 0"
            yield Problem(
                "group-range",
                "group_id" if "group_id" in self.given else "groups",
                message,
                f"use `group_id={self.groups - 1}` for the last one",
            )
        for source, x in zip(self.sources(), inputs, strict=True):
            if x.channels % self.groups:
                message = f"the {x.channels} channels of layer {source} do not divide into {self.groups} groups"
                yield Problem("groups-divide", "groups", message, "use a divisor of the number of channels")
        yield from _check_sizes("layers", self.sources(), inputs)

    def shape(self, *inputs: Shape) -> Shape:
        """(C, H, W) each → (sum of C / groups, H, W)."""
        return _joined([x._replace(channels=x.channels // self.groups) for x in inputs])

    def reach(self, *inputs: Shape) -> tuple[Windows, ...]:
        """The same pixel, or anywhere in maps that are strung together."""
        return _windows(inputs)

    def passes_on(self, *inputs: Shape) -> bool:
        """One layer, or a part of it, is handed on as it is."""
        return len(inputs) == 1

    def columns(self) -> tuple[str, str]:
        """Layers and group."""
        return " ".join(map(str, self.sources())), f"{self.group_id}/{self.groups}" if self.groups > 1 else ""

    def lower(self, build: Builder, arrays: Arrays, *inputs: Value) -> Value:
        """Parts side by side."""
        if self.groups > 1:
            inputs = tuple(_group(build, x, self.groups, self.group_id) for x in inputs)
        return _joined_values(build, inputs)

    def forward(self, parts: Any, *inputs: Tensor) -> Tensor:
        """(N, C, H, W) each → (N, sum of C / groups, H, W)."""
        if self.groups > 1:
            inputs = tuple(x.chunk(self.groups, 1)[self.group_id] for x in inputs)
        return _concatenated(inputs)


class RouteLhalf(Layer, names=("route_lhalf",), known_to=("pytorch",)):
    """The first half of the channels of other layers, side by side. What `[route] groups=2 group_id=0` is elsewhere.

    Source: WongKinYiu's `utils/layers.py:FeatureConcat_l`.
    """

    reads_images = False

    layers: Sources = option(REQUIRED, "layers to read: relative if negative, else counted from the first")

    def sources(self) -> tuple[int, ...]:
        """The layers of `layers`."""
        return self.layers.resolve(self.index)

    def check(self, *inputs: Shape) -> Iterator[Problem]:
        """Channels to halve, and equal sizes."""
        for source, x in zip(self.sources(), inputs, strict=True):
            if x.channels < 2:
                yield Problem("groups-divide", "layers", f"the one channel of layer {source} has no half")
        yield from _check_sizes("layers", self.sources(), inputs)

    def shape(self, *inputs: Shape) -> Shape:
        """(C, H, W) each → (sum of C / 2, H, W)."""
        return _joined([x._replace(channels=x.channels // 2) for x in inputs])

    def reach(self, *inputs: Shape) -> tuple[Windows, ...]:
        """The same pixel, or anywhere in maps that are strung together."""
        return _windows(inputs)

    def passes_on(self, *inputs: Shape) -> bool:
        """One layer, or a part of it, is handed on as it is."""
        return len(inputs) == 1

    def columns(self) -> tuple[str, str]:
        """Layers."""
        return " ".join(map(str, self.sources())), "first half"

    def lower(self, build: Builder, arrays: Arrays, *inputs: Value) -> Value:
        """Parts side by side."""
        return _joined_values(build, [build.part(x, 0, x.channels // 2) for x in inputs])

    def forward(self, parts: Any, *inputs: Tensor) -> Tensor:
        """(N, C, H, W) each → (N, sum of C / 2, H, W)."""
        return _concatenated(tuple(x[:, : x.shape[1] // 2] for x in inputs))


def _alike(inputs: list[Shape]) -> bool:
    return len({(x.height, x.width, x.image) for x in inputs}) == 1


def _joined(inputs: list[Shape]) -> Shape:
    if _alike(inputs):
        return inputs[0]._replace(channels=sum(x.channels for x in inputs))
    return Shape.vector(sum(x.size for x in inputs))


def _windows(inputs: tuple[Shape, ...]) -> tuple[Windows, ...]:
    return tuple(POINT if _alike([*inputs]) else everywhere(x) for x in inputs)


def _concatenated(inputs: tuple[Tensor, ...]) -> Tensor:
    import torch

    if len(inputs) == 1:
        return inputs[0]
    if any(x.shape[2:] != inputs[0].shape[2:] for x in inputs):
        return torch.cat([x.flatten(1) for x in inputs], 1)
    return torch.cat(inputs, 1)


def _group(build: Builder, x: Value, groups: int, number: int) -> Value:
    size = x.channels // groups
    return build.part(x, number * size, (number + 1) * size)


def _joined_values(build: Builder, inputs: Sequence[Value]) -> Value:
    if any(x.dimensions[1:] != inputs[0].dimensions[1:] for x in inputs):
        return build.join([build.reshape(x, -1) for x in inputs])
    return build.join(inputs)


def _check_sizes(name: str, sources: tuple[int, ...], inputs: tuple[Shape, ...]) -> Iterator[Problem]:
    if not _alike([*inputs]):
        sizes = ", ".join(f"{x.width}x{x.height}" for x in inputs[:8]) + (", …" if len(inputs) > 8 else "")
        places = tuple((source, None, f"puts out {x}") for source, x in zip(sources[:8], inputs, strict=False))
        yield Problem(
            "route-size",
            name,
            f"maps of different sizes are joined: {sizes}",
            "name layers of the same width and height",
            "warning",
            "the output is a vector without width and height, of no use to a convolution",
            places,
        )
