"""`cspdet plot` and `cspdet graph`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

NET = "[net]\nwidth=32\nheight=16\nchannels=3\n"
CONV = "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=linear\n"


@pytest.mark.parametrize(("command", "start"), [("plot", b"\x89PNG"), ("graph", b"\x89PNG")])
def test_png(run: Run, tmp_path: Path, command: str, start: bytes) -> None:
    out = tmp_path / "x.png"
    assert run(command, "yolov4-tiny", "-o", out) == (0, f"saved: {out}\n", "")
    assert out.read_bytes().startswith(start)
    assert [*tmp_path.iterdir()] == [out]


def test_a_plot_has_a_name_by_default(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("plot", "yolov4-tiny") == (0, "saved: bars.png\n", "")
    assert [each.name for each in tmp_path.iterdir()] == ["bars.png"]


def test_two_networks(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.svg"
    assert run("plot", "yolov4-tiny", "yolov3-tiny", "--out", out, "--width", 64, "--height", 64)[0] == 0
    assert b"<svg" in out.read_bytes()


def test_the_same_svg_every_time(run: Run, tmp_path: Path, write: Write) -> None:
    first, second = tmp_path / "1.svg", tmp_path / "2.svg"
    for out in (first, second):
        assert run("graph", write("a<b>&.cfg", NET + CONV), "-o", out)[0] == 0
    assert first.read_bytes() == second.read_bytes()
    root = ET.fromstring(first.read_text("utf-8"))
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "a<b>&"


def test_the_size_counts(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.svg"
    assert run("graph", "yolov4-tiny", "-o", out, "--width", 320, "--height", 256)[0] == 0
    assert "input 320x256x3, 38 layers" in out.read_text("utf-8")


def test_warnings_are_told_of(run: Run, tmp_path: Path, write: Write) -> None:
    path = write("net.cfg", NET + CONV + "foo=1\n")
    for command in ("plot", "graph"):
        code, out, err = run(command, path, "-o", tmp_path / "x.svg")
        assert (code, out) == (0, f"saved: {tmp_path / 'x.svg'}\n")
        assert err == f"{path}: 1 warning; `cspdet check {path}` shows them\n"


@pytest.mark.parametrize("command", ["plot", "graph"])
def test_errors_leave_no_file(run: Run, tmp_path: Path, write: Write, command: str) -> None:
    out = tmp_path / "x.svg"
    code, text, err = run(command, write("net.cfg", NET + "[foo]\n"), "-o", out)
    assert (code, text) == (1, "")
    assert "error[unknown-section]" in err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plot", "yolov4", "-o", "x.bmp"], "`.bmp` is no format of plots"),
        (["graph", "yolov4", "-o", "x.jpg"], "`.jpg` is no format of graphs"),
        (["graph", "yolov4", "-o", "x"], "cannot write `x`: its name does not say in which format"),
        (["graph", "yolov4", "-o", "none/x.svg"], "cannot write `none/x.svg`"),
        (["plot", "yolov4", "-o", "none/x.svg"], "cannot write `none/x.svg`"),
        (["graph", "yolov4"], "required: -o/--out"),
        (["plot", "yolov4", "yolov4", "yolov4", "-o", "x.png"], "3 cfgs were given"),
        (["plot", "-o", "x.png"], "required: CFG"),
        (["graph", "yolov9000", "-o", "x.svg"], "yolov9000"),
    ],
)
def test_a_call_that_is_wrong(
    run: Run, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert [*tmp_path.iterdir()] == []


def test_an_authored_cfg_from_standard_input(run: Run, tmp_path: Path, write: Write) -> None:
    text = NET + "[define]\nwidth=4\n[convolutional]\nrepeat=4\nfilters=$width\nsize=3\npad=1\n"
    out = tmp_path / "x.svg"
    assert run("graph", write("net.cfg", text), "-o", out, "--set", "width=6")[0] == 0
    assert ">×4<" in out.read_text("utf-8")
