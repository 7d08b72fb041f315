"""Exported networks as OpenVINO's own files: X.xml, and the weights beside it in X.bin."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from cspdet.engines.openvino import compiled, core, model_of
from cspdet.errors import ExportError
from cspdet.export.ends import File, sides
from cspdet.export.model import Model
from cspdet.paths import is_file, is_folder
from cspdet.text import brief, counted

Floats = NDArray[np.float32]
Run = Callable[..., dict[str, Floats]]

_ROOM = "notes"
# Of the format, those that OpenVINO 2026.4 reads.
_VERSIONS = ("10", "11")
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


def open_file(path: Path) -> File:
    """A file's notes, what runs it, and what goes in and comes out."""
    _check_files(path)
    try:
        made = core().read_model(path)
        found = made.get_rt_info(_ROOM).value if made.has_rt_info(_ROOM) else {}
        run = _runner(path, made)
    except RuntimeError as error:
        raise _unusable(path, _reason(error)) from None
    # What somebody has emptied is no text, but a folder of notes.
    notes = {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    inputs, outputs = ({each.get_any_name(): _sides(each) for each in ends} for ends in (made.inputs, made.outputs))
    return File(notes, run, inputs, outputs)


def _sides(end: Any) -> tuple[int | None, ...]:
    return sides([None if side.is_dynamic else side.get_length() for side in end.partial_shape])


def _check_files(path: Path) -> None:
    """See that both files are there and whole, of which OpenVINO says little; other files it would take for TensorFlow's.

    Raises:
        ExportError: they are not.
    """
    root: dict[str, str] = {}
    needed = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal needed
        root.update({} if root else attributes | {"": name})  # its own name has none
        place, size = attributes.get("offset", ""), attributes.get("size", "")
        if name == "data" and place.isdecimal() and size.isdecimal():
            needed = max(needed, int(place[:18]) + int(size[:18]))

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise _unusable(path, f"it is no XML from line {error.lineno} on: {expat.ErrorString(error.code)}") from None
    if root[""] != "net":
        raise _unusable(path, f"its root is `<{brief(root[''])}>`, not `<net>`")
    if root.get("version") not in _VERSIONS:
        raise _unusable(path, f"its version is `{brief(root.get('version', ''))}`, not {' or '.join(_VERSIONS)}")
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


def _runner(path: Path, made: Any) -> Run:
    ready = compiled(made)
    names = [output.get_any_name() for output in made.outputs]
    lock = Lock()  # a model runs for one caller at a time

    def run(*given: Floats) -> dict[str, Floats]:
        with lock:
            try:
                found = ready([np.ascontiguousarray(each) for each in given])
            except RuntimeError as error:
                raise ExportError(f"`{path}` cannot be run: {_reason(error)}", "export it again") from None
            return {name: np.array(found[place]) for place, name in enumerate(names)}

    return run


def _openvino(path: Path) -> Callable[..., Mapping[str, Floats]]:
    return open_file(path).run


RUNNERS: dict[str, Callable[[Path], Callable[..., Mapping[str, Floats]]]] = {"openvino": _openvino}
