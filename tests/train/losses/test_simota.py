"""YOLOv7's loss against the slow one beside this file, and against what must be true of any such loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.dialect import ALEXEYAB
from cspdet.layers.base import OneSource, Shape
from cspdet.layers.yolo import Yolo
from cspdet.train.losses.assign import Grid, Pool, Truths, candidates, owners
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.losses.boxes import overlap
from cspdet.train.losses.simota import Matches, assign, gains, real_truths, simota_loss
from tests.slow import overlap as overlap_of
from tests.train.losses import slow_simota as slow

NETWORK = Shape(3, 64, 96)
ANCHORS = (9.0, 12.0, 20.0, 14.0, 30.0, 40.0, 50.0, 33.0)


def head(index: int, mask: tuple[int, ...] = (0, 1), **options: Any) -> Yolo:
    usual = {
        "classes": 3,
        "num": 4,
        "mask": mask,
        "anchors": ANCHORS,
        "new_coords": True,
        "scale_x_y": 2.0,
        "assigner": "simota",
    }
    return Yolo(index, ALEXEYAB, usual | options)


def pair(**options: Any) -> list[Yolo]:
    return [head(4, (0, 1), **options), head(9, (2, 3), **options)]


def with_auxiliary(**options: Any) -> list[Yolo]:
    """Two heads, and behind them an auxiliary one for each, in the other order."""
    usual = {"aux": True, "loss_weight": 0.25}
    return [
        *pair(),
        head(12, (2, 3), lead=OneSource((-3,)), **usual | options),
        head(15, (0, 1), lead=OneSource((4,)), **usual | options),
    ]


def maps(heads: list[Yolo], images: int = 2, seed: int = 0, spread: float = 1.0) -> list[torch.Tensor]:
    """What the heads read: maps of 8x12 cells for the first two anchors, of 4x6 for the others."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for each in heads:
        cells = (8, 12) if 0 in each.mask else (4, 6)
        raw = spread * torch.randn(images, each.needed(), *cells, generator=generator, dtype=torch.float64)
        found.append(raw.sigmoid() if each.new_coords else raw)
    return found


