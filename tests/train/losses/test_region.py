"""The loss of [region] against Darknet and against loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cspdet.cfg.dialect import PJREDDIE
from cspdet.errors import CspdetError
from cspdet.layers.region import Region
from cspdet.layers.tree import read_tree
from cspdet.train.losses.base import Progress
from tests.train.losses import slow_region
from tests.train.losses.cases import SETTLED, Golden, close, evaluate, random_raw, random_truth

ANCHORS = (0.4, 0.5, 1.1, 1.2, 3.4, 2.4)
# A hierarchy: two roots, of which the first has two children and the second three; one of those has two more.
TREE = "animal -1\nvehicle -1\ncat 0\ndog 0\ncar 1\nbus 1\ntram 1\nvan 4\ntaxi 4\n"


def head(**options: Any) -> Region:
    return Region(values={"classes": 4, "num": 3, "anchors": ANCHORS, "softmax": True} | options)


@pytest.fixture
def hierarchical(tmp_path: Path) -> Any:
    (tmp_path / "t.tree").write_text(TREE)

    def make(**options: Any) -> Region:
        layer = head(classes=9, tree="t.tree", **options)
        layer.hierarchy = read_tree(tmp_path / "t.tree")
        return layer

    return make


def agree(layer: Region, raw: Any, truth: Any, seen: int = 1_000_000) -> Any:
    expected = slow_region.region(layer, raw, truth[:, : layer.max], seen)
    loss, delta = evaluate(layer, raw, truth, progress=Progress(seen=seen))
    close(delta, expected.delta)
    assert float(loss.cost) == pytest.approx(expected.cost, rel=1e-9)
    assert int(loss.parts["count"]) == expected.count
    assert float(loss.parts["overlap"]) == pytest.approx(expected.iou, rel=1e-9, abs=1e-12)
    assert float(loss.cost) == pytest.approx(sum(float(loss.parts[name]) for name in ("objectness", "classes", "box")))
    return delta


@pytest.mark.reference
def test_golden() -> None:
    case = Golden("region")
    loss, delta = evaluate(case.head, case.raw, case.truth, case.network)
    close(delta, case.delta, 1e-4)
    assert float(loss.cost) == pytest.approx(case.cost, rel=1e-4)


@pytest.mark.reference
def test_the_loops_are_darknet() -> None:
    case = Golden("region")
    assert isinstance(case.head, Region)
    expected = slow_region.region(case.head, case.raw, case.truth, SETTLED.seen)
    close(expected.delta, case.delta, 1e-4)
    assert expected.cost == pytest.approx(case.cost, rel=1e-4)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias_match": True},
    {"rescore": True, "bias_match": True},
    {"thresh": 0.1},
    {"classfix": -1},
    {"classfix": 1, "thresh": 0.1},
    {"classfix": 2, "thresh": 0.1, "class_scale": 0.3},
    {"coord_scale": 2.0, "object_scale": 5.0, "noobject_scale": 0.5, "class_scale": 0.7},
    {"focal_loss": True},
    {"focal_loss": True, "classfix": 1, "thresh": 0.1},
    {"softmax": False},
    {"max": 3},
    {"anchors": ANCHORS[:4]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("seen", [0, 12_799, 12_800])
def test_options(options: dict[str, Any], seen: int) -> None:
    layer = head(**options)
    for seed in range(2):
        agree(layer, random_raw(layer, seed=seed), random_truth(4, seed=seed), seen)


HIERARCHY: list[dict[str, Any]] = [
    {},
    {"classfix": 1, "thresh": 0.1},
    {"classfix": 2, "thresh": 0.05},
    {"class_scale": 0.3},
]


@pytest.mark.parametrize("options", HIERARCHY, ids=str)
def test_a_hierarchy(hierarchical: Any, options: dict[str, Any]) -> None:
    layer = hierarchical(**options)
    for seed in range(4):
        agree(layer, random_raw(layer, seed=seed), random_truth(9, seed=seed))


def test_the_last_truth_of_a_group_counts(hierarchical: Any) -> None:
    """Many truths in one box: dog, then bus, then taxi; the roots learn vehicle, and their other children stay as trained."""
    layer = hierarchical()
    truth = np.full((1, 8, 5), -1, np.float32)
    truth[0, :6] = [[label, 0.5, 0.5, 0.2, 0.3] for label in (3, 5, 8, 2, 7, 1)]
    agree(layer, random_raw(layer, images=1), truth)


def test_a_truth_without_a_box_trains_its_class_only(hierarchical: Any) -> None:
    layer = hierarchical()
    raw, truth = random_raw(layer, images=3), random_truth(9, images=3)
    truth[1, 4:6] = [[8, 200_000, 200_000, 0.1, 0.1], [2, 200_000, 200_000, 0.1, 0.1]]
    truth[2, 0] = 1, 200_000, 200_000, 0.1, 0.1
    for seen in (0, 1_000_000):
        delta = agree(layer, raw, truth, seen).reshape(3, 3, 14, -1)
        assert (delta[1:, :, :5] == 0).all()
        assert [len(np.unique(np.argwhere(image != 0)[:, [0, 2]], axis=0)) for image in delta[1:]] == [1, 1]


def test_without_a_hierarchy_such_a_truth_is_none() -> None:
    layer = head()
    raw, truth = random_raw(layer), random_truth(4)
    other = truth.copy()
    other[0, 4] = 1, 200_000, 200_000, 0.1, 0.1
    truth[0, 4] = -1
    close(evaluate(layer, raw, other)[1], evaluate(layer, raw, truth)[1], 0)


def test_the_class_map() -> None:
    layer = head(map="some.map", classfix=1, thresh=0.1)
    layer.class_map = (3, 0, 2, -1)
    agree(layer, random_raw(layer), random_truth(4))


def test_the_map_may_change_its_size() -> None:
    layer = head()
    raw = np.random.default_rng(0).normal(size=(2, layer.needed(), 6, 3))
    agree(layer, raw, random_truth(4))


def test_no_truths() -> None:
    layer = head(classfix=1)
    raw, nothing = random_raw(layer), np.full((2, 3, 5), -1, np.float32)
    for truth in (nothing, nothing[:, :0]):
        assert int(evaluate(layer, raw, truth)[0].parts["count"]) == 0
        agree(layer, raw, truth)


def test_images_are_apart(hierarchical: Any) -> None:
    for layer in (head(classfix=1, thresh=0.1), hierarchical()):
        raw, truth = random_raw(layer, images=4), random_truth(4, images=4)
        order = [2, 0, 3, 1]
        delta = evaluate(layer, raw, truth)[1]
        close(evaluate(layer, raw[order], truth[order])[1], delta[order], 1e-14)
        close(np.concatenate([evaluate(layer, raw[[image]], truth[[image]])[1] for image in range(4)]), delta, 1e-14)


def test_what_is_not_finite_has_no_gradient() -> None:
    layer = head(classfix=1, thresh=0.1)
    raw = random_raw(layer).astype(np.float32)
    random = np.random.default_rng(5)
    raw[tuple(random.integers(0, length, 60) for length in raw.shape)] = random.choice([np.nan, np.inf, -np.inf, 1e4, -1e4], 60)
    loss, delta = evaluate(layer, raw, random_truth(4))
    assert np.isfinite(delta).all()
    assert np.isfinite(float(loss.cost))


@pytest.mark.parametrize("focal", [False, True])
def test_delta_is_the_gradient_of_a_loss(focal: bool) -> None:
    """Half the weighted squared errors of centres, sizes and objectness; the cross-entropy or focal loss of the softmax."""
    scales = {"coord_scale": 2.0, "object_scale": 5.0, "class_scale": 0.7, "noobject_scale": 0.5}
    layer = head(focal_loss=focal, bias_match=True, thresh=0.99, **scales)
    raw, truth = random_raw(layer, images=1), np.array([[[2, 0.3, 0.6, 0.4, 0.5]]], np.float32)
    _, delta = evaluate(layer, raw, truth)
    leaf = torch.tensor(raw, requires_grad=True)
    cells = leaf.view(3, 9, 4, 7)
    row, column, anchor = 2, 2, 2
    entries = cells[anchor, :, row, column]
    x, y, w, h = (float(each) for each in truth[0, 0, 1:])
    loss = 0.25 * cells[:, 4].sigmoid().square().sum() - 0.25 * entries[4].sigmoid().square()
    loss = loss + 2.5 * (1 - entries[4].sigmoid()) ** 2
    loss = loss + (x * 7 - column - entries[0].sigmoid()) ** 2 + (y * 4 - row - entries[1].sigmoid()) ** 2
    loss = loss + (np.log(w * 7 / 3.4) - entries[2]) ** 2 + (np.log(h * 4 / 2.4) - entries[3]) ** 2
    right = entries[5:].softmax(0)[2]
    loss = loss - 0.7 * (0.5 * (1 - right) ** 2 if focal else 1) * right.log()
    loss.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    close(delta, -leaf.grad.numpy(), 1e-7)


def test_classes_are_logistic_where_pjreddie_makes_them_so() -> None:
    raw, truth = random_raw(head(softmax=False)), random_truth(4)
    values = {"classes": 4, "num": 3, "anchors": ANCHORS}
    _, delta = evaluate(Region(0, PJREDDIE, values), raw, truth)
    squashed = raw.reshape(2, 3, 9, -1).copy()
    squashed[:, :, 5:] = 1 / (1 + np.exp(-squashed[:, :, 5:]))
    _, linear = evaluate(head(softmax=False), squashed.reshape(raw.shape), truth)
    close(delta, linear)


def test_a_background_cannot_be_trained() -> None:
    layer = Region(0, PJREDDIE, {"classes": 4, "num": 3, "anchors": ANCHORS, "background": True})
    with pytest.raises(CspdetError, match="background"):
        evaluate(layer, random_raw(layer), random_truth(4))
