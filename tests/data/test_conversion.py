"""A data set in Darknet's layout, made of annotations."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.data.conversion import Annotated, Annotations, Object, plan
from cspdet.data.description import read_description
from cspdet.data.doctor import examine
from cspdet.data.labels import parse_labels
from cspdet.data.pictures import read_list
from cspdet.data.remarks import Remarks
from cspdet.errors import CspdetError, UsageError
from tests.data.material import make_image

CAT = Object("cat", (0.25, 0.25, 0.75, 0.5))
DOG = Object("dog", (0.0, 0.0, 1.0, 1.0))
HARD = Object("cat", (0.1, 0.1, 0.3, 0.3), difficult=True)


def annotations(*images: Annotated, names: tuple[str, ...] = ("cat", "dog")) -> Annotations:
    return Annotations(images, names, Remarks())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("a", "b", "c")):
        make_image(tmp_path / "JPEGImages" / f"{name}.png", number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def image(name: str, *objects: Object) -> Annotated:
    return Annotated(Path("JPEGImages") / f"{name}.png", objects)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_what_is_written(folder: Path) -> None:
    parts = {"train": annotations(image("a", CAT, DOG), image("b")), "valid": annotations(image("c", DOG, HARD))}
    planned = plan(parts, "made.data")
    assert not (folder / "labels").exists()
    planned.write()
    assert planned.counts == {"train": (2, 2), "valid": (1, 1)}
    assert planned.remarks.counts == {"difficult objects left out": 1}
    assert Path("made.data").read_text() == (
        "classes = 2\ntrain = made-train.txt\nvalid = made-valid.txt\nnames = made.names\nbackup = backup\n"
    )
    assert Path("made.names").read_text() == "cat\ndog\n"
    assert Path("made-train.txt").read_text() == "./JPEGImages/a.png\n./JPEGImages/b.png\n"
    assert Path("labels/a.txt").read_text() == (
        "0 0.500000 0.375000 0.500000 0.250000\n1 0.500000 0.500000 1.000000 1.000000\n"
    )
    assert Path("labels/b.txt").read_bytes() == b""
    assert not list(folder.rglob(".cspdet*"))


def test_cspdet_reads_it_from_anywhere_and_finds_nothing_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": annotations(image("a", CAT), image("b", DOG)), "valid": annotations(image("c", CAT, DOG))}
    plan(parts, "made.data").write()
    for place in (folder, folder / "labels", Path("/")):
        monkeypatch.chdir(place)
        report = examine(os.path.relpath(folder / "made.data"))
        assert not report.findings
        assert report.counts["train"] == (2, 2, 0, 0)


def test_a_name_that_cannot_be_is_named_with_its_place(folder: Path) -> None:
    bad = Object("a\nb", DOG.box, place="x.xml:7")
    with pytest.raises(CspdetError, match=r"^x\.xml:7: .* cannot be the name of a class"):
        plan({"train": annotations(image("a", CAT, bad), names=("a\nb", "cat"))}, folder / "made.data")


def test_a_list_elsewhere_points_to_the_images(folder: Path) -> None:
    (folder / "sets" / "x").mkdir(parents=True)
    plan({"train": annotations(image("a", CAT))}, "sets/x/made.data").write()
    assert Path("sets/x/made-train.txt").read_text() == "../../JPEGImages/a.png\n"
    (picture,) = read_list(read_description("sets/x/made.data").list_of("train"))
    assert picture.labels.resolve() == folder / "labels" / "a.txt"


def test_difficult_objects_in_a_parallel_folder(folder: Path) -> None:
    parts = {"train": annotations(image("a", HARD)), "valid": annotations(image("b", DOG, HARD), image("c", CAT))}
    planned = plan(parts, "made.data", difficult=True)
    planned.write()
    assert planned.counts["difficult"] == (2, 1)
    assert planned.remarks.counts == {"difficult objects left out": 1}
    description = read_description("made.data")
    assert description.difficult is not None
    difficult = read_list(description.difficult, images=False)
    valid = read_list(description.list_of("valid"))
    assert [each.path.name for each in difficult] == [each.path.name for each in valid]
    assert [parse_labels(each.labels.read_text()).rows.round(6).tolist() for each in difficult] == [
        [pytest.approx([0, 0.2, 0.2, 0.2, 0.2])],
        [],
    ]
    assert difficult[0].labels.resolve() == folder / "labels" / "difficult" / "b.txt"
    with pytest.raises(UsageError, match="`difficult=` is about the images of `valid`"):
        plan({"train": annotations(image("a", HARD))}, "other.data", difficult=True)


def test_names_choose_and_order_the_classes(folder: Path) -> None:
    cow = Object("cow", DOG.box)
    planned = plan({"train": annotations(image("a", CAT, DOG, cow))}, "made.data", ["dog", "bird", "cat"])
    planned.write()
    assert [line.split()[0] for line in (folder / "labels" / "a.txt").read_text().splitlines()] == ["2", "0"]
    assert planned.remarks.counts == {"objects of other classes left out": 1}
    assert Path("made.names").read_text() == "dog\nbird\ncat\n"


@pytest.mark.usefixtures("folder")
def test_names_of_both_parts_are_joined() -> None:
    parts = {"train": annotations(image("a"), names=("b", "a")), "valid": annotations(image("b"), names=("a", "c"))}
    plan(parts, "made.data").write()
    assert Path("made.names").read_text() == "b\na\nc\n"


NUMBER = st.floats(-2, 3)


@given(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER))
def test_boxes_are_cut_at_the_edges(tmp_path_factory: pytest.TempPathFactory, box: tuple[float, float, float, float]) -> None:
    target = tmp_path_factory.getbasetemp() / "cut.data"
    planned = plan({"train": annotations(Annotated(Path("/none/a.png"), (Object("cat", box),)))}, target)
    left, top, right, bottom = np.clip(box, 0, 1)
    rows = parse_labels(next(iter(planned.files.values())).decode()).rows
    if left >= right or top >= bottom:
        assert planned.remarks.counts == {"boxes without area left out": 1}
        assert not len(rows)
    else:
        wanted = [0, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        np.testing.assert_allclose(rows, [wanted], atol=1e-6)
        cut = (left, top, right, bottom) != box
        assert planned.remarks.counts == ({"boxes cut at the edge of the image": 1} if cut else {})


def test_nothing_is_overwritten_without_being_asked(folder: Path) -> None:
    parts = {"train": annotations(image("a", CAT), image("b", DOG))}
    plan(parts, "made.data").write()
    before = contents(folder)
    # The same again is no change.
    plan(parts, "made.data").write()
    assert contents(folder) == before
    Path("labels/b.txt").write_text("mine\n")
    Path("made.names").write_text("mine\n")
    before = contents(folder)
    with pytest.raises(UsageError, match=r"`labels/b.txt` is there already, with other content \(and 1 more\)"):
        plan(parts, "made.data")
    assert contents(folder) == before
    plan(parts, "made.data", force=True).write()
    assert contents(folder)["labels/b.txt"] == b"1 0.500000 0.500000 1.000000 1.000000\n"


def test_labels_that_are_there_elsewhere_are_the_ones_that_count(tmp_path: Path) -> None:
    """Labels in `labels/` of `images/`, where Darknet does not look, would be read in place of new ones beside the image."""
    made = make_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    given = {"train": annotations(Annotated(made, (CAT,)))}
    with pytest.raises(UsageError, match=r"labels/a.txt` is there already"):
        plan(given, tmp_path / "made.data")
    plan(given, tmp_path / "made.data", force=True).write()
    assert not (tmp_path / "images" / "a.txt").exists()
    assert parse_labels((tmp_path / "labels" / "a.txt").read_text()).rows.tolist() == [[0, 0.5, 0.375, 0.5, 0.25]]


@pytest.mark.usefixtures("folder")
def test_images_that_share_a_label_file() -> None:
    other = Annotated(Path("JPEGImages/a.jpg"), (CAT,))
    with pytest.raises(CspdetError, match="have one label file"):
        plan({"train": annotations(image("a", CAT), other)}, "made.data")
    with pytest.raises(CspdetError, match="is annotated twice, and differently"):
        plan({"train": annotations(image("a", CAT), image("a", DOG))}, "made.data")
    # The same twice is no contradiction, nor is an image of both parts.
    parts = {"train": annotations(image("a", CAT), image("a", CAT)), "valid": annotations(image("a", CAT))}
    assert plan(parts, "made.data").counts == {"train": (1, 1), "valid": (1, 1)}
    # Nor if it is annotated in two places.
    elsewhere = image("a", replace(CAT, place="b.xml:7"))
    assert plan({"train": annotations(image("a", CAT), elsewhere)}, "made.data").counts == {"train": (1, 1)}


@pytest.mark.parametrize(
    ("target", "names", "error", "message"),
    [
        ("made.txt", (), UsageError, "is no name of a .data file"),
        ("no/made.data", (), UsageError, "no such file or directory"),
        ("made.data", ("a", " "), CspdetError, "cannot be the name of a class"),
        ("made.data", ("a\nb",), CspdetError, "cannot be the name of a class"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be(target: str, names: tuple[str, ...], error: type[CspdetError], message: str) -> None:
    with pytest.raises(error, match=message):
        plan({"train": annotations(image("a", CAT))}, target, names)
    with pytest.raises(UsageError, match="there are no classes"):
        plan({"train": annotations(image("a"), names=())}, "made.data")


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    (folder / "labels").write_text("a file in its place")
    before = contents(folder)
    with pytest.raises(UsageError, match="cannot write"):
        plan({"train": annotations(image("a", CAT))}, "made.data")
    assert contents(folder) == before


def test_a_disk_that_fills_up_leaves_whole_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the `.data` file comes last, so a set that is there is complete."""
    parts = {"train": annotations(image("a", CAT), image("b", DOG))}
    planned = plan(parts, "made.data")
    import cspdet.data.conversion as conversion

    real, left = conversion.replacing, [2]

    def full(path: Path):  # type: ignore[no-untyped-def]
        left[0] -= 1
        if left[0] < 0:
            raise UsageError(f"cannot write `{path}`: no space left on device")
        return real(path)

    monkeypatch.setattr(conversion, "replacing", full)
    with pytest.raises(UsageError, match="no space left"):
        planned.write()
    assert not (folder / "made.data").exists()
    for path, content in contents(folder).items():
        assert planned.files.get(Path(path), content) == content


def test_progress_counts_files(folder: Path) -> None:
    done: list[int] = []
    planned = plan({"train": annotations(image("a", CAT))}, "made.data")
    planned.write(done.append)
    assert sum(done) == len(planned.files) == 4
    assert folder.joinpath("made.data").is_file()


def test_labels_have_six_digits() -> None:
    third = Object("cat", (0.0, 0.0, 1 / 3, 2 / 3))
    planned = plan({"train": annotations(Annotated(Path("/none/a.png"), (third,)))}, "made.data")
    (x, *_), *_ = parse_labels(next(iter(planned.files.values())).decode()).rows[:, 1:].tolist()
    assert math.isclose(x, 1 / 6, abs_tol=5e-7)