def some_truths(count: int, images: int = 2, seed: int = 0, crowd: float = 1.0) -> torch.Tensor:
    """(images, count + 2, 5): `count` truths, and two rows of padding. A small `crowd` puts them all on one spot."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((images, count + 2, 5))
    rows[:, count:] = [-1, 0, 0, 0, 0]
    rows[:, :count, 0] = rng.integers(0, 3, (images, count))
    rows[:, :count, 1:3] = 0.5 + crowd * (rng.random((images, count, 2)) - 0.5)
    rows[:, :count, 3:] = rng.uniform(0.05, 0.7, (images, count, 2))
    return torch.from_numpy(rows)


def loss_of(heads: list[Yolo], raws: list[torch.Tensor], truth: torch.Tensor) -> Loss:
    return simota_loss(heads, raws, truth, NETWORK, Progress())


def as_places(matches: Matches) -> dict[slow.Place, int]:
    rows = torch.stack([*matches.cells, matches.truth], 1).tolist()
    places = {(image, anchor, row, column): number for image, anchor, row, column, number in rows}
    assert len(places) == len(rows), "a box has two truths"
    return places


def arrays(raws: list[torch.Tensor]) -> list[slow.Floats]:
    return [raw.detach().numpy() for raw in raws]


# -- assignment -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 6),
    crowd=st.sampled_from([1.0, 0.3, 0.05]),
    new_coords=st.booleans(),
    auxiliary=st.booleans(),
    neighbours=st.sampled_from([None, 1, 3, 5]),
    topk=st.sampled_from([None, 1, 13]),
)
def test_the_assignment_is_the_slow_one(
    seed: int, count: int, crowd: float, new_coords: bool, auxiliary: bool, neighbours: int | None, topk: int | None
) -> None:
    options = {"new_coords": new_coords, "neighbours": neighbours, "topk": topk}
    heads = (with_auxiliary if auxiliary else pair)(**options)
    raws, truth = maps(heads, seed=seed, spread=0.5), some_truths(count, seed=seed, crowd=crowd)
    truths = real_truths(truth, 3, NETWORK, torch.float64)
    expected = slow.assign(heads, arrays(raws), slow.truths_of(truth.numpy(), 3, NETWORK), NETWORK)
    assert [as_places(each) for each in assign(heads, raws, truths, NETWORK)] == expected.matches


def test_the_slow_assignment_meets_collisions() -> None:
    """Otherwise the test above says nothing of them."""
    heads, collisions, taken_away = pair(), 0, 0
    for seed in range(6):
        raws, truth = maps(heads, seed=seed, spread=0.5), some_truths(5, seed=seed, crowd=0.05)
        found = slow.assign(heads, arrays(raws), slow.truths_of(truth.numpy(), 3, NETWORK), NETWORK)
        collisions, taken_away = collisions + found.collisions, taken_away + found.taken_away
    assert collisions > 10
    assert taken_away > 0


def places_of(x: float, y: float, neighbours: int, width: float = 10.0, height: float = 10.0) -> set[tuple[int, ...]]:
    """Anchor, row and column of the candidates for a truth on a map of 6x4 cells of 10 pixels."""
    grid = Grid(4, 6, torch.tensor([10.0, 10.0]), torch.tensor([[10.0, 10.0], [45.0, 10.0]]))
    truths = Truths(torch.tensor([0]), torch.tensor([0]), torch.tensor([[x, y, width, height]]))
    found = candidates(grid, truths, neighbours, 4.0)
    assert not found.image.any()
    return {*zip(found.anchor.tolist(), found.row.tolist(), found.column.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("x", "y", "neighbours", "expected"),
    [
        (24, 13, 1, {(0, 1, 2)}),
        (24, 13, 3, {(0, 1, 2), (0, 1, 1), (0, 0, 2)}),
        (26, 17, 3, {(0, 1, 2), (0, 1, 3), (0, 2, 2)}),
        (25, 15, 3, {(0, 1, 2)}),  # in the middle, no side is nearer
        (24, 13, 5, {(0, 1, 2), (0, 1, 1), (0, 1, 3), (0, 0, 2), (0, 2, 2)}),
        (3, 3, 3, {(0, 0, 0)}),  # nothing beyond the border
        (57, 38, 3, {(0, 3, 5)}),
        (3, 3, 5, {(0, 0, 0), (0, 0, 1), (0, 1, 0)}),
        (60, 40, 1, {(0, 3, 5)}),  # on the border itself
        (10, 15, 5, {(0, 1, 1), (0, 1, 2), (0, 0, 1), (0, 2, 1)}),  # the cell before has the truth's edge only: YOLOv7 says no
    ],
)
def test_candidate_cells(x: float, y: float, neighbours: int, expected: set[tuple[int, ...]]) -> None:
    assert places_of(x, y, neighbours) == expected


def test_candidate_anchors() -> None:
    """Sides must differ by less than `anchor_t`, 4 here, whichever is the larger."""
    assert {anchor for anchor, _, _ in places_of(25, 15, 1, 39.9, 39.9)} == {0, 1}
    assert {anchor for anchor, _, _ in places_of(25, 15, 1, 40, 39.9)} == {1}
    assert {anchor for anchor, _, _ in places_of(25, 15, 1, 10, 2.6)} == {0}
    assert places_of(25, 15, 1, 10, 2.4) == set()


def test_two_truths_of_a_cell_make_one_candidate() -> None:
    grid = Grid(4, 6, torch.tensor([10.0, 10.0]), torch.tensor([[10.0, 10.0]]))
    truths = Truths(
        torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor([[25.0, 15, 9, 9], [25, 15, 12, 12], [25, 15, 9, 9]])
    )
    found = candidates(grid, truths, 1, 4.0)
    assert torch.stack([*found], 1).tolist() == [[0, 0, 1, 2], [1, 0, 1, 2]]


def claims(*boxes: tuple[float, ...], truths: list[tuple[float, ...]], topk: int = 10) -> list[int]:
    """The owners of candidates (x, width, score of class 0), for truths of class 0 at (x, width), all 10 high, in one image."""
    box = torch.tensor([[x, 5.0, width, 10.0] for x, width, _ in boxes])
    pool = Pool(
        torch.zeros(len(boxes), dtype=torch.long), box, torch.ones(len(boxes)), torch.tensor([[each[2]] for each in boxes])
    )
    zeros = torch.zeros(len(truths), dtype=torch.long)
    return owners(pool, Truths(zeros, zeros, torch.tensor([[x, 5.0, width, 10.0] for x, width in truths])), topk).tolist()


def test_how_many_boxes_a_truth_gets() -> None:
    """The sum of the largest overlaps, rounded down: of 1, 1, .6 and .6, 3; with `topk=2`, 2; of 1 and .1, 1; of .1, 1."""
    exact, most, less, little = (5.0, 10.0, 0.5), (5.0, 6.1, 0.5), (5.0, 6.0, 0.5), (5.0, 1.0, 0.5)
    truth = [(5.0, 10.0)]
    assert claims(exact, exact, most, less, truths=truth) == [0, 0, 0, -1]
    assert claims(exact, exact, most, less, truths=truth, topk=2) == [0, 0, -1, -1]
    assert claims(exact, little, truths=truth) == [0, -1]
    assert claims(little, truths=truth) == [0]


def test_the_class_counts_beside_the_overlap() -> None:
    """A third of the overlap costs 3 ln 3 = 3.3; a score of .01 costs -ln √.01 = 2.3 and one of .0001 costs 4.6."""
    whole, third = (5.0, 10.0), (5.0, 10.0 / 3)
    for score, expected in ((0.01, [0, -1]), (0.0001, [-1, 0])):
        assert claims((*whole, score), (*third, 1 - 1e-6), truths=[whole]) == expected


def test_a_box_that_two_truths_want_goes_to_the_one_it_costs_less() -> None:
    assert claims((5.0, 10.0, 0.5), truths=[(7.0, 10.0), (6.0, 10.0)]) == [1]
    assert claims((5.0, 10.0, 0.5), truths=[(6.0, 10.0), (7.0, 10.0)]) == [0]
    assert claims((5.0, 10.0, 0.5), truths=[(6.0, 10.0), (4.0, 10.0)]) == [0], "of equal costs, the earlier"


def test_images_do_not_mix() -> None:
    heads = pair()
    raws, truth = maps(heads, 3), some_truths(4, 3)
    whole = assign(heads, raws, real_truths(truth, 3, NETWORK, torch.float64), NETWORK)
    for image in range(3):
        truths = real_truths(truth[image : image + 1], 3, NETWORK, torch.float64)
        alone = assign(heads, [raw[image : image + 1] for raw in raws], truths, NETWORK)
        for one, all_of_them in zip(alone, whole, strict=True):
            of_image = {key[1:]: number - 4 * image for key, number in as_places(all_of_them).items() if key[0] == image}
            assert of_image == {key[1:]: number for key, number in as_places(one).items()}


# -- auxiliary heads ------------------------------------------------------------------------------------------------------


def test_an_auxiliary_head_learns_what_its_lead_does() -> None:
    """With the lead's own candidates, also the lead's matches, whatever the auxiliary head itself predicts."""
    heads = with_auxiliary(neighbours=3)
    raws, truths = maps(heads), real_truths(some_truths(5), 3, NETWORK, torch.float64)
    first, second, of_second, of_first = (as_places(each) for each in assign(heads, raws, truths, NETWORK))
    assert len(first) > 3
    assert len(second) > 3
    assert (of_first, of_second) == (first, second)


def test_coarse_matches_are_of_more_candidates_and_of_the_leads_predictions_alone() -> None:
    heads = with_auxiliary()
    raws, truths = maps(heads), real_truths(some_truths(5), 3, NETWORK, torch.float64)
    found = [as_places(each) for each in assign(heads, raws, truths, NETWORK)]
    assert found[3] != found[0]
    others = [*raws[:2], *(1 - raw for raw in raws[2:])]
    assert [as_places(each) for each in assign(heads, others, truths, NETWORK)] == found
    leads = [as_places(each) for each in assign(heads[:2], raws[:2], truths, NETWORK)]
    heads_of_twenty = pair(topk=20)
    assert [as_places(each) for each in assign(heads_of_twenty, raws[:2], truths, NETWORK)] == found[:2]
    assert leads[0].keys() <= found[0].keys(), "20 overlaps are no less than 10"


def test_the_auxiliary_loss_leaves_the_leads_alone() -> None:
    truth, gradients = some_truths(4), []
    for weight in (0.0, 1.0):
        heads = with_auxiliary(loss_weight=weight)
        raws = [raw.requires_grad_() for raw in maps(heads)]
        loss_of(heads, raws, truth).total.backward()
        gradients.append([raw.grad for raw in raws])
    without, including = gradients
    assert all(torch.equal(one, two) for one, two in zip(without[:2], including[:2], strict=True))
    assert all(not each.any() for each in without[2:])
    assert all(each.any() for each in including[2:])


def test_the_log_counts_the_leads_matches() -> None:
    heads, truth = with_auxiliary(), some_truths(4)
    raws = maps(heads)
    found = assign(heads, raws, real_truths(truth, 3, NETWORK, torch.float64), NETWORK)
    parts = loss_of(heads, raws, truth).parts
    assert parts["count"] == len(found[0].truth) + len(found[1].truth)
    assert 0 < parts["overlap"] < parts["count"]


# -- the loss -------------------------------------------------------------------------------------------------------------


def slow_total(heads: list[Yolo], raws: list[slow.Floats], frozen: list[slow.Frozen], truths: list[slow.Truth]) -> Any:
    """Sums over the batch of the box, objectness and class losses."""
    weights = gains(heads, [torch.from_numpy(raw) for raw in raws], NETWORK)
    sums = np.zeros(3)
    for each, raw, fixed, weight in zip(heads, raws, frozen, weights, strict=True):
        sums += each.loss_weight * len(raw) * np.array(weight) * slow.terms(each, raw, fixed, truths, NETWORK)
    return sums


def frozen_of(heads: list[Yolo], raws: list[slow.Floats], truths: list[slow.Truth]) -> list[slow.Frozen]:
    found = slow.assign(heads, raws, truths, NETWORK).matches
    return [slow.freeze(each, raw, match, truths, NETWORK) for each, raw, match in zip(heads, raws, found, strict=True)]


KINDS: list[dict[str, Any]] = [
    {},
    {"new_coords": False, "scale_x_y": 1.1},
    {"label_smooth_eps": 0.1, "focal_loss": True},
    {"new_coords": False, "focal_loss": True, "obj_normalizer": 0.4},
    {"iou_normalizer": 0.3, "cls_normalizer": 2.0, "loss_weight": 1.5},
]


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("count", [0, 4])
def test_the_loss_is_the_slow_one(options: dict[str, Any], count: int) -> None:
    heads = pair(**options)
    raws, truth = maps(heads), some_truths(count)
    truths = slow.truths_of(truth.numpy(), 3, NETWORK)
    expected = slow_total(heads, arrays(raws), frozen_of(heads, arrays(raws), truths), truths)
    found = loss_of(heads, raws, truth)
    assert [found.parts[name].item() for name in ("box", "objectness", "classes")] == pytest.approx(expected.tolist())
    assert found.total.item() == pytest.approx(expected.sum())
    assert found.cost == found.total.detach()


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_gradients_are_those_of_the_slow_loss(options: dict[str, Any]) -> None:
    """Central differences, for all that a match holds and for some of the rest."""
    heads = [*pair(**options), head(12, lead=OneSource((4,)), aux=True, **options)]
    raws, truth = [raw.requires_grad_() for raw in maps(heads)], some_truths(3)
    loss_of(heads, raws, truth).total.backward()
    values = arrays(raws)
    truths = slow.truths_of(truth.numpy(), 3, NETWORK)
    frozen = frozen_of(heads, values, truths)

    def at(number: int, place: tuple[int, ...], step: float) -> float:
        changed = values[number].copy()
        changed[place] += step
        weight = np.array(gains(heads, raws, NETWORK)[number]) * heads[number].loss_weight * len(changed)
        return float(weight @ slow.terms(heads[number], changed, frozen[number], truths, NETWORK))

    rng, tried = np.random.default_rng(0), 0
    for number, raw in enumerate(raws):
        gradient = raw.grad
        assert gradient is not None
        places = [tuple(rng.integers(0, raw.shape).tolist()) for _ in range(5)]
        for image, anchor, row, column in [*frozen[number].matches][:3]:
            places += [(image, anchor * 8 + each, row, column) for each in range(8)]
        for place in places:
            difference = (at(number, place, 1e-5) - at(number, place, -1e-5)) / 2e-5
            assert gradient[place].item() == pytest.approx(difference, rel=1e-5, abs=1e-8), (number, place)
            tried += difference != 0
    assert tried > 30


def test_gains_are_yolov7s() -> None:
    """Its 640x640 with three heads of 80 classes: .05, .7 · (4, 1, .4) and .3; as many times less as there are more heads."""
    shape, raws = Shape(3, 640, 640), [torch.empty(1, 1, side, side) for side in (20, 80, 40, 10)]
    heads = [head(index, classes=80) for index in range(4)]
    found = gains(heads[:3], raws[:3], shape)
    assert found == [pytest.approx(each) for each in ((0.05, 0.28, 0.3), (0.05, 2.8, 0.3), (0.05, 0.7, 0.3))]
    assert [each[1] for each in gains(heads, raws, shape)] == pytest.approx([0.7 * 0.75 * each for each in (0.25, 4, 1, 0.06)])
    assert gains(heads[:1], raws[:1], Shape(3, 320, 640))[0] == pytest.approx((0.15, 0.7 * 3 * 4 / 2, 0.9))
    aux = head(7, classes=80, aux=True, lead=OneSource((1,)))
    assert gains([aux, *heads[:3]], [raws[1], *raws[:3]], shape)[0] == pytest.approx((0.05, 2.8, 0.3))
    given = head(0, classes=20, iou_normalizer=0.07, obj_normalizer=1.0)
    assert gains([given], raws[:1], shape)[0] == pytest.approx((0.07, 1.0, 0.3 * 3 / 4))


def test_without_truths_only_the_objectness_counts() -> None:
    heads = with_auxiliary()
    for truth in (torch.zeros(2, 0, 5), torch.full((2, 3, 5), -1.0)):
        raws = [raw.requires_grad_() for raw in maps(heads)]
        found = loss_of(heads, raws, truth)
        found.total.backward()
        assert found.parts["box"] == found.parts["classes"] == found.parts["count"] == 0
        assert found.total == found.parts["objectness"] > 0
        for raw in raws:
            entries = raw.grad.view(2, 2, 8, *raw.shape[2:])  # type: ignore[union-attr]
            assert (entries[:, :, 4] > 0).all()
            assert not entries[:, :, :4].any()
            assert not entries[:, :, 5:].any()


def test_rows_that_are_no_truths_change_nothing() -> None:
    heads, truth = pair(), some_truths(3)
    raws = maps(heads)
    expected = loss_of(heads, raws, truth)
    row = truth[:, :1]
    nonsense = []
    for column, value in ((0, 3.0), (0, -1.0), (3, 0.0), (4, -0.1), (1, float("nan")), (3, float("inf"))):
        nonsense.append(row.clone())
        nonsense[-1][..., column] = value
    found = loss_of(heads, raws, torch.cat([nonsense[0], truth, *nonsense[1:]], 1))
    assert found.total == expected.total
    assert found.parts == expected.parts


def test_a_truth_with_no_anchor_of_its_size() -> None:
    """Alone it has no candidates; beside others it takes one of theirs, as in YOLOv7."""
    heads = pair()
    raws = maps(heads, 1)
    speck = torch.tensor([[[1, 0.5, 0.5, 0.001, 0.001]]], dtype=torch.float64)
    assert loss_of(heads, raws, speck).parts["count"] == 0
    other = torch.tensor([[[1, 0.2, 0.2, 0.2, 0.2]]], dtype=torch.float64)
    alone, both = (loss_of(heads, raws, each).parts["count"] for each in (other, torch.cat([speck, other], 1)))
    assert both >= alone > 0


@pytest.mark.parametrize("new_coords", [False, True])
def test_numbers_run_wild_do_not_stop_the_loss(new_coords: bool) -> None:
    """The trainer sees that the loss is no number; indices stay within bounds."""
    heads = pair(new_coords=new_coords)
    raws = [torch.full_like(raw, float("nan")) for raw in maps(heads)]
    assert loss_of(heads, raws, some_truths(4)).total.isnan()


def test_certainty_is_finite() -> None:
    """Probabilities of exactly 0 and 1, right and wrong, have a finite loss and finite gradients."""
    heads = pair()
    for value in (0.0, 1.0):
        raws = [torch.full_like(raw, value, dtype=torch.float32).requires_grad_() for raw in maps(heads)]
        found = loss_of(heads, raws, some_truths(4))
        found.total.backward()
        assert found.total.isfinite()
        assert all(raw.grad is not None and raw.grad.isfinite().all() for raw in raws)


def test_a_confident_mistake_still_has_the_logistics_gradient() -> None:
    """d loss / d logit is p - t, also where p is 1e-20."""
    for logit in (-45.0, 0.3, 12.0):
        x = torch.full((1, 16, 8, 12), logit, requires_grad=True)
        heads = [head(4)]
        loss_of(heads, [x.sigmoid()], torch.zeros(1, 0, 5)).total.backward()
        share = gains(heads, [x], NETWORK)[0][1] / (2 * 8 * 12)
        expected = share * torch.tensor(logit).sigmoid()
        assert x.grad is not None
        assert torch.allclose(x.grad[0, 4], expected.expand(8, 12), rtol=1e-3, atol=0)


def test_a_class_that_is_confidently_missed_has_the_logistics_gradient() -> None:
    heads = [head(4)]
    logits = torch.zeros(1, 16, 8, 12)
    logits[:, 5] = logits[:, 13] = -45
    logits.requires_grad_()
    found = loss_of(heads, [logits.sigmoid()], torch.tensor([[[0, 0.31, 0.42, 0.1, 0.2]]]))
    found.total.backward()
    share = gains(heads, [logits], NETWORK)[0][2] / (3 * found.parts["count"])
    assert logits.grad is not None
    of_class = logits.grad[:, [5, 13]]
    assert torch.allclose(of_class[of_class != 0], -share)
    assert (of_class != 0).sum() == found.parts["count"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_whole(dtype: torch.dtype) -> None:
    heads, truth = pair(), some_truths(4)
    rounded = [raw.to(dtype) for raw in maps(heads)]
    expected = loss_of(heads, [raw.float() for raw in rounded], truth)
    raws = [raw.clone().requires_grad_() for raw in rounded]
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_of(heads, raws, truth)
    found.total.backward()
    assert found.total.dtype == torch.float32
    assert found.total == expected.total
    assert all(raw.grad is not None and raw.grad.dtype == dtype for raw in raws)


def test_one_class_is_trained_too() -> None:
    heads = pair(classes=1)
    truth = some_truths(3)
    truth[..., 0] = truth[..., 0].clamp(-1, 0)
    raws = [raw.requires_grad_() for raw in maps(heads)]
    loss_of(heads, raws, truth).total.backward()
    assert any(raw.grad is not None and raw.grad.view(2, 2, 6, *raw.shape[2:])[:, :, 5].any() for raw in raws)


@pytest.mark.parametrize("new_coords", [True, False])
def test_descending_leads_to_the_truths(new_coords: bool) -> None:
    """What the loss makes of free numbers, `Yolo.decode` finds: the loss and detection mean the same boxes."""
    heads = pair(new_coords=new_coords)
    truth = torch.tensor(
        [[[0, 0.3, 0.4, 0.2, 0.3], [1, 0.7, 0.6, 0.4, 0.5]], [[2, 0.55, 0.45, 0.12, 0.2], [-1, 0, 0, 0, 0]]],
        dtype=torch.float32,
    )
    logits = [
        torch.zeros(2, each.needed(), *cells, requires_grad=True) for each, cells in zip(heads, [(8, 12), (4, 6)], strict=True)
    ]
    optimiser = torch.optim.Adam(logits, 0.1)
    for _ in range(150):
        raws = [each.sigmoid() for each in logits] if new_coords else logits
        optimiser.zero_grad()
        loss_of(heads, raws, truth).total.backward()
        optimiser.step()
    raws = [each.sigmoid() for each in logits] if new_coords else logits
    for image, rows in enumerate(truth.numpy()):
        found = [each.decode(raw[image].detach().numpy(), NETWORK, 0.3) for each, raw in zip(heads, raws, strict=True)]
        for kind, *box in rows[rows[:, 0] >= 0]:
            likeness = [overlap_of(np.float32(box), each.xywh)[each.scores[:, int(kind)] > 0] for each in found]
            assert max((value for part in likeness for value in part), default=0) > 0.85
        boxes = np.concatenate([each.xywh for each in found])
        assert all(max(overlap_of(np.float32(row[1:]), box[None])[0] for row in rows if row[0] >= 0) > 0.5 for box in boxes)


# -- overlaps -------------------------------------------------------------------------------------------------------------


def boxes() -> Iterator[slow.Box]:
    rng = np.random.default_rng(1)
    for _ in range(60):
        yield tuple(rng.uniform(1, 20, 4).tolist())  # type: ignore[misc]


def complete(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    return overlap(one, two, "ciou", constant_weight=True)


def test_overlaps_of_boxes() -> None:
    ones, twos = [*boxes()][:30], [*boxes()][30:]
    expected = [slow.iou(one, two) for one, two in zip(ones, twos, strict=True)]
    wanted = [slow.ciou(one, two, slow.shape_share(one, two)) for one, two in zip(ones, twos, strict=True)]
    one, two = torch.tensor(ones, dtype=torch.float64), torch.tensor(twos, dtype=torch.float64)
    assert overlap(one, two).tolist() == pytest.approx(expected)
    assert complete(one, two).tolist() == pytest.approx(wanted)
    assert 0 < sum(value > 0 for value in expected) < 30
    assert complete(one, one).tolist() == pytest.approx([1.0] * 30)


def test_boxes_without_size_have_finite_overlaps() -> None:
    nothing = torch.zeros(1, 4, requires_grad=True)
    other = torch.tensor([[3.0, 4.0, 2.0, 2.0]])
    (complete(nothing, other) + complete(nothing, nothing.detach()) + overlap(nothing, other)).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()
