"""`cspdet anchors`, and Darknet's `detector calc_anchors`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cspdet.data.labels import label_text
from tests.conftest import ROOT
from tests.data.material import make_set

Run = Callable[..., tuple[int, str, str]]

TINY = ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg"


@pytest.fixture(autouse=True)
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Three groups of boxes; in pixels of 100x200, around (10, 20), (30, 100) and (80, 160)."""
    generator = np.random.default_rng(0)
    sizes = np.concatenate([generator.uniform(0.998, 1.002, (20, 2)) * each for each in ((0.1, 0.1), (0.3, 0.5), (0.8, 0.8))])
    rows = np.concatenate([np.arange(60).reshape(-1, 1) // 50, np.full((60, 2), 0.5), sizes], 1)
    make_set(tmp_path, {"a": label_text(rows[:30]), "b": label_text(rows[30:])}, {"v": "0 .5 .5 .25 .25\n"})
    monkeypatch.chdir(tmp_path)
    return rows


CALL = ("-num_of_clusters", 3, "-width", 100, "-height", 200)


@pytest.mark.parametrize("words", [("detector", "calc_anchors"), ("calc_anchors",), ("anchors",)])
def test_as_darknet_is_called(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words, "made.data", *CALL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "60 boxes of `train`"
    assert lines[1] == "counters_per_class = 50, 10"
    assert lines[2] == "boxes per anchor = 20, 20, 20"
    assert lines[3].startswith("avg IoU = 9")
    assert lines[4] == "anchors = 10,20, 30,100, 80,160"


def test_cells(run: Run) -> None:
    _, out, _ = run("anchors", "made.data", "-num_of_clusters", 1, "-width", 13, "-height", 13, "--part", "valid")
    assert out.splitlines()[-1] == "anchors = 3.2500,3.2500"
    assert "counters_per_class = 1, 0" in out


def test_json(run: Run) -> None:
    code, out, _ = run("anchors", "made.data", *CALL, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["anchors"] == [[10, 20], [30, 100], [80, 160]]
    assert found["text"] == "10,20, 30,100, 80,160"
    assert found["average_iou"] > 0.95
    assert (found["boxes"], found["counters_per_class"], found["boxes_per_anchor"]) == (60, [50, 10], [20, 20, 20])


def test_the_same_call_prints_the_same(run: Run) -> None:
    words = ("anchors", "made.data", "-num_of_clusters", 9, "-width", 416, "-height", 416)
    assert run(*words) == run(*words)


def test_a_cfg_says_number_and_size_and_is_compared(run: Run) -> None:
    before = TINY.read_bytes()
    code, out, err = run("anchors", "made.data", "--cfg", TINY)
    assert code == 0
    lines = out.splitlines()
    assert lines[4].startswith(f"avg IoU with the anchors of {TINY} = ")
    assert lines[5].count(",") == 11
    assert "warning: by Darknet's rule of thumb" in err
    assert TINY.read_bytes() == before
    assert run("anchors", "made.data", "--cfg", "yolov4-tiny")[0] == 0


def test_writing_changes_the_anchors_and_nothing_else(run: Run) -> None:
    shutil.copy(TINY, "net.cfg")
    code, out, err = run("anchors", "made.data", "--cfg", "net.cfg", "--write")
    assert code == 0
    assert "net.cfg: anchors of 2 heads replaced" in err
    old, new = TINY.read_text().split("\n"), Path("net.cfg").read_text().split("\n")
    changed = [(before, after) for before, after in zip(old, new, strict=True) if before != after]
    assert len(changed) == 2
    anchors = out.splitlines()[-1].removeprefix("anchors = ")
    assert all(after == f"anchors={anchors}" for _, after in changed)
    # What is there now fits as well as what was found.
    _, out, _ = run("anchors", "made.data", "--cfg", "net.cfg", "--json")
    found = json.loads(out)
    assert found["average_iou_of_cfg"] <= found["average_iou"]


def test_another_size_than_the_cfgs(run: Run) -> None:
    _, out, _ = run("anchors", "made.data", "--cfg", TINY, "-width", 832, "-height", 832, "--json")
    _, plain, _ = run("anchors", "made.data", "--cfg", TINY, "--json")
    np.testing.assert_allclose(json.loads(out)["anchors"], np.multiply(json.loads(plain)["anchors"], 2), atol=2)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("-width", 832, "-height", 832), "832x832x3"),
        (("--width", 416, "--height", 832), "416x832x3"),
        (("--set", "side=608"), "608x416x3"),
    ],
    ids=["square", "one side", "variable"],
)
def test_another_size_than_the_cfgs_is_not_written(run: Run, words: tuple[object, ...], size: str) -> None:
    text = TINY.read_text()
    Path("net.cfg").write_text("[define]\nside=416\n" + text.replace("width=416", "width=$side", 1))
    before = Path("net.cfg").read_bytes()
    code, out, err = run("anchors", "made.data", "--cfg", "net.cfg", *words, "--write")
    assert (code, out) == (2, "")
    assert f"cannot write to `net.cfg`: its input is 416x416x3, which anchors for {size} do not suit" in err
    assert Path("net.cfg").read_bytes() == before
    assert run("anchors", "made.data", "--cfg", "net.cfg", "-width", 416, "-height", 416, "--write")[0] == 0
    assert Path("net.cfg").read_bytes() != before


def test_another_number_than_the_cfgs_is_compared_but_not_written(run: Run) -> None:
    shutil.copy(TINY, "net.cfg")
    assert run("anchors", "made.data", "--cfg", "net.cfg", "-num_of_clusters", 4)[0] == 0
    code, _, err = run("anchors", "made.data", "--cfg", "net.cfg", "-num_of_clusters", 4, "--write")
    assert code == 2
    assert "`net.cfg` has `num=6` anchors, not 4" in err
    assert Path("net.cfg").read_bytes() == TINY.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "`-num_of_clusters` is missing"),
        (("-num_of_clusters", 9, "-width", 416), 2, "`-height` is missing"),
        (("-num_of_clusters", 0, "-width", 416, "-height", 416), 2, "`-num_of_clusters 0` is not possible"),
        (("-num_of_clusters", 3, "-width", 10**9, "-height", 416), 2, "is not possible"),
        (("-num_of_clusters", "x", "-width", 416, "-height", 416), 2, "invalid int value"),
        (("-num_of_clusters", 61, "-width", 416, "-height", 416), 2, "60 different sizes, too few for 61 anchors"),
        ((*CALL, "--seed", -1), 2, "`--seed -1` is not possible"),
        ((*CALL, "--write"), 2, "there is no cfg to write to"),
        ((*CALL, "-show"), 2, "there is no display"),
        (("--cfg", "none.cfg"), 2, "no such file"),
        (("--cfg", "yolov4-tiny", "--write"), 2, "cannot write to `yolov4-tiny`: it is no file"),
        (("--cfg", "-", "--write"), 2, "it is no file"),
        (("--cfg", "bad.cfg"), 1, "bad.cfg: 1 error"),
        (("--cfg", "headless.cfg"), 2, "has no head with anchors"),
    ],
)
def test_what_cannot_be(run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], code: int, message: str) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    Path("bad.cfg").write_text("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutionel]\n")
    Path("headless.cfg").write_text("[net]\nwidth=32\nheight=32\nchannels=3\n[dropout]\n")
    found, _, err = run("anchors", "made.data", *words)
    assert found == code
    assert message in err


