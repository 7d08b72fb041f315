"""The log, the chart and the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cspdet.errors import UsageError, WeightsError
from cspdet.train import checkpoint
from cspdet.train.chart import draw
from cspdet.train.checkpoint import Checkpoint
from cspdet.train.log import Log, Row
from tests.train.material import tiny


def row(iteration: int, score: float | None = None) -> Row:
    return Row(
        iteration, iteration * 8, 10 / iteration, 11 / iteration, 0.001, 1.0, 2.0, 3.0, 0.5, 7.0, 64, 64, 9.5, 0.01, 0.8, score
    )


def test_the_log_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = Log(path)
    rows = [row(1), row(2), row(2, 0.25), row(3)]
    for each in rows:
        log.add(each)
    assert log.rows == rows
    lines = path.read_text().splitlines()
    assert lines[0].split(",") == [*Row._fields]
    assert len(lines) == 5
    again = Log(path, 3).rows
    assert [repr(each.iteration) for each in again] == ["1", "2", "2", "3"]
    assert [each.mean_average_precision for each in again] == [None, None, 0.25, None]
    np.testing.assert_allclose(again[3][:-1], rows[3][:-1], rtol=1e-6)


def test_the_log_forgets_steps_that_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = Log(path)
    for iteration in range(1, 8):
        log.add(row(iteration))
    with path.open("a") as file:
        file.write("8,64,1.2")  # cut in the middle of a line
    assert [each.iteration for each in Log(path, 5).rows] == [1, 2, 3, 4, 5]
    assert len(path.read_text().splitlines()) == 6
    assert Log(path).rows == []
    assert len(path.read_text().splitlines()) == 1


def test_the_chart_shows_loss_rate_and_precision(tmp_path: Path) -> None:
    rows = [row(iteration, iteration / 2000 if iteration % 100 == 0 else None) for iteration in range(1, 1001)]
    draw(tmp_path / "chart.png", rows, "X", 2000, 20.0)
    picture = cv2.imread(str(tmp_path / "chart.png"))
    assert picture is not None
    assert picture.shape[:2] == (700, 1000)
    for colour in ((0xD8, 0x4F, 0x1F), (0x2F, 0x2F, 0xC2)):  # average loss, precision; blue first
        assert (np.abs(picture.astype(int) - colour).sum(2) < 30).sum() > 100
    draw(tmp_path / "first.png", rows[:1], "X", 2000, 20.0)
    assert (tmp_path / "first.png").stat().st_size > 1000


def made(**values: Any) -> Checkpoint:
    state = {"a": torch.arange(5.0)}
    fields = {
        "iteration": 7,
        "network": state,
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "averages": {"average": {"steps": 7, "state": state}},
        "progress": {"best": 0.5, "average_loss": 1.25},
        "origin": {"cfg": "x", "seed": "0"},
    }
    return Checkpoint(**fields | values)  # type: ignore[arg-type]


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "X.checkpoint"
    checkpoint.save(path, made())
    found = checkpoint.load(path, {"cfg": "x", "seed": "0"}, tiny())
    assert (found.iteration, found.progress) == (7, {"best": 0.5, "average_loss": 1.25})
    assert torch.equal(found.network["a"], torch.arange(5.0))
    assert found.optimizer["param_groups"][0]["lr"] == 0.1


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "X.checkpoint"
    with pytest.raises(UsageError, match="there is no checkpoint"):
        checkpoint.load(path, {}, tiny())
    checkpoint.save(path, made())
    with pytest.raises(UsageError, match="made with another cfg"):
        checkpoint.load(path, {"cfg": "y"}, tiny())
    for damage in (b"", b"no checkpoint", path.read_bytes()[:300]):
        path.write_bytes(damage)
        with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
            checkpoint.load(path, {}, tiny())
    torch.save({"form": 0}, path)
    with pytest.raises(WeightsError, match="no checkpoint of this version"):
        checkpoint.load(path, {}, tiny())


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "X.checkpoint"
    network = {"a": torch.full((1000,), 0.7)}
    checkpoint.save(path, made(network=network))
    data = bytearray(path.read_bytes())
    data[data.index(network["a"].numpy().tobytes()) + 2002] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint: it is damaged"):
        checkpoint.load(path, {}, tiny())


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "X.checkpoint"
    checkpoint.save(path, made())

    def full(_: object, file: Any) -> None:
        file.write(b"the first bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UsageError, match="no space left"):
        checkpoint.save(path, made(iteration=8))
    assert checkpoint.load(path, {}, tiny()).iteration == 7
    assert [each.name for each in tmp_path.iterdir()] == ["X.checkpoint"]
