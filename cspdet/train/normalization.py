"""Batch normalisation over more than one mini-batch: across processes, and across the subdivisions of a batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cspdet.layers.convolutional import Convolutional
from cspdet.network import Network


class _Mean(torch.autograd.Function):
    """The mean over all processes, of what every one of them has the same amount of; gradients are averaged likewise."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        return _averaged(value)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        # Each process's loss is its own; the sum of them is what is differentiated.
        return _averaged(gradients[0])


def _averaged(value: Tensor) -> Tensor:
    value = value.clone()
    torch.distributed.all_reduce(value)
    return value / torch.distributed.get_world_size()


class Across(nn.BatchNorm2d):
    """Statistics over the maps or vectors of all processes, and, if it `crosses`, of the mini-batches of the batch so far.

    So several processes train as one does: PyTorch's own `SyncBatchNorm` does this on GPUs alone. Across mini-batches
    (`batch_normalize=2`; `blas_kernels.cu:fast_v_cbn_kernel`), gradients flow through the present one's share only, and the
    running statistics change once per batch.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.crosses, self.subdivisions, self.processes = False, 1, 1
        # Which mini-batch of the batch this is, and means of values and squares over those before it, and with it.
        self.position = 0
        self.before: tuple[Tensor, Tensor] | None = None
        self.so_far: tuple[Tensor, Tensor] | None = None

    def begin(self, position: int) -> None:
        """The next mini-batch of a batch is number `position`, from 0."""
        self.before = self.so_far if position else None
        self.position = position

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - the name PyTorch uses
        """Vectors are as good as maps."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name PyTorch uses
        """(N, C, …), kept."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        x = input.float()
        over = [0, *range(2, x.dim())]
        # Moments around the running mean: the difference of two large squares would leave nothing of a small variance. The
        # running mean is the same for all mini-batches of a batch.
        shape = (1, -1, *(1,) * (x.dim() - 2))
        centre = self.running_mean.detach().clone()
        centred = x - centre.view(shape)
        moments = torch.cat([centred.mean(over), centred.square().mean(over)])
        if self.processes > 1:
            moments = _Mean.apply(moments)  # type: ignore[no-untyped-call]
        mean, square = moments.chunk(2)
        if self.crosses:
            share = 1 / (self.position + 1)
            if self.before is not None:
                mean = share * mean + (1 - share) * self.before[0]
                square = share * square + (1 - share) * self.before[1]
            self.so_far = (mean.detach(), square.detach())
        variance = (square - mean.square()).clamp_min(0)
        if not self.crosses or self.position == self.subdivisions - 1:
            count = x.numel() / x.shape[1] * self.processes
            self._follow((centre + mean).detach(), variance.detach() * (1 if self.crosses else count / max(count - 1, 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """The running statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.lerp_(mean, self.momentum or 0)
        self.running_var.lerp_(variance, self.momentum or 0)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


def prepare(network: Network, subdivisions: int, processes: int, *, gpu: bool = False) -> None:
    """Put the right kind of batch normalisation into every layer; on a `gpu`, PyTorch's own where that does it."""
    for node, module in zip(network.graph.nodes, network.layers, strict=True):
        layer = node.layer
        crosses = isinstance(layer, Convolutional) and (layer.cbn or layer.batch_normalize == 2) and subdivisions > 1
        if not crosses and processes == 1:
            continue
        for parent in [*module.modules()]:
            for name, child in [*parent.named_children()]:
                if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d):
                    setattr(parent, name, _replaced(child, crosses, subdivisions, processes, gpu))


def begin(network: Network, position: int) -> None:
    """The next mini-batch of a batch is number `position`, from 0."""
    for module in network.modules():
        if isinstance(module, Across):
            module.begin(position)


def _replaced(norm: Any, crosses: bool, subdivisions: int, processes: int, gpu: bool) -> _BatchNorm:
    kind = nn.SyncBatchNorm if gpu and not crosses else Across
    new: Any = kind(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    new.load_state_dict(norm.state_dict())
    new.to(norm.weight.device)
    if isinstance(new, Across):
        new.crosses, new.subdivisions, new.processes = crosses, subdivisions, processes
    return new  # type: ignore[no-any-return]
