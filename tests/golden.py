"""Goldens: what Darknet computed, and how its weights and inputs are made again."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.conftest import REFERENCE, reference_files

LAYERS = REFERENCE / "golden" / "layers"
# Networks up to this many parameters are quick enough to run every time.
QUICK = 20_000_000
# One of each family whose members are all larger.
FAMILIES = (
    "AlexeyAB__darknet__yolov7",
    "AlexeyAB__darknet__darknet53_448_xnor",
    "WongKinYiu__CrossStagePartialNetworks__darknet53-swish",
    "WongKinYiu__CrossStagePartialNetworks__csresnext50-fpn-spp",
    "pjreddie__darknet__resnet101",
    "pjreddie__darknet__yolov2",
    "WongKinYiu__PyTorch_YOLOv4__yolov4-csp-mish",
    "WongKinYiu__yolor__yolov4-csp",
    "AlexeyAB__darknet__yolov4-sam-mish-csp-reorg-bfm",
    "AlexeyAB__darknet__Gaussian_yolov3_BDD",
    "AlexeyAB__darknet__yolov3",
    "AlexeyAB__darknet__alexnet",
    "AlexeyAB__darknet__yolov4",
    "AlexeyAB__darknet__tiny-coco",
    "pjreddie__darknet__strided",
)


@cache
def load(name: str) -> dict[str, Any]:
    """The golden of a cfg."""
    found: dict[str, Any] = json.loads((LAYERS / f"{name}.json").read_text())
    return found


def names() -> list[str]:
    """All cfgs that have a golden."""
    return [path.stem for path in reference_files("golden/layers/*.json")]


def cfg_of(name: str) -> Path:
    """The cfg that belongs to a golden."""
    return REFERENCE / "corpus" / f"{name}.cfg"


@cache
def fill_weights() -> Any:
    """The script that makes the goldens' weights and inputs."""
    spec = importlib.util.spec_from_file_location("fill_weights", REFERENCE / "golden" / "fill_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
