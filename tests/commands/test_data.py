"""`cspdet data`: what its verbs print, write and refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from cspdet.commands.progress import progress
from tests.conftest import REFERENCE, ROOT
from tests.data.material import GOOD, make_image, make_set
from tests.data.test_coco import instances
from tests.data.test_voc import CHAIR, DOG, xml

Run = Callable[..., tuple[int, str, str]]

BOTH: dict[str, str | None] = {"a": GOOD, "b": "1 0.5 0.5 0.25 0.5\n"}
WRONG = "7 .5 .5 .5 .5\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files() -> set[str]:
    return {str(each) for each in Path().rglob("*") if each.is_file()}


# -- check ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "code", "verdict"),
    [
        ({}, 0, "no problems; 2 images, 2 objects, 2 classes, 0 images without objects"),
        ({"c": ""}, 0, "no problems; 3 images, 2 objects, 2 classes, 1 image without objects (1 note: --notes)"),
        ({"c": None}, 1, "1 warning; 3 images, 2 objects, 2 classes, 1 image without objects"),
        ({"c": WRONG}, 1, "1 error; 3 images, 3 objects, 2 classes, 0 images without objects"),
        (
            {"c": WRONG, "d": None, "e": ""},
            1,
            "1 error, 1 warning; 5 images, 3 objects, 2 classes, 2 images without objects (1 note: --notes)",
        ),
    ],
    ids=["clean", "note", "warning", "error", "several"],
)
def test_exit_code_and_verdict(run: Run, here: Path, labels: dict[str, str | None], code: int, verdict: str) -> None:
    make_set(here, BOTH | labels)
    found, out, err = run("data", "check", "made.data")
    assert (found, err) == (code, "")
    assert out.splitlines()[-1] == f"made.data: {verdict}"


def test_what_is_printed(run: Run, here: Path) -> None:
    make_set(here, {**BOTH, "c": GOOD + WRONG * 2, "d": WRONG})
    code, out, _ = run("data", "check", "made.data")
    assert code == 1
    assert out.splitlines() == [
        "error[class-range]: there is no class 7: the last is 1",
        " --> labels/c.txt:2:1",
        "  |",
        "2 | 7 .5 .5 .5 .5",
        "  | ^^^^^^^^^^^^^ Darknet leaves the object out",
        "  |",
        "  = help: classes are counted from 0; correct the label, or `classes=` and the names",
        "   … and 2 more like it: labels/c.txt:3, labels/d.txt:1",
        "",
        "warning[duplicate-box]: the object of line 2 again",
        " --> labels/c.txt:3:1",
        "  |",
        "3 | 7 .5 .5 .5 .5",
        "  | ^^^^^^^^^^^^^ the object counts twice",
        "  |",
        "  = help: remove the line",
        "",
        "made.data: 3 errors, 1 warning; 4 images, 6 objects, 2 classes, 0 images without objects",
    ]


def test_notes_are_shown_when_asked_for(run: Run, here: Path) -> None:
    make_set(here, {**BOTH, "c": ""})
    assert "empty-labels" not in run("data", "check", "made.data")[1]
    code, out, _ = run("data", "check", "made.data", "--notes")
    assert code == 0
    assert "note[empty-labels]: there is no object in the image\n --> labels/c.txt:1:1" in out


def test_json_has_every_finding(run: Run, here: Path) -> None:
    make_set(here, {**BOTH, "c": WRONG * 3, "d": ""})
    code, out, _ = run("data", "check", "made.data", "--json")
    assert code == 1
    found = json.loads(out)
    assert (found["errors"], found["warnings"], found["notes"], found["classes"]) == (3, 2, 1, 2)
    assert found["parts"] == {"train": {"images": 4, "objects": 5, "without_objects": 1, "without_labels": 0}}
    assert found["diagnostics"][0] == {
        "severity": "error",
        "code": "class-range",
        "message": "there is no class 7: the last is 1",
        "file": "labels/c.txt",
        "line": 1,
        "label": "Darknet leaves the object out",
        "help": "classes are counted from 0; correct the label, or `classes=` and the names",
    }
    assert all({*each} == {*found["diagnostics"][0]} for each in found["diagnostics"])


def test_a_classifiers_set(run: Run, here: Path) -> None:
    for number, name in enumerate(("cat", "dog", "cow")):
        make_image(here / "all" / name / "1.png", number)
    (here / "made.names").write_text("cat\ndog\n")
    (here / "made.data").write_text("classes=2\ntrain=all\nnames=made.names\n")
    code, out, err = run("data", "check", "made.data", "--classify")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "error[unclear-class]: `all/cow/1.png`: no name of a class is part of its path",
        " --> all/cow/1.png:1:1",
        "  |",
        "1 |",
        "  | ^ training leaves it out",
        "  |",
        "  = help: put the pictures of each class into a folder of its name",
        "",
        "made.data: 1 error; 3 images, 2 classes, 1 image without a class",
    ]
    code, out, _ = run("data", "check", "made.data")
    assert code == 1
    assert "is checked with `--classify`" in out
    (here / "made.data").write_text("classes=2\ntrain=all\nlabels=made.names\n")
    assert run("data", "check", "made.data", "--no-classify")[1].endswith("3 images without objects\n")
    assert run("data", "check", "made.data")[1].endswith("`labels=` is there, and no label file (--no-classify)\n")


def test_a_single_part(run: Run, here: Path) -> None:
    make_set(here, {**BOTH, "c": WRONG}, {"v": GOOD, "w": BOTH["b"]})
    assert run("data", "check", "made.data", "--part", "valid")[0] == 0
    assert run("data", "check", "made.data", "--part", "train")[0] == 1
    assert run("data", "check", "made.data", "--part", "test")[0] == 2


@pytest.mark.parametrize("verb", ["check", "stats"])
@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no such file: `made.data`"), (b"", "`made.data` says nothing"), (b"\0", "`made.data` is not text")],
)
def test_a_data_file_that_cannot_be_read(run: Run, here: Path, verb: str, text: bytes | None, message: str) -> None:
    if text is not None:
        (here / "made.data").write_bytes(text)
    code, out, err = run("data", verb, "made.data")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


def test_a_cfg_in_place_of_the_data_file(run: Run) -> None:
    code, out, err = run("data", "check", ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg")
    assert (code, out) == (2, "")
    assert "is a cfg, not a .data file" in err


def test_control_characters_do_not_reach_the_terminal(run: Run, here: Path) -> None:
    make_set(here, {**BOTH, "c": "\x1b[31m .5 .5 .5 .5\n"})
    code, out, _ = run("data", "check", "made.data")
    assert code == 1
    assert "\x1b" not in out


@pytest.mark.reference
def test_thousands_of_images_in_seconds() -> None:
    """3,642 images; on two idle cores it takes 4 seconds, and 60 are allowed."""
    data = REFERENCE / "data" / "animals6" / "animals6.data"
    started = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-m", "cspdet", "data", "check", data], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert "3,642 images, 6,198 objects, 6 classes, 3 images without objects (5 notes" in found.stdout
    assert time.perf_counter() - started < 60


# -- stats ------------------------------------------------------------------------------------------------------------


def test_stats(run: Run, here: Path) -> None:
    make_set(here, {**BOTH, "c": WRONG}, {"v": GOOD})
    code, out, err = run("data", "stats", "made.data", "-o", "chart.png")
    assert code == 0
    assert out.splitlines()[0].split() == ["train", "valid"]
    assert out.splitlines()[-1].split() == ["dog", "1", "0"]
    assert err.splitlines() == ["1 label left out; `cspdet data check made.data` says why", "saved: chart.png"]
    assert cv2.imread("chart.png") is not None


def test_letters_that_no_font_has(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.fonts._installed", list)
    make_set(here, BOTH, {"v": GOOD})
    Path("made.names").write_text("cat\n犬\n", "utf-8")
    code, _, err = run("data", "stats", "made.data", "-o", "chart.png")
    assert code == 0
    assert err.splitlines()[0] == "warning: no installed font has the letters `犬`; boxes are drawn in their place"


def test_stats_as_json(run: Run, here: Path) -> None:
    make_set(here, BOTH, {"v": GOOD})
    code, out, err = run("data", "stats", "made.data", "--json", "--part", "train")
    assert (code, err) == (0, "")
    assert json.loads(out)["parts"]["train"]["per_class"] == [1, 1]
    assert "valid" not in json.loads(out)["parts"]


def test_stats_see_first_whether_the_chart_can_be_written(run: Run) -> None:
    code, out, err = run("data", "stats", "none.data", "-o", "none/chart.png")
    assert (code, out) == (2, "")
    assert "cannot write `none/chart.png`" in err


@pytest.mark.parametrize("part", ["train", "valid"])
def test_what_is_written_takes_the_place_of_nothing_that_is_read(run: Run, here: Path, part: str) -> None:
    make_set(here, BOTH, {"v": GOOD})
    Path("link.png").symlink_to(here / "JPEGImages" / "v.png")
    before = {name: Path(name).read_bytes() for name in files()}
    charts = ("JPEGImages/a.png", "JPEGImages/v.png", "link.png")
    calls = [("stats", "made.data", "--part", part, "-o", name) for name in charts]
    calls += [
        ("convert", "--to", "coco", "--force", "made.data", "--part", part, "-o", name)
        for name in (*charts, "made.names", "train.txt", "./labels/v.txt")
    ]
    for words in calls:
        code, out, err = run("data", *words)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: cannot write `{words[-1]}`: it is one of the files that are read")
    assert {name: Path(name).read_bytes() for name in files()} == before


# -- convert ----------------------------------------------------------------------------------------------------------


SETS = "VOC/ImageSets/Main"


def make_voc() -> None:
    for number, stem in enumerate(("a", "b")):
        make_image(Path("VOC/JPEGImages") / f"{stem}.jpg", number, (500, 375))
    Path("VOC/Annotations").mkdir()
    Path("VOC/Annotations/a.xml").write_text(xml(DOG, CHAIR))
    Path("VOC/Annotations/b.xml").write_text(xml(CHAIR, CHAIR.replace("<xmin> 75", "<xmin> 80")))


def test_from_voc(run: Run) -> None:
    make_voc()
    words = ("data", "convert", "--from", "voc", "VOC/Annotations/a.xml", "--valid", "VOC/Annotations/b.xml", "-o", "voc.data")
    code, out, err = run(*words, "--difficult")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "train: 1 image, 1 object",
        "valid: 1 image, 0 objects",
        "difficult: 1 image, 2 objects",
        "difficult objects left out: 1 (VOC/Annotations/a.xml:2)",
        "saved: voc.data",
    ]
    assert Path("voc.data").read_text().splitlines()[:4] == [
        "classes = 2",
        "train = voc-train.txt",
        "valid = voc-valid.txt",
        "difficult = voc-difficult.txt",
    ]
    assert Path("VOC/labels/difficult/b.txt").read_text().count("\n") == 2
    assert run(*words, "--difficult")[0] == 0
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "`voc.data` is there already, with other content" in err
    assert run(*words, "--force")[0] == 0


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ((f"{SETS}/made-train.txt",), f"{SETS}/made-train.txt"),
        (("VOC/Annotations/a.xml", "--valid", f"{SETS}/made-valid.txt"), f"{SETS}/made-valid.txt"),
        (("VOC", "--names", f"{SETS}/made.names"), f"{SETS}/made.names"),
    ],
    ids=["sources", "valid", "names"],
)
def test_sources_stay_what_they_are(run: Run, words: tuple[str, ...], read: str) -> None:
    make_voc()
    Path(SETS).mkdir(parents=True)
    for part in ("train", "valid"):
        Path(f"{SETS}/made-{part}.txt").write_text("a\nb\n")
    Path(f"{SETS}/made.names").write_bytes(b"dog\r\nchair\r\n")
    before = {path: path.read_bytes() for path in Path("VOC").rglob("*") if path.is_file()}
    code, out, err = run("data", "convert", "--from", "voc", *words, "-o", f"{SETS}/made.data", "--force")
    assert (code, out) == (2, "")
    assert f"error: cannot write `{read}`: it is one of the files that are read" in err
    assert {path: path.read_bytes() for path in Path("VOC").rglob("*") if path.is_file()} == before


def test_what_is_left_out_for_its_proportions(run: Run) -> None:
    make_voc()
    make_image(Path("VOC/JPEGImages/b.jpg"), size=(40, 20))
    code, out, err = run("data", "convert", "--from", "voc", "VOC", "-o", "voc.data")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "train: 1 image, 1 object",
        "difficult objects left out: 1 (VOC/Annotations/a.xml:2)",
        "images left out, as they have other proportions than annotated: 1 (VOC/Annotations/b.xml:2)",
        "  `VOC/JPEGImages/b.jpg` has 40x20 pixels, but was annotated as 500x375: its boxes would be misplaced",
        "  help: correct its <size>, or annotate it again",
        "saved: voc.data",
    ]
    assert Path("voc-train.txt").read_text() == "./VOC/JPEGImages/a.jpg\n"
    assert not Path("VOC/labels/b.txt").exists()


def test_from_coco(run: Run) -> None:
    for number, name in enumerate(("a.png", "b.png")):
        make_image(Path("pictures") / name, number)
    Path("instances.json").write_text(json.dumps(instances()))
    Path("two.names").write_text("dog\ntooth brush\n")
    words = ("data", "convert", "--from", "coco", "instances.json", "-o", "coco.data", "--images", "pictures")
    code, out, err = run(*words, "--names", "two.names")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "train: 2 images, 1 object",
        "objects of other classes left out: 1 (instances.json: annotation 2)",
        "crowd regions left out: 1 (instances.json: annotation 3)",
        "saved: coco.data",
    ]
    assert Path("coco.names").read_text() == "dog\ntooth brush\n"
    assert Path("pictures/a.txt").read_text().startswith("0 ")
    assert Path("pictures/b.txt").read_text() == ""


def test_to_coco(run: Run, here: Path) -> None:
    make_set(here, BOTH, {"v1": GOOD + WRONG})
    code, out, err = run("data", "convert", "--to", "coco", "made.data", "-o", "valid.json")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["1 image, 1 object", "labels with errors left out: 1 (labels/v1.txt:2)", "saved: valid.json"]
    assert [each["file_name"] for each in json.loads(Path("valid.json").read_text())["images"]] == ["v1.png"]
    assert "is there already" in run("data", "convert", "--to", "coco", "made.data", "-o", "valid.json")[2]
    assert run("data", "convert", "--to", "coco", "made.data", "-o", "valid.json", "--force", "--part", "train")[0] == 0
    assert len(json.loads(Path("valid.json").read_text())["images"]) == 2


@pytest.mark.parametrize("out", ["-", "/dev/stdout", "/dev/null", "pipe"])
def test_to_coco_on_standard_output_is_json_and_nothing_else(here: Path, out: str) -> None:
    make_set(here, BOTH, {"v1": GOOD + WRONG})
    words = [sys.executable, "-m", "cspdet", "data", "convert", "--to", "coco", "made.data", "-o", out]
    if out == "pipe":
        os.mkfifo("pipe")
        reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True)
    found = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60
    )
    assert found.returncode == 0
    remarks = ["1 image, 1 object", "labels with errors left out: 1 (labels/v1.txt:2)"]
    if out in ("/dev/null", "pipe"):
        assert (found.stdout.splitlines(), found.stderr) == ([*remarks, f"saved: {out}"], "")
        text = reader.communicate()[0] if out == "pipe" else None
    else:
        text = found.stdout
        assert found.stderr.splitlines() == remarks
    if text is not None:
        assert [each["file_name"] for each in json.loads(text)["images"]] == ["v1.png"]
    assert not Path("-").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("x.json", "-o", "x.data"), 2, "one of the arguments --from --to is required"),
        (("--from", "voc", "x", "-o", "x.data"), 2, "no such file: `x`"),
        (("--from", "voc", "VOC", "-o", "x.txt"), 2, "is no name of a .data file"),
        (("--from", "voc", "VOC", "-o", "no/x.data"), 2, "mkdir -p no"),
        (("--from", "voc", "VOC", "-o", "x.data", "--difficult"), 2, "there are none"),
        (("--from", "voc", "VOC", "-o", "x.data", "--names", "no.names"), 2, "no such file: `no.names`"),
        (("--from", "voc", "VOC", "-o", "x.data", "--images", "no"), 2, "`--images no`: there is no such folder"),
        (("--from", "voc", "VOC", "-o", "x.data", "--images", "VOC", "bad.xml"), 2, "`--images bad.xml`: there is no such"),
        (("--from", "voc", "VOC", "-o", "x.data", "--images", "VOC"), 2, "name their folder"),
        (("--from", "coco", "x.json", "-o", "x.data", "--images", "no"), 2, "`--images no`: there is no such folder"),
        (("--from", "voc", "bad.xml", "-o", "x.data"), 1, "`bad.xml` is not XML"),
        (("--from", "coco", "bad.xml", "-o", "x.data"), 1, "`bad.xml` is not JSON"),
        (("--from", "coco", "no.json", "-o", "x.data"), 2, "no such file: `no.json`"),
        (("--from", "coco", "x.json", "-o", "x.data", "--difficult"), 2, "have no difficult objects"),
        (("--to", "coco", "no.data", "-o", "x.json"), 2, "no such file: `no.data`"),
        (("--to", "coco", "made.data", "-o", "made.data"), 2, "is one of the files that are read"),
        (("--to", "coco", "made.data", "made.data", "-o", "x.json"), 2, "2 sources"),
        (("--to", "coco", "made.data", "-o", "no/x.json"), 2, "mkdir -p no"),
        (("--to", "coco", "made.data", "-o", "x.json", "--names", "made.names"), 2, "`--names` has no meaning"),
        (("--to", "coco", "made.data", "-o", "x.json"), 2, "has no `valid=`"),
    ],
)
def test_what_cannot_be_converted(run: Run, here: Path, words: tuple[str, ...], code: int, message: str) -> None:
    make_voc()
    make_set(here, BOTH)
    (here / "bad.xml").write_text("<annotation>")
    before = files()
    found, out, err = run("data", "convert", *words)
    assert (found, out) == (code, "")
    assert message in err
    assert files() == before


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((), "see `cspdet data --help`"),
        (("chekc",), "see `cspdet data --help`"),
        (("crop",), "see `cspdet data crop --help`"),
        (("crop", "x.data", "-o", "x", "--sdie", "3"), "did you mean `--side`?"),
        (("crop", "x.data", "-o", "x", "--xyz"), "see `cspdet data crop --help`"),
        (("convert", "x.data", "-o", "x.json"), "see `cspdet data convert --help`"),
        (("check", "x.data", "--part", "test"), "see `cspdet data check --help`"),
    ],
)
def test_where_the_arguments_are_explained(run: Run, words: tuple[str, ...], cure: str) -> None:
    code, out, err = run("data", *words)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"  help: {cure}"


# -- the bar ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "drawn"), [(2, True), (None, True), (1, False), (0, False)])
def test_a_bar_is_drawn_where_there_is_someone_to_see_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], total: int | None, drawn: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(total, "checking") as advance:
        advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("checking" in err) == drawn


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(100, "checking") as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")
