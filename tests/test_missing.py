"""What is suggested in place of files that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet.missing import no_such_file

THERE = ("yolov4.weights", "yolov4.cfg", "yolov4-tiny.weights", "yolov4.conv.137", "Dog.jpg", "x.weights", "X.cfg", "notes")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("x.weigths", "x.weights"),
        ("yolov4.wieghts", "yolov4.weights"),
        ("yolo4.weights", "yolov4.weights"),
        ("yolov4_tiny.weights", "yolov4-tiny.weights"),
        ("yolov4.conv.173", "yolov4.conv.137"),
        ("dog.jpg", "Dog.jpg"),
        ("dog.jpeg", "Dog.jpg"),
        ("note", "notes"),
        ("cat.jpg", None),
        ("other.weights", None),
        ("y.weights", None),
        ("X.data", None),
        ("a" * 5000, None),
        ("a\0.jpg", None),
    ],
)
def test_near_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, near: str | None) -> None:
    for each in THERE:
        (tmp_path / each).touch()
    monkeypatch.chdir(tmp_path)
    for folder in ("", f"{tmp_path}/"):
        error = no_such_file(folder + name)
        assert error.message == f"no such file: `{folder}{name}`"
        assert error.help == (f"did you mean `{folder}{near}`?" if near else "check the path")


def test_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("none", "file"):
        assert no_such_file(tmp_path / folder / "x.weights").help == "check the path"


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in THERE:
        (tmp_path / each).touch()
    assert "did you mean" in no_such_file(tmp_path / "x.weigths").help
    monkeypatch.setattr("cspdet.missing._MOST", len(THERE) - 1)
    assert no_such_file(tmp_path / "x.weigths").help == "check the path"


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("detect --model cspdet-nano nano.weigths dog.jpg", "nano.weights"),
        ("detect --model cspdet-nano nan.weights dog.jpg", "nano.weights"),
        ("detect nano1.cfg nano.weights dog.jpg", "nano.cfg"),
        ("detect dgo.jpg", "dog.jpg"),
        ("detect dog.jpg --names nanno.names", "nano.names"),
        ("map nan.data nano.cfg nano.weights", "nano.data"),
        ("bench nano.cfg nan.weights", "nano.weights"),
        ("check nan.cfg", "nano.cfg"),
    ],
)
def test_the_commands_say_so(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, near: str
) -> None:
    head = "[yolo]\nmask=0,1,2\nnum=3\nclasses=1\nanchors=1,1,2,2,3,3\n"
    (tmp_path / "nano.cfg").write_text(f"[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=18\n{head}")
    for name in ("nano.weights", "nano.names", "nano.data", "dog.jpg"):
        (tmp_path / name).write_text("valid=x\n")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: no such file: `")
    assert err.endswith(f"\n  help: did you mean `{near}`?\n")
