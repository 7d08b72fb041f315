"""Training: the same however it is interrupted or shared out, and clear where it cannot go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cspdet.data.pictures import read_list
from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.loading import load
from cspdet.network import Network
from cspdet.train.diagnose import TrainingError
from cspdet.train.loader import batches
from cspdet.train.log import Row
from cspdet.train.tasks import Detecting
from cspdet.train.trainer import Settings, Trainer
from tests.conftest import ROOT
from tests.train.material import graph_of, shapes, tiny, tiny_text

Run = Callable[..., tuple[int, str, str]]

DROPPING = "[dropout]\nprobability=.2\ndropblock=1\ndropblock_size_abs=3\n"


def trainer_of(graph: Graph, data: Path, **settings: object) -> Trainer:
    backup = data.parent / "backup"
    backup.mkdir(exist_ok=True)
    pictures = read_list(data.with_name("list.txt"))
    values = Settings(backup, "X", workers=0)._replace(**settings)  # type: ignore[arg-type]
    return Trainer(graph, Network(graph), Detecting(graph, pictures, values.seed), values)


def steps(trainer: Trainer, count: int) -> list[Row]:
    feed = batches(trainer.task.samples, trainer.jobs(trainer.iteration), 0)
    return [trainer.step(feed) for _ in range(count)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("shapes"), 12)


def command(*words: object, cwd: Path, **environment: str) -> list[str] | subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize(
    "net", ["mosaic=1", "ema_decay=.9\nadam=1", "ema_alpha=.5\nmixup=1", "policy=random"], ids=lambda net: net.split("=")[0]
)
def test_resumed_is_uninterrupted_to_the_bit(data: Path, net: str) -> None:
    graph = tiny(net=net, between=DROPPING, normalize=2, steps=8, head="random=1")
    whole = trainer_of(graph, data)
    steps(whole, 8)
    first = trainer_of(graph, data)
    steps(first, 5)
    first.save()
    again = trainer_of(graph, data)
    again.resume()
    assert again.iteration == 5
    steps(again, 3)
    for wanted, found in ((whole.network, again.network), (whole.result(), again.result())):
        states = [each.state_dict() if isinstance(each, Network) else each for each in (wanted, found)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert whole.course == again.course


def test_training_lowers_the_loss(data: Path) -> None:
    trainer = trainer_of(tiny(steps=60, net="saturation=1.5"), data)
    losses = [row.loss for row in steps(trainer, 60)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_subdivisions_only_share_out_memory(data: Path) -> None:
    """Without batch normalisation, whose statistics are those of a mini-batch, they change nothing but rounding."""
    states = []
    for subdivisions in (1, 4):
        text = tiny_text(normalize=0, steps=6).replace("subdivisions=2", f"subdivisions={subdivisions}")
        trainer = trainer_of(graph_of(text), data)
        steps(trainer, 6)
        states.append(trainer.result())
    assert all(torch.allclose(states[0][key], states[1][key], atol=1e-5) for key in states[0])


def test_weights_are_written_for_all_to_load(data: Path) -> None:
    trainer = trainer_of(tiny(steps=4), data)
    assert trainer.run(lambda _: None, lambda: False)
    backup = data.parent / "backup"
    cfg = data.with_name("X.cfg")
    cfg.write_text(tiny_text(steps=4))
    detector = load(cfg, backup / "X_final.weights")
    assert detector.header is not None
    assert detector.header.seen == 16
    state = trainer.result()
    for key, value in detector.network.state_dict().items():
        assert torch.equal(value, state[key]) or key.endswith("num_batches_tracked")
    assert (backup / "X_last.weights").read_bytes() == (backup / "X_final.weights").read_bytes()


def spoil(*found: Any) -> None:
    """A hook that makes the gradient of a layer's output no number."""
    if found[2].requires_grad:
        found[2].register_hook(lambda gradient: gradient * torch.nan)


def test_numbers_that_run_wild_name_the_layer(data: Path) -> None:
    trainer = trainer_of(tiny(), data)
    with torch.no_grad():
        trainer.network.layers[1].conv.weight[0, 0, 0, 0] = torch.nan  # type: ignore[union-attr, index]
    with pytest.raises(TrainingError, match=r"the weights of layer 1 \(`\[convolutional\]`, X.cfg:\d+\) are no numbers"):
        steps(trainer, 1)
    trainer = trainer_of(tiny(), data)
    hook = trainer.network.layers[1].register_forward_hook(lambda *found: found[2] * torch.inf)
    with pytest.raises(TrainingError, match=r"the output of layer 1 \(.* is no number"):
        steps(trainer, 1)
    hook.remove()
    trainer = trainer_of(tiny(), data)
    trainer.network.layers[0].register_forward_hook(spoil)
    with pytest.raises(TrainingError, match=r"the gradient of `norm\.\w+` in layer 0"):
        steps(trainer, 1)


def test_gradients_may_be_mended(data: Path) -> None:
    trainer = trainer_of(tiny(net="try_fix_nan=1"), data)
    trainer.network.layers[0].register_forward_hook(spoil)
    steps(trainer, 2)
    assert all(bool(value.isfinite().all()) for value in trainer.network.state_dict().values())


def test_weights_may_be_mended(data: Path) -> None:
    trainer = trainer_of(tiny(net="try_fix_nan=1"), data)
    with torch.no_grad():
        trainer.network.layers[1].conv.weight[0, 0, 0, 0] = torch.nan  # type: ignore[union-attr, index]
    steps(trainer, 2)
    assert all(bool(value.isfinite().all()) for value in trainer.network.state_dict().values())


