"""What the losses share: their arguments and their result."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Progress(NamedTuple):
    """How far training has come, which some losses look at."""

    # Steps done, of so many in all (0: without end), and images seen.
    iteration: int = 0
    max_batches: int = 0
    seen: int = 0


class Loss(NamedTuple):
    """A loss, summed over the images of a batch; the optimiser divides by the batch.

    The gradient of `total` is what training uses. Where the source defines gradients only, as Darknet's heads do with their
    `delta`, `total` has those gradients, and its own value says nothing; `cost` is what Darknet prints.
    """

    total: Tensor
    cost: Tensor
    # What the log shows, by name: sums over the batch, without gradients; `count` is the number of assigned boxes.
    parts: dict[str, Tensor]


class _Known(torch.autograd.Function):
    """A scalar whose gradient is known beforehand, so that nothing the size of `raw` is computed for its value."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, delta: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(delta)
        ctx.dtype = raw.dtype
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (delta,) = ctx.saved_tensors
        # In place: the gradient of a head is large. PyTorch refuses to use what was saved a second time then.
        return delta.mul_(-gradients[0]).to(ctx.dtype), None, None


def with_gradient(raw: Tensor, delta: Tensor, value: Tensor | None = None) -> Tensor:
    """A scalar whose gradient with respect to `raw` is -`delta`: Darknet keeps the negative gradient.

    It is `value`, 0 if there is none. Its backward pass overwrites `delta`, and can be made once.
    """
    value = delta.new_zeros(()) if value is None else value.detach()
    total: Tensor = _Known.apply(raw, delta.detach(), value)  # type: ignore[no-untyped-call]
    return total
