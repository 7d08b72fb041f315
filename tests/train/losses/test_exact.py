"""`gradient=exact`: the gradient of a loss that can be written down, and how Darknet's relates to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cspdet.layers.gaussian_yolo import GaussianYolo
from cspdet.layers.yolo import Yolo
from tests.train.losses.cases import ANCHORS, COLUMNS, NETWORK, ROWS, evaluate, random_raw, random_truth
from tests.train.losses.slow import Box, likeness

OPTIONS: list[dict[str, Any]] = [
    {},
    {"iou_loss": "iou", "iou_thresh": 0.1},
    {"iou_loss": "giou", "iou_thresh": 0.1},
    {"iou_loss": "diou", "iou_thresh": 0.1, "scale_x_y": 1.2},
    {"iou_loss": "ciou", "iou_thresh": 0.1, "iou_normalizer": 0.3, "cls_normalizer": 0.5, "obj_normalizer": 2.0},
    {"iou_loss": "ciou", "new_coords": True, "scale_x_y": 2.0, "iou_thresh": 0.1},
    {"new_coords": True},
    {"focal_loss": True, "iou_thresh": 0.1},
    {"focal_loss": True, "new_coords": True},
    {"label_smooth_eps": 0.1, "iou_thresh": 0.1, "iou_loss": "giou"},
    {"counters_per_class": (100, 10, 40, 7), "iou_thresh": 0.1},
]


def head(kind: type[Yolo] = Yolo, **options: Any) -> Any:
    return kind(values={"classes": 4, "num": 5, "mask": (1, 3, 4), "anchors": ANCHORS, "gradient": "exact"} | options)


def differences(layer: Any, raw: Any, truth: Any, places: Any, step: float = 1e-6) -> Any:
    """The derivative of the loss's value, by central differences, at some places of `raw`."""
    found = []
    for place in places:
        values = []
        for sign in (1, -1):
            moved = raw.copy()
            moved[tuple(place)] += sign * step
            values.append(float(evaluate(layer, moved, truth)[0].cost))
        found.append((values[0] - values[1]) / (2 * step))
    return np.array(found)


def trained(delta: Any, entries: range, count: int) -> Any:
    """Places of some of an anchor's entries that have a gradient, drawn at random."""
    n, c, h, w = delta.shape
    length = c // 3
    found = [place for place in np.argwhere(delta.reshape(n, 3, length, h, w) != 0) if place[2] in entries]
    chosen = np.random.default_rng(0).permutation(len(found))[:count]
    return [(found[k][0], found[k][1] * length + found[k][2], *found[k][3:]) for k in chosen]


