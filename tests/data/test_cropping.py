"""Objects cut out of photographs, for classifiers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.data.classes import class_of
from cspdet.data.cropping import square_around
from cspdet.data.description import read_description
from cspdet.data.pictures import read_list
from tests.data.material import make_image, make_set
from tests.train.material import shapes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Squares and discs on noise, twice as large as usual, to train and to validate with."""
    path = shapes(tmp_path / "set", 6, size=192)
    path.write_text(path.read_text() + "valid = list.txt\n")
    return path


def test_every_object_becomes_a_picture(run: Run, data: Path, tmp_path: Path) -> None:
    code, out, err = run("data", "crop", data, "-o", tmp_path / "crops", "--side", 40)
    assert (code, err) == (0, "")
    description = read_description(tmp_path / "crops" / "crops.data")
    assert description.names == ("square", "disc")
    labels = [row.split() for file in sorted((data.parent / "labels").iterdir()) for row in file.read_text().splitlines()]
    for part in ("train", "valid"):
        pictures = read_list(description.list_of(part))
        found = [class_of(each, description.names) for each in pictures]
        assert [found.count(number) for number in (0, 1)] == [sum(row[0] == str(number) for row in labels) for number in (0, 1)]
        assert f"{part}: {len(found)} pictures (" in out
    for each in pictures:
        pixels = cv2.imread(str(each.path))
        assert pixels is not None
        assert min(pixels.shape[:2]) <= 40
        # The object fills the middle: its colour is green for discs, red for squares.
        middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)
        colour = (40, 220, 60) if class_of(each, description.names) else (60, 60, 250)
        assert np.abs(middle - colour).max() < 60
    assert sorted(each.name for each in tmp_path.iterdir()) == ["crops", "set"], "nothing is left behind"


def test_background_has_no_object(run: Run, data: Path, tmp_path: Path) -> None:
    assert run("data", "crop", data, "-o", tmp_path / "crops", "--background")[0] == 0
    description = read_description(tmp_path / "crops" / "crops.data")
    assert description.names == ("square", "disc", "background")
    pieces = [*(tmp_path / "crops" / "train" / "background").iterdir()]
    assert 0 < len(pieces) <= 6
    for each in pieces:
        pixels = cv2.imread(str(each))
        assert pixels is not None
        assert (pixels > 150).mean() < 0.06, "noise is dark"
    again = tmp_path / "again" / "crops"
    assert run("data", "crop", data, "-o", again, "--background")[0] == 0
    for each in (tmp_path / "crops").rglob("*.jpg"):
        assert (again / each.relative_to(tmp_path / "crops")).read_bytes() == each.read_bytes()


def test_a_picture_that_cannot_be_read_is_left_out(run: Run, data: Path, tmp_path: Path) -> None:
    (data.parent / "images" / "0.png").write_bytes(b"no picture")
    code, _, err = run("data", "crop", data, "-o", tmp_path / "crops")
    assert code == 0
    assert err.startswith("warning: left out: ")
    assert "0.png" in err


def test_a_picture_that_is_not_there_is_left_out(run: Run, data: Path, tmp_path: Path) -> None:
    (data.parent / "list.txt").write_text("images/0.png\nhttp://x/y.png\nimages\nnone.png\n")
    code, _, err = run("data", "crop", data, "-o", tmp_path / "crops")
    assert code == 0
    assert err.splitlines()[:3] == [
        "warning: left out: `http://x/y.png` is an address, not a file",
        f"warning: left out: `{data.parent / 'images'}` is a directory, not an image",
        "warning: left out: no such file: `none.png`",
    ]


def test_what_is_left_out_is_counted(run: Run, tmp_path: Path) -> None:
    """Each object is drawn, and what is cut out has its colour wherever it lies."""
    labels = {
        "a": "0 .5 .5 .19 .19\n1 .9 .5 .19 .19\n1 .5 1.02 .19 .31\n",
        "outside": "0 1.5 .5 .2 .2\n0 -.5 .5 .2 .2\n0 .5 -.5 .2 .2\n0 .5 1.5 .2 .2\n0 .5 .5 0 .2\n0 .5 .5 .2 -.2\n",
        "small": "0 .5 .5 .099 .2\n1 .5 .5 .2 .099\n1 .5 1.1 .3 .3\n1 .5 .5 .1 .1\n",
        "wrong": "2 .5 .5 .2 .2\n-1 .5 .5 .2 .2\nsquare .5 .5 .2 .2\n0 .5 .5\n",
    }
    data = make_set(tmp_path / "set", labels)
    for number, stem in enumerate(labels):
        make_image(data.parent / "JPEGImages" / f"{stem}.png", number, (200, 200))
    code, out, err = run("data", "crop", data, "-o", tmp_path / "crops")
    assert (code, err) == (0, "")
    home = data.parent / "labels"
    outside = ", ".join(f"{home / 'outside.txt'}:{line}" for line in range(1, 7))
    assert out.splitlines() == [
        "train: 4 pictures (cat 1, dog 3)",
        f"objects outside the image or without area left out: 6 ({outside})",
        "objects below 20 pixels left out: 3 (" + ", ".join(f"{home / 'small.txt'}:{line}" for line in (1, 2, 3)) + ")",
        f"labels that cannot be read left out: 2 ({home / 'wrong.txt'}:3, {home / 'wrong.txt'}:4)",
        f"objects of no class left out: 2 ({home / 'wrong.txt'}:1, {home / 'wrong.txt'}:2)",
        f"saved: {tmp_path / 'crops'}",
    ]
    sizes = sorted(cv2.imread(str(each)).shape[:2] for each in (tmp_path / "crops").rglob("*.jpg"))
    assert sizes == [(26, 26), (35, 78), (48, 44), (48, 48)]