def test_no_gradient_passes_a_layer_that_only_goes_forward(data: Path) -> None:
    between = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=1\nactivation=leaky\nonlyforward=1\n"
    trainer = trainer_of(tiny(between=between), data)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    steps(trainer, 3)
    moved = {key for key, value in trainer.network.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {"layers.3.conv.weight", "layers.3.conv.bias"}


def test_a_loss_that_leaves_for_good_stops(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.train.course._PATIENCE", 3)
    trainer = trainer_of(tiny(), data)
    steps(trainer, 8)
    trainer.course.lowest_loss = trainer.course.average_loss / 100
    with pytest.raises(TrainingError, match=r"the loss has diverged: its average is .* times the lowest"):
        steps(trainer, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("max_batches=20", "max_batches=0"), "`max_batches` of `X.cfg` is 0"),
        (("channels=3", "channels=2"), "training reads pictures of 1 or 3"),
        (("mask=0,1", "mask=0,1\nstopbackward=1"), "no layer is trained"),
        (
            ("[convolutional]\nfilters=14", "[crnn]\noutput=8\npad=1\n[convolutional]\nfilters=14"),
            "keeps a state from picture to picture",
        ),
    ],
)
def test_what_cannot_be_trained(data: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trainer_of(graph_of(tiny_text().replace(*change)), data)


def test_weights_that_are_trained_already(data: Path) -> None:
    graph = tiny()
    task = Detecting(graph, read_list(data.with_name("list.txt")), 0)
    with pytest.raises(UsageError, match="`max_batches=20` is reached") as caught:
        Trainer(graph, Network(graph), task, Settings(data.parent, "X"), seen=80)
    assert "-clear" in caught.value.help


def test_killed_and_resumed_equals_uninterrupted(data: Path, tmp_path: Path) -> None:
    """`kill -9` in the middle of a real run: the weights at the end are the same, byte for byte."""
    cfg = tmp_path / "X.cfg"
    cfg.write_text(tiny_text(between=DROPPING, net="mosaic=1", steps=30))
    words = ("cspdet", "train", data, cfg, "--workers", 1, "--save-every", 2, "--backup")
    whole = command(*words, "whole", cwd=tmp_path)
    assert isinstance(whole, subprocess.Popen)
    killed = command(*words, "killed", cwd=tmp_path)
    assert isinstance(killed, subprocess.Popen)
    log = tmp_path / "killed" / "log_X.csv"
    until = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) > 7) and time.monotonic() < until:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "X_final.weights").exists()
    again = command(*words, "killed", "--resume", cwd=tmp_path)
    assert isinstance(again, subprocess.Popen)
    for each in (whole, again):
        out, _ = each.communicate(timeout=120)
        assert each.returncode == 0, out.decode()
    for name in ("X_final.weights", "X_last.weights"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    rows = [(tmp_path / place / "log_X.csv").read_text().splitlines() for place in ("whole", "killed")]
    assert [row.split(",")[:5] for row in rows[0]] == [row.split(",")[:5] for row in rows[1]]


def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    """With the same global batch, to float noise; with statistics across mini-batches, an average, and a layer that thaws."""
    cfg = tmp_path / "X.cfg"
    cfg.write_text(tiny_text(net="mosaic=1\nema_decay=.9", steps=10, normalize=2, first="stopbackward=4"))
    words = ("cspdet", "train", data, cfg, "--workers", 0, "-map", "--map-every", 5, "--backup")
    for code in (
        command(*words, "one", cwd=tmp_path),
        command("torch.distributed.run", "--nproc-per-node", 2, "--master-port", 29611, "-m", *words, "two", cwd=tmp_path),
    ):
        assert isinstance(code, subprocess.Popen)
        out, _ = code.communicate(timeout=120)
        assert code.returncode == 0, out.decode()
        assert b"Warning" not in out
    graph = tiny()
    one, two = (load(cfg, tmp_path / place / "X_final.weights").network.state_dict() for place in ("one", "two"))
    start = Network(graph).state_dict()
    for key, value in one.items():
        if value.is_floating_point():
            moved = float((value - start[key]).abs().max())
            assert float((value - two[key]).abs().max()) <= 1e-3 * max(moved, 1e-3), key


@pytest.mark.parametrize("spoil", ["cfg", "data", "checkpoint"])
def test_two_processes_say_what_is_wrong_once(data: Path, tmp_path: Path, spoil: str) -> None:
    cfg = tmp_path / "X.cfg"
    cfg.write_text(tiny_text(steps=2) if spoil != "cfg" else "[net]\nwidth=64\nheight=64\n[yolo]\nclasses=0\n")
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "X.checkpoint").write_bytes(b"")
    train = ("cspdet", "train", data if spoil != "data" else "nothing.data", cfg, "--workers", 0, "--backup", "backup")
    words = ("torch.distributed.run", "--nproc-per-node", 2, "--master-port", 29612, "-m", *train)
    made = command(*words, cwd=tmp_path)
    assert isinstance(made, subprocess.Popen)
    out, _ = made.communicate(timeout=120)
    assert made.returncode != 0
    said = {"cfg": b"X.cfg: ", "data": b"error: ", "checkpoint": b"this training was begun"}[spoil]
    assert out.count(said) == 1, out.decode()
