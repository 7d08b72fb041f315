"""`cspdet classify`."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import cv2
import pytest

from tests.classifying import paint, write_classified, write_classifier
from tests.test_detector import write_network

Run = Callable[..., tuple[int, str, str]]

NET = ("tell.cfg", "tell.weights")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a classifier, its pictures, and three more."""
    write_classifier(tmp_path)
    write_classified(tmp_path)
    for number, name in enumerate(("r", "g", "b")):
        paint(tmp_path / "some" / f"{name}.png", number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


GREEN = ["some/g.png", "  99.99 %  green", "   0.00 %  red", "   0.00 %  blue"]


@pytest.mark.parametrize(
    "words",
    [
        ("classify", *NET, "some/g.png"),
        ("classify", "some/g.png", *reversed(NET), "--engine", "torch"),
        ("classify", *NET, "some/g.png", "--top", "3", "--names", "colours.names", "--like", "alexeyab-opencv"),
        ("classifier", "predict", "colours.data", *NET, "some/g.png", "-top", "3"),
        ("darknet", "classifier", "predict", *NET, "some/g.png", "-dont_show"),
    ],
    ids=" ".join,
)
def test_one_picture(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert out.splitlines() == GREEN


def test_several_pictures(run: Run) -> None:
    code, out, err = run("classify", "colours.data", *NET, "some", "--batch", 2, "--json", "found.json")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    # Two classes each, as `top=2` says.
    assert [lines[place] for place in (0, 3, 6)] == ["some/b.png", "some/g.png", "some/r.png"]
    assert lines[4] == GREEN[1]
    assert lines[-1] == "saved: found.json"
    found = json.loads(Path("found.json").read_text())
    assert [each["filename"] for each in found] == ["some/b.png", "some/g.png", "some/r.png"]
    assert [each["classes"][0]["name"] for each in found] == ["blue", "green", "red"]
    assert [len(each["classes"]) for each in found] == [2, 2, 2]


def test_a_list_on_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("some/r.png\nsome/g.png\n"))
    code, out, err = run("classify", *NET, "--json", "-")
    assert code == 0
    assert [each["classes"][0]["name"] for each in json.loads(out)] == ["red", "green"]
    assert err.splitlines()[4:] == GREEN


def test_what_cannot_be_read_does_not_stop_the_others(run: Run) -> None:
    Path("some/a.png").write_bytes(b"nothing")
    code, out, err = run("classify", *NET, "some")
    assert code == 1
    assert out.count("%") == 9
    assert "error: " in err
    assert "some/a.png" in err
    assert err.endswith("1 of 4 pictures could not be read\n")
    code, out, err = run("classify", *NET, "some/a.png")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")


@pytest.mark.parametrize("words", [("classify", "--part", "valid"), ("classifier", "valid")], ids=" ".join)
def test_counting(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words, "colours.data", *NET, "--json", "c.json", "--confusion", "c.png")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "class  pictures     top-1     top-2",
        "red           3  100.00 %  100.00 %",
        "green         3  100.00 %  100.00 %",
        "blue          3   33.33 %  100.00 %",
        "",
        " top 1: 0.777778, top 2: 1.000000, of 9 pictures",
        "saved: c.json",
        "saved: c.png",
    ]
    figures = json.loads(Path("c.json").read_text())
    assert figures["top_1"] == pytest.approx(7 / 9)
    assert figures["confused"] == [{"id": 2, "found_as": 1, "pictures": 2}]
    assert figures["classes"][2] == {"id": 2, "name": "blue", "pictures": 3, "top_1": pytest.approx(1 / 3), "top_n": 1.0}
    drawn = cv2.imread("c.png")
    assert drawn is not None
    assert drawn.std() > 20


def test_labels_tell_the_classes_of_paths_and_names_are_printed(run: Run) -> None:
    for number, name in enumerate(("n01", "n02", "n03")):
        paint(Path("imagenet") / name / "a.png", number)
    Path("labels.txt").write_text("n01\nn02\nn03\n")
    Path("i.data").write_text("classes=3\nvalid=imagenet\nlabels=labels.txt\nnames=colours.names\ntop=1\n")
    code, out, err = run("classify", "i.data", *NET, "--part", "valid")
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "red           1  100.00 %  100.00 %"
    assert "top 1: 1.000000, top 1: 1.000000" in out


