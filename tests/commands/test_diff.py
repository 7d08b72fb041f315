"""`cspdet diff`: what it prints, and how it ends."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters=8
size=3
pad=1
activation=leaky
[convolutional]
filters=24
activation=linear
[yolo]
classes=3
num=3
anchors=1,2, 3,4, 5,6
"""
TINY = ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg"


def test_the_same(run: Run, write: Write) -> None:
    one, two = write("A.cfg", CFG), write("B.cfg", CFG.replace("size=3\npad=1", "# padded\npad = 1\nsize = 3"))
    assert run("diff", one, two) == (0, "the same network: 3 layers, 0.001 BFLOPs, 440 parameters\n", "")
    assert json.loads(run("diff", one, two, "--json")[1])["same"] is True


def test_what_differs_is_named_with_the_numbers_of_both(run: Run, write: Write) -> None:
    cfg = CFG.replace("width=32", "width=64").replace("classes=3", "classes=1").replace("filters=24", "filters=18")
    cfg = cfg.replace("[convolutional]\nfilters=18", "[maxpool]\nsize=2\nstride=2\n[convolutional]\nfilters=18")
    one, two = write("A.cfg", CFG), write("longer.cfg", cfg.replace("num=3", "num=3\njitter=.1"))
    code, out, err = run("diff", one, two)
    assert (code, err) == (1, "")
    head, other, *rest = out.splitlines()
    assert head.split(maxsplit=2) == ["---", f"{one}", "3 layers, 0.001 BFLOPs, 440 parameters"]
    assert other.split(maxsplit=2) == ["+++", f"{two}", "4 layers, 0.001 BFLOPs, 386 parameters"]
    assert "\n".join(rest) == (
        """[net]
~ width: 32 → 64
     A     B  layer
+          1  maxpool        2x2/2 -> 32x16x8
~    1     2  convolutional  filters: 24 → 18  (-54 parameters)
~    2     3  yolo           classes: 3 → 1; jitter: 0.2 → 0.1 (training)
1 more layer with maps of another shape
heads       yolo 32x32, 3 classes → yolo 32x16, 1 class
layers      3 → 4 (+33.3 %)
BFLOPs      0.001 → 0.001 (+25.5 %)
parameters  440 → 386 (-12.3 %)"""
    )
    assert "(training)" not in run("diff", one, two, "--no-training")[1]


def test_json(run: Run, write: Write) -> None:
    cfg = CFG.replace("[yolo]", "[route]\nlayers=-1\n[yolo]").replace("batch", "").replace("height=32", "height=32\nbatch=4")
    one, two = write("A.cfg", CFG), write("B.cfg", cfg)
    code, out, _ = run("diff", one, two, "--json")
    found = json.loads(out)
    assert (code, found["same"]) == (1, False)
    assert found["net"] == [{"option": "batch", "a": "1", "b": "4", "training": True}]
    (layer,) = found["layers"]
    assert (layer["status"], layer["type"], layer["a"], layer["b"]["index"]) == ("added", "route", None, 2)
    assert layer["b"]["shape"] == [24, 32, 32]
    assert found["a"]["heads"] == [{"index": 2, "type": "yolo", "classes": 3, "shape": [24, 32, 32]}]
    assert (found["a"]["layers"], found["b"]["layers"], found["b"]["parameters"]) == (3, 4, 440)


def test_training_alone(run: Run, write: Write) -> None:
    one, two = write("A.cfg", CFG), write("B.cfg", CFG.replace("channels=3", "channels=3\nbatch=64"))
    code, out, _ = run("diff", one, two)
    assert code == 1
    assert out.endswith("[net]\n~ batch: 1 → 64 (training)\nboth compute the same; only training differs\n")
    assert run("diff", one, two, "--no-training")[:2] == (0, "the same network: 3 layers, 0.001 BFLOPs, 440 parameters\n")


def test_variables_of_either(run: Run, write: Write) -> None:
    cfg = write("X.cfg", "[define]\nfilters=8\n" + CFG.replace("filters=8", "filters=$filters"))
    assert run("diff", cfg, cfg, "--set", "filters=16")[0] == 0
    code, out, _ = run("diff", cfg, cfg, "--set-b", "filters=16")
    assert code == 1
    assert "filters: 8 → 16" in out
    assert "filters: 16 → 8" in run("diff", cfg, cfg, "--set", "filters=8", "--set-a", "filters=16")[1]
    code, _, err = run("diff", cfg, write("plain.cfg", CFG), "--set", "filters=8")
    assert code == 2
    assert "has no variable `filters`" in err


def test_models_and_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("diff", "yolov4-tiny", TINY)[0] == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TINY.read_bytes())))
    assert run("diff", "yolov4-tiny", "-")[0] == 0
    code, _, err = run("diff", "-", "-")
    assert code == 2
    assert "standard input cannot be both networks" in err


def test_colours_are_for_terminals(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = write("A.cfg", CFG), write("B.cfg", CFG.replace("filters=8", "filters=16") + "[dropout]\n")
    assert "\x1b" not in run("diff", one, two)[1]
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    out = run("diff", one, two)[1]
    assert "\x1b[32m+          3  dropout" in out
    assert "\x1b[33m~    0     0  convolutional  filters: 8 → 16" in out


@pytest.mark.parametrize("order", [("good", "bad"), ("bad", "good"), ("none", "good")])
def test_what_is_no_network_ends_with_2(run: Run, write: Write, order: tuple[str, str]) -> None:
    files = {"good": write("A.cfg", CFG), "bad": write("B.cfg", CFG.replace("filters=24", "filters=25")), "none": "none.cfg"}
    code, out, err = run("diff", *(files[name] for name in order))
    assert (code, out) == (2, "")
    assert "head-filters" in err or "no such file" in err


def test_a_file_cannot_drive_the_terminal(run: Run, write: Write) -> None:
    one, two = write("A.cfg", CFG), write("B.cfg", CFG.replace("num=3", "num=3\nmap=\x1b[31mred"))
    assert "\x1b" not in run("diff", one, two)[1]
