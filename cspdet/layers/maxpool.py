"""The [maxpool] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Problem, Shape, option
from cspdet.layers.convolutional import ANTIALIASED_SIZE, blurred, blurred_windows
from cspdet.layers.option import LARGEST_COUNT, NOT_PJREDDIE
from cspdet.layers.pooling import Pooling
from cspdet.layers.window import POINT, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Maxpool(Pooling, names=("maxpool", "max")):
    """The largest value under the window.

    With `maxpool_depth` it is taken over channels instead: of `out_channels` outputs, number g is the largest of the inputs
    g, g + out_channels, … With `antialiasing` the window moves by 1 and a fixed blur follows with the real stride.
    AlexeyAB's AVX code misses left neighbours where stride is 1 and the map wide; this is its plain C and GPU code.
    Source: `maxpool_layer.c`.
    """

    maxpool_depth: bool = option(False, "take the maximum over channels instead", known_to=NOT_PJREDDIE)
    out_channels: int = option(
        1, "number of output channels, with `maxpool_depth`", at_least=1, at_most=LARGEST_COUNT, known_to=NOT_PJREDDIE
    )
    antialiasing: int = option(0, "blur while striding: 1 with 3x3, 2 with 2x2 pixels", at_least=0, known_to=NOT_PJREDDIE)
    maxpool_zero_nonmax: bool = option(False, "zero the other inputs in the backward pass", training=True)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Also: channels enough for `out_channels`."""
        yield from super().check(x)
        if self.maxpool_depth and self.out_channels > x.channels:
            message = f"`out_channels={self.out_channels}` of only {x.channels} input channels"
            yield Problem("out-channels", "out_channels", message, f"use at most {x.channels}")
        if self.antialiasing and not self.maxpool_depth:
            yield ANTIALIASED_SIZE

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (C, H', W'), or (out_channels, H, W)."""
        if self.maxpool_depth:
            return Shape(self.out_channels, x.height, x.width)
        pooled = self.pooled(x, self.window_steps)
        return blurred(pooled, self.antialiasing, self.strides) if self.antialiasing else pooled

    @property
    def window_steps(self) -> tuple[int, int]:
        """1 where the blur strides."""
        return (1, 1) if self.antialiasing else self.strides

    def listed_shape(self, x: Shape) -> Shape:
        """The size before the blur."""
        return self.shape(x) if self.maxpool_depth else self.pooled(x, self.window_steps)

    def reduction(self) -> tuple[float, float]:
        """The strides; none over channels."""
        return (1, 1) if self.maxpool_depth else self.strides

    def reach(self, x: Shape) -> tuple[Windows]:
        """Also: none over channels, and that of the blur."""
        if self.maxpool_depth:
            return (POINT,)
        own = super().reach(x)[0]
        return (blurred_windows(own, self.antialiasing, self.strides) if self.antialiasing else own,)

    def operations(self, x: Shape) -> float:
        """One for each pixel under the window, of the input's channels even where the output has fewer."""
        out = self.listed_shape(x)
        return self.window**2 * x.channels * out.height * out.width

    def places(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H', W'): which pixel each window takes, counted row by row; of equal ones the first."""
        from torch.nn.functional import max_pool2d

        height, width = x.shape[2:]
        x, padding = self.windows(x, self.window_steps, float("-inf"))
        found = max_pool2d(x, self.window, self.window_steps, padding, return_indices=True)[1]
        # They are counted on the map as `windows` made it, which begins with so many pixels of padding.
        before = self.total_padding // 2 - padding[0]
        # A window may take its padding where nothing on the map is larger than minus infinity.
        row = (found // x.shape[3] - before).clamp(0, height - 1)
        column = (found % x.shape[3] - before).clamp(0, width - 1)
        return row * width + column

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A pooling; over channels, one of parts of them."""
        import numpy as np

        from cspdet.layers.folding import blurred_value

        if self.maxpool_depth:
            channels, height, width = x.dimensions
            x = build.pad(x, (0, 0, 0), (-channels % self.out_channels, 0, 0), float(np.finfo(np.float32).min))
            x = build.reduce(build.reshape(x, -1, self.out_channels, height, width), "maximum", 0)
            return build.reshape(x, self.out_channels, height, width)
        x = build.pool(
            x, "maximum", (self.window, self.window), self.window_steps, self.border(x.dimensions, self.window_steps)
        )
        return blurred_value(build, x, self.antialiasing, self.strides) if self.antialiasing else x

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        from torch.nn.functional import max_pool2d, pad

        from cspdet.layers.functional import blur

        if self.maxpool_depth:
            missing = -x.shape[1] % self.out_channels  # the last round may not reach all outputs
            rounds = pad(x, (0, 0, 0, 0, 0, missing), value=float("-inf")) if missing else x
            return rounds.reshape(x.shape[0], -1, self.out_channels, *x.shape[2:]).amax(1)
        x, padding = self.windows(x, self.window_steps, float("-inf"))
        x = max_pool2d(x, self.window, self.window_steps, padding)
        return blur(x, self.antialiasing, self.strides) if self.antialiasing else x
