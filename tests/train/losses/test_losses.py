"""What holds for the losses of all heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cspdet.layers import LAYERS
from cspdet.layers.detection import Detection
from cspdet.layers.gaussian_yolo import GaussianYolo
from cspdet.layers.head import Head
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo
from cspdet.train.losses import LOSSES, hits, objective
from cspdet.train.losses.base import with_gradient
from cspdet.train.losses.boxes import overlap
from tests.train.losses.cases import ANCHORS, COLUMNS, NETWORK, ROWS, SETTLED, close, evaluate, random_raw, random_truth
from tests.train.losses.test_gaussian_yolo import OPTIONS as GAUSSIAN_OPTIONS
from tests.train.losses.test_yolo import OPTIONS as YOLO_OPTIONS

HEADS: list[tuple[type[Head], dict[str, Any]]] = [
    (Yolo, {}),
    (Yolo, {"iou_loss": "ciou", "iou_thresh": 0.2, "objectness_smooth": True, "counters_per_class": (4, 3, 2, 1)}),
    (Yolo, {"truth_thresh": 0.7, "focal_loss": True, "max_delta": 2.0, "delta_normalizer": 0.5}),
    (Yolo, {"gradient": "exact", "iou_loss": "giou", "iou_thresh": 0.2, "counters_per_class": (4, 3, 2, 1)}),
    (Yolo, {"gradient": "exact", "new_coords": True}),
    (GaussianYolo, {}),
    (GaussianYolo, {"iou_loss": "ciou", "yolo_point": "left_top", "objectness_smooth": True, "truth_thresh": 0.7}),
    (GaussianYolo, {"gradient": "exact"}),
    (Region, {"softmax": True, "focal_loss": True, "classfix": 2}),
    (Region, {"bias_match": True, "rescore": True}),
]


def make(kind: type[Head], options: dict[str, Any]) -> Any:
    return kind(values={"classes": 4, "num": 5, "anchors": ANCHORS} | options)


def test_every_head_but_the_first_has_a_loss() -> None:
    heads = {layer for layer in LAYERS if issubclass(layer, Head)}
    assert heads - set(LOSSES) == {Detection}


@pytest.mark.parametrize(("kind", "options"), HEADS, ids=str)
def test_nothing_waits_for_the_device(kind: type[Head], options: dict[str, Any]) -> None:
    """On a device that has no numbers, only what depends on none of them can be computed, and nothing from elsewhere."""
    layer = make(kind, options)
    raw = torch.zeros(2, layer.needed(), ROWS, COLUMNS, device="meta", requires_grad=True)
    loss = LOSSES[kind](layer, raw, torch.zeros(2, 6, 5, device="meta"), NETWORK, SETTLED)
    loss.total.backward()
    assert raw.grad is not None
    assert {each.device.type for each in (raw.grad, loss.total, loss.cost, *loss.parts.values())} == {"meta"}


@pytest.mark.parametrize(("kind", "options"), HEADS, ids=str)
def test_the_same_twice_is_the_same(kind: type[Head], options: dict[str, Any]) -> None:
    """To the bit, however many threads there are; and nobody writes into what was given."""
    layer = make(kind, options)
    raw, truth = random_raw(layer).astype("float32"), random_truth(4)
    kept = raw.copy(), truth.copy()
    loss, delta = evaluate(layer, raw, truth)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again, other = evaluate(layer, raw, truth)
    finally:
        torch.set_num_threads(threads)
    assert (delta == other).all()
    assert float(loss.cost) == float(again.cost)
    assert (raw == kept[0]).all()
    assert (truth == kept[1]).all()


@pytest.mark.parametrize(("kind", "options"), HEADS, ids=str)
def test_it_can_be_evaluated_without_training(kind: type[Head], options: dict[str, Any]) -> None:
    layer = make(kind, options)
    raw, truth = torch.tensor(random_raw(layer)), torch.tensor(random_truth(4))
    with torch.no_grad():
        found = LOSSES[kind](layer, raw, truth, NETWORK, SETTLED)
    expected, _ = evaluate(layer, raw.numpy(), truth.numpy())
    assert float(found.cost) == float(expected.cost)
    assert not found.total.requires_grad
    assert not any(part.requires_grad for part in (expected.cost, *expected.parts.values()))


LEARNERS: list[tuple[type[Head], dict[str, Any]]] = [
    (Yolo, {}),
    (Yolo, {"iou_loss": "ciou", "scale_x_y": 1.1}),
    (Yolo, {"gradient": "exact", "iou_loss": "ciou", "iou_normalizer": 5.0}),
    (Yolo, {"new_coords": True, "scale_x_y": 2.0, "iou_loss": "ciou"}),
    (GaussianYolo, {"yolo_point": "left_top"}),
    (Region, {"softmax": True, "bias_match": True, "anchors": tuple(each / 32 for each in ANCHORS)}),
]


@pytest.mark.parametrize(("kind", "options"), LEARNERS, ids=str)
def test_what_is_learned_is_what_is_decoded(kind: type[Head], options: dict[str, Any]) -> None:
    """Descending along the gradient, a head's raw output becomes one that its own `decode` finds the truths in."""
    layer = make(kind, {"thresh" if kind is Region else "ignore_thresh": 0.95} | options)
    truth = torch.tensor([[[1, 0.33, 0.2, 0.2, 0.4], [3, 0.6, 0.6, 0.5, 0.7], [0, 0.82, 0.4, 0.1, 0.2]]])
    values = torch.zeros(1, layer.needed(), ROWS, COLUMNS, requires_grad=True)
    optimizer = torch.optim.Adam([values], 0.1)
    for _ in range(150):
        raw = values.sigmoid() if options.get("new_coords") else values
        optimizer.zero_grad()
        LOSSES[kind](layer, raw, truth, NETWORK, SETTLED).total.backward()
        optimizer.step()
    raw = values.sigmoid() if options.get("new_coords") else values
    found = layer.decode(raw[0].detach().numpy(), NETWORK, 0.4)
    assert len(found.xywh) == 3
    for label, *box in truth[0].tolist():
        chosen = found.scores[:, int(label)].argmax()
        assert found.scores[chosen, int(label)] > 0.4
        likeness = overlap(torch.tensor(found.xywh[chosen]), torch.tensor(box))
        assert float(likeness) > 0.85


