"""PyTorch, with batch normalisation folded and activations fused into convolutions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.kernels import Run, runner
from cspdet.program.operations import Function, Program, State
from cspdet.program.rewrites import simplified, with_activations, with_sums
from cspdet.program.states import States, dimensions_of

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
        self._outputs, self._kept = program.outputs, program.states
        self._states: States[Tensor] = States(dimensions_of(program), lambda shape: torch.zeros(shape, device=self.device))
        with torch.inference_mode():
            self._steps = _compiled(program, self.device)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each output, float32."""
        import torch

        with torch.inference_mode():
            values = self._given(images)
            for _ in self._computed(values):
                pass
            found = [values[number].contiguous().cpu().numpy() for number in self._outputs]
        # An output that is a constant has no batch.
        return [np.broadcast_to(each, (len(images), *each.shape[1:])) if len(each) < len(images) else each for each in found]

    def timed(self, images: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """Run once on the CPU: for each step, the layer that it belongs to, and the seconds it took."""
        import torch

        with torch.inference_mode():
            values = self._given(images)
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
        # Copies, for an output may be the same value.
        self._states.keep(len(values[-1]), [values[after].clone() for _, after in self._kept])

    def _given(self, images: NDArray[np.float32]) -> dict[int, Tensor]:
        """The input and the states."""
        import torch

        x = torch.from_numpy(images).to(self.device)
        x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        states = zip(self._kept, self._states.before(len(x)), strict=True)
        return {-1: x, **{number: state for (number, _), state in states}}


def _compiled(program: Program, device: Any) -> list[_Step]:
    """The steps of a program.

    To write sums and functions where their first input lay was tried: yolov4 and yolov4-tiny took as long as without.
    """
    readers = program.readers()
    steps = []
    for number, operation in enumerate(program.operations):
        if isinstance(operation, State):
            continue
        spent = tuple(
            source
            for source in {*operation.inputs}
            if source >= 0 and source not in program.results and readers[source][-1] == number
        )
        run = runner(operation, program, device)
        steps.append(_Step(run, operation.inputs, number, spent, operation.layer))
    return steps
