"""The options of the detect command."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from tests.commands.detect.material import LINES, NET, Run, boxes_of, frames_of, make_video, new_files
from tests.test_detector import picture, write_network


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["red"], ["red"]),
        (["0"], ["red"]),
        (["1", "red"], ["red", "green"]),
        (["red,green"], ["red", "green"]),
        (["green, blue"], ["green"]),
        (["blue"], []),
        (["2,", ",0"], ["red"]),
    ],
    ids=str,
)
def test_classes(run: Run, classes: list[str], expected: list[str]) -> None:
    code, out, _ = run("detect", *NET, "two.png", "--classes", *classes, "--out", "x.json")
    assert (code, [line.split(":")[0] for line in boxes_of(out)]) == (0, expected)
    (frame,) = json.loads(Path("x.json").read_text())
    assert sorted(each["name"] for each in frame["objects"]) == sorted(expected)


@pytest.mark.parametrize(("word", "cure"), [("gren", "did you mean `green`?"), ("xylophone", "use a name of the model")])
def test_a_class_that_is_not_there(run: Run, folder: Path, word: str, cure: str) -> None:
    code, out, err = run("detect", *NET, "two.png", "--classes", "red", word)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: there is no class `{word}`\n")
    assert cure in err
    assert new_files(folder) == set()


@pytest.mark.parametrize("option", ["--thresh", "-thresh", "--conf"])
def test_threshold(run: Run, option: str) -> None:
    cv2.imwrite("weak.png", picture((1, 2, 0), level=140))
    assert len(boxes_of(run("detect", *NET, "weak.png", option, "0.7")[1])) == 1
    assert len(boxes_of(run("detect", *NET, "weak.png", option, "0.9")[1])) == 0


@pytest.mark.parametrize("option", ["--nms", "-nms", "--iou"])
def test_suppression(run: Run, folder: Path, option: str) -> None:
    cfg = folder / NET[0]
    cfg.write_text(cfg.read_text().replace("anchors=16,16", "anchors=48,48"))
    cv2.imwrite("pair.png", picture((1, 1, 0), (2, 1, 0)))
    assert len(boxes_of(run("detect", *NET, "pair.png", option, ".45")[1])) == 1
    assert len(boxes_of(run("detect", *NET, "pair.png", option, ".6")[1])) == 2


@pytest.mark.parametrize(
    ("words", "height"),
    [
        ([], 16),
        (["--like", "alexeyab"], 16),
        (["--like", "alexeyab-opencv"], 16),
        (["--letterbox"], 32),
        (["-letter_box"], 32),
        (["--like", "pjreddie"], 32),
        (["--like", "ultralytics"], 32),
        (["--dialect", "pjreddie"], 32),
        (["--dialect", "pjreddie", "--like", "alexeyab"], 16),
    ],
    ids=str,
)
def test_preprocessing(run: Run, words: list[str], height: int) -> None:
    """Of a wide picture, a square of the stretched input is half as high as one of the letterboxed."""
    cv2.imwrite("wide.png", picture(*[(x, y, 0) for x in (4, 5) for y in (0, 1)], size=(128, 64)))
    code, out, _ = run("detect", *NET, "wide.png", "--thresh", ".9", *words)
    lines = boxes_of(out)
    assert code == 0
    assert len(lines) == 32 // height
    assert all(line.endswith(f"width:   32   height: {height:4})") for line in lines)


def test_size(run: Run) -> None:
    cv2.imwrite("block.png", picture((1, 2, 0), (1, 3, 0)))
    code, out, _ = run("detect", *NET, "block.png", "--width", "128", "--height", "32")
    assert code == 0
    assert [line.split("\t")[1] for line in boxes_of(out)] == [
        f"(left_x: {x:4}   top_y:   32   width:    8   height:   32)" for x in (16, 24)
    ]


def test_names(run: Run, folder: Path) -> None:
    (folder / "other.names").write_text("a\nb\nc\n")
    for option in ("--names", "-names"):
        code, out, _ = run("detect", *NET, "two.png", option, "other.names")
        assert (code, [line[:2] for line in boxes_of(out)]) == (0, ["a:", "b:"])
    # Without any, numbers stand for them.
    (folder / "colours.names").unlink()
    code, out, err = run("detect", *NET, "two.png")
    assert (code, [line[:2] for line in boxes_of(out)]) == (0, ["0:", "1:"])
    assert err == "no class names: give `--names FILE`, or put a `.names` file beside the cfg\n"


def test_quiet(run: Run, folder: Path) -> None:
    assert run("detect", *NET, "two.png", "--quiet") == (0, "", "")
    assert new_files(folder) == {"predictions.jpg"}


def test_warnings_of_the_cfg_are_one_line(run: Run, folder: Path) -> None:
    write_network(folder, head="misspelt=1")
    code, out, err = run("detect", *NET, "two.png")
    assert (code, boxes_of(out)) == (0, LINES)
    assert err.startswith("warning: colours.cfg:")
    assert "misspelt" in err
    assert err.count("\n") == 1


def test_show(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append((name, image.shape)))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: shown.append(delay) or -1)
    assert run("detect", *NET, "two.png", "blue.png", "--show", "--no-save")[0] == 0
    assert shown == [("cspdet", (64, 64, 3)), 0] * 2
    make_video("clip.avi", 2)
    shown.clear()
    assert run("detect", *NET, "clip.avi", "--show", "--no-save")[0] == 0
    assert shown == [("cspdet", (64, 64, 3)), 1] * 2


def test_q_ends_a_video(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video("clip.avi", 6)
    monkeypatch.setattr(cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q"))
    code, out, _ = run("detect", *NET, "clip.avi", "--show")
    assert (code, len(boxes_of(out))) == (0, 1)
    assert frames_of("predictions.mp4") == 1


def test_show_without_a_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "imshow", refuse)
    code, _, err = run("detect", *NET, "two.png", "--show")
    assert code == 2
    assert err.startswith("error: this OpenCV cannot open windows\n")
