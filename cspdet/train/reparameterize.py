"""Convolutions in the forms they are trained in, and folded back into the ordinary ones that a `.weights` file holds."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its customary name
from torch import Tensor, nn

from cspdet.cfg.dialect import Dialect
from cspdet.graph import Graph, Node
from cspdet.layers.base import Array
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.functional import batch_norm, batch_normalize, folded
from cspdet.layers.route import Route, RouteLhalf
from cspdet.layers.shortcut import Shortcut
from cspdet.network import Network

# Deviation of the initial values of implicit knowledge (YOLOv7's `models/common.py:ImplicitA` and `ImplicitM`).
_DEVIATION = 0.02


class RepConvolution(nn.Module):
    """`rep=1`: a convolution, a 1x1 convolution, and perhaps the input itself, each batch-normalised, summed up.

    It stands where the section's `conv` does, and does the work of its `norm` too. The new branches' scales start at 0, so that
    the sum is at first what the section computed, in training as in evaluation, and trained weights are kept; RepVGG, which
    starts from nothing, has 1. Without `batch_normalize`, the section's bias becomes that of a normalisation, and only
    evaluation computes the same: training normalises what had not been.
    Source: RepVGG, 2101.03697, section 3.3; without identity, YOLOv7, 2207.02696, section 4.1.
    """

    norm: Any
    pixel_norm: Any
    identity_norm: Any

    def __init__(self, conv: nn.Conv2d, norm: Any, identity: bool, dialect: Dialect, generator: torch.Generator) -> None:
        super().__init__()
        self.dialect = dialect
        self.normalized = norm is not None
        self.conv = conv
        channels, filters, kind = conv.in_channels, conv.out_channels, conv.weight
        self.norm = norm if self.normalized else batch_norm(filters, dialect).to(kind)
        self.pixel = nn.Conv2d(channels, filters, 1, _pair(conv.stride), groups=conv.groups, bias=False).to(kind)
        self.pixel_norm = batch_norm(filters, dialect).to(kind)
        self.identity_norm = batch_norm(channels, dialect).to(kind) if identity else None
        with torch.no_grad():
            bias = conv.bias
            if bias is not None:
                self.norm.weight.fill_(_deviation_of_one(dialect))
                self.norm.bias.copy_(bias)
                conv.register_parameter("bias", None)
            bound = (2 / Array(tuple(self.pixel.weight.shape)).fan_in) ** 0.5
            self.pixel.weight.copy_(torch.empty(self.pixel.weight.shape).uniform_(-bound, bound, generator=generator))
            self.pixel_norm.weight.zero_()
            if identity:
                self.identity_norm.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, filters, H', W')."""
        out = batch_normalize(self.norm, self.conv(x), self.dialect, fresh=True)
        out = out + batch_normalize(self.pixel_norm, self.pixel(x), self.dialect, fresh=True)
        return out if self.identity_norm is None else out + batch_normalize(self.identity_norm, x, self.dialect)

    def arrays(self) -> dict[str, Tensor]:
        """The section's own arrays, that compute what this does in evaluation; computed in float64.

        K = t₃ K₃ + pad(t₁ K₁) + t₀ I, with t = scale / deviation. Batch normalisation is left with mean 0 and variance 1.
        """
        (scale, bias), (pixel_scale, pixel_bias) = (self._folded(norm) for norm in (self.norm, self.pixel_norm))
        kernel = self.conv.weight.double() * scale[:, None, None, None]
        row, column = kernel.shape[2] // 2, kernel.shape[3] // 2
        kernel[:, :, row, column] += self.pixel.weight.double()[:, :, 0, 0] * pixel_scale[:, None]
        bias = bias + pixel_bias
        if self.identity_norm is not None:
            identity_scale, identity_bias = self._folded(self.identity_norm)
            channel = torch.arange(len(kernel), device=kernel.device)
            kernel[channel, channel % kernel.shape[1], row, column] += identity_scale
            bias = bias + identity_bias
        if not self.normalized:
            return {"conv.weight": kernel, "conv.bias": bias}
        return {
            "conv.weight": kernel,
            "norm.weight": torch.full_like(bias, _deviation_of_one(self.dialect)),
            "norm.bias": bias,
            "norm.running_mean": torch.zeros_like(bias),
            "norm.running_var": torch.ones_like(bias),
            "norm.num_batches_tracked": self.norm.num_batches_tracked,
        }

    def _folded(self, norm: nn.Module) -> tuple[Tensor, Tensor]:
        return folded(copy.deepcopy(norm).double(), self.dialect)


