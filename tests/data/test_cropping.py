"""Objects cut out of photographs, for classifiers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cspdet.data.classes import class_of
from cspdet.data.description import read_description
from cspdet.data.pictures import read_list
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


def test_what_cannot_be(run: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("")
    for words, said in (
        ((data, "-o", tmp_path / "there"), "is there already"),
        ((data, "-o", tmp_path / "there" / "x" / "y"), "cannot"),
        ((tmp_path / "none.data", "-o", tmp_path / "crops"), "no such file"),
        ((data, "-o", tmp_path / "crops", "--side", 0), "is no number from 1 on"),
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
