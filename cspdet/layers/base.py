"""What a section type is: a class that declares its options, shapes, cost and arrays, and builds its part of the module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, Dialect
from cspdet.layers.option import REQUIRED, OneSource, Option, Problem, Sources, option
from cspdet.layers.window import POINT, Windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value

    # What a layer builds for its module: submodules, parameters, and tensors that become buffers outside the state_dict.
    Parts = dict[str, nn.Module | nn.Parameter | Tensor]

__all__ = ["REQUIRED", "Array", "Layer", "OneSource", "Option", "Problem", "Shape", "Sources", "option"]


class Shape(NamedTuple):
    """What one image becomes at some place of the network: channels, height and width, or a plain vector.

    Darknet gives vectors no width and height, and refuses to convolve them; `image` keeps that difference.
    """

    channels: int
    height: int = 1
    width: int = 1
    image: bool = True

    @classmethod
    def vector(cls, length: int) -> Shape:
        """A vector of `length` numbers."""
        return cls(length, 1, 1, False)

    @property
    def size(self) -> int:
        """How many numbers there are; Darknet's `outputs`."""
        return self.channels * self.height * self.width

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The dimensions of its tensor, without the batch."""
        return (self.channels, self.height, self.width) if self.image else (self.channels,)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.channels}" if self.image else f"{self.channels}"


class Array(NamedTuple):
    """One array of the `.weights` stream.

    `role` is what Darknet calls it: weights, biases, scales, rolling_mean and so on. `stored` says how the file may order its
    numbers differently from `shape`: `flipped` is the option of that name, `connected` the matrices that files of version
    1000 and later hold transposed.
    """

    shape: tuple[int, ...]
    role: str = "weights"
    stored: Literal["plain", "flipped", "connected"] = "plain"
    # Mean and deviation of the values that training starts with, where the role does not say it.
    initial: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def fan_in(self) -> int:
        """How many inputs one output sums over, of weights; it scales their initial values."""
        if self.role != "weights":
            return 1
        return prod(self.shape[-3:]) if len(self.shape) > 3 else self.shape[-1]


class Layer:
    """Base of all section types.

    A subclass names its sections (`names`, the first is the canonical one), declares its options as annotated attributes, and
    says what it does in the methods below. Everything else is derived: binding, messages, help, summary, weights, modules.
    """

    names: ClassVar[tuple[str, ...]] = ()
    # The dialects whose own program knows the section.
    known_to: ClassVar[tuple[str, ...]] = tuple(DIALECTS)
    options: ClassVar[dict[str, Option]] = {}
    # Whether every input must be an image; Darknet refuses a vector then (`Layer before … layer must output image`).
    reads_images: ClassVar[bool] = True
    # Heads turn what they read into boxes.
    is_head: ClassVar[bool] = False
    # Whether `dontloadscales` means this type: Darknet asks for it in convolutional and connected layers only.
    skips_scales: ClassVar[bool] = False

    # The options that `parse_network_cfg_custom` reads for every section.
    clip: float = option(0.0, "weights are kept within ± this", training=True)
    onlyforward: bool = option(False, "no gradient passes through this layer", training=True)
    dont_update: int = option(0, "keep these weights as they are up to this step", training=True)
    burnin_update: int = option(0, "keep these weights as they are for so many times the burn-in", training=True)
    stopbackward: int = option(0, "the backward pass ends here", training=True)
    train_only_bn: bool = option(False, "of this layer, only the statistics of batch normalisation change", training=True)
    dontload: bool = option(False, "skip this layer in the weights file: it keeps its initial weights")
    dontloadscales: bool = option(False, "read no scales, means and variances from the weights file")
    learning_rate: float = option(1.0, "factor on the net's learning rate", training=True)

    def __init_subclass__(
        cls, names: tuple[str, ...] = (), known_to: tuple[str, ...] = (), common: bool = True, **keywords: Any
    ) -> None:
        super().__init_subclass__(**keywords)
        own = [value for value in vars(cls).values() if isinstance(value, Option)]
        for each in own:
            if not isinstance(getattr(Layer, each.name, each), Option):
                raise TypeError(f"the option `{each.name}` of {cls.__name__} would hide `Layer.{each.name}`")
        declared = {each.name: each for each in own}
        inherited = {name: each for name, each in cls.options.items() if name not in declared} if common else {}
        cls.options = declared | inherited
        if names:
            cls.names = names
        if known_to:
            cls.known_to = known_to

    def __init__(self, index: int = 0, dialect: Dialect = ALEXEYAB, values: Mapping[str, Any] | None = None) -> None:
        """Layer number `index` with the given option values, by option name, and defaults for the rest."""
        self.index = index
        self.dialect = dialect
        values = values or {}
        self.given = frozenset(values)
        # Options that were given, but with a text that cannot be.
        self.refused: frozenset[str] = frozenset()
        for name, each in self.options.items():
            setattr(self, attribute(name), values.get(name, each.default))

    @property
    def is_auxiliary(self) -> bool:
        """Whether it is a head for training only, whose boxes are no detections."""
        return False

    # -- what plain text asks -----------------------------------------------------------------------------------------

    def changes(self, name: str) -> bool:
        """Whether anything else is computed with an option, as it is given, than without it."""
        default = self.options[name].default
        return default is REQUIRED or getattr(self, attribute(name)) != default

    def plain_values(self) -> dict[str, str | None]:
        """What plain text has in place of options of cspdet's own: values by option, None for those that go.

        Empty where nothing has to be rewritten, and where nothing can be.
        """
        return {}

    # -- what the graph asks ------------------------------------------------------------------------------------------
    # Most layers read one shape, some two, some any number. `Any` here lets each say in its own signature which it is.

    def look_back(self, earlier: Mapping[int, Layer]) -> None:
        """See the layers before this one, by number, without those in error. Called before anything else here is asked."""

    def sources(self) -> tuple[int, ...]:
        """The layers whose outputs this one reads, in the order of its inputs; -1 is the network's input."""
        return (self.index - 1,)

    def mentions(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The layers that options name, by option: those it reads and those it only refers to."""
        for name, each in self.options.items():
            if each.kind in ("Sources", "OneSource") and name in self.given:
                yield name, getattr(self, attribute(name)).resolve(self.index)

    def check(self, *inputs: Any, **_: Any) -> Iterator[Problem]:
        """What is wrong with the options, given what the layer reads. `shape` is asked only if there is no error.

        It is not asked either where a layer that reads images gets a vector.
        """
        yield from ()

    def shape(self, *inputs: Any, **_: Any) -> Shape:
        """What the layer puts out."""
        shape: Shape = inputs[0]
        return shape

    def listed_shape(self, *inputs: Any, **_: Any) -> Shape:
        """What Darknet's layer table shows; differs from `shape` only where Darknet's own numbers do."""
        return self.shape(*inputs)

    def reduction(self) -> tuple[float, float]:
        """How many input pixels one output pixel stands for, downwards and to the right."""
        return 1.0, 1.0

    def reach(self, *inputs: Any, **_: Any) -> tuple[Windows | None, ...]:
        """Of each input, the pixels that one output pixel is computed from; None where no value of it counts.

        What a layer remembers of the image before is no input.
        """
        return (POINT,) * len(inputs)

    def passes_on(self, *inputs: Any, **_: Any) -> bool:
        """Whether the output is part of the first input's memory at inference, and takes none of its own."""
        return False

    def operations(self, *inputs: Any, **_: Any) -> float:
        """Floating point operations for one image as Darknet counts them: a multiplication and an addition are two."""
        return 0

    def arrays(self, *inputs: Any, **_: Any) -> dict[str, Array]:
        """The layer's arrays in `.weights` order, keyed as in the module's state_dict."""
        return {}

    def stored_arrays(self, *inputs: Any, **_: Any) -> dict[str, Array]:
        """The arrays that a weights file holds: those of `arrays`, without what `dontload` and `dontloadscales` skip."""
        if self.dontload:
            return {}
        arrays = self.arrays(*inputs)
        if self.dontloadscales and self.skips_scales:
            skipped = ("scales", "rolling_mean", "rolling_variance")
            return {name: array for name, array in arrays.items() if array.role not in skipped}
        return arrays

    def columns(self) -> tuple[str, str]:
        """The `filters` and `size/strd` columns of the layer table."""
        return "", ""

    def lower(self, build: Builder, arrays: Arrays, *inputs: Any, **_: Any) -> Value:
        """Write the layer at inference as operations of a program.

        `arrays` are those of `arrays`, by the same keys. The value has the dimensions of `shape`.
        """
        raise NotImplementedError

    # -- what the network asks; torch lives in here -------------------------------------------------------------------

    def parts(self, *inputs: Any, **_: Any) -> Parts:
        """Submodules, parameters and buffers; together their state_dict has the keys and shapes of `arrays`."""
        return {}

    def forward(self, parts: Any, *inputs: Any, **_: Any) -> Tensor:
        """What Darknet's `output` of the layer holds after a forward pass. `parts` has what `parts` made, as attributes.

        Images are (N, C, H, W), vectors (N, length).
        """
        output: Tensor = inputs[0]
        return output


Layer.options = {each.name: each for each in vars(Layer).values() if isinstance(each, Option)}


def attribute(name: str) -> str:
    """The Python attribute of an option: its name, or `from_` for the word that Python keeps for itself."""
    return "from_" if name == "from" else name


def fits_kernel(x: Shape, height: int, width: int) -> Iterator[Problem]:
    """The problem of an output of `height` x `width` that has no pixel left."""
    if height < 1 or width < 1:
        message = f"nothing is left of a {x.width}x{x.height} map: the output would be {width}x{height}"
        yield Problem("empty-output", None, message, "make the network's input larger, or `size` or `stride` smaller")
