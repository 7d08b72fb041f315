"""The [connected] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Array, Layer, Problem, Shape, option
from cspdet.layers.block import Dense
from cspdet.layers.option import LARGEST_COUNT
from cspdet.layers.window import Windows, everywhere

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Connected(Layer, names=("connected", "conn")):
    """A fully connected layer: every output sums over every input. Images are flattened, channel by channel.

    Source: `connected_layer.c`.
    """

    reads_images = False

    skips_scales = True

    output: int = option(1, "number of outputs", at_least=1, at_most=LARGEST_COUNT)
    activation: str = option("logistic", "applied last", choices=ACTIVATIONS, fallback="relu")
    batch_normalize: bool = option(False, "normalise the output")

    def check(self, x: Shape) -> Iterator[Problem]:
        """Only the activation can be wrong."""
        yield from foreign(self.activation, self.dialect)

    def shape(self, x: Shape) -> Shape:
        """Any → an image of one pixel, so that a convolution may follow."""
        return Shape(self.output, 1, 1)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The whole map."""
        return (everywhere(x),)

    def block(self, x: Shape) -> Dense:
        """The matrix product."""
        return Dense(x.size, self.output, self.batch_normalize)

    def arrays(self, x: Shape) -> dict[str, Array]:
        """Biases, weights, then the statistics."""
        return self.block(x).arrays()

    def columns(self) -> tuple[str, str]:
        """Outputs."""
        return f"{self.output}", ""

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A matrix product and its activation."""
        x = build.reshape(x, -1)
        x = Dense(x.channels, self.output, self.batch_normalize).lower(build, arrays, x, self.dialect)
        return build.activate(self.activation, build.reshape(x, self.output, 1, 1))

    def parts(self, x: Shape) -> Parts:
        """`linear`, and `norm` if normalised."""
        return dict(self.block(x).parts(self.dialect))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, output, 1, 1)."""
        from cspdet.layers.functional import activate

        x = x.flatten(1)
        x = Dense(x.shape[1], self.output, self.batch_normalize).apply(parts, x, self.dialect)
        return activate(self.activation, x[:, :, None, None], fresh=True)
