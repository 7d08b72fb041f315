"""PyTorch, with batch normalisation folded, activations fused into convolutions, and memory used again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.kernels import Run, runner
from cspdet.program.operations import Activate, Combine, Constant, Function, Part, Program, Reshape, Transpose
from cspdet.program.rewrites import simplified, with_activations, with_sums

if TYPE_CHECKING:
    from torch import Tensor


def make(program: Program, device: str = "cpu") -> TorchEngine:
    """The engine for a program."""
    return TorchEngine(program, device)


class _Step(NamedTuple):
    """What to run, on which values, under which number to keep the result, which values nobody reads after it; its layer."""

    run: Run
    inputs: tuple[int, ...]
    number: int
    spent: tuple[int, ...]
    layer: int


class TorchEngine:
    """Runs a program with PyTorch on a device."""

    def __init__(self, program: Program, device: str = "cpu") -> None:
        import torch

        self.device = torch.device(device)
        program = with_activations(with_sums(simplified(program, get_args(Function))), get_args(Function))
        self._outputs = program.outputs
        with torch.inference_mode():
            self._steps = _compiled(program, self.device)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each output, float32."""
        import torch

        with torch.inference_mode():
            values = {-1: self._input(images)}
            for _ in self._computed(values):
                pass
            found = [values[number].contiguous().cpu().numpy() for number in self._outputs]
        # An output that is a constant has no batch.
        return [np.broadcast_to(each, (len(images), *each.shape[1:])) if len(each) < len(images) else each for each in found]

    def timed(self, images: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """Run once on the CPU: for each step, the layer that it belongs to, and the seconds it took."""
        import torch

        with torch.inference_mode():
            values = {-1: self._input(images)}
            begin = time.perf_counter()
            for layer in self._computed(values):
                yield layer, time.perf_counter() - begin
                begin = time.perf_counter()

    def _computed(self, values: dict[int, Tensor]) -> Iterator[int]:
        """Compute all values that the outputs need, those that are not read again taken out; the layer of each step."""
        for run, inputs, number, spent, layer in self._steps:
            values[number] = run(*[values[source] for source in inputs])
            for each in spent:
                del values[each]
            yield layer

    def _input(self, images: NDArray[np.float32]) -> Tensor:
        import torch

        x = torch.from_numpy(images).to(self.device)
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _compiled(program: Program, device: Any) -> list[_Step]:
    """The steps of a program."""
    readers = program.readers()
    written = _written_over(program)
    steps = []
    for number, operation in enumerate(program.operations):
        spent = tuple(
            source
            for source in {*operation.inputs}
            if source >= 0 and source not in program.outputs and readers[source][-1] == number
        )
        run = runner(operation, program, device, overwrite=number in written)
        steps.append(_Step(run, operation.inputs, number, spent, operation.layer))
    return steps


def _written_over(program: Program) -> set[int]:
    """The operations whose result may lie where their first input lay: nobody reads that, under any name, from there on.

    Their other inputs may be another part of the same memory, which would change while it is read.
    """
    readers = program.readers()
    last = [len(program.operations) if each in program.outputs else max(by, default=-1) for each, by in enumerate(readers)]
    # For each value, the one whose memory it lies in; and all that lie there.
    roots, names = {-1: -1}, {-1: [-1]}
    found = set()
    for number, operation in enumerate(program.operations):
        first, *others = operation.inputs or (-1,)
        root = roots[first]
        shares = isinstance(operation, Part | Reshape | Transpose)
        if isinstance(operation, Activate | Combine) and root >= 0 and not isinstance(program.operations[root], Constant):
            unread = all(last[name] <= number for name in names[root])
            apart = all(other == first or roots[other] != root for other in others)
            shares = unread and apart and program.dimensions(first) == operation.dimensions
            if shares:
                found.add(number)
        roots[number] = root if shares else number
        names.setdefault(roots[number], []).append(number)
    return found