def test_classes_without_names_are_called_by_their_numbers(run: Run, data: Path, tmp_path: Path) -> None:
    data.write_text("classes = 3\ntrain = list.txt\n")
    code, out, err = run("data", "crop", data, "-o", tmp_path / "crops")
    assert (code, err) == (0, "")
    description = read_description(tmp_path / "crops" / "crops.data")
    assert description.names == ("0", "1", "2")
    pictures = read_list(description.list_of("train"))
    assert {class_of(each, description.names) for each in pictures} == {0, 1}
    assert f"train: {len(pictures)} pictures (" in out


def test_a_list_without_anything_to_cut_out(run: Run, data: Path, tmp_path: Path) -> None:
    make_image(tmp_path / "images" / "a.png", size=(300, 200))
    data.write_text(data.read_text().replace("valid = list.txt", "valid = ../images"))
    for label, why, cure in (
        (None, "", "a classifier's images need no cutting"),
        ("", "", "are the label files where they are looked for?"),
        ("0 .5 .5 .01 .01\n", "; objects below 20 pixels left out: 1", "data check"),
    ):
        if label is not None:
            (tmp_path / "images" / "a.txt").write_text(label)
        code, out, err = run("data", "crop", data, "-o", tmp_path / "crops", "--background")
        assert (code, out) == (1, "")
        assert f"no image of `valid` in `{data}` has an object to cut out{why}\n" in err
        assert cure in err
        assert not (tmp_path / "crops").exists()
    data.write_text("classes = 2\n")
    code, _, err = run("data", "crop", data, "-o", tmp_path / "crops")
    assert (code, "has no `train=`" in err) == (2, True)


@given(*(st.floats(-2, 3) for _ in range(2)), *(st.floats(0.001, 3) for _ in range(2)))
def test_what_is_cut_out_holds_all_of_the_box_that_is_there(x: float, y: float, width: float, height: float) -> None:
    """Each pixel of the image is marked with its place."""
    image = np.arange(30 * 40).reshape(30, 40, 1)
    box = ((x - width / 2) * 40, (y - height / 2) * 30, (x + width / 2) * 40, (y + height / 2) * 30)
    left, top, right, bottom = (int(np.clip(round(value), 0, most)) for value, most in zip(box, (40, 30) * 2, strict=True))
    inside = {*image[top:bottom, left:right].ravel().tolist()}
    if min(box[2], 40) - max(box[0], 0) > 0 and min(box[3], 30) - max(box[1], 0) > 0:
        found = {*square_around(image, box).ravel().tolist()}
        assert found >= inside
        assert found


def test_what_cannot_be(run: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("")
    for words, said in (
        ((data, "-o", tmp_path / "there"), "is there already"),
        ((data, "-o", tmp_path / "there" / "x" / "y"), "cannot"),
        ((tmp_path / "none.data", "-o", tmp_path / "crops"), "no such file"),
        ((data, "-o", tmp_path / "crops", "--side", 0), "is no number from 1 on"),
        ((data, "-o", tmp_path / "crops", "--seed", -1), "`--seed -1` is not possible"),
    ):
        code, _, err = run("data", "crop", *words)
        assert code == 2
        assert said in err
    (data.parent / "shapes.names").write_text("a/b\nbackground\n")
    code, _, err = run("data", "crop", data, "-o", tmp_path / "crops")
    assert (code, "`a/b` cannot be the name of a folder" in err) == (2, True)
    (data.parent / "shapes.names").write_text("a\nbackground\n")
    code, _, err = run("data", "crop", data, "-o", tmp_path / "crops", "--background")
    assert (code, "two classes are called `background`" in err) == (2, True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["set", "there"]