def test_with_gradient() -> None:
    raw, delta = torch.rand(3, 4, requires_grad=True), torch.rand(3, 4)
    kept = delta.clone()
    total = with_gradient(raw, delta, torch.tensor(7.0))
    assert float(total.detach()) == 7
    (total / 4).backward()  # type: ignore[no-untyped-call]
    assert raw.grad is not None
    torch.testing.assert_close(raw.grad, -kept / 4)
    assert float(with_gradient(raw, delta).detach()) == 0


def test_with_gradient_goes_back_once() -> None:
    """What it would use a second time is overwritten, and PyTorch says so."""
    raw = torch.rand(3, requires_grad=True)
    total = with_gradient(raw, torch.rand(3))
    total.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()  # type: ignore[no-untyped-call]


EVERYTHING = [(Yolo, options) for options in YOLO_OPTIONS] + [(GaussianYolo, options) for options in GAUSSIAN_OPTIONS]


@pytest.mark.parametrize("gradient", ["darknet", "exact"])
@pytest.mark.parametrize(("kind", "options"), EVERYTHING, ids=str)
def test_a_gpu_computes_the_same(
    kind: type[Head], options: dict[str, Any], gradient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rows are not picked, to spare a GPU the wait, those that stand for nothing make no difference."""
    layer = make(kind, {"mask": (1, 3, 4), "gradient": gradient} | options)
    raw, truth = random_raw(layer), random_truth(layer.classes)
    truth[1] = -1
    loss, delta = evaluate(layer, raw, truth)
    for module in (hits, objective):
        monkeypatch.setattr(module, "picks_freely", lambda _: False)
    other, found = evaluate(layer, raw, truth)
    close(found, delta, 1e-12)
    assert float(other.cost) == pytest.approx(float(loss.cost), rel=1e-12)
    assert {name: float(part) for name, part in other.parts.items()} == pytest.approx(
        {name: float(part) for name, part in loss.parts.items()}, rel=1e-12
    )