class ImplicitConvolution(nn.Module):
    """`implicit=1`: y = m (W (x + a) + b), with a learnt constant a for each channel and m for each filter.

    a is drawn from N(0, .02) and m from N(1, .02). W and b are changed, so that it computes at first what the section did.
    What runs is the ordinary convolution with m W and m (b + W a), whose gradients are the same, and which needs no memory for
    x + a. Source: YOLOR, 2105.04206; YOLOv7's `models/yolo.py:IDetect.fuse`.
    """

    def __init__(self, conv: nn.Conv2d, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = conv
        weight, bias = conv.weight, conv.bias
        assert bias is not None
        added = torch.empty(conv.in_channels).normal_(0, _DEVIATION, generator=generator)
        factor = torch.empty(conv.out_channels).normal_(1, _DEVIATION, generator=generator)
        self.added = nn.Parameter(added.to(weight))
        self.factor = nn.Parameter(factor.to(weight))
        with torch.no_grad():
            weight /= self.factor[:, None, None, None]
            bias /= self.factor
            bias -= self._summand()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, filters, H', W')."""
        arrays = self.arrays()
        return F.conv2d(x, arrays["conv.weight"], arrays["conv.bias"], _pair(self.conv.stride), groups=self.conv.groups)

    def arrays(self) -> dict[str, Tensor]:
        """The section's own arrays, that compute what this does."""
        assert self.conv.bias is not None
        weight = self.conv.weight * self.factor[:, None, None, None]
        return {"conv.weight": weight, "conv.bias": (self.conv.bias + self._summand()) * self.factor}

    def _summand(self) -> Tensor:
        """W a, one number for each filter. Each sees the channels of its own group."""
        groups = self.conv.groups
        seen = self.added.view(groups, -1).repeat_interleave(self.conv.out_channels // groups, 0)
        return (self.conv.weight.flatten(1) * seen).sum(1)


def expand(network: Network, seed: int = 0) -> None:
    """Give the sections with `rep=1` and `implicit=1` the forms they are trained in, in place.

    Sections that have theirs already are left alone. The network computes at first what it did before; see
    `RepConvolution` for where it does not. From then on, its state_dict is that of the forms: `folded_state` has the arrays of
    the graph.
    """
    generator = torch.Generator().manual_seed(seed)
    for node, module in zip(network.graph.nodes, network.layers, strict=True):
        layer, conv = node.layer, getattr(module, "conv", None)
        if not isinstance(layer, Convolutional) or not isinstance(conv, nn.Conv2d):
            continue
        form: nn.Module
        if layer.rep:
            identity = has_identity(network.graph, node)
            form = RepConvolution(conv, getattr(module, "norm", None), identity, layer.dialect, generator)
            module.register_module("norm", None)
        elif layer.implicit:
            form = ImplicitConvolution(conv, generator)
        else:
            continue
        module.register_module("conv", form.train(network.training))


@torch.no_grad()
def folded_state(network: Network) -> dict[str, Tensor]:
    """The state_dict of an ordinary network that computes what this one does in evaluation, which itself is left as it is.

    The statistics of folded batch normalisation are made up, so whoever trains on from there begins with learning them.
    """
    state: dict[str, Tensor] = {}
    for index, module in enumerate(network.layers):
        form = getattr(module, "conv", None)
        own: dict[str, Tensor] = module.state_dict()
        if isinstance(form, RepConvolution | ImplicitConvolution):
            precise = copy.deepcopy(form).double() if isinstance(form, ImplicitConvolution) else form
            kind = form.conv.weight.dtype
            own = {name: value.to(kind) if value.is_floating_point() else value for name, value in precise.arrays().items()}
        state.update({f"layers.{index}.{name}": value for name, value in own.items()})
    return state


def has_identity(graph: Graph, node: Node) -> bool:
    """Whether a convolution with `rep=1` has its own input as a branch: YOLOv7's planned re-parameterisation.

    The input must have the output's size and channels. There is no such branch where the output, or a part of it, is read by a
    [shortcut], or by a [route] that joins layers; nor where a later [shortcut], which depends on the convolution, reads the
    input: there the input is passed on already, and the gradients would lose their diversity.
    Source: YOLOv7, 2207.02696, section 4.1 and figure 4.
    """
    layer = node.layer
    assert isinstance(layer, Convolutional)
    block = layer.block(node.inputs[0])
    if block.channels != block.filters or block.stride != (1, 1):
        return False
    # The layers that are the output, or a part of it; and those that depend on it.
    same, behind = {node.index}, {node.index}
    for other in graph.nodes[node.index + 1 :]:
        if behind.isdisjoint(other.sources):
            continue
        behind.add(other.index)
        joins = isinstance(other.layer, Shortcut) or (_is_route(other) and len(other.sources) > 1)
        if joins and not same.isdisjoint(other.sources):
            return False
        if isinstance(other.layer, Shortcut) and node.sources[0] in other.sources:
            return False
        if _is_route(other) and not same.isdisjoint(other.sources):
            same.add(other.index)
    return True


def _is_route(node: Node) -> bool:
    return isinstance(node.layer, Route | RouteLhalf)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    """A convolution's stride, of which torch says no more than that it has some numbers."""
    return values[0], values[1]


def _deviation_of_one(dialect: Dialect) -> float:
    """What batch normalisation divides by where the variance is 1."""
    return 1 + dialect.epsilon if dialect.epsilon_outside_root else (1 + dialect.epsilon) ** 0.5