def agrees(layer: Any, raw: Any, truth: Any, entries: range, count: int = 8) -> None:
    """The gradient by some entries is that of differences of the value."""
    _, delta = evaluate(layer, raw, truth)
    places = trained(delta, entries, count)
    assert len(places) == count
    found = np.array([-delta[place] for place in places])
    np.testing.assert_allclose(found, differences(layer, raw, truth, places), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_yolo(options: dict[str, Any]) -> None:
    # Which boxes are left alone is no part of the derivative, so none is.
    layer = head(ignore_thresh=0.999, **options)
    raw, truth = random_raw(layer, images=3), random_truth(4, images=3)
    loss, _ = evaluate(layer, raw, truth)
    total = sum(float(loss.parts[name]) for name in ("objectness", "classes", "box"))
    assert float(loss.total.detach()) == float(loss.cost) == pytest.approx(total)
    for entries in (range(2), range(2, 4), range(4, 5), range(5, 9)):
        agrees(layer, raw, truth, entries)


def test_the_value_is_the_formula() -> None:
    """One truth, one box: the cross-entropies, and what is missing from the overlap."""
    options = {"iou_normalizer": 0.5, "obj_normalizer": 2.0, "cls_normalizer": 0.25, "label_smooth_eps": 0.2}
    layer = head(iou_loss="giou", counters_per_class=(12, 4, 3, 2), **options)
    raw = random_raw(layer, images=1)
    x, y = 2.3 / COLUMNS, 1.8 / ROWS
    truth = np.array([[[2, x, y, 23 / NETWORK.width, 27 / NETWORK.height]]], np.float32)
    loss, _ = evaluate(layer, raw, truth)
    cells = torch.tensor(raw).view(3, 9, ROWS, COLUMNS)
    entries = cells[0, :, 1, 2]
    softplus = torch.nn.functional.softplus
    objectness = softplus(cells[:, 4]).sum() - softplus(entries[4]) + 4 * softplus(-entries[4])
    assert float(loss.parts["objectness"]) == pytest.approx(2 * float(objectness))
    target, weight = torch.tensor([[0.1, 0.1, 0.9, 0.1], [0.25, 0.25, 1, 0.25]], dtype=torch.float64)
    p = entries[5:].sigmoid()
    entropy = -(target * p.log() + (1 - target) * (1 - p).log())
    assert float(loss.parts["classes"]) == pytest.approx(float((weight * entropy).sum()))
    w, h = (float(entries[2].exp()) * 23 / NETWORK.width, float(entries[3].exp()) * 27 / NETWORK.height)
    box = Box((2 + float(entries[0].sigmoid())) / COLUMNS, (1 + float(entries[1].sigmoid())) / ROWS, w, h)
    overlap = likeness(box, Box(*truth[0, 0, 1:].astype(float).tolist()), "giou")
    assert float(loss.parts["box"]) == pytest.approx(4 * 0.5 * (1 - overlap), rel=1e-6)


@pytest.mark.parametrize("loss", ["mse", "giou", "ciou"])
@pytest.mark.parametrize("point", ["center", "left_top", "right_bottom"])
def test_gaussian_yolo(loss: str, point: str) -> None:
    """Means learn from one term, deviations from the other; each has the gradient of its own."""
    options = {"iou_loss": loss, "yolo_point": point, "iou_thresh": 0.1, "ignore_thresh": 0.999}
    raw, truth = random_raw(head(GaussianYolo), spread=0.7), random_truth(4)
    agrees(head(GaussianYolo, uc_normalizer=0.0, **options), raw, truth, range(0, 8, 2))
    agrees(head(GaussianYolo, iou_normalizer=0.0, uc_normalizer=0.7, **options), raw, truth, range(1, 8, 2))


# -- how Darknet's delta relates to it -----------------------------------------------------------------------------------


def lonely(count: int = 10) -> Any:
    """A truth for each image, so that no box has two."""
    random = np.random.default_rng(3)
    truth = np.zeros((count, 1, 5), np.float32)
    truth[..., 0] = random.integers(0, 4, (count, 1))
    truth[..., 1:3], truth[..., 3:] = random.uniform(0.2, 0.8, (count, 1, 2)), random.uniform(0.15, 0.6, (count, 1, 2))
    return truth


def both(**options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Raw entries, Darknet's delta and the exact one of the boxes that meet the truth they are assigned, (K, 9); anchors."""
    options = {"iou_thresh": 0.1, "ignore_thresh": 0.999} | options
    layer, truth = head(**options), lonely()
    raw = random_raw(layer, images=10)
    entries = [raw, evaluate(head(**options | {"gradient": "darknet"}), raw, truth)[1], evaluate(layer, raw, truth)[1]]
    # Only of boxes that meet has the intersection over union a derivative.
    entries.append(evaluate(head(**options | {"iou_loss": "iou"}), raw, truth)[1])
    raw, darknet, exact, meets = (torch.tensor(each).view(10, 3, 9, -1).transpose(2, 3) for each in entries)
    chosen = (meets[..., :4] != 0).any(-1)
    assert chosen.sum() > 8
    anchors = torch.tensor([layer.anchor(number) for number in layer.used]).double()[None, :, None].expand(*chosen.shape, 2)
    return raw[chosen], darknet[chosen], exact[chosen], anchors[chosen]


@pytest.mark.parametrize("stretch", [1.0, 1.2])
def test_relation_of_objectness_and_classes(stretch: float) -> None:
    """They are the same: target - p is the derivative of the cross-entropy through the logistic."""
    _, darknet, exact, _ = both(scale_x_y=stretch)
    torch.testing.assert_close(darknet[:, 4:], exact[:, 4:])


def test_relation_of_objectness_and_classes_with_new_coords() -> None:
    """Darknet's is the derivative of half the squared error by p: p (1 - p) times that of the cross-entropy."""
    raw, darknet, exact, _ = both(new_coords=True)
    torch.testing.assert_close(darknet[:, 4:], exact[:, 4:] * raw[:, 4:] * (1 - raw[:, 4:]))


@pytest.mark.parametrize("stretch", [1.0, 1.2])
def test_relation_of_mse(stretch: float) -> None:
    """Only the logistic, and its stretch, are missing; sizes are the same."""
    raw, darknet, exact, _ = both(scale_x_y=stretch)
    slope = raw[:, :2].sigmoid() * (1 - raw[:, :2].sigmoid()) * stretch
    torch.testing.assert_close(darknet[:, :2] * slope, exact[:, :2])
    torch.testing.assert_close(darknet[:, 2:4], exact[:, 2:4])


@pytest.mark.parametrize("stretch", [1.0, 1.2])
@pytest.mark.parametrize("loss", ["iou", "giou"])
def test_relation_of_iou(loss: str, stretch: float) -> None:
    """The logistic and the map's size are missing at the centre; sizes are twice too large, without anchor and network."""
    raw, darknet, exact, anchors = both(iou_loss=loss, scale_x_y=stretch)
    slope = raw[:, :2].sigmoid() * (1 - raw[:, :2].sigmoid()) * stretch
    size = torch.tensor([COLUMNS, ROWS]), torch.tensor([NETWORK.width, NETWORK.height])
    torch.testing.assert_close(darknet[:, :2] * slope / size[0], exact[:, :2])
    torch.testing.assert_close(darknet[:, 2:4] / 2 * anchors / size[1], exact[:, 2:4])


def test_relation_of_iou_with_new_coords() -> None:
    """The same, but that the derivative of 4 t² is missing instead of that of e^t being there."""
    raw, darknet, exact, anchors = both(iou_loss="iou", new_coords=True, scale_x_y=2.0)
    size = torch.tensor([COLUMNS, ROWS]), torch.tensor([NETWORK.width, NETWORK.height])
    torch.testing.assert_close(darknet[:, :2] * 2.0 / size[0], exact[:, :2])
    torch.testing.assert_close(darknet[:, 2:4] / 2 * 8 * raw[:, 2:4] * anchors / size[1], exact[:, 2:4])
