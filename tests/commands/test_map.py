"""`cspdet map`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import pytest

import cspdet
from cspdet.cores import usable_cores
from cspdet.data.pictures import read_list
from cspdet.evaluate import evaluate
from cspdet.jpeg import helpers
from cspdet.jpeg.helpers import Helpers
from cspdet.pipeline import most_readers
from tests.evaluate.material import PICTURES, write_set
from tests.test_detector import write_network

Run = Callable[..., tuple[int, str, str]]

NET = ("colours.cfg", "colours.weights")
CALL = ("map", "set/set.data", *NET)
MEAN = " mean average precision (mAP@0.50) = 0.388889, or 38.89 %"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a network, and an annotated set."""
    write_network(tmp_path)
    write_set(tmp_path / "set", PICTURES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def figures(run: Run, *words: object) -> dict[str, Any]:
    code, _, err = run(*words, "--json", "map.json")
    assert code == 0, err
    return dict(json.loads(Path("map.json").read_text()))


def test_what_is_printed(run: Run) -> None:
    code, out, err = run(*CALL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1].split() == ["red", "3", "66.67", "%", "2", "0", "1", "100.00", "%", "66.67", "%"]
    assert " for conf_thresh = 0.25, TP = 3, FP = 1, FN = 2, average IoU = 75.00 %" in lines
    assert MEAN in lines
    assert not Path("errors").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("detector", "map", "set/set.data", *NET, "-iou_thresh", ".5", "-points", "0", "-thresh", ".25", "-letter_box"),
        ("map", NET[1], NET[0], "set/set.data", "--iou-thresh", "0.5", "--points", "0", "--thresh", "0.25"),
        ("darknet", "detector", "map", "set/set.data", *NET, "-dont_show", "-ext_output", "-i", "0"),
        ("val", "set/set.data", "--iou_thresh", ".5", *NET, "--batch", "2"),
    ],
    ids=" ".join,
)
def test_spellings(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert MEAN in out.splitlines()


def test_other_processes_decode(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many JPEGs: the same figures, with and without helpers, unless OpenCV decodes."""
    started: list[int] = []
    begin = Helpers.__enter__
    monkeypatch.setattr(Helpers, "__enter__", lambda each: (begin(each), started.append(len(each.processes)))[0])
    write_set(folder / "photos", {name.replace("png", "jpg"): things for name, things in PICTURES.items()})
    found = []
    for least in (2**40, 1):
        monkeypatch.setattr(helpers, "_WORTHWHILE", least)
        found.append(figures(run, "map", "photos/set.data", *NET))
    assert found[0] == found[1]
    assert found[0]["images"] == 3
    assert len(started) == 2
    assert started[0] == 0
    assert started[1] == (most_readers() if usable_cores() > 1 else 0)
    figures(run, "map", "photos/set.data", *NET, "--like", "alexeyab-opencv")
    assert len(started) == 2


def test_options_reach_the_figures(run: Run) -> None:
    plain = figures(run, *CALL)
    detector = cspdet.load(*NET)
    pictures = read_list("set/valid.txt")
    assert plain == json.loads(json.dumps(evaluate(detector, pictures).to_json()))
    for words, options in (
        (("-points", "11"), {"points": 11}),
        (("-points", "101", "-iou_thresh", "1"), {"points": 101, "iou_threshold": 1.0}),
        (("--protocol", "voc"), {"protocol": "voc"}),
        (("-thresh", "1"), {"threshold": 1.0}),
    ):
        expected: Any = evaluate(detector, pictures, **options).to_json()  # type: ignore[arg-type]
        there = figures(run, *CALL, *words)
        assert there == json.loads(json.dumps(expected))
        assert there != plain


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
def test_figures_to_standard_output(run: Run, place: str) -> None:
    """JSON and nothing else; the table is not lost."""
    pytest.importorskip("matplotlib")
    plain = figures(run, *CALL)
    code, out, err = run(*CALL, "--json", place, "--plot", "curves.png")
    assert code == 0
    assert json.loads(out) == plain
    assert MEAN in err.splitlines()
    assert err.splitlines()[-1] == "saved: curves.png"
    assert not Path("-").exists()


@pytest.mark.parametrize(
    ("words", "failing", "saved"),
    [
        (("--errors", "1", "--json", "map.json"), "errors/", "saved: map.json"),
        (("--plot", "curves.png", "--json", "map.json"), "curves.png", "saved: map.json"),
        (("--errors", "1", "--json", "map.json"), "map.json", ""),
    ],
    ids=["mistakes", "plot", "figures"],
)
def test_a_full_disk_does_not_cost_the_figures(
    run: Run,
    folder: Path,
    small_disk: Callable[[int], AbstractContextManager[None]],
    words: tuple[str, ...],
    failing: str,
    saved: str,
) -> None:
    if "--plot" in words:
        pytest.importorskip("matplotlib")
    plain = figures(run, *CALL)
    size = Path("map.json").stat().st_size
    Path("map.json").unlink()
    with small_disk(size if saved else size - 1):
        code, out, err = run(*CALL, *words)
    assert code == 2
    assert err.startswith(f"error: cannot write `{folder / failing}")
    assert err.endswith("`: file too large\n")
    assert MEAN in out.splitlines()
    assert [line for line in out.splitlines() if line.startswith("saved: ")] == ([saved] if saved else [])
    if saved:
        assert json.loads(Path("map.json").read_text()) == plain
    else:
        assert not Path("map.json").exists()


def test_how_far_it_can_be_trusted(run: Run) -> None:
    there = figures(run, *CALL, "--confidence")
    low, high = there["interval"]
    assert 0 <= low <= there["map"] <= high <= 1
    assert figures(run, *CALL) == {key: value for key, value in there.items() if key != "interval"}
    assert (
        f" 95 % interval of the choice of the images: {100 * low:.1f} % to {100 * high:.1f} %" in run(*CALL, "--confidence")[1]
    )


def test_coco(run: Run) -> None:
    pytest.importorskip("pycocotools")
    there = figures(run, *CALL, "--protocol", "coco")
    assert there["coco"]["AP"] == there["map"] == pytest.approx((2 / 3 + 1 / 2) / 2, abs=0.01)
    code, _, err = run(*CALL, "--protocol", "coco", "--points", "11")
    assert (code, err.splitlines()[0]) == (2, "error: `points` is 11; coco always has 101")


def test_another_part_and_other_names(run: Run) -> None:
    Path("set/train.txt").write_text("images/red1.png\n")
    Path("set/set.data").write_text(Path("set/set.data").read_text() + "train = train.txt\n")
    Path("x.names").write_text("x\ny\nz\n")
    there = figures(run, *CALL, "--part", "train", "--names", "x.names")
    assert (there["images"], [each["name"] for each in there["classes"]]) == (1, ["x", "y", "z"])
    assert [each["name"] for each in figures(run, *CALL, "x.names")["classes"]] == ["x", "y", "z"]


def test_names_are_not_needed(run: Run) -> None:
    Path("set/set.data").write_text("classes = 3\nvalid = valid.txt\n")
    assert [each["name"] for each in figures(run, *CALL)["classes"]] == ["red", "green", "blue"]
    Path("colours.names").unlink()
    assert [each["name"] for each in figures(run, *CALL)["classes"]] == ["0", "1", "2"]


def test_difficult_objects(run: Run) -> None:
    Path("set/labels/hard.txt").write_text("1 0.125 0.125 0.25 0.25\n")
    Path("set/difficult.txt").write_text("images/none.jpg\nimages/hard.jpg\nimages/none.jpg\n")
    Path("set/set.data").write_text(Path("set/set.data").read_text() + "difficult = difficult.txt\ntrain = valid.txt\n")
    assert (figures(run, *CALL)["detections"], figures(run, *CALL, "--part", "train")["detections"]) == (3, 4)
    assert (figures(run, *CALL, "--protocol", "voc")["fp"], figures(run, *CALL)["fp"]) == (0, 1)


def test_plots(run: Run) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = run(*CALL, "--plot", "curves.png", "--confusion", "matrix.png")
    assert (code, err, out.splitlines()[-1]) == (0, "", "saved: curves.png, matrix.png")
    for name in ("curves.png", "matrix.png"):
        assert cv2.imread(name) is not None


@pytest.mark.parametrize(("option", "place"), [(None, "errors"), ("--errors-dir", "a/b"), ("--out", "worst")])
def test_errors(run: Run, option: str | None, place: str) -> None:
    code, out, err = run(*CALL, "--errors", "5", *([option, place] if option else []))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"saved: 2 images with mistakes in {place}"
    # The one with two mistakes comes first; where all is right, there is nothing to see.
    assert sorted(each.name for each in Path(place).iterdir()) == ["001_mixed2.jpg", "002_red1.jpg"]
    drawn = cv2.imread(f"{place}/001_mixed2.jpg")
    assert drawn is not None
    assert drawn.shape == (52 + 320, 480, 3)
    run(*CALL, "--errors", "1", "--out", "one")
    assert [each.name for each in Path("one").iterdir()] == ["001_mixed2.jpg"]


def test_pictures_of_an_earlier_call_stay_and_are_named(run: Run) -> None:
    for name in ("001_other.jpg", "017_old.jpg", "notes.txt", "my_own.jpg"):
        Path("errors").mkdir(exist_ok=True)
        Path("errors", name).write_bytes(b"old")
    code, out, err = run(*CALL, "--errors", "1")
    assert code == 0
    assert err == "warning: 2 pictures of earlier calls stay in errors, such as `001_other.jpg`\n"
    assert out.splitlines()[-1] == "saved: 1 image with mistakes in errors"
    there = {each.name: each.read_bytes() == b"old" for each in Path("errors").iterdir()}
    assert there == {"001_mixed2.jpg": False, "001_other.jpg": True, "017_old.jpg": True, "notes.txt": True, "my_own.jpg": True}
    for name in ("001_other.jpg", "017_old.jpg"):
        Path("errors", name).unlink()
    # What is drawn again is no older one.
    assert run(*CALL, "--errors", "1")[2] == ""


def test_a_picture_that_cannot_be_read(run: Run) -> None:
    Path("set/images/mixed2.png").write_bytes(b"no picture")
    code, out, err = run(*CALL)
    path = Path("set/images/mixed2.png")
    assert code == 0
    assert err.splitlines() == [f"warning: `{path}` is not an image that OpenCV can decode: left out"]
    assert out.splitlines()[-1] == " 1 of 3 images could not be read: left out, and with them the objects in them"
    for each in Path("set/images").iterdir():
        each.write_bytes(b"")
    code, out, err = run(*CALL)
    assert (code, out) == (2, "")
    assert "error: none of the 3 images could be read, so there is nothing to evaluate" in err


def test_detections(run: Run) -> None:
    """What `cspdet detect` found, judged later, is the same."""
    code, _, err = run("detect", *NET, "set/images", "--coco", "found.json", "--thresh", ".005", "--no-save", "--quiet")
    assert (code, err) == (0, "")
    code, out, err = run("map", "set/set.data", "--detections", "found.json", "--json", "later.json")
    assert (code, err) == (0, "`found.json` numbers classes from 1 on; --categories says otherwise\n")
    assert MEAN in out.splitlines()
    now, later = figures(run, *CALL), json.loads(Path("later.json").read_text())
    assert later == now
    code, _, err = run("map", "set/set.data", "--detections", "found.json", "--categories", "0")
    assert (code, err.splitlines()[0]) == (
        1,
        "error: `found.json` has the category_id 3, but the classes are 3 classes, counted from 0",
    )
    assert run("map", "set/set.data", "--detections", "found.json", "--categories", "1")[2] == ""


def change(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def test_classes_of_another_set(run: Run) -> None:
    Path("set/set.names").write_text("a\nb\n")
    change("set/set.data", "classes = 3", "classes = 2")
    code, out, err = run(*CALL)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: `set/set.data` has 2 classes, but the head in colours.cfg:16 has 3 classes"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("map",), "no .data file, which says where the images are"),
        (("map", *NET), "no .data file, which says where the images are"),
        (("map", "set/set.data"), "nothing to evaluate"),
        (("map", "set/set.data", NET[1]), "weights without a cfg: `colours.weights`"),
        (("map", "set/set.data", NET[0]), "a cfg without weights: `colours.cfg`"),
        (("map", "set/none.data", *NET), "no such file: `set/none.data`"),
        ((*CALL, "dog.jpg"), "`dog.jpg` is no .data, cfg or weights file"),
        ((*CALL, "set/set.data"), "two data files: `set/set.data` and `set/set.data`"),
        ((*CALL, "--part", "train"), "`set/set.data` has no `train=`"),
        ((*CALL, "--model", "yolov4"), "both a model, `yolov4`, and a cfg file, `colours.cfg`"),
        ((*CALL, "--detections", "x.json"), "both a file of detections, `x.json`, and a detector, `colours.cfg`"),
        ((*CALL, "--categories", "0"), "`--categories` is about a file of detections, but there is none"),
        (("map", "set/set.data", "--detections", "x.json"), "no such file: `x.json`"),
        ((*CALL, "--names", "short.names"), "`short.names` has 1 name, `set/set.data` 3 classes"),
        (
            (*CALL, "--points", "1"),
            "argument --points/-points: `1` is no number of points: 0, or from 2 on, such as 11 and 101",
        ),
        ((*CALL, "-thresh", "2"), "argument --thresh/-thresh/--conf: `2` is no number from 0 to 1"),
        ((*CALL, "-iou_tresh", ".5"), "argument -i: `ou_tresh` is no number of a GPU (or is `-iou_tresh` misspelt?)"),
        ((*CALL, "--json", "none/map.json"), "cannot write `none/map.json`: no such file or directory"),
        ((*CALL, "--json", "set"), "cannot write `set`: it is a directory"),
        ((*CALL, "--json", "set/set.data"), "cannot write `set/set.data`: it is one of the files that are read"),
        ((*CALL, "--json", "./set/valid.txt"), "cannot write `./set/valid.txt`: it is one of the files that are read"),
        (
            (*CALL, "--plot", "set/images/red1.png"),
            "cannot write `set/images/red1.png`: it is one of the files that are read",
        ),
        ((*CALL, "--plot", "x.png", "--confusion", "./x.png"), "`./x.png` would be written twice"),
        ((*CALL, "--plot", "x.txt"), "cannot write `x.txt`: `.txt` is no format of plots"),
        ((*CALL, "--errors", "3", "--errors-dir", "short.names"), "cannot write `short.names`: file exists"),
        ((*CALL, "--out", "x"), "`--errors-dir` says where, but nothing says how many images"),
        ((*CALL, "--confidence", "--protocol", "coco"), "`--confidence` is for Darknet's and VOC's rules"),
        ((*CALL, "--errors", "0"), "argument --errors: `0` is no number from 1 on"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_wrong_calls(run: Run, words: tuple[str, ...], message: str) -> None:
    pytest.importorskip("matplotlib")
    Path("short.names").write_text("x\n")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"error: {message}"
    # Nothing is left behind, and nothing was overwritten.
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_no_objects(run: Run) -> None:
    for each in Path("set/labels").iterdir():
        each.write_text("")
    code, out, err = run(*CALL)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: the labels of 3 images hold no object, so there is nothing to evaluate"


def test_an_exported_network_may_be_larger_than_any_cfg(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    plain = figures(run, *CALL)
    cspdet.load(*NET).export("colours.onnx", check=False)
    monkeypatch.setattr("cspdet.cfg.source.LARGEST", Path("colours.onnx").stat().st_size - 1)
    found = figures(run, "map", "set/set.data", "colours.onnx")
    assert found["map"] == pytest.approx(plain["map"])
    # It is seen, too, that it finds the classes of the data.
    Path("set/set.data").write_text("classes = 4\nvalid = valid.txt\n")
    code, out, err = run("map", "set/set.data", "colours.onnx")
    assert (code, out) == (2, "")
    assert "`set/set.data` has 4 classes, but the head in " in err


def test_a_classifier(run: Run) -> None:
    """What the help names is there, and says how good it is."""
    Path("class.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[connected]\noutput=3\n[softmax]\n")
    cspdet.load("class.cfg").save_weights("class.weights")
    code, out, err = run("map", "set/set.data", "class.cfg", "class.weights")
    assert (code, out) == (2, "")
    cure = "a classifier is measured by `cspdet classify set/set.data X.cfg X.weights --part valid`"
    assert err == f"error: `class.cfg` has no detection head: it ends in `[softmax]`\n  help: {cure}\n"
    code, out, _ = run("classify", "set/set.data", "class.cfg", "class.weights", "--part", "valid")
    assert code == 0
    assert " top 1: " in out


def test_letters_that_no_font_has(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("cspdet.fonts._installed", list)
    Path("set/set.names").write_text("red\n名前\nblue\n", "utf-8")
    code, _, err = run(*CALL, "--plot", "curves.png", "--confusion", "matrix.png")
    assert code == 0
    assert err == "warning: no installed font has the letters `前名`; boxes are drawn in their place\n"
    assert Path("curves.png").exists()
    assert Path("matrix.png").exists()


def test_weights_of_another_network(run: Run) -> None:
    Path("colours.weights").write_bytes(b"\0" * 40)
    code, out, err = run(*CALL)
    assert (code, out) == (1, "")
    assert err.startswith("error: `colours.weights` does not fit `colours.cfg`")


def test_a_cfg_that_is_broken(run: Run) -> None:
    change("colours.cfg", "filters=8", "filters=9")
    code, out, err = run(*CALL)
    assert (code, out) == (1, "")
    assert "reads 8 channels, not 9" in err


def test_progress_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, _, err = run(*CALL)
    assert code == 0
    assert "evaluating" in err
