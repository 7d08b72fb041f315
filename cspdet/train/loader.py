"""Batches of samples, made ahead by worker processes."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cspdet.errors import CspdetError
from cspdet.train.samples import Job, Sample

# Seconds to wait for a mini-batch; a worker that cannot hand one over would be waited for forever.
_LONGEST_WAIT = 300
# Mini-batches that each worker has ready.
_AHEAD = 3


class Batch(NamedTuple):
    """A mini-batch, as it comes from the workers."""

    # (N, H, W, C) uint8, RGB or grey.
    pixels: Tensor
    # (N, M, 5): class, x, y, width, height; rows of class -1 fill up. Of a classifier's, (N, classes).
    truth: Tensor
    skipped: tuple[str, ...]

    def images(self, device: torch.device) -> Tensor:
        """(N, C, H, W) of 0 … 1, RGB or grey, in channels-last order."""
        pixels = self.pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
        return pixels.to(torch.float32).div_(255)


class _Dataset(Dataset[Any]):
    """`Samples` as the loader wants them. Errors are handed on: raised in a worker, they would arrive as its traceback."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __getitem__(self, job: Any) -> Sample | CspdetError:
        try:
            made: Sample = self.samples(job)
        except CspdetError as error:
            return error
        return made


class _Jobs(Sampler[list[Job]]):
    """The jobs of each mini-batch in turn."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[Job]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def batches(samples: Any, jobs: Any, workers: int, *, pinned: bool = False) -> Generator[Batch, None, None]:
    """Mini-batches, in the order of `jobs`, a sequence of lists of jobs; made by `workers` processes, or here if 0."""
    with warnings.catch_warnings():
        # Whoever asked for more workers than cores has been told.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader: DataLoader[Any] = DataLoader(
            _Dataset(samples),
            batch_sampler=_Jobs(jobs),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pinned,
            prefetch_factor=_AHEAD if workers else None,
            timeout=_LONGEST_WAIT if workers else 0,
            worker_init_fn=_start_worker,
            # Of its own: it must not draw from the generator that dropout uses.
            generator=torch.Generator(),
        )
        made = iter(loader)
    try:
        for batch in made:
            if isinstance(batch, CspdetError):
                raise batch
            yield batch
    except (RuntimeError, ConnectionError) as error:
        if isinstance(error, RuntimeError) and not re.search("DataLoader|shared memory|shm", str(error)):
            raise
        reason = " ".join(str(error).split())[:100].lower()
        cure = "give it more memory, shared memory too (`docker run --shm-size`), or use fewer `--workers`; 0 needs neither"
        raise CspdetError(f"a worker process ended or gave no images: {reason}", cure) from None


def _collate(samples: Sequence[Any]) -> Batch | CspdetError:
    return next((each for each in samples if isinstance(each, CspdetError)), None) or collate(samples)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples as a mini-batch."""
    pixels = torch.from_numpy(np.stack([each.pixels[..., ::-1] for each in samples]))
    words = tuple(word for each in samples for word in each.skipped)
    if samples[0].truth.ndim == 1:
        return Batch(pixels, torch.from_numpy(np.stack([each.truth for each in samples])), words)
    most = max((len(each.truth) for each in samples), default=0)
    truth = np.zeros((len(samples), max(most, 1), 5), np.float32)
    truth[:, :, 0] = -1
    for row, each in zip(truth, samples, strict=True):
        row[: len(each.truth)] = each.truth
    return Batch(pixels, torch.from_numpy(truth), words)


def _start_worker(_: int) -> None:
    # Ctrl-C and its like are sent to a whole group of processes. These here end when the training tells them to.
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    # One process for each core is enough; threads within would only wait for each other.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
