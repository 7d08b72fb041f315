"""The loss of [Gaussian_yolo] against Darknet and against loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cspdet.layers.gaussian_yolo import GaussianYolo
from tests.train.losses import slow
from tests.train.losses.cases import ANCHORS, COLUMNS, NETWORK, ROWS, Golden, close, evaluate, random_raw, random_truth


def head(**options: Any) -> GaussianYolo:
    return GaussianYolo(values={"classes": 4, "num": 5, "mask": (1, 3, 4), "anchors": ANCHORS} | options)


@pytest.mark.reference
def test_golden() -> None:
    case = Golden("gaussian")
    loss, delta = evaluate(case.head, case.raw, case.truth, case.network)
    close(delta, case.delta, 1e-4)
    assert float(loss.cost) == pytest.approx(case.cost, rel=1e-4)


@pytest.mark.reference
def test_the_loops_are_darknet() -> None:
    case = Golden("gaussian")
    assert isinstance(case.head, GaussianYolo)
    expected = slow.gaussian_yolo(case.head, case.raw, case.truth, case.network)
    close(expected.delta, case.delta, 1e-4)
    assert expected.cost == pytest.approx(case.cost, rel=1e-4)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"iou_thresh": 0.1},
    {"iou_loss": "giou", "iou_normalizer": 0.5, "uc_normalizer": 0.1},
    {"iou_loss": "ciou", "iou_thresh": 0.1, "max_delta": 2.0},
    {"iou_loss": "mse", "max_delta": 2.0},
    {"yolo_point": "left_top", "iou_thresh": 0.1},
    {"yolo_point": "left_top", "iou_loss": "diou"},
    {"yolo_point": "right_bottom", "iou_loss": "iou", "scale_x_y": 1.1},
    {"objectness_smooth": True, "ignore_thresh": 0.2},
    {"objectness_smooth": True, "ignore_thresh": 0.1, "truth_thresh": 0.3, "counters_per_class": (9, 1, 3, 3)},
    {"objectness_smooth": True, "ignore_thresh": 0.3, "truth_thresh": 0.1, "iou_thresh": 0.1, "label_smooth_eps": 0.1},
    {"truth_thresh": 0.2, "iou_loss": "ciou"},
    {"counters_per_class": (100, 10, 40, 7), "cls_normalizer": 0.5, "obj_normalizer": 2.0},
    {"label_smooth_eps": 0.1},
    {"focal_loss": True, "new_coords": True},
    {"iou_thresh": 0.1, "iou_thresh_kind": "giou", "show_details": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options: dict[str, Any]) -> None:
    layer = head(**options)
    for seed in range(3):
        # A wide spread would make deviations so small that no truth is possible; the last seed has that, too.
        raw, truth = random_raw(layer, seed=seed, spread=(0.5, 1, 3)[seed]), random_truth(4, seed=seed)
        if options.get("new_coords"):
            raw = np.log(raw / (1 - raw))
        expected = slow.gaussian_yolo(layer, raw, truth, NETWORK)
        loss, delta = evaluate(layer, raw, truth)
        close(delta, expected.delta)
        assert float(loss.cost) == pytest.approx(expected.cost, rel=1e-9)
        assert int(loss.parts["count"]) == expected.count
        assert float(loss.parts["overlap"]) == pytest.approx(expected.iou, rel=1e-9)
        squares = expected.delta.reshape(2, layer.anchor_count, -1, ROWS * COLUMNS) ** 2
        assert float(loss.parts["box"]) == pytest.approx(squares[:, :, :8].sum(), rel=1e-9)
        assert float(loss.parts["classes"]) == pytest.approx(squares[:, :, 9:].sum(), rel=1e-9)


def test_no_truths() -> None:
    for options in ({}, {"objectness_smooth": True}, {"truth_thresh": 0.3}, {"gradient": "exact", "objectness_smooth": True}):
        layer = head(**options)
        raw, nothing = random_raw(layer), np.full((2, 3, 5), -1, np.float32)
        expected = slow.gaussian_yolo(layer, raw, nothing, NETWORK).delta
        for truth in (nothing, nothing[:, :0]):
            close(evaluate(layer, raw, truth)[1], expected)


@pytest.mark.parametrize("gradient", ["darknet", "exact"])
def test_what_is_not_finite_has_no_gradient(gradient: str) -> None:
    layer = head(gradient=gradient, iou_thresh=0.1)
    raw = random_raw(layer).astype(np.float32)
    random = np.random.default_rng(5)
    raw[tuple(random.integers(0, length, 90) for length in raw.shape)] = random.choice([np.nan, np.inf, -np.inf, 1e4, -1e4], 90)
    loss, delta = evaluate(layer, raw, random_truth(4))
    assert np.isfinite(delta).all()
    assert all(np.isfinite(float(value)) for value in (loss.cost, *loss.parts.values()))
