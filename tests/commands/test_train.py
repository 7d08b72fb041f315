"""`cspdet train`, as its users call it, and what it says where it cannot go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cspdet.errors import UsageError
from cspdet.train.backup import Backup
from cspdet.train.trainer import Trainer
from tests.conftest import ROOT
from tests.train.material import shapes, tiny_text

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return shapes(tmp_path / "shapes", 6)


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "X.cfg"
    path.write_text(tiny_text(steps=3))
    return path


def test_a_training_from_beginning_to_end(run: Run, data: Path, cfg: Path) -> None:
    code, out, err = run("train", data, cfg, "--workers", 0, "-map", "--map-every", 2, "-dont_show")
    assert code == 0, err
    backup = data.parent / "backup"
    names = {each.name for each in backup.iterdir()}
    assert names == {"X_last.weights", "X_final.weights", "X_best.weights", "X.checkpoint", "log_X.csv", "chart_X.png"}
    assert "X: 6 images, batches of 4 in 2, steps 1 to 3 on cpu" in out
    assert " 2: mAP " in out
    assert f"saved: {backup / 'X_final.weights'}" in out
    lines = (backup / "log_X.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 + 2
    code, _, err = run("check", cfg)
    assert code == 0
    code, _, err = run("weights", "info", backup / "X_final.weights", "--cfg", cfg)
    assert code == 0, err


def test_darknets_spelling(run: Run, data: Path, cfg: Path) -> None:
    assert run("detector", "train", data, cfg, "-dont_show", "-gpus", "0", "--workers", 0, "--device", "cpu")[0] == 0
    final = data.parent / "backup" / "X_final.weights"
    # These weights have seen all there is to see.
    code, _, err = run("detector", "train", data, cfg, final, "--workers", 0)
    assert code == 2
    assert "`max_batches=3` is reached" in err
    assert run("detector", "train", data, cfg, final, "-clear", "--workers", 0)[0] == 0


def test_an_interrupted_training_is_not_overwritten(run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def interrupt(self: Trainer, feed: object) -> object:
        row = step(self, feed)  # type: ignore[arg-type]
        if row.iteration == 2:
            import signal

            signal.raise_signal(signal.SIGTERM)
        return row

    monkeypatch.setattr(Trainer, "step", interrupt)
    code, out, err = run("train", data, cfg, "--workers", 0)
    assert code == 130
    assert "X_last.weights" in out
    assert "interrupted after step 2: `--resume` goes on from here" in err
    monkeypatch.undo()
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert "is there: this training was begun" in err
    code, _, err = run("train", data, cfg, "--workers", 0, "--resume", "--seed", 1)
    assert code == 2
    assert "made with another seed" in err
    code, out, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert code == 0, err
    assert "steps 3 to 3" in out


def test_what_cannot_be_evaluated_is_said_once(run: Run, data: Path, cfg: Path) -> None:
    folder = data.parent
    for name in ("0", "1"):
        (folder / "images" / f"v{name}.png").write_bytes((folder / "images" / f"{name}.png").read_bytes())
    (folder / "labels" / "v0.txt").write_text("0 .5 .5 .2 .2\n7 .5 .5 .2 .2\n")
    (folder / "images" / "v1.png").write_bytes(b"no picture")
    (folder / "valid.txt").write_text("images/v0.png\nimages/v1.png\n")
    change(data, "valid = list.txt", "valid = valid.txt")
    code, _, err = run("train", data, cfg, "--workers", 0, "-map", "--map-every", 1)
    assert code == 0, err
    warnings = [line for line in err.splitlines() if line.startswith("warning: evaluating: ")]
    assert len(warnings) == 2
    assert any("v1.png" in line and line.endswith(": left out") for line in warnings)
    assert any("v0.txt`, line 2: class 7; there are 2" in line for line in warnings)


def test_a_finished_training_can_be_made_longer(run: Run, data: Path, cfg: Path) -> None:
    assert run("train", data, cfg, "--workers", 0)[0] == 0
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert "this training was begun, and may be finished" in err
    code, _, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert code == 2
    assert "is finished: it made all 3 steps" in err
    cfg.write_text(tiny_text(steps=5))
    code, _, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert code == 2
    assert f"made with another cfg: `[net]` had `max_batches=3` then, and has `max_batches=5` now ({cfg}:10);" in err
    assert f"give `{data.parent / 'backup' / 'X_last.weights'}` in place of `--resume`" in err
    code, out, err = run("train", data, cfg, data.parent / "backup" / "X_last.weights", "--workers", 0)
    assert code == 0, err
    assert "steps 4 to 5" in out


def test_the_final_weights_can_be_written_later(run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they were missed: another step is not made."""
    write, backup = Backup.write, data.parent / "backup"

    def full(self: Backup, suffix: str, *rest: object) -> None:
        if suffix == "final":
            raise UsageError("cannot write it: no space left on device")
        write(self, suffix, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Backup, "write", full)
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert "cannot write it: no space left on device; training ends at step 3" in err
    assert f"`--resume` writes it: all steps are made, and saved in `{backup / 'X.checkpoint'}`" in err
    monkeypatch.undo()
    # Of an earlier training.
    (backup / "X_final.weights").write_bytes(b"other")
    log = (backup / "log_X.csv").read_text()
    code, out, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert code == 0, err
    assert "all 3 steps are made" in out
    assert (backup / "X_final.weights").read_bytes() == (backup / "X_last.weights").read_bytes()
    assert (backup / "log_X.csv").read_text() == log
    assert "is finished" in run("train", data, cfg, "--workers", 0, "--resume")[2]