def test_show(run: Run, monkeypatch: pytest.MonkeyPatch, boxes: np.ndarray) -> None:
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("cv2.imshow", lambda _, canvas: shown.append(canvas))
    monkeypatch.setattr("cv2.waitKey", lambda _: 27)
    assert run("anchors", "made.data", *CALL, "-show")[0] == 0
    (canvas,) = shown
    # Every box is a point of its size, and the largest anchor a frame of 0.8 of the side.
    assert all((canvas[round(h * 699), round(w * 699)] != 255).any() for w, h in boxes[:, 3:])
    assert (canvas[559, 100] != 255).any()
    assert (canvas[650, 650] == 255).all()


def test_labels_that_are_wrong_are_left_out(run: Run) -> None:
    with Path("labels/a.txt").open("a") as file:
        file.write("9 .5 .5 .5 .5\n0 .5 .5 nan .5\n0 .5 .5 1e30 .5\n0 .5 .5 7 .5\n")
    code, out, err = run("anchors", "made.data", *CALL)
    assert code == 0
    assert err == "4 labels left out; `cspdet data check made.data` says why\n"
    assert out.splitlines()[-1] == "anchors = 10,20, 30,100, 80,160"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no image of `train` in `made.data` has an object"), ("C:\\x\\a.png\n", "paths of a Windows machine")],
)
def test_nothing_to_fit(run: Run, text: str, message: str) -> None:
    if text:
        Path("train.txt").write_text(text)
    else:
        for name in "ab":
            Path(f"labels/{name}.txt").write_text("")
    code, out, err = run("anchors", "made.data", *CALL)
    assert (code, out) == (2, "")
    assert message in err
