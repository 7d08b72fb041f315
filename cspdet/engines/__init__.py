"""Ways to run a network, one file each. An engine is called with the input and gives the raw outputs, both as numpy arrays.

All but the module itself run a program (`cspdet.program`), so that they know no layer. Each file has a function `make`, from a
program to an engine; the table here says what it needs. None but PyTorch's own imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UnsupportedError, UsageError
from cspdet.graph import Graph
from cspdet.lowering import lower
from cspdet.program.operations import Activate, Convolve, Program
from cspdet.text import nearest

# `CV_CPU_AVX512_SKX` of OpenCV's `core/cvdef.h`, which has no name in Python.
_AVX512 = 256

__all__ = [
    "COMPILED",
    "ENGINES",
    "NAMES",
    "Choice",
    "Engine",
    "Preparing",
    "by_speed",
    "check_engine",
    "check_name",
    "make_engine",
]


class Engine(Protocol):
    """(N, C, H, W) → one array for each of `graph.outputs`, float32."""

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the network once."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """An engine that has something to do before it first computes with batches of one size."""

    def prepare(self, batch: int) -> None:
        """Do that now."""
        ...


class Kind(NamedTuple):
    """What an engine is, its package (installed under the name it is imported by), other names, whether it takes devices."""

    about: str
    package: str
    called: tuple[str, ...] = ()
    devices: bool = False


ENGINES: dict[str, Kind] = {
    "torch": Kind(
        "PyTorch, with folded batch normalisation and fused activations; on any device", "torch", ("pytorch",), devices=True
    ),
    "openvino": Kind("OpenVINO, on CPUs", "openvino", ("ov",)),
    "onnxruntime": Kind("ONNX Runtime, on CPUs", "onnxruntime", ("onnx", "ort")),
    "ncnn": Kind("ncnn, on CPUs, one image at a time", "ncnn"),
}
# PyTorch's module through its compiler. Nobody picks it: on CPUs it is no faster than `torch`, and half a minute goes by first.
COMPILED = "compiled"
# All that may be asked for: the fastest that is installed, or one of the others.
NAMES = ("auto", *ENGINES, COMPILED)


class Choice(NamedTuple):
    """An engine, and its name."""

    name: str
    engine: Engine


def check_name(name: str, known: Iterable[str] = NAMES, what: str = "") -> None:
    """See that an engine's name is one of those that are known; `what` is to be done with it.

    Raises:
        UsageError: it is not.
    """
    known = [*known]
    if name in known:
        return
    meant = {word: each for each in known for word in (each, *(ENGINES[each].called if each in ENGINES else ()))}
    near = nearest(name, meant)
    raise UsageError(
        f"there is no engine `{name}`{what}", f"did you mean `{meant[near]}`?" if near else "one of: " + ", ".join(known)
    )


def check_engine(name: str, device: str = "cpu") -> None:
    """See that there is an engine of that name, that its package is installed, and that it runs on the device.

    Raises:
        UsageError: it is not so.
    """
    check_name(name)
    if name not in ENGINES:
        return
    if not _installed(name):
        message = f"the engine `{name}` needs the package `{ENGINES[name].package}`, which is not installed"
        raise UsageError(message, f"pip install {ENGINES[name].package}, or use one that is: {', '.join(installed())}")
    if device != "cpu" and not ENGINES[name].devices:
        fit = [each for each, kind in ENGINES.items() if kind.devices]
        raise UsageError(f"the engine `{name}` runs on CPUs, not on `{device}`", f"what does: {', '.join(fit)}")


def make_engine(name: str, graph: Graph, arrays: Mapping[str, NDArray[np.float32]], device: str = "cpu") -> Choice:
    """The engine of a name, for a network whose arrays are named as in its state_dict; `auto` takes the fastest there is.

    Raises:
        UsageError: it cannot run here (`check_engine`).
        UnsupportedError: it does not have one of the network's operations.
    """
    check_engine(name, device)
    program = lower(graph, arrays)
    if name != "auto":
        return _made(name, program, device)
    *faster, last = by_speed(program, device)
    for each in faster:
        with suppress(UnsupportedError):
            return _made(each, program, device)
    return _made(last, program, device)


def _made(name: str, program: Program, device: str) -> Choice:
    make = import_module(f"cspdet.engines.{name}").make
    return Choice(name, make(program, device) if ENGINES[name].devices else make(program))


def by_speed(program: Program, device: str = "cpu") -> list[str]:
    """The engines that are installed, the fastest first, by the measurements in docs/engines.md; PyTorch is the last.

    OpenVINO is where it computes Mish within its convolutions, or has registers of 512 bits. Elsewhere, ncnn is where kernels
    are dense, and ONNX Runtime where each channel has its own.
    """
    if device != "cpu":
        return ["torch"]
    convolutions = [each for each in program.operations if isinstance(each, Convolve)]
    mish = any(isinstance(each, Activate) and each.activation.function == "mish" for each in program.operations)
    if mish or _has_wide_registers():
        order = ["openvino", "onnxruntime"]
    elif any(each.groups > 1 for each in convolutions):
        order = ["onnxruntime", "openvino"]
    else:
        order = ["ncnn", "onnxruntime", "openvino"]
    return [*filter(_installed, order), "torch"]


def _has_wide_registers() -> bool:
    """Whether this processor has AVX-512, as OpenCV sees it."""
    import cv2

    return cv2.checkHardwareSupport(_AVX512)


def installed() -> list[str]:
    """The engines whose packages are installed."""
    return [*filter(_installed, ENGINES)]


def _installed(name: str) -> bool:
    return find_spec(ENGINES[name].package) is not None
