"""Exported networks as OpenVINO's own files: X.xml, and the weights beside it in X.bin."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.openvino import compiled, core, model_of
from cspdet.errors import ExportError
from cspdet.export.model import Model

Floats = NDArray[np.float32]
Run = Callable[..., dict[str, Floats]]

_ROOM = "notes"


def write(model: Model, path: Path) -> None:
    """Write both files. With `half`, the weights are of 16 bits; what is computed with them is OpenVINO's choice."""
    import openvino

    made = model_of(model.program, -1)
    if model.options.dynamic_size:
        made.reshape({"images": [-1, model.program.input[0], -1, -1]})
    for result, name in zip(made.outputs, model.names, strict=False):  # behind them come what the states become
        result.get_tensor().set_names({name})
    for key, value in model.notes.items():
        made.set_rt_info(value, [_ROOM, key])
    try:
        openvino.save_model(made, path, compress_to_fp16=model.options.half)
    except RuntimeError:  # its streams do not say why
        raise OSError(errno.ENOSPC, "the disk seems to be full") from None


def open_file(path: Path) -> tuple[dict[str, str], Run]:
    """A file's notes, and what runs it."""
    try:
        made = core().read_model(path)
        notes = made.get_rt_info(_ROOM).value if made.has_rt_info(_ROOM) else {}
        return {**notes}, _runner(made)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise ExportError(f"`{path}` is no OpenVINO file that can be run: {reason}", "is it complete?") from None


def _runner(made: Any) -> Run:
    ready = compiled(made)
    names = [output.get_any_name() for output in made.outputs]
    lock = Lock()  # a model runs for one caller at a time

    def run(*given: Floats) -> dict[str, Floats]:
        with lock:
            found = ready([np.ascontiguousarray(each) for each in given])
            return {name: np.array(found[place]) for place, name in enumerate(names)}

    return run


def _openvino(path: Path) -> Run:
    return open_file(path)[1]


RUNNERS: dict[str, Callable[[Path], Run]] = {"openvino": _openvino}
