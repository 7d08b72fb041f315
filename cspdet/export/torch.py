"""Exported networks as programs of torch.export, from the network's own module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.kernels import runner
from cspdet.errors import ExportError
from cspdet.export.model import Model
from cspdet.export.notes import KEYS, PREFIX
from cspdet.program.operations import Constant

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
Run = Callable[[Floats], dict[str, Floats]]

_LARGEST_BATCH = 2**16
_NAMES = PREFIX + "output_names"


def write(model: Model, path: Path) -> None:
    """Write the file, with the notes as texts of its archive."""
    import torch

    batch = torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)
    # A batch of 1 would be taken for fixed.
    images = torch.zeros(2, *model.program.input)
    with torch.no_grad():
        program = torch.export.export(_module(model), (images,), dynamic_shapes={"images": {0: batch}})
    notes = {**model.notes, _NAMES: "\n".join(model.names)}
    # A file object, since only names that end in .pt2 are taken.
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files=notes)


def _module(model: Model) -> Any:
    """The network, and what decodes its boxes."""
    import torch

    from cspdet.network import Network

    network = Network(model.graph, empty=True)
    network.load_arrays(model.arrays)
    decoding = model.program.operations[model.plain :]
    runs = [runner(operation, model.program, torch.device("cpu")) for operation in decoding]

    class Decoded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            for place, operation in enumerate(decoding):
                if isinstance(operation, Constant):
                    self.register_buffer(f"constant_{place}", torch.from_numpy(operation.value.copy())[None])

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            values = dict(zip(model.raw, self.network(images), strict=True))
            for place, operation in enumerate(decoding):
                if isinstance(operation, Constant):
                    value = getattr(self, f"constant_{place}")
                else:
                    value = runs[place](*[values[source] for source in operation.inputs])
                values[model.plain + place] = value
            return tuple(values[number] for number in model.program.outputs)

    return Decoded().eval()


def open_file(path: Path) -> tuple[dict[str, str], Run]:
    """A file's notes, and what runs it."""
    import torch

    texts: dict[str, Any] = dict.fromkeys([_NAMES, *(PREFIX + key for key in KEYS)], "")
    try:
        with path.open("rb") as file:
            module = torch.export.load(file, extra_files=texts).module()
    except OSError:
        raise
    except Exception as error:  # archives, pickles and programs each have their own kinds
        reason = " ".join(str(error).split())[:120]
        raise ExportError(f"`{path}` is no torch.export file that can be run: {reason}", "is it complete?") from None
    notes = {key: value for key, value in texts.items() if value or key == PREFIX + "names"}
    names = notes.pop(_NAMES, "").split("\n")

    def run(images: Floats) -> dict[str, Floats]:
        with torch.no_grad():
            found = module(torch.from_numpy(images))
        return {name: output.numpy() for name, output in zip(names, found, strict=True)}

    return notes, run


def _torch(path: Path) -> Run:
    return open_file(path)[1]


RUNNERS: dict[str, Callable[[Path], Run]] = {"torch": _torch}
