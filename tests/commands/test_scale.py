"""`cspdet scale`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

TINY = ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg"
REPORT = """3 chains with joined outputs: 2 → 3 groups of 1 layer
width × 1.5
layers      38 → 41 (+7.9 %)
BFLOPs      6.910 → 14.793 (+114.1 %)
parameters  6,062,814 → 13,290,318 (+119.2 %)
"""


def test_a_file(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "large.cfg"
    code, said, err = run("scale", TINY, "--depth", "1.5", "-o", out)
    assert (code, err) == (0, "")
    assert said == f"{REPORT}saved: {out}\n"
    assert out.read_text().startswith("# yolov4-tiny.cfg, scaled by cspdet: depth 1.5, width 1.5 (YOLOv7, section 4.2)\n")
    code, said, _ = run("check", out)
    assert code == 0
    assert "no problems; 41 layers, 14.793 BFLOPs, 13,290,318 parameters" in said
    assert run("diff", TINY, out)[0] == 1


def test_standard_output_and_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TINY.read_bytes())))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written := io.BytesIO(), "utf-8"))
    code, _, err = run("scale", "-", "--depth", "1", "--width", "1")
    assert (code, err.splitlines()[-1]) == (0, "width × 1")
    remark, rest = written.getvalue().split(b"\n", 1)
    assert remark == b"# <stdin>, scaled by cspdet: depth 1, width 1 (YOLOv7, section 4.2)"
    assert rest == TINY.read_bytes()


def test_a_model_by_name_with_a_variable(run: Run, write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.cfg"
    assert run("scale", "yolov4-tiny", "--width", "0.5", "-o", out)[0] == 0
    cfg = write("X.cfg", "[define]\nn=16\n[net]\nwidth=32\nheight=32\nchannels=3\n[conv]\nfilters=$n\n[conv]\nfilters=8\n")
    assert run("scale", cfg, "--set", "n=32", "--width", "2", "-o", out)[0] == 0
    assert [int(each) for each in re.findall("filters=(\\d+)", out.read_text())] == [64, 8]


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "inf", "1e9", "1e-9", "1e999999999", "much", "", "3/2", "0x2"])
@pytest.mark.parametrize("option", ["--depth", "--width"])
def test_bad_factors(run: Run, tmp_path: Path, option: str, factor: str) -> None:
    out = tmp_path / "out.cfg"
    code, said, err = run("scale", TINY, f"{option}={factor}", "-o", out)
    assert (code, said) == (2, "")
    message = f"error: argument {option}: `{factor}` is no factor; a number from 0.0625 to 16 is possible"
    assert err.splitlines()[0] == message
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{tiny}"], 2, "there is nothing to scale by"),
        (["{plain}", "--depth", "2"], 1, "can be deepened: no `[route]` joins the convolutions of a chain"),
        (["{none}", "--depth", "2"], 2, "no such file"),
        (["{broken}", "--depth", "2"], 1, "there is no section `[nothing]`"),
        (["{tiny}", "--depth", "2", "-o", "{folder}/none/out.cfg"], 2, "cannot write"),
        (["{plain}", "--width", "2", "-o", "{folder}/plain.cfg"], 2, "it is one of the files that are read"),
        (["{yolov4}", "--width", "16", "-o", "{out}"], 1, "yolov4.cfg` cannot be scaled so: the layer would have"),
    ],
)
def test_bad_calls(run: Run, write: Write, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    start = "[net]\nwidth=32\nheight=32\nchannels=3\n"
    places = {
        "tiny": TINY,
        "yolov4": ROOT / "cfg" / "yolo" / "yolov4.cfg",
        "plain": write("plain.cfg", f"{start}[convolutional]\nfilters=8\n[convolutional]\nfilters=8\n"),
        "broken": write("broken.cfg", f"{start}[nothing]\n"),
        "none": tmp_path / "none.cfg",
        "folder": tmp_path,
        "out": write("out.cfg", "as it was"),
    }
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    found, _, err = run("scale", *(word.format(**places) for word in words))
    assert found == code, err
    assert message in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
