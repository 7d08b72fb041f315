"""Exported networks as OpenVINO's own files: X.xml, and the weights beside it in X.bin."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.openvino import compiled, core, model_of
from cspdet.errors import ExportError
from cspdet.export.model import Model
from cspdet.paths import is_file, is_folder
from cspdet.text import brief, counted

Floats = NDArray[np.float32]
Run = Callable[..., dict[str, Floats]]

_ROOM = "notes"
# Lines of its messages that say where in its own sources something was found.
_PLACES = re.compile(r"Exception from |Check '.*' failed at |While validating node ")


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
    _check_files(path)
    try:
        made = core().read_model(path)
        found = made.get_rt_info(_ROOM).value if made.has_rt_info(_ROOM) else {}
        run = _runner(made)
    except RuntimeError as error:
        raise _unusable(path, _reason(error)) from None
    # What somebody has emptied is no text, but a folder of notes.
    notes = {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    return notes, run


def _check_files(path: Path) -> None:
    """See that both files are there and whole, of which OpenVINO says little; other files it would take for TensorFlow's.

    Raises:
        ExportError: they are not.
    """
    roots: list[str] = []
    needed = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal needed
        roots.append(name)
        place, size = attributes.get("offset", ""), attributes.get("size", "")
        if name == "data" and place.isdecimal() and size.isdecimal():
            needed = max(needed, int(place[:18]) + int(size[:18]))

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise _unusable(path, f"it is no XML from line {error.lineno} on: {expat.ErrorString(error.code)}") from None
    if roots[0] != "net":
        raise _unusable(path, f"its root is `<{brief(roots[0])}>`, not `<net>`")
    weights = path.with_suffix(".bin")
    cure = f"put the one there that was written with `{path.name}`, or export the network again"
    if needed and is_folder(weights):
        raise ExportError(f"`{weights}` is a directory, not the weights of `{path}`", cure)
    if needed and not is_file(weights):
        raise ExportError(f"`{weights}` is missing, which holds the weights of `{path}`", cure)
    size = weights.stat().st_size if needed else 0
    if size != needed:
        there = f"`{weights}` has {counted(size, 'byte')}, where the weights of `{path}` have {needed:,}"
        raise ExportError(f"{there}: it is {'cut' if size < needed else 'of another network'}", cure)


def _unusable(path: Path, reason: str) -> ExportError:
    return ExportError(f"`{path}` is no OpenVINO file that can be run: {reason}", "is it complete?")


def _reason(error: Exception) -> str:
    """What OpenVINO has to say, without the places in its sources where it says it."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not _PLACES.match(line)]
    return brief((said or ["it does not say why"])[-1].rstrip("."), 200)


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
