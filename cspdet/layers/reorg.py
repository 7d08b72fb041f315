"""The [reorg] and [reorg3d] sections: squares of pixels become channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, option
from cspdet.layers.option import LARGEST_SIDE
from cspdet.layers.window import Window, Windows, everywhere

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class _Squares(Layer):
    """Squares of pixels that become channels, or the other way round."""

    stride: int
    reverse: bool

    def reduction(self) -> tuple[float, float]:
        """The side of the square, or its inverse."""
        factor = 1 / self.stride if self.reverse else self.stride
        return factor, factor

    def columns(self) -> tuple[str, str]:
        """Stride."""
        return "", f"/ {self.stride}"


class Reorg(_Squares, names=("reorg",), known_to=("alexeyab", "pjreddie", "pytorch")):
    """YOLOv2's reorganisation, in its historic order.

    The index arithmetic was written for the opposite direction, so squares of pixels do not simply become channels: the map is
    read as channels / stride² maps of stride times the size. `reverse` is a true depth-to-space. The weights of YOLOv2 were
    trained with this order. Source: `reorg_old_layer.c`; pjreddie's `reorg_layer.c`.
    """

    stride: int = option(1, "side of the square", at_least=1, at_most=LARGEST_SIDE)
    reverse: bool = option(False, "channels become squares of pixels")
    flatten: bool = option(False, "exchange channels and pixels instead", known_to=("pjreddie",))
    extra: int = option(0, "copy the map as a vector, with this many zeros behind it", at_least=0, known_to=("pjreddie",))

    def check(self, x: Shape) -> Iterator[Problem]:
        """Sizes that the stride divides, and a stride that does something."""
        if not self.extra:
            yield from divides(x, self.stride, self.reverse)
            if not self.flatten and self.stride == 1:
                message = "a `[reorg]` with a stride of 1 puts out what it reads"
                consequence = "in the PyTorch forks, one without a stride makes four channels of each, of half the size"
                cure = "write `[reorg3d]` with `stride=2` for cfgs of YOLOR and YOLOv7, or leave it out"
                yield Problem("reorg-idle", "stride", message, cure, "warning", consequence)
            if not self.flatten and not self.reverse and x.channels % self.stride**2:
                message = f"{x.channels} channels do not divide into squares of {self.stride}x{self.stride}"
                yield Problem(
                    "reorg-divide",
                    "stride",
                    message,
                    "use `[reorg3d]`, which takes any number of channels",
                    "error",
                    "Darknet's historic order reads past the map",
                )

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C s², H / s, W / s), or the other way round."""
        return Shape.vector(x.size + self.extra) if self.extra else reorganised(x, self.stride, self.reverse)

    def reach(self, x: Shape) -> tuple[Windows]:
        """A pixel becomes a square with `reverse`; the other orders move numbers to anywhere in the map."""
        if not self.reverse or self.extra or self.flatten:
            return (everywhere(x),)
        own = Window(1, 1 - self.stride, 0, self.stride)
        return ((own, own),)

    def passes_on(self, x: Shape) -> bool:
        """Where the exchange is how channels-last memory lies already."""
        return self.flatten and not self.reverse and not self.extra

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Other dimensions, in another order."""
        (c, h, w), s = x.dimensions, self.stride
        if self.extra:
            return build.pad(build.reshape(x, -1), (0,), (self.extra,))
        out = reorganised(Shape(c, h, w), s, self.reverse).dimensions
        if self.flatten:
            rows = (h * w, c) if self.reverse else (c, h * w)
            return build.reshape(build.transpose(build.reshape(x, *rows), 1, 0), *out)
        if self.reverse:
            return build.reshape(build.transpose(build.reshape(x, s, s, c // (s * s), h, w), 2, 3, 0, 4, 1), *out)
        return build.reshape(build.transpose(build.reshape(x, c // (s * s), h, s, w, s), 2, 4, 0, 1, 3), *out)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C s², H / s, W / s), or the other way round."""
        from torch.nn.functional import pad

        n, c, h, w = x.shape
        s = self.stride
        if self.extra:
            return pad(x.flatten(1), (0, self.extra))
        if self.flatten:
            return (
                (x.reshape(n, h * w, c) if self.reverse else x.reshape(n, c, h * w))
                .transpose(1, 2)
                .reshape(n, *reorganised(Shape(c, h, w), s, self.reverse).dimensions)
            )
        if self.reverse:
            return x.reshape(n, s, s, c // (s * s), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (s * s), h * s, w * s)
        return x.reshape(n, c // (s * s), h, s, w, s).permute(0, 3, 5, 1, 2, 4).reshape(n, c * s * s, h // s, w // s)


class Reorg3d(_Squares, names=("reorg3d",), known_to=("alexeyab", "hank-ai")):
    """Space to depth: square by square, so output channel = place in the square x channels + channel.

    `reverse` computes what AlexeyAB's code does, which is not the inverse: it passes the output's sizes where the input's
    belong. Source: `reorg_layer.c`, `blas.c:reorg_cpu`.
    """

    stride: int = option(1, "side of the square", at_least=1, at_most=LARGEST_SIDE)
    reverse: bool = option(False, "the other direction, as AlexeyAB's code has it")

    def check(self, x: Shape) -> Iterator[Problem]:
        """Sizes that the stride divides, and no division by zero in Darknet's `reverse`."""
        found = [*divides(x, self.stride, self.reverse)]
        yield from found
        if self.reverse and not found and self.stride > 1:
            if x.channels % self.stride**4:
                message = f"`reverse=1` needs channels in multiples of {self.stride**4}, not {x.channels}"
                yield Problem(
                    "reorg3d-reverse",
                    "reverse",
                    message,
                    "use `[reorg] reverse=1`, a true depth-to-space",
                    "error",
                    "Darknet divides by zero or reads past the map",
                )
            else:
                consequence = "Darknet does not invert `[reorg3d]` here, and neither do we"
                yield Problem(
                    "reorg3d-reverse",
                    "reverse",
                    "`reverse=1` is no depth-to-space",
                    "use `[reorg] reverse=1`, a true depth-to-space",
                    "warning",
                    consequence,
                )

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C s², H / s, W / s), or the other way round."""
        return reorganised(x, self.stride, self.reverse)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The square; with `reverse`, numbers move to anywhere in the map."""
        own = Window(self.stride, 0, self.stride - 1)
        return (everywhere(x) if self.reverse else (own, own),)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Other dimensions, in another order."""
        (c, h, w), s = x.dimensions, self.stride
        out = reorganised(Shape(c, h, w), s, self.reverse).dimensions
        if not self.reverse:
            return build.reshape(build.transpose(build.reshape(x, c, h // s, s, w // s, s), 2, 4, 0, 1, 3), *out)
        scattered = build.transpose(build.reshape(x, s, s, c // s**4, h * s, w * s), 2, 3, 0, 4, 1)
        return build.reshape(scattered, *out)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C s², H / s, W / s), or the other way round."""
        n, c, h, w = x.shape
        s = self.stride
        if not self.reverse:
            return x.reshape(n, c, h // s, s, w // s, s).permute(0, 3, 5, 1, 2, 4).reshape(n, c * s * s, h // s, w // s)
        # `reorg_cpu` scatters C / s² maps of the output's size (H s, W s) into maps s times larger still, of which there are
        # s² times fewer, and the result is read as C / s² maps of (H s, W s) again.
        channels, inner = c // (s * s), c // s**4
        scattered = x.reshape(n, s, s, inner, h * s, w * s).permute(0, 3, 4, 1, 5, 2)
        return scattered.reshape(n, channels, h * s, w * s)


def reorganised(x: Shape, stride: int, reverse: bool) -> Shape:
    """(C, H, W) → (C s², H / s, W / s), or the other way round."""
    square = stride * stride
    if reverse:
        return Shape(x.channels // square, x.height * stride, x.width * stride)
    return Shape(x.channels * square, x.height // stride, x.width // stride)


def divides(x: Shape, stride: int, reverse: bool) -> Iterator[Problem]:
    """The problem of sizes that the stride does not divide."""
    if reverse and x.channels % (stride * stride):
        message = f"{x.channels} channels do not divide into squares of {stride}x{stride}"
        yield Problem("reorg-divide", "stride", message, f"make the channels a multiple of {stride * stride}")
    if not reverse and (x.height % stride or x.width % stride):
        message = f"a {x.width}x{x.height} map does not divide into squares of {stride}x{stride}"
        yield Problem("reorg-divide", "stride", message, "make the network's input a multiple of its stride")
