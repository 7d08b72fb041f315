"""The loss of [yolo] against Darknet and against loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cspdet.errors import UsageError
from cspdet.layers.base import Shape
from cspdet.layers.gaussian_yolo import GaussianYolo
from cspdet.layers.yolo import Yolo
from tests.train.losses import slow
from tests.train.losses.cases import (
    ANCHORS,
    COLUMNS,
    NETWORK,
    ROWS,
    Golden,
    close,
    evaluate,
    golden_names,
    random_raw,
    random_truth,
)


def head(**options: Any) -> Yolo:
    return Yolo(values={"classes": 4, "num": 5, "mask": (1, 3, 4), "anchors": ANCHORS} | options)


YOLO = [name for name in golden_names() if name not in ("gaussian", "region")]


@pytest.mark.reference
@pytest.mark.parametrize("name", YOLO)
def test_golden(name: str) -> None:
    case = Golden(name)
    loss, delta = evaluate(case.head, case.raw, case.truth, case.network)
    close(delta, case.delta, 1e-4)
    assert float(loss.cost) == pytest.approx(case.cost, rel=1e-4)


@pytest.mark.reference
@pytest.mark.parametrize("name", YOLO)
def test_the_loops_are_darknet(name: str) -> None:
    """What the other tests compare with is itself right."""
    case = Golden(name)
    assert isinstance(case.head, Yolo)
    expected = slow.yolo(case.head, case.raw, case.truth, case.network)
    close(expected.delta, case.delta, 1e-4)
    assert expected.cost == pytest.approx(case.cost, rel=1e-4)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"iou_loss": "iou"},
    {"iou_loss": "giou", "iou_normalizer": 0.5},
    {"iou_loss": "diou", "show_details": 0},
    {"iou_loss": "ciou", "iou_normalizer": 0.07, "obj_normalizer": 0.4, "cls_normalizer": 0.5},
    {"iou_loss": "ciou", "max_delta": 0.05},
    {"iou_loss": "mse", "max_delta": 0.05},
    {"iou_thresh": 0.2},
    {"iou_thresh": 0.2, "iou_loss": "ciou", "iou_thresh_kind": "giou"},
    {"iou_thresh": 0.3, "iou_loss": "giou", "iou_thresh_kind": "diou"},
    {"iou_thresh": 0.1, "iou_loss": "iou", "iou_thresh_kind": "ciou"},
    {"iou_thresh": 0.2, "label_smooth_eps": 0.1},
    {"iou_thresh": 0.0, "label_smooth_eps": 0.6, "iou_loss": "ciou"},
    {"label_smooth_eps": 0.1},
    {"focal_loss": True},
    {"focal_loss": True, "iou_thresh": 0.1, "iou_loss": "ciou", "label_smooth_eps": 0.1},
    {"counters_per_class": (100, 10, 40, 0)},
    {"counters_per_class": (100, 10, 40, 7), "max_delta": 3.0, "cls_normalizer": 0.5, "iou_thresh": 0.1},
    {"counters_per_class": (100, 10, 40, 7), "objectness_smooth": True, "focal_loss": True},
    {"objectness_smooth": True, "ignore_thresh": 0.2},
    {"ignore_thresh": 0.1},
    {"ignore_thresh": 0.9},
    {"truth_thresh": 0.3},
    {"truth_thresh": 0.3, "objectness_smooth": True, "iou_thresh": 0.1, "iou_loss": "ciou"},
    {"truth_thresh": 0.2, "counters_per_class": (100, 10, 40, 7), "cls_normalizer": 0.5, "label_smooth_eps": 0.1},
    {"truth_thresh": 0.2, "focal_loss": True, "objectness_smooth": True, "counters_per_class": (5, 10, 40, 7)},
    {"scale_x_y": 1.2, "iou_loss": "ciou"},
    {"new_coords": True, "scale_x_y": 2.0, "iou_loss": "ciou", "objectness_smooth": True, "iou_thresh": 0.2},
    {"new_coords": True, "scale_x_y": 2.0, "iou_loss": "mse"},
    {"new_coords": True, "truth_thresh": 0.3, "iou_loss": "giou"},
    {"max": 4},
    {"mask": (), "num": 5},
    {"mask": (2,)},
    {"mask": (3, 1)},
    {"mask": (4, 1, 4), "iou_thresh": 0.0},
    {"num": 7, "mask": (0, 5, 6), "iou_thresh": 0.0},
    {"classes": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options: dict[str, Any]) -> None:
    layer = head(**options)
    for seed in range(3):
        raw, truth = random_raw(layer, seed=seed), random_truth(layer.classes, seed=seed)
        expected = slow.yolo(layer, raw, truth[:, : layer.max], NETWORK)
        loss, delta = evaluate(layer, raw, truth)
        close(delta, expected.delta)
        assert float(loss.cost) == pytest.approx(expected.cost, rel=1e-9)
        assert int(loss.parts["count"]) == expected.count
        assert float(loss.parts["overlap"]) == pytest.approx(expected.iou, rel=1e-9)
        squares = expected.delta.reshape(2, layer.anchor_count, -1, ROWS * COLUMNS) ** 2
        assert float(loss.parts["box"]) == pytest.approx(squares[:, :, :4].sum(), rel=1e-9)
        assert float(loss.parts["objectness"]) == pytest.approx(squares[:, :, 4].sum(), rel=1e-9)
        assert float(loss.parts["classes"]) == pytest.approx(squares[:, :, 5:].sum(), rel=1e-9)


def test_boxes_collide_in_these_tests() -> None:
    """The random truths do what they are for: boxes with two classes, and with one twice."""
    layer = head(iou_thresh=0.1)
    truth = random_truth(4)
    places: dict[tuple[Any, ...], list[int]] = {}
    for one in slow.truths_of(layer, truth[0]):
        cell = slow.cell_of(one.box.y, ROWS), slow.cell_of(one.box.x, COLUMNS)
        places.setdefault((*cell, one.box.w, one.box.h), []).append(one.label)
    assert any(len(labels) > len(set(labels)) for labels in places.values())
    assert any(len(set(labels)) > 1 for labels in places.values())


def test_exact_overlaps() -> None:
    """Predictions that are the truths, or as far from them as can be."""
    layer = head(iou_loss="ciou", iou_thresh=0.1, ignore_thresh=0.99)
    raw, truth = random_raw(layer), random_truth(4)
    cells = raw.reshape(2, 3, 9, ROWS, COLUMNS)
    cells[:, :, :2], cells[:, :, 2:4] = 0, np.log(0.5)
    x, y = 2.5 / COLUMNS, 1.5 / ROWS
    truth[0, 0] = 1, x, y, 0.5 * 23 / NETWORK.width, 0.5 * 27 / NETWORK.height
    truth[1, 0] = 1, x, y, 1e-4, 0.9
    expected = slow.yolo(layer, raw, truth, NETWORK)
    loss, delta = evaluate(layer, raw, truth)
    close(delta, expected.delta)
    assert float(loss.parts["overlap"]) == pytest.approx(expected.iou)


def test_the_network_may_change_its_size() -> None:
    layer = head(iou_thresh=0.2, iou_loss="ciou")
    raw, truth = random_raw(layer), random_truth(4)
    for network in (Shape(3, 64, 112), Shape(3, 256, 448)):
        expected = slow.yolo(layer, raw, truth, network)
        close(evaluate(layer, raw, truth, network)[1], expected.delta)


def test_no_truths() -> None:
    layer = head(iou_loss="ciou")
    raw = random_raw(layer)
    nothing = np.full((2, 3, 5), -1, np.float32)
    expected = slow.yolo(layer, raw, nothing, NETWORK)
    for truth in (nothing, nothing[:, :0]):
        for options in ({}, {"truth_thresh": 0.3}, {"gradient": "exact"}, {"gradient": "exact", "objectness_smooth": True}):
            loss, delta = evaluate(head(iou_loss="ciou", **options), raw, truth)
            close(delta, expected.delta)
            assert int(loss.parts["count"]) == 0
            assert float(loss.parts["classes"]) == float(loss.parts["box"]) == 0


@pytest.mark.parametrize("kind", [Yolo, GaussianYolo])
@pytest.mark.parametrize("gradient", ["darknet", "exact"])
def test_images_are_apart(kind: type[Yolo], gradient: str) -> None:
    """Exchanging images exchanges their gradients; the loss of a batch is the sum of that of its parts."""
    layer = kind(
        values={"classes": 4, "num": 5, "mask": (1, 3, 4), "anchors": ANCHORS, "iou_thresh": 0.1, "gradient": gradient}
    )
    raw, truth = random_raw(layer, images=4), random_truth(4, images=4)
    order = [2, 0, 3, 1]
    loss, delta = evaluate(layer, raw, truth)
    other, moved = evaluate(layer, raw[order], truth[order])
    close(moved, delta[order], 1e-14)
    assert float(other.cost) == pytest.approx(float(loss.cost), rel=1e-12)
    parts = [evaluate(layer, raw[[image]], truth[[image]]) for image in range(4)]
    close(np.concatenate([one for _, one in parts]), delta, 1e-14)
    for name, value in loss.parts.items():
        assert float(value) == pytest.approx(sum(float(one.parts[name]) for one, _ in parts), rel=1e-12)


def test_rows_that_fill_up_do_nothing() -> None:
    layer = head(iou_loss="ciou", iou_thresh=0.2)
    raw, truth = random_raw(layer), random_truth(4)
    _, delta = evaluate(layer, raw, truth)
    padded = np.concatenate([truth, np.full((2, 9, 5), -1, np.float32)], 1)
    close(evaluate(layer, raw, padded)[1], delta, 0)


def test_the_class_map(tmp_path: Any) -> None:
    """Labels are mapped; what is mapped to no class is no object."""
    (tmp_path / "some.map").write_text("3\n0\n9\n-1\n")
    layer = head(map="some.map", iou_loss="ciou", iou_thresh=0.2)
    layer.find_map(tmp_path / "x.cfg")
    assert layer.class_map == (3, 0, 9, -1)
    raw, truth = random_raw(layer), random_truth(4)
    close(evaluate(layer, raw, truth)[1], slow.yolo(layer, raw, truth, NETWORK).delta)
    renamed = truth.copy()
    renamed[..., 0] = [[(3, 0, -1, -1, -1)[int(label)] for label in rows] for rows in truth[..., 0]]
    close(evaluate(head(iou_loss="ciou", iou_thresh=0.2), raw, renamed)[1], evaluate(layer, raw, truth)[1], 0)


def test_a_class_map_that_is_not_there(tmp_path: Any) -> None:
    layer = head(map="none.map")
    layer.find_map(tmp_path / "x.cfg")
    with pytest.raises(UsageError, match=r"class map `none\.map` is not there"):
        evaluate(layer, random_raw(layer), random_truth(4))


def test_the_graph_finds_the_class_map(tmp_path: Any) -> None:
    from cspdet.cfg.source import Source
    from cspdet.rules import examine

    (tmp_path / "some.map").write_text("1\n0")
    cfg = tmp_path / "x.cfg"
    cfg.write_text("[net]\nwidth=8\nheight=8\nchannels=7\n[yolo]\nclasses=2\nanchors=1,1\nmap=some.map\n")
    graph, _ = examine(Source.read(cfg))
    assert graph is not None
    assert graph.nodes[0].layer.class_map == (1, 0)  # type: ignore[attr-defined]


def test_delta_normalizer_is_a_factor_on_the_gradient_only() -> None:
    raw, truth = random_raw(head()), random_truth(4)
    loss, delta = evaluate(head(), raw, truth)
    other, less = evaluate(head(delta_normalizer=0.25), raw, truth)
    close(less, delta * 0.25, 1e-15)
    assert float(other.cost) == float(loss.cost)


@pytest.mark.parametrize("gradient", ["darknet", "exact"])
@pytest.mark.parametrize("loss", ["mse", "iou", "giou", "diou", "ciou"])
@pytest.mark.parametrize("new_coords", [False, True])
def test_what_is_not_finite_has_no_gradient(loss: str, gradient: str, new_coords: bool) -> None:
    """NaN, infinity, and numbers whose exponential is: they spoil nothing but their own entry, at most their box."""
    layer = head(iou_loss=loss, gradient=gradient, iou_thresh=0.0, new_coords=new_coords)
    raw, truth = random_raw(layer).astype(np.float32), random_truth(4)
    _, delta = evaluate(layer, raw, truth)
    random = np.random.default_rng(5)
    spoilt = raw.copy()
    places = tuple(random.integers(0, length, 60) for length in raw.shape)
    spoilt[places] = random.choice([np.nan, np.inf, -np.inf, 1000, -1000, 89], 60)
    found, other = evaluate(layer, spoilt, truth)
    assert np.isfinite(other).all()
    assert all(np.isfinite(float(value)) for value in (found.cost, *found.parts.values()))
    # Whatever shares no box with a spoilt number, and is not class or objectness of an assigned box, is as it was.
    boxes = raw.reshape(2, 3, -1, ROWS, COLUMNS)
    clean = np.isfinite(spoilt).reshape(boxes.shape).all(2) & (np.abs(spoilt).reshape(boxes.shape) < 80).all(2)
    same = np.broadcast_to(clean[:, :, None], boxes.shape)
    assert same.mean() > 0.5
    close(other.reshape(boxes.shape)[same], delta.reshape(boxes.shape)[same], 1e-6)


def test_max_delta_limits_the_box() -> None:
    raw, truth = random_raw(head()), random_truth(4)
    for gradient, loss in (("darknet", "ciou"), ("exact", "ciou"), ("exact", "mse")):
        _, free = evaluate(head(iou_loss=loss, gradient=gradient), raw, truth)
        limit = float(np.abs(free.reshape(2, 3, 9, -1)[:, :, :4]).max()) / 5
        _, limited = evaluate(head(iou_loss=loss, gradient=gradient, max_delta=limit), raw, truth)
        largest = 3 if gradient == "darknet" else 1  # a box has three truths here
        assert np.abs(limited.reshape(2, 3, 9, -1)[:, :, :4]).max() <= largest * limit * (1 + 1e-12)
        assert np.abs(limited - free).max() > limit


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    from cspdet.train.losses.yolo import yolo_loss
    from tests.train.losses.cases import SETTLED

    layer = head(iou_loss="ciou", iou_thresh=0.2)
    raw = torch.tensor(random_raw(layer)).to(dtype).requires_grad_()
    single = raw.detach().float().requires_grad_()
    truth = torch.tensor(random_truth(4))
    half, full = (yolo_loss(layer, each, truth, NETWORK, SETTLED) for each in (raw, single))
    assert half.cost.dtype == torch.float32
    assert float(half.cost) == float(full.cost)
    for loss in (half, full):
        (loss.total / 8).backward()
    assert raw.grad is not None
    assert single.grad is not None
    assert raw.grad.dtype == dtype
    assert torch.equal(raw.grad, single.grad.to(dtype))
