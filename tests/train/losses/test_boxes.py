"""Overlaps of boxes on tensors, their derivatives, and Darknet's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cspdet.train.losses import boxes as module
from cspdet.train.losses.boxes import best_match, best_overlap, overlap, overlap_gradient
from tests.train.losses import slow
from tests.train.losses.slow import Box

KINDS = ("iou", "giou", "diou", "ciou")

sides = st.floats(0.01, 2)
places = st.floats(-1, 1)
box = st.builds(Box, places, places, sides, sides)


def pairs(count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pairs of boxes, about half of which meet."""
    random = np.random.default_rng(seed)
    found = np.concatenate([random.uniform(0, 1, (2, count, 2)), random.uniform(0.05, 0.9, (2, count, 2))], 2)
    return torch.tensor(found[0]), torch.tensor(found[1])


def meeting(one: Tensor, other: Tensor) -> Tensor:
    return overlap(one, other) > 0


def true_gradient(one: Tensor, other: Tensor, kind: str) -> Tensor:
    leaf = one.clone().requires_grad_()
    (found,) = torch.autograd.grad(overlap(leaf, other, kind).sum(), leaf)
    return found


@given(box, box, st.sampled_from(KINDS))
def test_overlap(one: Box, other: Box, kind: str) -> None:
    found = float(overlap(torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64), kind))
    assert found == pytest.approx(slow.likeness(one, other, kind), abs=1e-9)


@given(box, box)
def test_overlaps_are_ordered(one: Box, other: Box) -> None:
    """All are at most the intersection over union, and 1 for a box and itself."""
    first, second = torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    values = {kind: float(overlap(first, second, kind)) for kind in KINDS}
    assert 0 <= values["iou"] <= 1 + 1e-12
    assert -1 - 1e-12 <= values["giou"] <= values["iou"] + 1e-12
    assert values["ciou"] <= values["diou"] + 1e-12 <= values["iou"] + 2e-12
    for kind in ("iou", "giou", "diou"):
        assert float(overlap(second, first, kind)) == pytest.approx(values[kind], abs=1e-12)
    for kind in KINDS:
        assert float(overlap(first, first, kind)) == pytest.approx(1)


@given(box, box, places, st.floats(0.1, 10), st.sampled_from(KINDS))
def test_overlap_does_not_depend_on_place_and_scale(one: Box, other: Box, shift: float, scale: float, kind: str) -> None:
    def moved(each: Box) -> Tensor:
        return torch.tensor([each.x + shift, each.y - shift, each.w, each.h], dtype=torch.float64) * scale

    found = float(overlap(moved(one), moved(other), kind))
    assert found == pytest.approx(float(overlap(torch.tensor(one).double(), torch.tensor(other).double(), kind)), abs=1e-5)


def test_empty_boxes_have_an_overlap() -> None:
    empty, point = torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor([0.2, 0.5, 0.0, 0.0])
    for kind in KINDS:
        for other in (empty, point, torch.tensor([0.5, 0.5, 0.1, 0.2])):
            assert overlap(empty, other, kind).isfinite()
    assert overlap(empty, empty) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_derivative_is_that_of_differences(kind: str) -> None:
    one, other = pairs(60)
    leaf = one.requires_grad_()
    assert torch.autograd.gradcheck(lambda box: overlap(box, other, kind), (leaf,))


@pytest.mark.parametrize("kind", KINDS)
def test_darknets_gradient(kind: str) -> None:
    one, other = pairs()
    found = overlap_gradient(one, other, kind)
    expected = [slow.likeness_gradient(Box(*a), Box(*b), kind) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["iou", "giou"])
def test_darknets_gradient_is_twice_the_true_one_by_sizes(kind: str) -> None:
    one, other = pairs()
    met = meeting(one, other)
    twice = true_gradient(one, other, kind) * torch.tensor([1.0, 1, 2, 2])
    torch.testing.assert_close(overlap_gradient(one, other, kind)[met], twice[met])


