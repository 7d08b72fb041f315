"""ONNX Runtime, through the model that `cspdet.formats.onnx` makes, kept in memory."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from cspdet.formats.onnx import OnnxWriter
from cspdet.program.operations import Program
from cspdet.program.rewrites import simplified


def make(program: Program) -> OnnxruntimeEngine:
    """The engine for a program."""
    return OnnxruntimeEngine(program)


class OnnxruntimeEngine:
    """Runs a program with ONNX Runtime on the CPU."""

    def __init__(self, program: Program) -> None:
        import onnxruntime

        program = simplified(program)
        writer = OnnxWriter(program)
        outputs = {f"output_{place}": number for place, number in enumerate(program.outputs)}
        named = {name: (writer.name(number), program.dimensions(number)) for name, number in outputs.items()}
        model = writer.model(named).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # It counts the machine's cores, not those that this process may use.
        options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._outputs = [*named]

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, C, H, W) → one array for each output, float32."""
        found: list[NDArray[np.float32]] = self._session.run(self._outputs, {"images": np.ascontiguousarray(images)})
        return found
