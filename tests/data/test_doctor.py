"""The label doctor: each code has a set that it is said of, and good sets are left in peace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.data.doctor import examine, summary
from cspdet.data.finding import Finding, folded, show
from cspdet.data.inspection import faults
from cspdet.data.labels import label_text, parse_labels
from cspdet.errors import UsageError
from tests.data.material import GOOD, make_image, make_set

BOTH = {"a": GOOD, "b": "1 0.5 0.5 0.25 0.5\n"}


class Case:
    """A good set that is spoilt in one way, and what must be said: severity, code, end of the place, words of the message."""

    def __init__(self, spoil: Callable[[Path], object], *expected: tuple[str, str, str, str]) -> None:
        self.spoil = spoil
        self.expected = expected

    def check(self, findings: list[Finding]) -> None:
        """These are the findings, and no others."""
        left = [*findings]
        for severity, code, place, words in self.expected:
            found = next((each for each in left if each.code == code and each.place.endswith(place)), None)
            assert found is not None, f"missing: {code} at {place}; there is {left}"
            assert found.severity == severity
            assert words in found.message
            assert found.help
            assert Path(found.file).is_file()
            left.remove(found)
        assert not left


def label(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "labels" / "a.txt").write_text(GOOD + text, "utf-8")


def write(name: str, text: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def append(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text((folder / name).read_text("utf-8") + text, "utf-8")


def copy(source: str, target: str, line: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / target).write_bytes((folder / source).read_bytes())
        (folder / "labels" / f"{Path(target).stem}.txt").write_text(GOOD)
        append(line, f"{target}\n")(folder)

    return spoil


def cut(folder: Path) -> None:
    data = (folder / "JPEGImages" / "a.png").read_bytes()
    (folder / "JPEGImages" / "a.png").write_bytes(data[: len(data) // 2])


def make_folder(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


ERROR, WARNING, NOTE = "error", "warning", "note"
CASES: dict[str, Case] = {
    "good": Case(lambda _: None),
    # the .data file
    "names gone": Case(
        lambda folder: (folder / "made.names").unlink(), (ERROR, "missing-names", "made.data:2", "points to `made.names`")
    ),
    "names blank": Case(write("made.names", "\n\n"), (ERROR, "missing-names", "made.data:2", "holds no class names")),
    "classes=0": Case(
        write("made.data", "train=train.txt\nclasses=0\nvalid=valid.txt"),
        (ERROR, "no-classes", "made.data:2", "no class is left"),
    ),
    "classes=2x": Case(
        write("made.data", "classes=2x\ntrain=train.txt\nvalid=valid.txt"),
        (WARNING, "odd-classes", "made.data:1", "`classes=2x`"),
    ),
    "more classes than names": Case(
        write("made.data", "classes=3\ntrain=train.txt\nvalid=valid.txt\nnames=made.names"),
        (ERROR, "classes-names", "made.data:1", "has 2 names"),
        (WARNING, "class-without-objects", "made.names:2", "no image of `train` has an object of class 2"),
        (WARNING, "class-without-objects", "made.names:2", "no image of `valid` has an object of class 2"),
    ),
    "a name twice": Case(write("made.names", "cat\ncat\n"), (WARNING, "name-twice", "made.names:2", "both called `cat`")),
    "a blank name": Case(
        lambda folder: write("made.names", "\ncat\n")(folder),
        (WARNING, "blank-name", "made.names:1", "class 0 is a blank line"),
    ),
    "a list gone": Case(
        lambda folder: (folder / "valid.txt").unlink(), (ERROR, "missing-list", "made.data:4", "points to `valid.txt`")
    ),
    "no list": Case(
        write("made.data", "classes=2\nnames=made.names\n"), (ERROR, "no-list", "made.data:1", "neither `train=` nor `valid=`")
    ),
    "a class map gone": Case(
        append("made.data", "map = none.map\n"),
        (WARNING, "missing-map", "made.data:5", "points to `none.map`, which is not there"),
    ),
    "a class map": Case(append("made.data", "map = made.names\n"), (NOTE, "unused-map", "made.data:5", "does nothing here")),
    "a slip in a key": Case(
        append("made.data", "bakcup = there\n"), (ERROR, "unknown-key", "made.data:5", "has no use for `bakcup=`")
    ),
    "a slip beside the right key": Case(
        append("made.data", "Train = other.txt\n"), (WARNING, "unknown-key", "made.data:5", "has no use for `Train=`")
    ),
    "an unknown key": Case(append("made.data", "colour = red\n"), (WARNING, "unknown-key", "made.data:5", "`colour=`")),
    "lines that are no settings": Case(
        append("made.data", "; good\n\nnc: 2\n = x\n"),
        (WARNING, "no-setting", "made.data:7", "`nc: 2` is no setting"),
        (WARNING, "no-setting", "made.data:8", "is no setting"),
    ),
    "a key twice": Case(
        append("made.data", "classes = 3\n"), (WARNING, "key-twice", "made.data:5", "`classes=` is set in line 1 already")
    ),
    "classes=two": Case(
        write("made.data", "classes=two\ntrain=train.txt\nvalid=valid.txt\nnames=made.names"),
        (ERROR, "no-classes", "made.data:1", "`two` is no number"),
    ),
    "settings of a classifier": Case(
        append("made.data", "top = 5\n"), (NOTE, "two-kinds", "made.data:5", "`top=` is for classifiers, but there are label")
    ),
    # the lists
    "an empty list": Case(write("valid.txt", "\n"), (ERROR, "no-images", "valid.txt:1", "lists no images")),
    "a list of another machine": Case(
        write("valid.txt", "C:\\data\\a.png\nC:\\data\\b.png"), (ERROR, "no-images", "valid.txt:1", "none of the 2 images")
    ),
    "an image gone": Case(
        append("train.txt", "JPEGImages/none.png\n"), (ERROR, "missing-image", "train.txt:3", "no image `JPEGImages/none.png`")
    ),
    "an image that is cut": Case(cut, (ERROR, "bad-image", "train.txt:1", "a.png")),
    "an image that is none": Case(
        write("JPEGImages/a.png", "<html>"), (ERROR, "bad-image", "train.txt:1", "is not an image that OpenCV can decode")
    ),
    "an image without bytes": Case(write("JPEGImages/a.png", b""), (ERROR, "bad-image", "train.txt:1", "is empty")),
    "a folder for an image": Case(make_folder("JPEGImages/a.png"), (ERROR, "bad-image", "train.txt:1", "is a directory")),
    "listed twice": Case(
        append("train.txt", "JPEGImages/a.png\n"), (WARNING, "listed-twice", "train.txt:3", "first in line 1")
    ),
    "listed twice, spelt otherwise": Case(
        append("train.txt", "./JPEGImages/../JPEGImages/a.png\n"), (WARNING, "listed-twice", "train.txt:3", "first in line 1")
    ),
    "in both lists": Case(
        append("valid.txt", "JPEGImages/a.png\n"), (WARNING, "in-both-parts", "valid.txt:3", "is in `train`, too")
    ),
    "the same bytes in both lists": Case(
        copy("JPEGImages/a.png", "JPEGImages/z.png", "valid.txt"),
        (WARNING, "content-in-both-parts", "valid.txt:3", "is the same image as `JPEGImages/a.png` of `train`"),
    ),
    "the same bytes in one list": Case(
        copy("JPEGImages/a.png", "JPEGImages/z.png", "train.txt"),
        (NOTE, "same-content", "train.txt:3", "the same image as `JPEGImages/a.png`"),
    ),
    # the labels
    "no label file": Case(
        lambda folder: (folder / "labels" / "b.txt").unlink(),
        (WARNING, "missing-labels", "train.txt:2", "`JPEGImages/b.png`: there is no label file"),
        (WARNING, "class-without-objects", "made.names:2", "class 1, `dog`"),
    ),
    "a folder for a label file": Case(
        make_folder("labels/b.txt"),
        (ERROR, "unreadable-labels", "train.txt:2", "`JPEGImages/b.png`: the label file cannot be read: is a directory"),
        (WARNING, "class-without-objects", "made.names:2", "class 1, `dog`"),
    ),
    "an empty label file": Case(
        write("labels/b.txt", "\n"),
        (NOTE, "empty-labels", "labels/b.txt:1", "no object"),
        (WARNING, "class-without-objects", "made.names:2", "class 1, `dog`"),
    ),
    "no object at all": Case(
        lambda folder: [write(f"labels/{name}.txt", "")(folder) for name in "ab"],
        (NOTE, "empty-labels", "labels/a.txt:1", ""),
        (NOTE, "empty-labels", "labels/b.txt:1", ""),
        (ERROR, "no-objects", "train.txt:1", "no image of `train` has an object"),
    ),
    "one label file for two images": Case(
        lambda folder: [
            make_image(folder / "JPEGImages" / "a.bmp", 77),
            make_image(folder / "JPEGImages" / "c.jpg", 78),
            append("train.txt", "JPEGImages/a.bmp\n./JPEGImages/c.jpg\n")(folder),
        ],
        (WARNING, "shared-labels", "train.txt:3", "`JPEGImages/a.bmp` and `JPEGImages/a.png` have one label file"),
        (WARNING, "shared-labels", "valid.txt:1", "`JPEGImages/c.png` and `./JPEGImages/c.jpg` have one label file"),
    ),
    "an image listed in two ways has its labels once": Case(
        append("train.txt", "./JPEGImages/a.png\n"), (WARNING, "listed-twice", "train.txt:3", "is listed twice")
    ),
    "labels where Darknet does not look": Case(
        lambda folder: [
            (folder / "JPEGImages").rename(folder / "images"),
            write("train.txt", "images/a.png\nimages/b.png\n")(folder),
            write("valid.txt", "images/c.png\nimages/d.png\n")(folder),
        ],
        (NOTE, "labels-elsewhere", "train.txt:1", "2 label files of `train` where AlexeyAB's Darknet does not look"),
        (NOTE, "labels-elsewhere", "valid.txt:1", "2 label files of `valid`"),
    ),
    "a mark": Case(write("labels/a.txt", "\ufeff" + GOOD), (WARNING, "marked-labels", "labels/a.txt:1", "byte-order mark")),
    "words": Case(label("cat .5 .5 .5 .5\n"), (ERROR, "malformed-label", "labels/a.txt:2", "`cat` is not the number")),
    "class -1": Case(label("-1 .5 .5 .5 .5\n"), (ERROR, "negative-class", "labels/a.txt:2", "class -1 is below 0")),
    "class 2": Case(label("2 .5 .5 .5 .5\n"), (ERROR, "class-range", "labels/a.txt:2", "no class 2: the last is 1")),
    "x above 1": Case(label("0 1.01 .5 .1 .5\n"), (ERROR, "centre-outside", "labels/a.txt:2", "x of 1.01 is outside")),
    "y of 0": Case(label("0 .5 0 .1 .5\n"), (ERROR, "centre-outside", "labels/a.txt:2", "y of 0 is outside")),
    "pixels": Case(label("0 120 80 40 20\n"), (ERROR, "centre-outside", "labels/a.txt:2", "x of 120")),
    "no width": Case(label("0 .5 .5 0 .5\n"), (ERROR, "box-size", "labels/a.txt:2", "width of 0 is not above 0")),
    "height below 0": Case(label("0 .5 .5 .1 -.5\n"), (ERROR, "box-size", "labels/a.txt:2", "height of -0.5 is not above 0")),
    "width above 1": Case(label("0 .5 .5 1.5 .5\n"), (ERROR, "box-size", "labels/a.txt:2", "width of 1.5 is more than")),
    "beyond the left": Case(
        label("0 .1 .5 .3 .5\n"), (WARNING, "box-outside", "labels/a.txt:2", "2.0 pixels beyond the left edge")
    ),
    "beyond the bottom": Case(
        label("0 .5 .9 .3 .5\n"), (WARNING, "box-outside", "labels/a.txt:2", "3.0 pixels beyond the bottom edge")
    ),
    "narrow": Case(label("0 .5 .5 .01 .5\n"), (WARNING, "tiny-box", "labels/a.txt:2", "width of the box is 0.40 pixels")),
    "low": Case(label("0 .5 .5 .5 .04\n"), (WARNING, "tiny-box", "labels/a.txt:2", "height of the box is 0.80 pixels")),
    "twice": Case(label("\n" + GOOD), (WARNING, "duplicate-box", "labels/a.txt:3", "the object of line 1 again")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(tmp_path: Path, name: str) -> None:
    data = make_set(tmp_path, BOTH, {"c": GOOD, "d": BOTH["b"]})
    CASES[name].spoil(tmp_path)
    CASES[name].check(examine(data).findings)


def test_how_much_there_is(tmp_path: Path) -> None:
    labels: dict[str, str | None] = {"a": GOOD * 1 + "1 .5 .5 .1 .1\n", "b": None, "c": ""}
    report = examine(make_set(tmp_path, labels, {"d": GOOD}))
    assert report.classes == 2
    assert report.counts["train"] == (3, 2, 2, 1)
    assert report.counts["valid"] == (1, 1, 0, 0)
    assert summary(report) == "4 images, 3 objects, 2 classes, 2 images without objects"
    facts = report.to_json()
    assert facts["parts"]["train"] == {"images": 3, "objects": 2, "without_objects": 2, "without_labels": 1}
    assert (facts["errors"], facts["warnings"], facts["notes"]) == (0, 2, 1)
    assert len(facts["diagnostics"]) == 3


def test_a_single_part(tmp_path: Path) -> None:
    data = make_set(tmp_path, {**BOTH, "x": "nonsense"}, {"c": GOOD, "d": BOTH["b"]})
    assert [each.code for each in examine(data, ("train",)).findings] == ["malformed-label"]
    assert examine(data, ("valid",)).findings == []
    for valid in ("", "valid =\n"):
        data.write_text(f"classes = 2\ntrain = train.txt\n{valid}")
        with pytest.raises(UsageError, match="has no `valid=`"):
            examine(data, ("valid",))


def test_progress_counts_each_image_once(tmp_path: Path) -> None:
    data = make_set(tmp_path, BOTH, BOTH)
    begun, done = [], []

    def begin(total: int) -> Callable[[int], object]:
        begun.append(total)
        return done.append

    examine(data, begin=begin)
    assert begun == [2]
    assert done == [1, 1]


def test_an_image_of_one_list_twice_and_in_the_other_is_judged_once(tmp_path: Path) -> None:
    data = make_set(tmp_path, {"a": GOOD + "9 .5 .5 .5 .5\n", "b": BOTH["b"]}, {"a": None, "b": None})
    (tmp_path / "labels" / "a.txt").write_text(GOOD + "9 .5 .5 .5 .5\n")
    codes = [each.code for each in examine(data).findings]
    assert codes.count("class-range") == 1
    assert codes.count("in-both-parts") == 2


# -- boxes ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_boxes_that_lie_within_the_image_are_left_in_peace(width: int, height: int, data: st.DataObject) -> None:
    """Whatever whole pixels they begin and end at, and however many digits they are written with."""
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    row = [0, (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height]
    assert not [*faults(parse_labels(label_text(np.array([row]))), 1, (width, height))]


@given(st.floats(0.001, 1), st.floats(0.001, 1), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_box_is_outside_if_it_reaches_beyond_an_edge(x: float, y: float, width: float, height: float) -> None:
    """Without the size of the image, by more than a thousandth."""
    found = [*faults(parse_labels(f"0 {x!r} {y!r} {width!r} {height!r}"), 1)]
    reach = max(width / 2 - x, height / 2 - y, x + width / 2 - 1, y + height / 2 - 1)
    if abs(reach - 0.001) > 1e-5:
        assert [each.code for each in found] == ["box-outside"] * (reach > 0.001)


def test_a_thousandth_or_a_pixel_is_rounding() -> None:
    labels = parse_labels("0 0.49 0.5 1 0.5")
    assert [each.code for each in faults(labels, 1, (50, 50))] == []
    assert [each.code for each in faults(labels, 1, (100, 100))] == []
    assert [each.code for each in faults(labels, 1, (101, 101))] == ["box-outside"]
    assert [each.code for each in faults(parse_labels("0 0.4992 0.5 1 0.5"), 1, (10_000, 10_000))] == []


def test_classes_are_not_judged_where_nobody_knows_how_many_there_are() -> None:
    labels = parse_labels("5 .5 .5 .5 .5\n-5 .5 .5 .4 .4")
    assert [each.code for each in faults(labels, 0)] == ["negative-class"]


# -- how it is shown --------------------------------------------------------------------------------------------------


def finding(code: str, line: int, severity: str = "error", file: str = "none.txt") -> Finding:
    return Finding(severity, code, f"{code} {line}", file, line, "so it is", "do this")  # type: ignore[arg-type]


def test_findings_alike_are_folded_worst_first() -> None:
    given = [finding("b", 1, "note"), finding("a", 1, "warning"), finding("c", 1), finding("a", 2, "warning"), finding("d", 1)]
    assert [[each.message for each in group] for group in folded(given)] == [["c 1"], ["d 1"], ["a 1", "a 2"], ["b 1"]]


def test_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0 .5 .5 .5 .5\n  7 .5 .5 .5 .5 \n")
    first = finding("class-range", 2, file=str(path))
    assert show([first]).splitlines() == [
        "error[class-range]: class-range 2",
        f" --> {path}:2:3",
        "  |",
        "2 |   7 .5 .5 .5 .5",
        "  |   ^^^^^^^^^^^^^ so it is",
        "  |",
        "  = help: do this",
    ]
    shown = show([first, *(finding("class-range", number) for number in range(1, 9))])
    places = ", ".join(f"none.txt:{number}" for number in range(1, 7))
    assert shown.splitlines()[-1] == f"   … and 8 more like it: {places}, …"


@pytest.mark.parametrize("line", [1, 2, 3, 500])
def test_a_file_that_changed_meanwhile_is_no_reason_to_stop(tmp_path: Path, line: int) -> None:
    path = tmp_path / "labels.txt"
    assert f"{path}:{line}:1" in show([finding("x", line, file=str(path))])
    path.write_text("0 .5 .5 .5 .5\n")
    assert f"{path}:{line}:1" in show([finding("x", line, file=str(path))])


def test_a_list_that_is_a_folder(tmp_path: Path) -> None:
    make_image(tmp_path / "images" / "a.png")
    (tmp_path / "made.data").write_text("classes=1\ntrain=images\n")
    report = examine(tmp_path / "made.data")
    found = [(each.code, each.place) for each in report.findings]
    image = tmp_path / "images" / "a.png"
    assert found == [("missing-labels", f"{image}:1"), ("no-objects", f"{tmp_path / 'images'}:1")]
    assert show(report.findings[:1]).splitlines()[1:5] == [
        f" --> {image}:1:1",
        "  |",
        "1 |",
        "  | ^ the image has no objects",
    ]
    assert show(report.findings[1:])
