"""What is wrong with a classifier's data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet.data.doctor import examine, summary
from tests.data.material import GOOD, make_image
from tests.data.test_doctor import ERROR, WARNING, Case, append, write

SET = {"train": ("cat/a", "cat/b", "dog/c"), "valid": ("cat/d", "dog/e")}


SETTINGS = "classes=2\ntrain=train\nvalid=valid\nnames=made.names\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for each class, in one for each list. Paths are relative: those of the tests might tell classes."""
    monkeypatch.chdir(tmp_path)
    for number, (part, image) in enumerate((part, image) for part, images in SET.items() for image in images):
        make_image(Path(part, f"{image}.png"), number)
    Path("made.names").write_text("cat\ndog\n")
    Path("made.data").write_text(SETTINGS)
    return Path()


def copy(source: str, target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / target).write_bytes((folder / source).read_bytes())


def labels(text: str) -> Callable[[Path], object]:
    return lambda folder: [append("made.data", "labels = x.list\n")(folder), write("x.list", text)(folder)]


LIST = "train/cat/a.png\ntrain/cat/b.png\ntrain/dog/c.png\n"
CASES: dict[str, Case] = {
    "good": Case(lambda _: None),
    "an image that is none": Case(write("train/cat/a.png", "<html>"), (ERROR, "bad-image", "train/cat/a.png:1", "a.png")),
    "an image gone": Case(
        lambda folder: [
            write("train.txt", LIST + "train/dog/none.png\n")(folder),
            write("made.data", "classes=2\ntrain=train.txt\nvalid=valid\nnames=made.names")(folder),
        ],
        (ERROR, "missing-image", "train.txt:4", "no image `train/dog/none.png`"),
    ),
    "a class of no name": Case(
        lambda folder: (folder / "train" / "cat").rename(folder / "train" / "kitten"),
        (ERROR, "unclear-class", "train/kitten/a.png:1", "no name of a class is part of its path"),
        (ERROR, "unclear-class", "train/kitten/b.png:1", "no name of a class is part of its path"),
        (WARNING, "class-without-images", "made.names:1", "no image of `train` shows class 0, `cat`"),
    ),
    "two names in a path": Case(
        lambda folder: make_image(folder / "valid" / "dogs" / "with-cat.png", 99),
        (ERROR, "unclear-class", "valid/dogs/with-cat.png:1", "`cat` and `dog` are both part of its path"),
    ),
    "a class without images": Case(
        lambda folder: [append("made.names", "cow\n")(folder), write("made.data", SETTINGS.replace("2", "3"))(folder)],
        (WARNING, "class-without-images", "made.names:3", "no image of `train` shows class 2, `cow`"),
        (WARNING, "class-without-images", "made.names:3", "no image of `valid` shows class 2, `cow`"),
    ),
    "names twice": Case(
        lambda folder: [append("made.names", "cat\n")(folder), write("made.data", SETTINGS.replace("2", "3"))(folder)],
        (WARNING, "name-twice", "made.names:3", "classes 0 and 2 are both called `cat`"),
    ),
    "the same in both lists": Case(
        lambda folder: write("made.data", SETTINGS.replace("valid=valid", "valid=train/dog"))(folder),
        (WARNING, "in-both-parts", "train/dog/c.png:1", "is in `train`, too"),
        (WARNING, "class-without-images", "made.names:1", "no image of `valid` shows class 0, `cat`"),
    ),
    "the same bytes in both lists": Case(
        copy("train/cat/a.png", "valid/cat/z.png"),
        (WARNING, "content-in-both-parts", "valid/cat/z.png:1", "of `train`"),
    ),
    "no names": Case(
        write("made.data", "classes=2\ntrain=train\nvalid=valid\n"),
        (ERROR, "missing-names", "made.data:1", "has neither `labels=` nor `names=`"),
    ),
    "names gone": Case(
        lambda folder: (folder / "made.names").unlink(), (ERROR, "missing-names", "made.data:4", "points to `made.names`")
    ),
    "labels gone": Case(
        append("made.data", "labels = none.list\n"), (ERROR, "missing-names", "made.data:5", "points to `none.list`")
    ),
    "labels without a name": Case(labels("\n"), (ERROR, "missing-names", "made.data:5", "holds no class names")),
    "more labels than classes": Case(
        labels("cat\ndog\ncow\n"),
        (ERROR, "classes-names", "made.data:5", "`x.list` has 3 names"),
        (WARNING, "class-without-images", "x.list:3", "no image of `train` shows class 2, `cow`"),
        (WARNING, "class-without-images", "x.list:3", "no image of `valid` shows class 2, `cow`"),
    ),
    "a blank label": Case(labels("\ncat\n"), (WARNING, "blank-name", "x.list:1", "class 0 is a blank line")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name: str) -> None:
    CASES[name].spoil(Path())
    CASES[name].check(examine("made.data", classify=True).findings)


def test_no_more_images_are_without_a_class_than_there_are() -> None:
    Path("train.txt").write_text(LIST + "train/dog/none.png\n")
    Path("train/cat/a.png").write_text("<html>")
    Path("made.data").write_text("classes=2\ntrain=train.txt\n")
    report = examine("made.data", classify=True)
    assert summary(report) == "2 images, 2 classes, 2 images without a class"


def test_how_much_there_is() -> None:
    Path("train/cat").rename("train/kitten")
    report = examine("made.data", classify=True)
    assert report.counts == {"train": (3, 2), "valid": (2, 0)}
    assert summary(report) == "5 images, 2 classes, 2 images without a class"
    facts = report.to_json()
    assert facts["kind"] == "classifier"
    assert facts["parts"]["train"] == {"images": 3, "without_class": 2}


def test_what_darknets_lists_tell() -> None:
    """Names may be part of a file's name, and those in paths other than those for people."""
    for number, name in enumerate(("n01_1", "n01_2", "n02_1", "n02_2")):
        make_image(Path(f"all/{name}.png"), 100 + number)
    Path("train.txt").write_text("all/n01_1.png\nall/n02_1.png\n")
    Path("valid.txt").write_text("all/n01_2.png\nall/n02_2.png\n")
    Path("x.list").write_text("n01\nn02\n")
    Path("made.data").write_text("classes=2\ntrain=train.txt\nvalid=valid.txt\nlabels=x.list\nnames=made.names\ntop=5\n")
    assert examine("made.data").findings == []


# -- which kind it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "text"), [("top", "top = 1\n"), ("labels", "labels = made.names\n")])
def test_settings_and_no_label_file_tell(key: str, text: str) -> None:
    append("made.data", text)(Path())
    report = examine("made.data")
    assert (report.kind, report.findings) == ("classifier", [])
    assert summary(report).endswith(f"; taken for a classifier's, as `{key}=` is there, and no label file (--no-classify)")
    said = examine("made.data", classify=False)
    assert said.kind == "detector"
    assert "missing-labels" in {each.code for each in said.findings}
    Path("train/cat/a.txt").write_text(GOOD)
    report = examine("made.data")
    assert report.kind == "detector"
    (note,) = (each for each in report.findings if each.code == "two-kinds")
    assert (note.severity, note.place) == ("note", "made.data:5")
    assert "--classify" in note.help
    assert "two-kinds" not in {each.code for each in examine("made.data", classify=False).findings}
    assert examine("made.data", classify=True).kind == "classifier"


def test_where_nothing_tells_help_names_the_option() -> None:
    report = examine("made.data")
    assert report.kind == "detector"
    assert all("`--classify`" in each.help for each in report.findings if each.code == "no-objects")
    assert [each.code for each in report.findings].count("no-objects") == 2
    for doubtless in (False, None):
        if doubtless is None:
            Path("train/cat/a.txt").write_text("")
        report = examine("made.data", classify=doubtless)
        assert not any("--classify" in each.help for each in report.findings)
