"""Several processes that train together, as `torchrun` starts them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from inspect import signature
from typing import Any, NamedTuple

import torch
import torch.distributed as group
from torch import nn

from cspdet.errors import CspdetError, UsageError

# Where the first process puts its error, and how long the others wait for it.
_ERROR = "cspdet: error of the first process"
_PATIENCE = timedelta(seconds=5)


class Team(NamedTuple):
    """This process's place among those that train together; rank 0 is the one that writes."""

    rank: int = 0
    size: int = 1
    # Its place among those of its machine, which is its GPU.
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def share(self, jobs: Sequence[Any]) -> Sequence[Any]:
        """This process's part of a mini-batch, or of anything else."""
        each = len(jobs) // self.size
        return jobs[self.rank * each : (self.rank + 1) * each]

    def gather(self, value: Any) -> list[Any]:
        """What every process has, in order of rank; any object that can be pickled."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        group.all_gather_object(found, value)
        return found

    def agree(self, value: bool) -> bool:
        """Whether it holds for any process."""
        return any(self.gather(value)) if self.size > 1 else value


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """The team that `torchrun` put this process into; a team of one without it.

    Raises:
        UsageError: the environment speaks of several processes, but not which of them this one is.
        SystemExit: in place of an error within that the first process says, too.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team()
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        cure = "start it with `torchrun`, or clear `WORLD_SIZE`"
        raise UsageError(f"`WORLD_SIZE` is set in the environment, but not `{missing[0]}`", cure)
    local = int(os.environ["LOCAL_RANK"])
    if device.startswith("cuda"):
        # What gathers objects uses the present GPU.
        torch.cuda.set_device(device_of(device, Team(0, 2, local)))
    # Builds of PyTorch for one process do not have it.
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    group.init_process_group("nccl" if device.startswith("cuda") else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield Team(rank, size, local)
        # One that leaves while another still writes its files has been seen to be aborted by its connection's threads.
        group.barrier()
    except CspdetError as error:
        if _said_by_first(store, rank, f"{error.exit_code} {error}"):
            raise SystemExit(error.exit_code) from None
        raise
    except RuntimeError as error:
        if not re.search(r"[Cc]onnection|peer|[Tt]imed out|Broken pipe|gloo|NCCL", str(error)):
            raise
        raise UsageError("another process of the team ended", "its own message says why") from None
    finally:
        group.destroy_process_group()


def _said_by_first(store: Any, rank: int, error: str) -> bool:
    """Whether the first process ends with the same error, so that this one need not say it."""
    if rank == 0:
        store.set(_ERROR, error)
        return False
    try:
        store.wait([_ERROR], _PATIENCE)
        return bool(store.get(_ERROR).decode() == error)
    except RuntimeError:  # it has none, or is gone
        return False


def with_joined_gradients(module: nn.Module, device: torch.device) -> nn.Module:
    """The module, in which a backward pass gives the mean of the gradients of all processes."""
    parallel = nn.parallel.DistributedDataParallel
    # Statistics are the same in all processes, as they are those of all. Older versions of PyTorch have the other word.
    new = "forward_sync_buffers" in signature(parallel).parameters
    values: dict[str, Any] = {"forward_sync_buffers" if new else "broadcast_buffers": False}
    return parallel(module, device_ids=[device.index] if device.type == "cuda" else None, **values)


def device_of(name: str, team: Team) -> torch.device:
    """Where this process computes: of several GPUs, its own; `name` may list them, as in `cuda:0,2`."""
    kind, _, numbers = name.partition(":")
    if kind == "cuda" and team.size > 1:
        listed = [each.strip() for each in numbers.split(",") if each.strip()]
        if len(listed) > 1:
            return torch.device(f"cuda:{listed[team.local % len(listed)]}")
        return torch.device(f"cuda:{team.local}")
    try:
        return torch.device(name)
    except RuntimeError:
        raise UsageError(f"there is no device `{name}`", "one of: cpu, cuda, cuda:1, …") from None