def test_darknets_distance_term_has_a_wrong_sign() -> None:
    """`diou` adds its own term, whose derivative is not doubled; where boxes do not meet, it is all there is.

    By the centre it should be the pull of the other centre, plus what moving does to the enclosing box; it is the difference.
    """
    one, other = pairs()
    met = meeting(one, other)
    term = true_gradient(one, other, "diou") - true_gradient(one, other, "iou")
    (x, y, w, h), (other_x, other_y, other_w, other_h) = one.unbind(1), other.unbind(1)
    wide = torch.maximum(x + w / 2, other_x + other_w / 2) - torch.minimum(x - w / 2, other_x - other_w / 2)
    high = torch.maximum(y + h / 2, other_y + other_h / 2) - torch.minimum(y - h / 2, other_y - other_h / 2)
    pull = 2 * (other[:, :2] - one[:, :2]) / (wide**2 + high**2)[:, None]
    term[:, :2] = 2 * pull - term[:, :2]
    found = overlap_gradient(one, other, "diou")
    torch.testing.assert_close(found[met] - overlap_gradient(one, other, "iou")[met], term[met])
    torch.testing.assert_close(found[~met], term[~met])


def test_darknets_aspect_term_is_scaled() -> None:
    """`ciou` adds minus α times the derivative of the aspect, times w² + h²; α is a constant."""
    one, other = pairs()
    met = meeting(one, other)
    leaf = one.clone().requires_grad_()
    turn = (other[:, 2] / other[:, 3]).atan() - (leaf[:, 2] / leaf[:, 3]).atan()
    aspect = 4 / np.pi**2 * turn**2
    (slope,) = torch.autograd.grad(aspect.sum(), leaf)
    alpha = aspect / (1 - overlap(one, other) + aspect + 1e-6)
    term = -alpha[:, None] * slope * (one[:, 2:] ** 2).sum(1, keepdim=True)
    found = overlap_gradient(one, other, "ciou") - overlap_gradient(one, other, "diou")
    torch.testing.assert_close(found[met], term.detach()[met])


def test_giou_of_boxes_that_do_not_meet() -> None:
    """Apart along one axis only, it is the derivative of union over hull, with an intersection that is negative."""
    one = torch.tensor([[0.2, 0.5, 0.2, 0.3]], dtype=torch.float64)
    other = torch.tensor([[0.7, 0.6, 0.2, 0.3]], dtype=torch.float64)
    leaf = one.clone().requires_grad_()
    x, y, w, h = leaf[0]
    wide, high = (x + w / 2) - 0.6, (y + h / 2) - 0.45  # negative, positive
    union = w * h + 0.06 - wide * high
    hull = (0.8 - (x - w / 2)) * (0.75 - (y - h / 2))
    (found,) = torch.autograd.grad(union / hull, leaf)
    torch.testing.assert_close(overlap_gradient(one, other, "giou"), found * torch.tensor([1.0, 1, 2, 2]))


@pytest.mark.parametrize("budget", [1, 40, 2**20])
def test_best_match(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many truths are taken at a time; the first of equal truths is the one."""
    monkeypatch.setattr(module, "_PAIRS_CPU", budget)
    random = np.random.default_rng(1)
    found = torch.tensor(random.uniform(0.05, 0.6, (3, 11, 4)))
    truths = torch.tensor(random.uniform(0.05, 0.6, (3, 7, 4)))
    truths[:, 4] = truths[:, 2]
    counted = torch.tensor(random.random((3, 7)) < 0.7)
    counted[:, [2, 4]] = True
    best, which = best_match(found, truths, counted)
    assert torch.equal(best, best_overlap(found, truths, counted))
    for image, place in np.ndindex(3, 11):
        values = [
            slow.iou(Box(*found[image, place].tolist()), Box(*truth)) if use else 0.0
            for truth, use in zip(truths[image].tolist(), counted[image].tolist(), strict=True)
        ]
        assert float(best[image, place]) == pytest.approx(max(values), abs=1e-12)
        if max(values) > 0:
            assert int(which[image, place]) == values.index(max(values))
    assert not (which == 4).any()


def test_boxes_that_are_not_finite_match_nothing() -> None:
    found = torch.tensor([[[0.5, 0.5, torch.inf, 0.2], [torch.nan, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.0, 0.0]]])
    truths = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.0, 0.0]]])
    best, which = best_match(found, truths, torch.tensor([[True, False]]))
    torch.testing.assert_close(best, torch.tensor([[0.0, 0, 1, 0]]))
    assert which.tolist() == [[0, 0, 0, 0]]


def test_no_truths() -> None:
    found = torch.rand(2, 5, 4)
    nothing: Any = (torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool))
    assert best_overlap(found, *nothing).tolist() == torch.zeros(2, 5).tolist()
    assert best_match(found, *nothing)[1].tolist() == torch.zeros(2, 5).tolist()
