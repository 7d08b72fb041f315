"""Checkpoints: all that training needs to go on as if it had never stopped."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cspdet.errors import UsageError, WeightsError
from cspdet.files import replacing
from cspdet.graph import Graph
from cspdet.paths import is_file
from cspdet.train.origin import changed

# Raised when what a checkpoint holds changes.
_FORM = 1

# What reading a file that is no checkpoint may end in.
_DAMAGED = (
    *(RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError),
    *(LookupError, TypeError, AttributeError, MemoryError),
)


class Checkpoint(NamedTuple):
    """Where training stands. Everything random follows from the seed and the step's number, so no generator is kept."""

    iteration: int
    network: dict[str, Any]
    optimizer: dict[str, Any]
    # The moving averages by name: their states and steps.
    averages: dict[str, Any]
    # What the log and the choice of the best weights go on from.
    progress: dict[str, Any]
    # What must be the same for training to go on, as `origin.origin_of` gives it.
    origin: dict[str, str]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all: the old one is valid until the new one is complete.

    Raises:
        UsageError: it cannot be written.
    """
    with replacing(path) as file:
        torch.save({"form": _FORM, **checkpoint._asdict()}, file)


def anew(path: Path) -> str:
    """How training goes on without the checkpoint."""
    weights = path.with_name(f"{path.stem}_last.weights")
    if not is_file(weights):
        return "start again: `-clear` in place of `--resume`"
    return (
        f"to go on from the weights, give `{weights}` in place of `--resume`: the steps they have made count, so that a "
        "larger `max_batches` goes on; with `-clear` they do not"
    )


def load(path: Path, origin: dict[str, str], graph: Graph) -> Checkpoint:
    """Read a checkpoint of a training of `graph` that had the same origin.

    Raises:
        UsageError: there is none, or it belongs to another cfg, other images or another seed.
        WeightsError: it is damaged or something else.
    """
    try:
        # PyTorch writes checksums, and does not look at them when it reads.
        with zipfile.ZipFile(path) as archive:
            spoilt = archive.testzip()
        if spoilt:
            raise zipfile.BadZipFile(spoilt)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint `{path}`", "start without `--resume`") from None
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}", "see to its permissions") from None
    except _DAMAGED:
        raise WeightsError(f"`{path}` cannot be read as a checkpoint: it is damaged, or something else", anew(path)) from None
    if not isinstance(found, dict) or found.pop("form", None) != _FORM or set(found) != set(Checkpoint._fields):
        raise WeightsError(f"`{path}` is no checkpoint of this version", anew(path))
    checkpoint = Checkpoint(**found)
    if found := changed(checkpoint.origin, origin, graph):
        what, how = found
        message = f"`{path}` was made with another {what}{how}; training cannot go on from it"
        raise UsageError(message, f"give the same {what} as then; or {anew(path)}")
    return checkpoint
