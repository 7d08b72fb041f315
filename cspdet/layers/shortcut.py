"""The [shortcut] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import REQUIRED, Array, Layer, Problem, Shape, Sources, option
from cspdet.layers.option import NOT_PJREDDIE
from cspdet.layers.window import POINT, Window, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

# Keeps the weights' sum away from 0 (`network.c:fuse_conv_batchnorm`).
_SMALLEST_SUM = 1e-4
_SMALLEST_WEIGHT = 1e-3


class Shortcut(Layer, names=("shortcut",)):
    """The layer before plus others, then an activation: a residual connection.

    Of maps with more or fewer channels, as many are added as both have. With `weights_type`, every summand has a learnt weight,
    the layer before first. Source: `shortcut_layer.c`, `blas.c:shortcut_multilayer_cpu`.

    Maps of other sizes: AlexeyAB's Darknet stops; pjreddie's adds every n-th pixel of a larger map, or adds a smaller one
    to every n-th pixel, which old ResNet cfgs rely on (`blas.c:shortcut_cpu`). So do we.

    Normalised weights: `detector test` folds them first, and takes a weight below .001 for .001 then (`lrelu`); so do we,
    except in training, where a negative weight counts as 0.
    """

    from_: Sources = option(REQUIRED, "layers to add: relative if negative, else counted from the first")
    activation: str = option("linear", "applied last", choices=ACTIVATIONS, fallback="relu")
    weights_type: str = option(
        "none",
        "learnt weights: one per summand, or one per summand and channel",
        choices=("none", "per_feature", "per_layer", "per_channel"),
        known_to=NOT_PJREDDIE,
    )
    weights_normalization: str = option(
        "none",
        "how the weights are made to sum to 1",
        choices=("none", "relu", "avg_relu", "softmax"),
        known_to=NOT_PJREDDIE,
    )
    alpha: float = option(1.0, "factor on the layer before", known_to=("pjreddie",))
    beta: float = option(1.0, "factor on the added layer", known_to=("pjreddie",))
    assisted_excitation: float = option(0.0, "excite the channels where objects are", training=True)

    def sources(self) -> tuple[int, ...]:
        """The layer before, then those of `from`."""
        return (self.index - 1, *self.added())

    def added(self) -> tuple[int, ...]:
        """The layers of `from`; pjreddie's Darknet reads one (`atoi`)."""
        found = self.from_.resolve(self.index)
        return found[:1] if self.dialect.name == "pjreddie" else found

    def check(self, x: Shape, *others: Shape) -> Iterator[Problem]:
        """Sizes that match, or are whole multiples of each other."""
        yield from foreign(self.activation, self.dialect)
        if len(others) < len(self.from_.resolve(self.index)):
            message = "`from` names several layers, but pjreddie's Darknet reads one"
            yield Problem("foreign-option", "from", message, "name one, or leave out `--dialect pjreddie`", "warning")
        for source, other in zip(self.added(), others, strict=True):
            if (x.width, x.height) != (other.width, other.height):
                yield from self._check_sizes(x, other, source)
        if self.weights_type != "none" and self.weights_normalization == "none":
            yield Problem(
                "weights-normalization",
                "weights_type",
                "`weights_type` without `weights_normalization`",
                "add `weights_normalization=softmax` or `relu`",
                "warning",
                "AlexeyAB's Darknet refuses to load the file",
            )

    def _check_sizes(self, x: Shape, other: Shape, source: int) -> Iterator[Problem]:
        place = ((source, None, f"puts out {other}"),)
        if steps(x.width, other.width) != steps(x.height, other.height):
            message = f"a {other.width}x{other.height} map cannot be added to one of {x.width}x{x.height}"
            yield Problem(
                "shortcut-size",
                "from",
                message,
                "name a layer of the same width and height",
                "error",
                "no Darknet adds such maps",
                place,
            )
        elif self.dialect.name != "pjreddie":
            message = f"a {other.width}x{other.height} map is added to one of {x.width}x{x.height}"
            step = max(steps(x.width, other.width))
            which = f"pixel 1 of {step}" if step > 1 else "the upper left part"
            rule = f"{which} is added" if other.width > x.width else f"it is added to {which}"
            yield Problem(
                "shortcut-size",
                "from",
                message,
                "name a layer of the same size, or say `--dialect pjreddie`",
                "warning",
                f"AlexeyAB's Darknet stops here; as at pjreddie, {rule}",
                place,
            )

    def shape(self, x: Shape, *others: Shape) -> Shape:
        """What the layer before puts out."""
        return x

    def reach(self, x: Shape, *others: Shape) -> tuple[Windows, ...]:
        """The same pixel; in maps of other sizes, every n-th, or one for every n-th."""
        return (POINT, *((_window(x.height, each.height), _window(x.width, each.width)) for each in others))

    def operations(self, x: Shape, *others: Shape) -> float:
        """One for each number added, two if weighted."""
        return x.size * len(others) * (1 if self.weights_type == "none" else 2)

    def arrays(self, x: Shape, *others: Shape) -> dict[str, Array]:
        """(summands,) or (summands, channels)."""
        if self.weights_type == "none":
            return {}
        channels = (x.channels,) if self.weights_type == "per_channel" else ()
        return {"weight": Array((len(others) + 1, *channels), "shortcut_weights")}

    def columns(self) -> tuple[str, str]:
        """The layers added."""
        return " ".join(map(str, self.added())), ""

    def lower(self, build: Builder, arrays: Arrays, x: Value, *others: Value) -> Value:
        """Sums, with weights where there are some."""
        weights = self._folded_weights(arrays["weight"]) if self.weights_type != "none" else None
        total = x if weights is None else build.combine("multiply", x, build.constant(weights[0]))
        for number, other in enumerate(others, 1):
            term = other
            if weights is not None:
                term = build.part(other, 0, min(x.channels, other.channels))
                weight = weights[number]
                term = build.combine("multiply", term, build.constant(weight if len(weight) == 1 else weight[: term.channels]))
            total = self._sum(build, total, term)
        return build.activate(self.activation, total)

    def parts(self, *inputs: Shape) -> Parts:
        """`weight`, if there are weights."""
        import torch
        from torch import nn

        return {name: nn.Parameter(torch.empty(array.shape)) for name, array in self.arrays(*inputs).items()}

    def forward(self, parts: Any, x: Tensor, *others: Tensor) -> Tensor:
        """(N, C, H, W) each → (N, C, H, W)."""
        from cspdet.layers.functional import activate

        weights = self._weights(parts) if self.weights_type != "none" else None
        # Layers of one size are the rule; for them, nothing but sums is computed.
        total = x if weights is None else x * weights[0]
        for number, other in enumerate(others, 1):
            term = other if weights is None else other[:, : x.shape[1]] * _cut(weights[number], other.shape[1])
            total = self._added(total, term)
        return activate(self.activation, total, fresh=bool(others))

    def _sum(self, build: Builder, total: Value, term: Value) -> Value:
        """As `_added` has it, for programs."""
        import numpy as np

        alpha, beta = (self.alpha, self.beta) if self.dialect.name == "pjreddie" else (1.0, 1.0)
        if total.dimensions == term.dimensions:
            return build.combine("add", build.affine(total, alpha, 0), build.affine(term, beta, 0))
        (channels, height, width), (_, _, other) = total.dimensions, term.dimensions
        stride, sample = max(1, other // width), max(1, width // other)
        term = build.part(term, 0, min(channels, term.channels))
        for axis, side in ((1, height), (2, width)):
            stop = min(term.dimensions[axis], stride * min(side, term.dimensions[axis]))
            term = build.part(term, 0, stop, axis, stride)
        kept, rows, columns = term.dimensions
        factor = np.ones(total.dimensions, np.float32)
        factor[:kept, : rows * sample : sample, : columns * sample : sample] = alpha
        # Pixels of a smaller map come to lie apart, with zeros between them.
        more = sample - 1
        apart = build.pad(build.reshape(term, kept, rows, 1, columns, 1), (0,) * 5, (0, 0, more, 0, more))
        spread = build.reshape(apart, kept, rows * sample, columns * sample)
        spread = build.part(build.part(spread, 0, min(height, rows * sample), 1), 0, min(width, columns * sample), 2)
        missing = tuple(a - b for a, b in zip(total.dimensions, spread.dimensions, strict=True))
        spread = build.pad(build.affine(spread, beta, 0), (0, 0, 0), missing)
        total = total if alpha == 1 else build.combine("multiply", total, build.constant(factor))
        return build.combine("add", total, spread)

    def _folded_weights(self, weight: Any) -> Any:
        """As `_weights` has them at inference, each (1, 1, 1) or (channels, 1, 1)."""
        import numpy as np

        if self.weights_normalization == "softmax":
            weight = np.exp(weight - weight.max(0))
        elif self.weights_normalization != "none":
            weight = weight.clip(min=_SMALLEST_WEIGHT)
        if self.weights_normalization != "none":
            weight = weight / (_SMALLEST_SUM + weight.sum(0))
        return weight.reshape(len(weight), -1, 1, 1)

    def _added(self, total: Tensor, term: Tensor) -> Tensor:
        alpha, beta = (self.alpha, self.beta) if self.dialect.name == "pjreddie" else (1.0, 1.0)
        if total.shape == term.shape:
            return total + term if alpha == beta == 1 else alpha * total + beta * term
        (_, c, h, w), (_, channels, height, width) = total.shape, term.shape
        stride, sample = max(1, width // w), max(1, w // width)
        rows, columns, c = min(h, height), min(w, width), min(c, channels)
        term = term[:, :c, ::stride, ::stride][:, :, :rows, :columns]
        total = total.clone()
        place = total[:, :c, ::sample, ::sample][:, :, :rows, :columns]
        place.copy_(alpha * place + beta * term)
        return total

    def _weights(self, parts: Any) -> Tensor:
        """One weight for each summand, to be multiplied with (N, C, H, W)."""
        weight = parts.weight
        if self.weights_normalization == "softmax":
            weight = (weight - weight.amax(0)).exp()
        elif self.weights_normalization != "none":
            weight = weight.relu() if parts.training else weight.clamp(min=_SMALLEST_WEIGHT)
        if self.weights_normalization != "none":
            weight = weight / (_SMALLEST_SUM + weight.sum(0))
        return weight.view(weight.shape[0], -1, 1, 1)  # type: ignore[no-any-return]


def steps(size: int, other: int) -> tuple[int, int]:
    """Step through a larger map, and through the output for a smaller one, as Darknet's integer division has them."""
    return other // size, size // other


def _window(size: int, other: int) -> Window:
    larger, smaller = steps(size, other)
    return Window(max(1, larger), 0, 0, max(1, smaller))


def _cut(weight: Tensor, channels: int) -> Tensor:
    return weight if weight.shape[0] == 1 else weight[:channels]