@pytest.mark.parametrize(
    ("full", "how"),
    [
        (1, "training ends at step 1\n  help: once it can be written, start again: no step was saved"),
        (2, "training ends at step 2\n  help: once it can be written, `--resume` goes on from step 1, which is saved in `"),
    ],
)
def test_a_full_disk_says_how_training_goes_on(
    run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch, full: int, how: str
) -> None:
    save, calls = torch.save, []

    def once(made: object, file: object) -> None:
        calls.append(1)
        if len(calls) == full:
            raise OSError(28, "No space left on device")
        save(made, file)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "save", once)
    code, _, err = run("train", data, cfg, "--workers", 0, "--save-every", 1)
    assert code == 2
    assert f"X.checkpoint`: no space left on device; {how}" in err


def test_a_log_that_cannot_be_added_to(run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def remove(self: Trainer, feed: object) -> object:
        (data.parent / "backup" / "log_X.csv").unlink(missing_ok=True)
        (data.parent / "backup" / "log_X.csv").mkdir(exist_ok=True)
        return step(self, feed)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "step", remove)
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert "log_X.csv`: is a directory; training ends at step 1" in err


@pytest.mark.parametrize("name", ["X_last.weights", "X_final.weights", "X.checkpoint", "log_X.csv", "chart_X.png"])
def test_a_folder_in_the_place_of_a_file_is_seen_before_it_starts(run: Run, data: Path, cfg: Path, name: str) -> None:
    place = data.parent / "backup" / name
    place.mkdir(parents=True)
    code, out, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert f"cannot write `{place}`: a folder stands in its place\n  help: move it away" in err
    assert " 1: " not in out


def test_files_in_another_order(run: Run, data: Path, cfg: Path) -> None:
    assert run("train", cfg, data, "--workers", 0)[0] == 0
    final = data.parent / "backup" / "X_final.weights"
    assert run("train", final, cfg, data, "-clear", "--workers", 0)[0] == 0
    code, _, err = run("train", cfg, final)
    assert code == 2
    assert f"there is no .data file in `{cfg} {final}`" in err
    assert "two cfg files" in run("train", cfg, cfg)[2]
    assert "there is no cfg file in" in run("train", data, final)[2]


