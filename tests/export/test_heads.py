"""What heads write as operations is what they decode in numpy."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from cspdet.cfg.dialect import ALEXEYAB, PJREDDIE, Dialect
from cspdet.engines import ENGINES
from cspdet.layers import BY_NAME
from cspdet.layers.base import Shape
from cspdet.layers.head import Head
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Program

# ncnn's engine takes no program of other operations than plain detectors have.
COMPLETE = [name for name in ENGINES if name != "ncnn"]
NETWORK = Shape(3, 96, 128)
ANCHORS = (10.0, 14.0, 23.0, 27.0, 37.0, 58.0)
YOLO: dict[str, Any] = {"classes": 3, "num": 4, "mask": (2, 0, 3), "anchors": ANCHORS}
REGION: dict[str, Any] = {"classes": 3, "num": 2, "anchors": (1.1, 1.2, 3.4)}
CASES: list[tuple[str, dict[str, Any], Dialect]] = [
    *(("yolo", {**YOLO, "scale_x_y": scale, "new_coords": new}, ALEXEYAB) for scale in (1.0, 1.2) for new in (False, True)),
    ("yolo", {"classes": 1, "num": 1, "anchors": (5.0, 6.0)}, ALEXEYAB),
    *(("Gaussian_yolo", {**YOLO, "yolo_point": at}, ALEXEYAB) for at in ("center", "left_top", "right_bottom")),
    ("Gaussian_yolo", {**YOLO, "scale_x_y": 1.1}, ALEXEYAB),
    *(("region", {**REGION, "softmax": softmax}, dialect) for softmax in (False, True) for dialect in (ALEXEYAB, PJREDDIE)),
    ("region", {**REGION, "softmax": True, "classfix": -1}, ALEXEYAB),
    ("region", {**REGION, "background": True}, PJREDDIE),
    *(
        ("detection", {"classes": 2, "num": 3, "side": 4, "coords": 4, "sqrt": sqrt, "softmax": softmax}, ALEXEYAB)
        for sqrt in (False, True)
        for softmax in (False, True)
    ),
]


def test_every_kind_of_head_has_a_case() -> None:
    heads = {cls for cls in BY_NAME.values() if issubclass(cls, Head)}
    assert {BY_NAME[name] for name, _, _ in CASES} == heads


@pytest.mark.parametrize("engine", COMPLETE)
@pytest.mark.parametrize(("name", "options", "dialect"), CASES, ids=lambda each: getattr(each, "name", str(each)))
def test_operations_compute_what_decode_computes(name: str, options: dict[str, Any], dialect: Dialect, engine: str) -> None:
    layer = BY_NAME[name](3, dialect, options)
    assert isinstance(layer, Head)
    dimensions = (layer.needed(),) if name == "detection" else (layer.needed(), 5, 7)
    build = Builder()
    lowered = layer.lower_boxes(build, Value(-1, dimensions), NETWORK)
    assert lowered is not None
    program = Program(dimensions, tuple(build.operations), tuple(each.number for each in lowered))
    raw = np.random.default_rng(1).normal(size=(2, *dimensions)).astype(np.float32) * 2
    if options.get("new_coords") or name == "detection":
        raw = np.asarray(1 / (1 + np.exp(-raw)), np.float32)
    xywh, objectness, scores = import_module(f"cspdet.engines.{engine}").make(program)(raw)
    assert objectness.shape == (2, len(xywh[0]), 1)
    for threshold in (0.0, 0.15):
        for image in range(2):
            found = layer.decode(raw[image], NETWORK, threshold)
            # Decoding leaves out boxes none of whose classes passes; some heads keep more.
            kept = found.scores.any(1)
            cut = np.where(scores[image] > threshold, scores[image], 0)
            assert 0 < kept.sum() == cut.any(1).sum()
            assert threshold == 0 or kept.sum() < len(cut)
            np.testing.assert_allclose(xywh[image][cut.any(1)], found.xywh[kept], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(cut[cut.any(1)], found.scores[kept], rtol=1e-5, atol=1e-6)
            if name != "region":
                np.testing.assert_allclose(objectness[image, cut.any(1), 0], found.objectness[kept], rtol=1e-5, atol=1e-6)


def test_a_tree_of_classes_has_no_operations() -> None:
    layer = BY_NAME["region"](0, ALEXEYAB, {**REGION, "tree": "t.tree"})
    assert isinstance(layer, Head)
    assert layer.lower_boxes(Builder(), Value(-1, (16, 2, 2)), NETWORK) is None
