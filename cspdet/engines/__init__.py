"""Ways to run a network, one file each. An engine is called with the input and gives the raw outputs, both as numpy arrays.

All but the module itself run a program (`cspdet.program`), so that they know no layer. Each file has a function `make`, from a
program to an engine; the table here says what it needs. None but PyTorch's own imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.lowering import NotLoweredError, lower
from cspdet.program.operations import Activate, Program

# `CV_CPU_AVX512_SKX` of OpenCV's `core/cvdef.h`, which has no name in Python.
_AVX512 = 256

__all__ = ["ENGINES", "Choice", "Engine", "NotLoweredError", "check_engine", "fastest", "make_engine"]


class Engine(Protocol):
    """(N, C, H, W) → one array for each of `graph.outputs`, float32."""

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the network once."""
        ...


class Kind(NamedTuple):
    """What an engine is, its package (installed under the name it is imported by), and whether it takes devices."""

    about: str
    package: str
    devices: bool = False


ENGINES: dict[str, Kind] = {
    "torch": Kind("PyTorch, with folded batch normalisation and fused activations; on any device", "torch", devices=True),
    "openvino": Kind("OpenVINO, on CPUs", "openvino"),
    "onnxruntime": Kind("ONNX Runtime, on CPUs", "onnxruntime"),
}


class Choice(NamedTuple):
    """An engine, and its name."""

    name: str
    engine: Engine


def check_engine(name: str, device: str = "cpu") -> None:
    """See that there is an engine of that name, that its package is installed, and that it runs on the device.

    Raises:
        UsageError: it is not so.
    """
    if name == "auto":
        return
    if name not in ENGINES:
        raise UsageError(f"there is no engine `{name}`", "one of: " + ", ".join(["auto", *ENGINES]))
    if not _installed(name):
        message = f"the engine `{name}` needs the package `{ENGINES[name].package}`, which is not installed"
        raise UsageError(message, f"pip install {ENGINES[name].package}, or `--engine auto` for what is there")
    if device != "cpu" and not ENGINES[name].devices:
        raise UsageError(f"the engine `{name}` runs on CPUs, not on `{device}`", "use `--engine torch`")


def make_engine(name: str, graph: Graph, arrays: Mapping[str, NDArray[np.float32]], device: str = "cpu") -> Choice:
    """The engine of a name, for a network whose arrays are named as in its state_dict; `auto` takes the fastest there is.

    Raises:
        UsageError: it cannot run here (`check_engine`).
        NotLoweredError: the network has a layer that only PyTorch's module runs.
    """
    check_engine(name, device)
    program = lower(graph, arrays)
    name = fastest(program, device) if name == "auto" else name
    make = import_module(f"cspdet.engines.{name}").make
    return Choice(name, make(program, device) if ENGINES[name].devices else make(program))


def fastest(program: Program, device: str = "cpu") -> str:
    """What is fastest of the engines that are installed, by the measurements in docs/engines.md.

    OpenVINO is where it computes Mish within its convolutions, or has registers of 512 bits; elsewhere, ONNX Runtime is.
    """
    if device != "cpu":
        return "torch"
    mish = any(isinstance(each, Activate) and each.activation.function == "mish" for each in program.operations)
    order = ("openvino", "onnxruntime") if mish or _has_wide_registers() else ("onnxruntime", "openvino")
    return next((name for name in order if _installed(name)), "torch")


def _has_wide_registers() -> bool:
    """Whether this processor has AVX-512, as OpenCV sees it."""
    import cv2

    return cv2.checkHardwareSupport(_AVX512)


def _installed(name: str) -> bool:
    return find_spec(ENGINES[name].package) is not None
