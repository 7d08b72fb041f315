"""ONNX Runtime, through the model that `cspdet.formats.onnx` makes, kept in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.cores import usable_cores
from cspdet.formats.onnx import OnnxWriter
from cspdet.program.operations import Program
from cspdet.program.rewrites import simplified
from cspdet.program.states import States, dimensions_of, names_of, zeros


def make(program: Program) -> OnnxruntimeEngine:
    """The engine for a program."""
    return OnnxruntimeEngine(program)


class OnnxruntimeEngine:
    """Runs a program with ONNX Runtime on the CPU."""

    def __init__(self, program: Program) -> None:
        program = simplified(program)
        writer = OnnxWriter(program)
        outputs = {f"output_{place}": number for place, number in enumerate(program.outputs)}
        named = {name: (writer.name(number), program.dimensions(number)) for name, number in outputs.items()}
        model = writer.model(named).SerializeToString()
        self._session = open_session(model)
        names = [*names_of(program)]
        self._inputs = ["images", *(before for before, _ in names)]
        self._outputs = [*named, *(after for _, after in names)]
        self._states = States(dimensions_of(program), zeros)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each output, float32."""
        return self._states.run(len(images), lambda states: self._run(images, *states))

    def _run(self, *given: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        arrays = map(np.ascontiguousarray, given)
        found: list[NDArray[np.float32]] = self._session.run(self._outputs, dict(zip(self._inputs, arrays, strict=True)))
        return found


def open_session(model: bytes) -> Any:
    """What runs a model on the CPU, by as many threads as this process may use cores: ONNX Runtime counts the machine's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, too
    options.intra_op_num_threads = usable_cores()
    # There is nothing to fall back to, of which it would print a word.
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=False)