def test_who_reads_along_may_leave(data: Path, cfg: Path) -> None:
    """Training goes on, and its workers end with it."""
    command = [sys.executable, "-m", "cspdet", "train", str(data), str(cfg), "--workers", "2", "-map"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 0
    assert (data.parent / "backup" / "X_final.weights").exists()


def test_valid_images_without_objects_are_seen_before_it_starts(run: Run, data: Path, cfg: Path) -> None:
    (data.parent / "bare").mkdir()
    (data.parent / "images" / "0.png").rename(data.parent / "bare" / "0.png")
    data.with_name("bare.txt").write_text("bare/0.png\n")
    change(data, "valid = list.txt", "valid = bare.txt")
    code, out, err = run("train", data, cfg, "--workers", 0, "-map")
    assert code == 2
    assert "has a label file" in err
    assert " 1: " not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", -1), "`-1` is not a number from 0"),
        (("--device", "banana"), "there is no device `banana`"),
        (("--workers", "many"), "`many` is not a number from 0"),
        (("--save-every", 0), "`0` is no number from 1 on"),
        (("--map-every", 5), "`--map-every` has no effect without `-map`"),
        (("--resume", "-clear"), "so that `-clear` has no effect"),
        (("x.weights", "--resume"), "so that `x.weights` has no effect"),
    ],
)
def test_bad_options(run: Run, data: Path, cfg: Path, words: tuple[object, ...], message: str) -> None:
    code, _, err = run("train", data, cfg, *words)
    assert code == 2
    assert message in err


def test_options_of_darknet_that_have_no_effect_are_named(
    run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = run("train", data, cfg, "--workers", 0, "-gpus", "0,1", "-dont_show")
    assert code == 0
    assert err == "note: `-gpus 0,1` has no effect: PyTorch finds no GPU, and the CPU computes\n"
    code, _, err = run("train", data, cfg, "-clear", "--workers", 0, "-i", "3", "--device", "cpu")
    assert code == 0
    assert err == "note: `-i 3` has no effect: `--device cpu` says where to compute\n"
    assert run("train", data, cfg, "-clear", "--workers", 0)[2] == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate=.01", "learning_rate=-1", "is below 0"),
        ("batch=4\nsubdivisions=2\n", "batch=1\n", "needs more than one image at a time"),
        ("policy=constant", "policy=exp\ngamma=1e200", "the learning rate of `policy=exp` is inf"),
    ],
)
def test_recipes_that_cannot_be(run: Run, data: Path, cfg: Path, old: str, new: str, message: str) -> None:
    text = tiny_text(steps=6, net="policy=constant").replace("width=64\nheight=64", "width=8\nheight=8")
    cfg.write_text(text)
    change(cfg, old, new)
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code in (1, 2)
    assert message in err


def test_resuming_what_never_began(run: Run, data: Path, cfg: Path) -> None:
    code, _, err = run("train", data, cfg, "--resume")
    assert code == 2
    assert "there is no checkpoint" in err


