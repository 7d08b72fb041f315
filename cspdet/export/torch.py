"""Exported networks as programs of torch.export, from the network's own module."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.kernels import runner
from cspdet.errors import ExportError
from cspdet.export.ends import File, sides
from cspdet.export.model import Model
from cspdet.export.notes import KEYS, PREFIX
from cspdet.export.states import NOTE, remembering_nodes
from cspdet.program.operations import Constant
from cspdet.program.states import dimensions_of, name_before, names_of
from cspdet.text import brief

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.network import Network

Floats = NDArray[np.float32]

_LARGEST_BATCH = 2**16
_NAMES = PREFIX + "output_names"


def write(model: Model, path: Path) -> None:
    """Write the file, with the notes as texts of its archive."""
    import torch

    free = {0: torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)}
    states = dimensions_of(model.program)
    # A batch of 1 would be taken for fixed.
    given = tuple(torch.zeros(2, *each) for each in (model.program.input, *states))
    with torch.no_grad():
        shapes = {"images": free} | ({"states": (free,) * len(states)} if states else {})
        program = torch.export.export(_module(model), given, dynamic_shapes=shapes)
    after = (name for _, name in names_of(model.program))
    notes = {**model.notes, _NAMES: "\n".join([*model.names, *after])}
    # In memory first: PyTorch ends the process where a file cannot be written.
    file = BytesIO()
    torch.export.save(program, file, extra_files=notes)
    path.write_bytes(file.getbuffer())


def _module(model: Model) -> Any:
    """The network, and what decodes its boxes."""
    import torch

    from cspdet.network import Network

    network = Network(model.graph, empty=True)
    network.load_arrays(model.arrays)
    memory = _Memory(network)
    decoding = [*enumerate(model.program.operations)][model.plain :]
    constants = {number: each.value for number, each in decoding if isinstance(each, Constant)}
    device = torch.device("cpu")
    steps = [(number, runner(each, model.program, device), each.inputs) for number, each in decoding if number not in constants]

    class Decoded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            for number, value in constants.items():
                self.register_buffer(f"constant_{number}", torch.from_numpy(value.copy())[None])

        def forward(self, images: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
            memory.give(states)
            values = dict(zip(model.raw, self.network(images), strict=True))
            values |= {number: getattr(self, f"constant_{number}") for number in constants}
            for number, compute, sources in steps:
                values[number] = compute(*[values[source] for source in sources])
            return (*(values[number] for number in model.program.outputs), *memory.after())

    return Decoded().eval()


class _Memory:
    """Has a network's recurrent layers read given states in place of their own, whose batch would be fixed."""

    def __init__(self, network: Network) -> None:
        self._states: list[tuple[SimpleNamespace, str]] = []
        for node, states in remembering_nodes(network.graph):
            module = network.layers[node.index]
            parts = SimpleNamespace(**dict(module.named_children()))
            self._states += [(parts, name) for name in states]
            module.register_forward_pre_hook(partial(_with_parts, parts), with_kwargs=True)

    def give(self, states: Sequence[Tensor]) -> None:
        """Take the states for the next run."""
        for (parts, name), state in zip(self._states, states, strict=True):
            setattr(parts, name, state.clone())  # layers write into it

    def after(self) -> list[Tensor]:
        """What they have become."""
        return [getattr(parts, name) for parts, name in self._states]


def _with_parts(parts: Any, _: Any, inputs: Any, more: Any) -> Any:
    return inputs, {**more, "parts": parts}


def open_file(path: Path) -> File:
    """A file's notes, what runs it, and what goes in and comes out."""
    import torch

    texts: dict[str, Any] = dict.fromkeys([_NAMES, NOTE, *(PREFIX + key for key in KEYS)])
    data = BytesIO(path.read_bytes())
    logger = logging.getLogger("torch.export")
    quiet, logger.disabled = logger.disabled, True  # it logs what is raised, too
    try:
        program = torch.export.load(data, extra_files=texts)
        module = program.module()
    except Exception as error:  # archives, pickles and programs each have their own kinds
        raise ExportError(
            f"`{path}` is no torch.export file that can be run: {_reason(data, error)}", "is it complete?"
        ) from None
    finally:
        logger.disabled = quiet
    notes = {key: value for key, value in texts.items() if value is not None}
    names = notes.pop(_NAMES, "").split("\n")

    def run(*given: Floats) -> dict[str, Floats]:
        try:
            with torch.no_grad():
                found = module(*map(torch.from_numpy, given))
        except (RuntimeError, AssertionError) as error:  # the latter where sizes are others
            raise ExportError(f"`{path}` cannot be run: {_brief(error)}", "export it again") from None
        return {name: output.numpy() for name, output in zip(names, found, strict=True)}

    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs, outputs = ([sides(getattr(values[name], "shape", ())) for name in ends] for ends in _ends(program))
    # The inputs have no names of ours, only an order.
    before = ["images", *map(name_before, range(len(inputs) - 1))]
    return File(notes, run, dict(zip(before, inputs, strict=True)), dict(zip(names, outputs, strict=False)))


def _ends(program: Any) -> tuple[Sequence[str], Sequence[str]]:
    """The names of a program's inputs and outputs within it."""
    return program.graph_signature.user_inputs, program.graph_signature.user_outputs


def _reason(data: BytesIO, error: Exception) -> str:
    """What is wrong with it; PyTorch itself sends the reader to warnings of its own."""
    try:
        with ZipFile(data) as archive:
            whole = any(name.endswith("/archive_format") for name in archive.namelist())
    except BadZipFile:
        return "it is no archive, or a cut one"
    if not whole:
        return "its archive is cut, or of another kind"
    return _brief(error)


def _brief(error: Exception) -> str:
    """Its first sentence."""
    return brief(" ".join(str(error).split()).partition(". ")[0].rstrip("."), 200)


def _torch(path: Path) -> Callable[..., Mapping[str, Floats]]:
    return open_file(path).run


RUNNERS: dict[str, Callable[[Path], Callable[..., Mapping[str, Floats]]]] = {"torch": _torch}
