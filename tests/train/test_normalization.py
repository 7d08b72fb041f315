"""Batch normalisation across the subdivisions of a batch, and across processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import nn

from cspdet.network import Network
from cspdet.train.normalization import Across, begin, prepare
from tests.train.material import tiny


def test_one_process_without_subdivisions_keeps_the_ordinary_one() -> None:
    network = Network(tiny(normalize=2))
    prepare(network, 1, 1)
    assert type(network.layers[0].norm) is nn.BatchNorm2d


def test_across_mini_batches_grows_to_the_whole_batch() -> None:
    """The last mini-batch is normalised with the statistics of all; those before it, with what there was (CmBN, 2004.10934)."""
    network = Network(tiny(normalize=2))
    prepare(network, 3, 1)
    norm: Any = network.layers[0].norm
    assert isinstance(norm, Across)
    norm.train()
    torch.manual_seed(0)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    x = torch.randn(6, 8, 5, 5) * 3 + 1
    for turn in range(2):
        before = norm.running_mean.clone()
        for part in range(3):
            seen = x[: 2 * part + 2]
            begin(network, part)
            wanted = nn.functional.batch_norm(seen, None, None, norm.weight, norm.bias, True)[2 * part :]
            assert torch.allclose(norm(x[2 * part : 2 * part + 2]), wanted, atol=1e-5)
            if part < 2:
                assert torch.equal(norm.running_mean, before)  # it changes once per batch
        assert torch.allclose(norm.running_mean, before + 0.1 * (x.mean((0, 2, 3)) - before), atol=1e-6), turn


def test_across_mini_batches_sends_gradients_to_the_present_one() -> None:
    """As if the statistics of those before were constants: against the formula, written out."""
    norm = Across(3).train()
    norm.crosses, norm.subdivisions = True, 2
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, 4, 4) + 1, torch.randn(2, 3, 4, 4, requires_grad=True)
    weight = torch.randn(2, 3, 4, 4)
    norm(first)
    norm.begin(1)
    (found,) = torch.autograd.grad((norm(second) * weight).sum(), second)
    mean = (first.mean((0, 2, 3)) + second.mean((0, 2, 3))) / 2
    square = (first.square().mean((0, 2, 3)) + second.square().mean((0, 2, 3))) / 2
    wanted = (second - mean[:, None, None]) / (square - mean.square() + 1e-5).sqrt()[:, None, None]
    assert torch.allclose(found, torch.autograd.grad((wanted * weight).sum(), second)[0], atol=1e-6)


def _one_of_two(rank: int, place: str, x: torch.Tensor, weight: torch.Tensor, results: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    norm = Across(3).train()
    norm.processes = 2
    mine = x[rank * 3 : rank * 3 + 3].clone().requires_grad_()
    (norm(mine) * weight[rank * 3 : rank * 3 + 3]).sum().backward()
    results[rank] = (norm.running_mean, norm.running_var, mine.grad, norm.weight.grad)
    torch.distributed.destroy_process_group()


def test_across_processes_is_as_in_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(6, 3, 4, 4) * 2 + 5, torch.randn(6, 3, 4, 4)
    results = torch.multiprocessing.Manager().dict()
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path / "meeting"), x, weight, results), 2)
    alone = nn.BatchNorm2d(3).train()
    whole = x.clone().requires_grad_()
    (alone(whole) * weight).sum().backward()
    assert whole.grad is not None
    for rank in range(2):
        mean, variance, gradient, _ = results[rank]
        assert torch.allclose(mean, alone.running_mean, atol=1e-6)  # type: ignore[arg-type]
        assert torch.allclose(variance, alone.running_var, rtol=1e-5)  # type: ignore[arg-type]
        assert torch.allclose(gradient, whole.grad[rank * 3 : rank * 3 + 3], atol=1e-5)
    assert torch.allclose(results[0][3] + results[1][3], alone.weight.grad, atol=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_replaced(processes: int) -> None:
    network = Network(tiny(normalize=1))
    prepare(network, 4, processes)
    assert type(network.layers[0].norm) is (Across if processes == 2 else nn.BatchNorm2d)
    assert set(network.state_dict()) == set(Network(tiny()).state_dict())


def test_small_deviations_around_a_large_mean_are_kept() -> None:
    norm = Across(2).train()
    torch.manual_seed(0)
    x = torch.randn(8, 2, 9, 9) * 0.01 + 30
    for _ in range(250):
        norm(x)
    assert torch.allclose(norm.running_var, x.var((0, 2, 3)), rtol=0.02)  # type: ignore[arg-type]
    assert torch.allclose(norm(x).std((0, 2, 3)), torch.tensor([0.953, 0.953]), atol=0.01)  # √(σ² / (σ² + ε))


def test_vectors() -> None:
    norm, alone = Across(4).train(), nn.BatchNorm1d(4).train()
    x = torch.randn(6, 4) * 3
    assert torch.allclose(norm(x), alone(x), atol=1e-5)
    assert torch.allclose(norm.running_var, alone.running_var, rtol=1e-5)  # type: ignore[arg-type]