def test_a_folder_in_the_working_directory_does_not_hide_the_checkpoint(
    run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("train", data, cfg, "--workers", 0)[0] == 0
    beside = data.parent / "backup"
    (tmp_path / "elsewhere" / "backup").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert f"`{beside / 'X.checkpoint'}` is of a training that is finished" in err
    (beside / "X.checkpoint").rename(tmp_path / "kept")
    code, _, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert code == 2
    both = f"`backup` of the working directory and `{beside}`, beside the .data file,"
    assert f"error: {both} are there, but neither has `X.checkpoint`" in err
    assert "--backup FOLDER" in err
    code, out, err = run("train", data, cfg, "--workers", 0)
    assert code == 0
    assert f"note: {both} are there: weights go into the first" in err
    assert f"saved: {Path('backup', 'X_final.weights')}" in out
    (tmp_path / "kept").rename(beside / "X.checkpoint")
    code, _, err = run("train", data, cfg, "--workers", 0, "--resume")
    assert code == 2
    assert f"error: {both} each have `X.checkpoint`" in err
    assert run("train", data, cfg, "--workers", 0, "-clear", "--backup", "backup")[2] == ""


def test_a_call_that_fails_leaves_no_folder(run: Run, data: Path, cfg: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(tiny_text(steps=3).replace("filters=8", "filters=16"))
    assert run("train", data, other, "--workers", 0)[0] == 0
    weights = data.parent / "backup" / "other_final.weights"
    new = tmp_path / "new"
    for words in ((weights, "-clear"), ("--resume",), ("--device", "banana")):
        assert run("train", data, cfg, *words, "--workers", 0, "--backup", new)[0] in (1, 2)
        assert not new.exists()
    cfg.write_text(tiny_text(steps=3).replace("max_batches=3", "max_batches=0"))
    assert run("train", data, cfg, "--workers", 0, "--backup", new)[0] == 2
    assert not new.exists()


def test_one_corrupt_picture_among_many(run: Run, data: Path, cfg: Path) -> None:
    (data.parent / "images" / "3.png").write_bytes(b"no picture")
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 0
    assert err.count("3.png") == 1
    assert "it is left out" in err


def test_labels_that_cannot_be_used_are_told_once_for_each_file(run: Run, data: Path, cfg: Path) -> None:
    for each in (data.parent / "labels").iterdir():
        each.write_text(each.read_text() + "7 .5 .5 .1 .1\n" * 50)
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 0
    told = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(told) == 6
    assert all("there is no class 7: the last is 1; 50 labels of the file are left out" in line for line in told)


def test_words_about_very_many_files_are_counted(run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.commands.view._MOST_WARNINGS", 2)
    for each in (data.parent / "labels").iterdir():
        each.write_text(each.read_text() + "0 .5 .5 0 0\n")
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 0
    assert err.count("the width of 0 is not above 0") == 2
    assert "warning: of 6 files, something was left out" in err


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_but_corrupt_pictures(run: Run, data: Path, cfg: Path, workers: int) -> None:
    for each in (data.parent / "images").iterdir():
        each.write_bytes(b"no picture")
    code, _, err = run("train", data, cfg, "--workers", workers)
    assert code == 2
    assert err.splitlines()[-2].startswith("error: 100 pictures in a row cannot be used; the last: `")
    assert "DataLoader" not in err


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_classes_that_do_not_match(run: Run, data: Path, cfg: Path) -> None:
    change(data, "classes = 2", "classes = 3")
    change(data, "names = shapes.names", "")
    code, _, err = run("train", data, cfg)
    assert code == 2
    assert "has 3 classes, but the head in" in err
    assert "X.cfg:" in err
    assert "set `classes=3` there" in err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda home: [each.unlink() for each in (home / "images").iterdir()], "none of the 6 images that"),
        (lambda home: [each.unlink() for each in (home / "labels").iterdir()], "none of the 6 images has a label file"),
        (lambda home: [each.write_text("") for each in (home / "labels").iterdir()], "no label file has an object"),
        (lambda home: [each.write_text("7 .5 .5 .1 .1") for each in (home / "labels").iterdir()], "have classes that"),
        (lambda home: [each.write_text("0 .5 .5 0 .1") for each in (home / "labels").iterdir()], "no size, or lie outside"),
        (lambda home: (home / "list.txt").write_text(""), "lists no images"),
        (lambda home: (home / "list.txt").write_text("D:\\data\\a.jpg\n"), "is not there: `D:\\data\\a.jpg`"),
        (lambda home: (home / "list.txt").unlink(), "points to `list.txt`, which is not there"),
        (lambda home: (home / "backup").write_text("a file"), "cannot write"),
        (lambda home: change(home / "shapes.data", "train = list.txt", ""), "has no `train=`"),
    ],
    ids=["images", "labels", "empty", "classes", "sizes", "list", "windows", "no-list", "backup", "no-train"],
)
def test_bad_data(run: Run, data: Path, cfg: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(data.parent)
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert not (data.parent / "backup" / "X.checkpoint").exists()


def test_a_list_with_the_slashes_of_windows(run: Run, data: Path, cfg: Path) -> None:
    change(data.with_name("list.txt"), "images/", "images\\")
    assert run("train", data, cfg, "--workers", 0)[0] == 0


def test_what_is_said_before_it_starts(run: Run, data: Path, cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    cfg.write_text(tiny_text(steps=1, net="dynamic_minibatch=1\nadversarial_lr=0").replace("subdivisions=2", "subdivisions=3"))
    code, out, err = run("train", data, cfg, "--workers", 3, "--precision", "float32")
    assert code == 0
    assert "warning: 3 workers for" in err
    assert "`dynamic_minibatch` of `[net]` does nothing here: the batch stays as it is" in err
    assert "adversarial_lr" not in err  # it is off
    assert "X.cfg: 1 warning" in err  # the batch does not divide
    assert "batches of 3 in 3" in out


def test_what_does_nothing_is_not_announced(run: Run, data: Path, cfg: Path) -> None:
    cfg.write_text(tiny_text(steps=1, net="cutmix=1\nmosaic=1\nmosaic_bound=1"))
    code, out, err = run("train", data, cfg, "--workers", 0)
    assert code == 0
    assert "`cutmix` of `[net]` does nothing here" in err
    assert "on cpu with mosaic, flip\n" in out


def test_one_image_is_one_image(run: Run, data: Path, cfg: Path) -> None:
    data.with_name("list.txt").write_text("images/0.png\n")
    assert "X: 1 image, batches" in run("train", data, cfg, "--workers", 0)[1]


def test_heads_that_cannot_be_trained(run: Run, data: Path, tmp_path: Path) -> None:
    cfg = tmp_path / "v1.cfg"
    head = "[connected]\noutput=36\nactivation=linear\n[detection]\nclasses=2\nside=2\nnum=1\ncoords=4\n"
    cfg.write_text(f"[net]\nwidth=32\nheight=32\nchannels=3\nmax_batches=5\n{head.replace('36', '28')}")
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert "`[detection]` cannot be trained" in err


def test_a_classifier(run: Run, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    for number, name in enumerate(("dark", "bright")):
        (tmp_path / "all" / name).mkdir(parents=True)
        for each in range(6):
            cv2.imwrite(str(tmp_path / "all" / name / f"{each}.png"), np.full((30, 30, 3), 180 * number + each, np.uint8))
    (tmp_path / "c.names").write_text("dark\nbright\n")
    (tmp_path / "c.data").write_text("classes=2\ntrain=all\nvalid=all\nnames=c.names\nbackup=trained\n")
    (tmp_path / "c.cfg").write_text(
        "[net]\nwidth=16\nheight=16\nchannels=3\nbatch=6\nmax_batches=40\nlearning_rate=.05\npolicy=poly\npower=1\n"
        "angle=7\naspect=.75\nsaturation=1.5\nexposure=1.2\nhue=.1\nmixup=1\nlabel_smooth_eps=.1\n"
        "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
        "[convolutional]\nfilters=2\nsize=1\nactivation=linear\n[avgpool]\n[softmax]\n[cost]\n"
    )
    code, out, err = run("train", tmp_path / "c.data", tmp_path / "c.cfg", "-map", "--workers", 0)
    assert code == 0, err
    assert " 40: top-1 100.00 %" in out
    assert (tmp_path / "trained" / "c_best.weights").exists()


def test_a_classifier_and_the_data_of_a_detector(run: Run, data: Path, tmp_path: Path) -> None:
    cfg = tmp_path / "c.cfg"
    cfg.write_text(
        "[net]\nwidth=16\nheight=16\nchannels=3\nbatch=2\nmax_batches=4\n[convolutional]\nfilters=2\nsize=1\n"
        "activation=linear\n[avgpool]\n[softmax]\n"
    )
    code, out, err = run("train", data, cfg, "--workers", 0)
    assert code == 2
    assert "error: no path of 6 images tells a class, as a classifier needs it; the first: `" in err
    assert f"`cspdet data check --classify {data}` lists them; to find objects, `{cfg}` needs a head" in err
    assert out == ""
    assert not (data.parent / "backup").exists()
    # One that tells is enough to start with, and is all there is.
    (data.parent / "disc").mkdir()
    (data.parent / "images" / "0.png").rename(data.parent / "disc" / "0.png")
    change(data.with_name("list.txt"), "images/0.png", "disc/0.png")
    code, _, err = run("train", data, cfg, "--workers", 0)
    assert code == 0, err
    assert "no name of a class is part of its path: it is left out" in err


def test_tensorboard(run: Run, data: Path, cfg: Path) -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        code, _, err = run("train", data, cfg, "--workers", 0, "--tensorboard")
        assert code == 2
        assert "pip install tensorboard" in err
        return
    assert run("train", data, cfg, "--workers", 0, "--tensorboard")[0] == 0
    written = [*(data.parent / "backup" / "tensorboard_X").iterdir()]
    assert len(written) == 1
    assert written[0].stat().st_size > 500
