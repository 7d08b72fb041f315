"""The [convolutional] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.activation import ACTIVATIONS, foreign
from cspdet.layers.base import Array, Layer, OneSource, Problem, Shape, fits_kernel, option
from cspdet.layers.block import Convolution, check_groups, padded, width_by_height
from cspdet.layers.option import LARGEST_COUNT, LARGEST_SIDE, NOT_PJREDDIE, OWN
from cspdet.layers.window import Windows, square

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.base import Parts
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Convolutional(Layer, names=("convolutional", "conv")):
    """A 2-D convolution, then batch normalisation if asked for, then an activation.

    With `antialiasing` the convolution runs with stride 1 and a fixed blur follows with the real stride. `xnor` computes with
    the signs of inputs and weights, as `detector test` does after it has folded the batch normalisation. `rep` and `implicit`
    are forms for training, which are folded into an ordinary convolution when weights are saved.
    Source: `convolutional_layer.c`; RepVGG, 2101.03697, and YOLOv7, 2207.02696, section 4.1; YOLOR, 2105.04206.
    """

    skips_scales = True

    filters: int = option(1, "number of output channels", at_least=1, at_most=LARGEST_COUNT)
    size: int = option(1, "side of the square kernel", at_least=1, at_most=LARGEST_SIDE)
    size_x: int | None = option(
        None, "width of the kernel, if it differs from `size`", at_least=1, at_most=LARGEST_SIDE, known_to=OWN
    )
    size_y: int | None = option(
        None, "height of the kernel, if it differs from `size`", at_least=1, at_most=LARGEST_SIDE, known_to=OWN
    )
    stride: int = option(1, "step of the kernel in pixels", at_least=1, at_most=LARGEST_SIDE)
    stride_x: int | None = option(
        None, "step to the right, if it differs from `stride`", at_most=LARGEST_SIDE, known_to=NOT_PJREDDIE
    )
    stride_y: int | None = option(
        None, "step downwards, if it differs from `stride`", at_most=LARGEST_SIDE, known_to=NOT_PJREDDIE
    )
    pad: bool = option(False, "pad by size // 2 on each axis, whatever `padding` says")
    padding: int = option(0, "pixels added on every side", at_least=0, at_most=LARGEST_SIDE)
    groups: int = option(1, "groups of channels that are convolved apart; all channels for a depthwise convolution", at_least=1)
    dilation: int = option(
        1,
        "distance between the pixels under the kernel; 1 where it is 1x1",
        at_least=1,
        at_most=LARGEST_SIDE,
        known_to=NOT_PJREDDIE,
    )
    batch_normalize: int = option(0, "normalise the output instead of adding a bias; 2: across mini-batches in training")
    cbn: bool = option(False, "the same as `batch_normalize=2`", known_to=NOT_PJREDDIE)
    activation: str = option("logistic", "applied last", choices=ACTIVATIONS, fallback="relu")
    antialiasing: int = option(0, "blur while striding: 1 with 3x3, 2 with 2x2 pixels", at_least=0, known_to=NOT_PJREDDIE)
    share_index: OneSource = option(
        OneSource(), "use the weights of this layer; the file then holds none for this one", known_to=NOT_PJREDDIE
    )
    xnor: bool = option(False, "compute with the signs of inputs and weights")
    binary: bool = option(False, "train with the signs of the weights", training=True)
    bin_output: bool = option(
        False, "with `xnor`: no activation, where only a convolution reads the output", known_to=NOT_PJREDDIE
    )
    flipped: bool = option(False, "the weights file holds the weights as inputs x outputs")
    assisted_excitation: float = option(0.0, "excite the channels where objects are", training=True)
    sway: bool = option(False, "rotate the kernels during training", training=True)
    rotate: bool = option(False, "rotate the kernels by right angles during training", training=True)
    stretch: bool = option(False, "stretch the kernels during training", training=True)
    stretch_sway: bool = option(False, "stretch and rotate the kernels during training", training=True)
    angle: float = option(15.0, "largest angle of `sway`", training=True)
    reverse: float = option(0.0, "turn the loss's sign back to here", training=True)
    coordconv: bool = option(False, "add coordinates to the input during training", training=True)
    grad_centr: bool = option(False, "centre the gradients", training=True)
    dot: float = option(0.0, "penalty for kernels that point the same way", training=True)
    stream: int = option(-1, "CUDA stream", training=True)
    wait_stream: int = option(-1, "CUDA stream to wait for", training=True)
    rep: bool = option(
        False,
        "train with a 1x1 convolution beside the kernel, and the input itself where no residual or concatenation has it",
        training=True,
        known_to=OWN,
    )
    implicit: bool = option(
        False,
        "train with a constant added to each input channel, and one that multiplies each filter",
        training=True,
        known_to=OWN,
    )

    @property
    def normalized(self) -> bool:
        """Whether there is batch normalisation."""
        return self.cbn or self.batch_normalize != 0

    @property
    def sizes(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.size_y or self.size, self.size_x or self.size

    @property
    def strides(self) -> tuple[int, int]:
        """Steps downwards and to the right; an unset or impossible one falls back to `stride`."""
        vertical, horizontal = self.stride_y or 0, self.stride_x or 0
        return (vertical if vertical > 0 else self.stride, horizontal if horizontal > 0 else self.stride)

    def changes(self, name: str) -> bool:
        """Not where `size_x` or `size_y` is the size."""
        return super().changes(name) and not (name in ("size_x", "size_y") and getattr(self, name) == self.size)

    def plain_values(self) -> dict[str, str | None]:
        """A square kernel is one of `size`."""
        height, width = self.sizes
        return {"size": f"{height}", "size_x": None, "size_y": None} if height == width != self.size else {}

    def block(self, x: Shape) -> Convolution:
        """The convolution itself; strided by 1 if the blur strides."""
        return Convolution(
            channels=x.channels,
            filters=self.filters,
            size=self.sizes,
            stride=(1, 1) if self.antialiasing else self.strides,
            padding=(padded(self.pad, self.padding, self.sizes[0]), padded(self.pad, self.padding, self.sizes[1])),
            dilation=1 if self.sizes == (1, 1) else self.dilation,
            groups=1 if self.xnor else self.groups,
            normalized=self.normalized,
        )

    def check(self, x: Shape) -> Iterator[Problem]:
        """Groups, geometry, and options that Darknet refuses or reads differently."""
        yield from foreign(self.activation, self.dialect)
        if self.xnor and self.groups > 1:
            yield Problem(
                "xnor-groups",
                "groups",
                f"`xnor=1` with {self.groups} groups",
                "remove `groups` or `xnor`",
                "warning",
                "Darknet convolves all channels together",
            )
        else:
            yield from check_groups(x.channels, self.filters, self.groups)
        block = self.block(x)
        out = block.shape(x)
        yield from block.check(x)
        if self.antialiasing and out.height > 0 and out.width > 0:
            left = self.shape(x)
            yield from fits_kernel(x, left.height, left.width)
        if self.sizes == (1, 1):
            yield from self._check_pixel(block)
        if self.rep or self.implicit:
            yield from self._check_form(block)
        if sum((self.sway, self.rotate, self.stretch, self.stretch_sway)) > 1:
            yield Problem("one-deformation", "sway", "only one of `sway`, `rotate`, `stretch`, `stretch_sway` can be used")
        if self.antialiasing:
            yield ANTIALIASED_SIZE

    def _check_pixel(self, block: Convolution) -> Iterator[Problem]:
        """Where the kernel and `stride_x` are 1, Darknet multiplies with the input as it lies in memory."""
        if block.stride[1] > 1:
            return
        if any(block.padding):
            message = "a 1x1 convolution with padding: Darknet makes the map larger but does not move the input into it"
            yield Problem("padded-pixel", "padding", message, "remove `padding`")
        elif block.stride[0] > 1:
            message = f"a 1x1 convolution with `stride_y={block.stride[0]}` but `stride_x=1`"
            consequence = "Darknet's CPU code does not skip the rows; here they are skipped, as on its GPUs"
            yield Problem("uneven-pixel", "stride_y", message, "use the same step in both directions", "warning", consequence)

    def _check_form(self, block: Convolution) -> Iterator[Problem]:
        """Forms for training must have an ordinary convolution that computes the same."""
        name = "rep" if self.rep else "implicit"
        kernel, pixel = width_by_height(block.size), block.size == (1, 1)
        centred = all(size % 2 and padding == size // 2 for size, padding in zip(block.size, block.padding, strict=True))
        if self.rep and self.implicit:
            message, cure = "`rep=1` with `implicit=1`", "keep one of them"
        elif self.xnor or self.share_index:
            message, cure = f"`{name}=1` with `{'xnor' if self.xnor else 'share_index'}`", f"remove `{name}`"
        elif self.rep and (pixel or not centred):
            message = f"`rep=1` with a kernel of {kernel} and padding {width_by_height(block.padding)}"
            cure = "the 1x1 convolution must lie at the kernel's middle: use `size=3` with `pad=1`"
        elif self.implicit and (not pixel or any(block.padding)):
            message = f"`implicit=1` with a kernel of {kernel}"
            cure = "use `size=1`: at a border, padding has no constant to add to"
        elif self.implicit and block.normalized:
            message, cure = "`implicit=1` with batch normalisation, which has constants of its own", "remove one of them"
        else:
            return
        yield Problem("training-form", name, message, cure)

    def shape(self, x: Shape) -> Shape:
        """(C, H, W) → (filters, H', W')."""
        out = self.block(x).shape(x)
        return blurred(out, self.antialiasing, self.strides) if self.antialiasing else out

    def listed_shape(self, x: Shape) -> Shape:
        """The size before the blur."""
        return self.block(x).shape(x)

    def reduction(self) -> tuple[float, float]:
        """The strides."""
        return self.strides

    def reach(self, x: Shape) -> tuple[Windows]:
        """Those of the kernel, and of the blur."""
        own = self.block(x).reach
        return (blurred_windows(own, self.antialiasing, self.strides) if self.antialiasing else own,)

    def operations(self, x: Shape) -> float:
        """`get_conv_bflops`; a thirty-second for signs."""
        operations = self.block(x).operations(self.listed_shape(x))
        return operations / 32 if self.xnor else operations

    def arrays(self, x: Shape) -> dict[str, Array]:
        """None where the weights are shared."""
        if self.share_index:
            return {}
        arrays = self.block(x).arrays()
        if self.flipped:
            arrays["conv.weight"] = arrays["conv.weight"]._replace(stored="flipped")
        return arrays

    def columns(self) -> tuple[str, str]:
        """Filters and groups; kernel, stride and dilation."""
        vertical, horizontal = self.strides
        stride = f"{vertical}" if vertical == horizontal else f"{horizontal}x{vertical}"
        height, width = self.sizes
        dilation = f"({self.dilation})" if self.dilation > 1 and max(self.sizes) > 1 else ""
        groups = f"/{self.groups}" if self.groups > 1 else ""
        return f"{self.filters}{groups}", f"{width} x {height}/ {stride}{dilation}"

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A convolution and its activation; `xnor`, which computes with signs, where no padding counts as one of them."""
        from cspdet.layers.folding import blurred_value, folded
        from cspdet.program.operations import Activation

        channels, height, width = x.dimensions
        block = self.block(Shape(channels, height, width))
        weight, bias = folded(arrays, self.dialect, "conv")
        down, right = block.true_padding
        if self.xnor and block.stride[0] == block.stride[1]:
            magnitude = abs(weight).mean((1, 2, 3), keepdims=True)
            weight = (((weight > 0) * 2 - 1) * magnitude).astype("float32")
            x = build.pad(build.function(x, Activation("sign")), (0, down, right), (0, down, right), -1.0)
            down = right = 0
        x = build.convolve(x, weight, bias, block.stride, (down, right, down, right), block.dilation, block.groups)
        x = build.activate("linear" if self.xnor and self.bin_output else self.activation, x)
        return blurred_value(build, x, self.antialiasing, self.strides) if self.antialiasing else x

    def parts(self, x: Shape) -> Parts:
        """`conv` and `norm`, unless the weights are shared."""
        return {} if self.share_index else dict(self.block(x).parts(self.dialect))

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, filters, H', W').

        With `share_index`, `parts` is the other layer's, and whether there is batch normalisation is the other's choice:
        Darknet folds it into the shared weights (`network.c:fuse_conv_batchnorm`).
        """
        from cspdet.layers.functional import activate, batch_normalize, blur, plain

        x = plain(x)
        block = self.block(Shape(*x.shape[1:]))
        norm = getattr(parts, "norm", None)
        if self.xnor and block.stride[0] == block.stride[1]:
            x = self._xnor(parts, x, block)
        else:
            x = _convolve(parts.conv, x, block) if self.share_index else parts.conv(x)
            x = x if norm is None else batch_normalize(norm, x, self.dialect, fresh=True)
        name = "linear" if self.xnor and self.bin_output else self.activation
        x = activate(name, x, fresh=True)
        return blur(x, self.antialiasing, self.strides) if self.antialiasing else x

    def _xnor(self, parts: Any, x: Tensor, block: Convolution) -> Tensor:
        """Signs of the input times signs of the folded weights, each filter scaled by its mean magnitude.

        Source: `network.c:calculate_binary_weights`, `convolutional_layer.c:binary_align_weights`. A zero counts as -1, and so
        does the padding.
        """
        import torch.nn.functional as F  # noqa: N812 - its customary name

        from cspdet.layers.functional import binary_sign, folded

        weight, bias = parts.conv.weight, parts.conv.bias
        if bias is None:
            scale, bias = folded(parts.norm, self.dialect)
            weight = weight * scale[:, None, None, None]
        signs = binary_sign(weight) * weight.abs().mean((1, 2, 3), keepdim=True)
        down, right = block.true_padding
        signed = F.pad(binary_sign(x), (right, right, down, down), value=-1.0)
        return F.conv2d(signed, signs, bias, block.stride, 0, block.dilation)


def _convolve(conv: Any, x: Tensor, block: Convolution) -> Tensor:
    """With the weights of `conv`, and steps and padding of `block`."""
    from torch.nn.functional import conv2d

    return conv2d(x, conv.weight, conv.bias, block.stride, block.true_padding, block.dilation, block.groups)


ANTIALIASED_SIZE = Problem(
    "antialiased-size",
    "antialiasing",
    "the size after the blur differs from Darknet's own count",
    "",
    "note",
    "Darknet's table, and a route or shortcut to this layer, take the size before the blur; here, the real one",
)


def blurred(x: Shape, kind: int, strides: tuple[int, int]) -> Shape:
    """The size after the blur of `antialiasing`, which has 2x2 pixels for 2, and 3x3 otherwise."""
    padding, size = (0, 2) if kind == 2 else (1, 3)
    height = (x.height + 2 * padding - size) // strides[0] + 1
    width = (x.width + 2 * padding - size) // strides[1] + 1
    return Shape(x.channels, height, width)


def blurred_windows(before: Windows, kind: int, strides: tuple[int, int]) -> Windows:
    """The windows through the blur, of what has these before it."""
    vertical, horizontal = square(strides, 0, 2) if kind == 2 else square(strides, -1, 3)
    return before[0].then(vertical), before[1].then(horizontal)
