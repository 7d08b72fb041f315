"""cspdet: any Darknet cfg as a graph, a PyTorch module, a detector.

>>> import cspdet
>>> detector = cspdet.load("yolov4-tiny")  # doctest: +SKIP
>>> detector("dog.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspdet.classification import Classification
    from cspdet.detections import Detection, Detections
    from cspdet.detector import Detector
    from cspdet.errors import (
        CfgError,
        CfgWarning,
        CspdetError,
        DownloadError,
        EngineWarning,
        ExportError,
        ImageError,
        UsageError,
        WeightsError,
        WeightsWarning,
    )
    from cspdet.loading import load
    from cspdet.network import Network
    from cspdet.version import __version__ as __version__

# Public name → module. Imported on first use: torch alone takes longer to import than a cfg takes to check.
_HOMES = {
    "__version__": "version",
    "load": "loading",
    "Detector": "detector",
    "Network": "network",
    "Classification": "classification",
    "Detections": "detections",
    "Detection": "detections",
    "CspdetError": "errors",
    "UsageError": "errors",
    "CfgError": "errors",
    "WeightsError": "errors",
    "ImageError": "errors",
    "DownloadError": "errors",
    "ExportError": "errors",
    "CfgWarning": "errors",
    "EngineWarning": "errors",
    "WeightsWarning": "errors",
}

__all__ = [
    "CfgError",
    "CfgWarning",
    "Classification",
    "CspdetError",
    "Detection",
    "Detections",
    "Detector",
    "DownloadError",
    "EngineWarning",
    "ExportError",
    "ImageError",
    "Network",
    "UsageError",
    "WeightsError",
    "WeightsWarning",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `cspdet` has no attribute `{name}`")
    value = getattr(import_module(f"cspdet.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