@pytest.mark.parametrize(
    ("words", "message", "cure"),
    [
        ((*NET,), "there is nothing to look at", "name a picture, or count with `--part valid`"),
        (("some/g.png",), "there is no network to ask", "`cspdet classify X.cfg X.weights dog.jpg`"),
        ((NET[0], "some/g.png"), "a cfg without weights: `tell.cfg`", "name its weights file"),
        ((NET[1], "some/g.png"), "weights without a cfg: `tell.weights`", "`cspdet classify X.cfg X.weights dog.jpg`"),
        ((*NET, "0"), "`0` is no picture", "`cspdet detect` looks at videos and cameras, and needs a detector"),
        ((*NET, "some/g.png", "--confusion", "c.png"), "`--confusion` counts, but nothing is to be counted", "`--part valid`"),
        ((*NET, "--part", "valid"), "no .data file, which says where the pictures are", "name it"),
        (("colours.data", *NET, "x.png", "--part", "valid"), "both `--part` and `x.png`", "the list `valid`"),
        (("colours.cfg", "colours.weights", "some/g.png"), "has a detection head: it finds objects", "`cspdet detect`"),
        ((*NET, "some/g.png", "--names", "two.names"), "`two.names` has 2 names", "the names of the classes"),
        ((*NET, "some/g.png", "--json", "some/g.png"), "it is one of the files that are read", ""),
        ((*NET, "some/g.png", "--json", "no/x.json"), "cannot write `no/x.json`", ""),
        (("colours.data", *NET, "--part", "valid", "--confusion", "c.doc"), "`.doc` is no format of plots", "`.png`"),
        (("zero.data", *NET, "some"), "`zero.data` says `top = 0`, which is no number of classes", "`--top N`"),
        (("none.data", *NET, "--part", "valid"), "none of the pictures can be used", "`cspdet data check --classify`"),
    ],
)  # fmt: skip
def test_calls_that_are_wrong(run: Run, folder: Path, words: tuple[str, ...], message: str, cure: str) -> None:
    write_network(folder)
    Path("two.names").write_text("a\nb\n")
    Path("none.data").write_text("classes=3\nvalid=some\nnames=colours.names\n")
    Path("zero.data").write_text("classes=3\nnames=colours.names\ntop=0\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = run("classify", *words)
    assert (code, out) == (2, "")
    errors = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert cure in "\n".join(errors[1:])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("verb", ["demo", "valid10", "test"])
def test_darknets_other_verbs(run: Run, verb: str) -> None:
    code, out, err = run("classifier", verb, "colours.data", *NET)
    assert (code, out) == (2, "")
    cure = "one of: `classifier predict`, `classifier valid`, `classifier train`"
    assert err == f"error: there is no `classifier {verb}`\n  help: {cure}\n"


def test_outputs_that_are_no_shares(run: Run, folder: Path) -> None:
    write_classifier(folder, "raw", end="")
    code, out, _ = run("classify", "raw.cfg", "raw.weights", "some/g.png")
    assert code == 0
    assert out.splitlines() == ["some/g.png", "  10.0000  green", "   0.0000  red", "   0.0000  blue"]


def test_classes_without_pictures_have_no_line(run: Run) -> None:
    Path("few.data").write_text("classes=3\nvalid=all/red\nnames=colours.names\n")
    code, out, err = run("classify", "few.data", *NET, "--part", "valid")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:3] == ["red           3  100.00 %  100.00 %", "no picture of 2 of 3 classes"]


def test_what_else_looks_at_classifiers_points_here(run: Run) -> None:
    code, _, err = run("map", "colours.data", *NET)
    assert code == 2
    assert "`cspdet classify colours.data X.cfg X.weights --part valid`" in err
    code, _, err = run("detect", *NET, "some/g.png")
    assert code == 2
    assert "`cspdet classify`" in err
