"""The [implicit] section, and the PyTorch forks' [implicit_add], [implicit_mul] and [implicit_cat]: learnt constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Array, Layer, Shape, option
from cspdet.layers.option import LARGEST_COUNT

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Constant(Layer):
    """A learnt constant. Of the layer before, only the number of images is read."""

    reads_images = False

    filters: int = option(128, "number of channels", at_least=1, at_most=LARGEST_COUNT)

    @property
    def rows(self) -> int:
        """Numbers per channel."""
        return 1

    @property
    def initial(self) -> tuple[float, float]:
        """Mean and deviation of the initial values."""
        return 0.0, 0.02

    def shape(self, x: Shape) -> Shape:
        """Any → (filters, rows, 1)."""
        return Shape(self.filters, self.rows, 1)

    def reach(self, x: Shape) -> tuple[None]:
        """Nothing."""
        return (None,)

    def arrays(self, x: Shape) -> dict[str, Array]:
        """The constant."""
        return {"weight": Array(self.shape(x).dimensions, "implicit_weights", initial=self.initial)}

    def columns(self) -> tuple[str, str]:
        """Channels."""
        return f"{self.filters}", ""

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """Numbers that are there already, for every image of the batch: they take it from zeros of the input."""
        zero = build.zeros(build.part(build.reshape(x, -1, 1, 1), 0, 1))
        return build.combine("add", zero, build.constant(arrays["weight"]))

    def parts(self, x: Shape) -> Parts:
        """`weight`."""
        import torch
        from torch import nn

        return {"weight": nn.Parameter(torch.empty(self.shape(x).dimensions))}

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """Any → (N, filters, rows, 1)."""
        return parts.weight.expand(x.shape[0], -1, -1, -1)  # type: ignore[no-any-return]


class Implicit(Constant, names=("implicit",), known_to=("alexeyab",)):
    """A learnt constant of `filters` x `atoms` numbers; what lies before it is not read.

    Source: `representation_layer.c:make_implicit_layer`; YOLOR, 2105.04206.
    """

    atoms: int = option(1, "numbers per channel", at_least=1, at_most=LARGEST_COUNT)
    mean: float = option(0.0, "mean of the initial values", training=True)
    std: float = option(0.2, "deviation of the initial values", training=True)

    @property
    def rows(self) -> int:
        """Numbers per channel."""
        return self.atoms

    @property
    def initial(self) -> tuple[float, float]:
        """As given; Darknet multiplies a random number of either sign with the deviation."""
        return self.mean, abs(self.std)


class ImplicitAdd(Constant, names=("implicit_add",), known_to=("pytorch",)):
    """A learnt constant, to be added by [shift_channels].

    The forks' own writer leaves the three `implicit_…` constants out of `.weights` files. Ours stores them in their layer's
    place, and a file without them is recognised. Source: WongKinYiu's `utils/layers.py:ImplicitA`.
    """


class ImplicitMul(Constant, names=("implicit_mul",), known_to=("pytorch",)):
    """A learnt constant, to be multiplied with by [control_channels]. Source: WongKinYiu's `utils/layers.py:ImplicitM`."""

    @property
    def initial(self) -> tuple[float, float]:
        """Around 1."""
        return 1.0, 0.02


class ImplicitCat(Constant, names=("implicit_cat",), known_to=("pytorch",)):
    """A learnt constant, to be put beside other channels. Source: WongKinYiu's `utils/layers.py:ImplicitC`."""
