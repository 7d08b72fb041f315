"""The [history] section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Shape, option

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class History(Layer, names=("history",), known_to=("alexeyab",)):
    """The last frames of a sequence, side by side.

    One call is one step, and then Darknet keeps nothing: the layer puts out the frame, and zeros for the others.
    Source: `conv_lstm_layer.c:forward_history_layer`.
    """

    history_size: int = option(4, "number of frames", at_least=1, at_most=1000)

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (history_size C, H, W)."""
        return x._replace(channels=self.history_size * x.channels)

    def columns(self) -> tuple[str, str]:
        """Number of frames."""
        return f"{self.history_size}", ""

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Zeros behind the frame."""
        return build.pad(x, (0, 0, 0), ((self.history_size - 1) * x.channels, 0, 0))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, history_size C, H, W)."""
        from torch.nn.functional import pad

        return pad(x, (0, 0, 0, 0, 0, (self.history_size - 1) * x.shape[1]))
