"""Plots: what is drawn, that nothing else is touched, and names that are hard to draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib as mpl

from cspdet.errors import UsageError
from cspdet.evaluate import Report, judge
from cspdet.evaluate.confusion import confusion
from cspdet.evaluate.plots import check_plot, plot_confusion, plot_precision
from tests.evaluate.material import Thing, collected
from tests.evaluate.test_records import _things

ODD = ("_hidden", "$x^$", "$", "名前\x1b[31m", "a very long name of a class indeed", "% & {} \\", "")


def report(classes: int, seed: int = 0) -> Report:
    things = _things(seed, 200)
    rng = np.random.default_rng(seed)
    found = [each._replace(class_id=int(rng.integers(0, classes))) for each in things]
    seen = collected(found, found[:80])
    return judge(seen, tuple(f"class {number}" for number in range(classes)))


@pytest.fixture(autouse=True)
def untouched() -> Any:
    """Whatever else a program draws with matplotlib stays as it is."""
    before = dict(mpl.rcParams), mpl.get_backend()
    yield
    assert (dict(mpl.rcParams), mpl.get_backend()) == before


@pytest.mark.parametrize("classes", [1, 3, 12, 13, 80])
def test_precision(tmp_path: Path, classes: int) -> None:
    path = tmp_path / "curves.png"
    plot_precision(report(classes), path)
    drawn = cv2.imread(str(path))
    assert drawn is not None
    assert drawn.shape[0] >= 600
    # Curves have colours.
    assert (np.ptp(drawn.astype(int), 2) > 60).sum() > 300


def test_a_better_detector_has_another_curve(tmp_path: Path) -> None:
    things = _things(0, 60)
    wrong = [each._replace(class_id=(each.class_id + 1) % 3) for each in things]
    for name, found in (("good", things), ("bad", wrong), ("again", things), ("none", [])):
        plot_precision(judge(collected(found, things), ("a", "b", "c")), tmp_path / f"{name}.png")
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in ("good", "bad", "again", "none")]
    assert pictures[0] == pictures[2]
    assert len({*pictures}) == 3


@pytest.mark.parametrize("name", ["curves.svg", "curves.pdf", "CURVES.PNG"])
def test_endings(tmp_path: Path, name: str) -> None:
    check_plot(tmp_path / name)
    plot_precision(report(3), tmp_path / name)
    start = {"svg": b"<?xml", "pdf": b"%PDF", "PNG": b"\x89PNG"}[name.split(".")[1]]
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["curves", "curves.txt", "curves.png.zip"])
def test_endings_that_are_no_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no format of plots"):
        check_plot(tmp_path / name)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.evaluate.plots.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="plots need the package `matplotlib`, which is not installed") as caught:
        check_plot("x.png")
    assert caught.value.help == "pip install matplotlib"


def test_confusion_shows_where(tmp_path: Path) -> None:
    """The cell of an object that was taken for another is dark, and nothing else of its row."""
    box, far = (0.0, 0.0, 20.0, 20.0), (40.0, 40.0, 60.0, 60.0)
    seen = collected([Thing(1, 2, box, 0.9), Thing(1, 1, far, 0.9)], [Thing(1, 0, box)])
    matrix = confusion(seen, 3)
    assert np.argwhere(matrix).tolist() == [[0, 2], [3, 1]]
    path = tmp_path / "matrix.png"
    plot_confusion(matrix, ("a", "b", "c"), path, "title")
    drawn = cv2.imread(str(path))
    assert drawn is not None
    dark = np.argwhere((drawn[:, :, 0] > 80) & (drawn[:, :, 0] < 130) & (drawn[:, :, 2] < 40))
    assert len(dark) > 2000
    # One lies right of the middle of the upper half, the other left in the lower.
    upper, lower = (dark[dark[:, 0] < 250], dark[dark[:, 0] >= 250])
    assert upper[:, 1].mean() > lower[:, 1].mean()


def test_empty_rows_are_left_out_of_large_matrices(tmp_path: Path) -> None:
    names = tuple(map(str, range(50)))
    matrix = np.zeros((51, 51), np.int64)
    sizes = []
    for used in (49, 8):
        matrix[:] = 0
        matrix[range(used), range(used)] = 3
        plot_confusion(matrix, names, tmp_path / "matrix.png", "title")
        drawn = cv2.imread(str(tmp_path / "matrix.png"))
        assert drawn is not None
        sizes.append(drawn.shape[0])
    assert sizes[0] > 1.5 * sizes[1]


def test_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.fonts._installed", lambda: ["DejaVu Sans"])
    things = [each._replace(class_id=number % len(ODD)) for number, each in enumerate(_things(0, 70))]
    seen = collected(things, things[:50])
    with pytest.warns(UserWarning, match="no installed font has the letters `前名`; boxes are drawn in their place"):
        plot_precision(judge(seen, ODD), tmp_path / "curves.png")
    with pytest.warns(UserWarning, match="no installed font has the letters `前名`"):
        plot_confusion(confusion(seen, len(ODD)), ODD, tmp_path / "matrix.png")
    assert {each.name for each in tmp_path.iterdir()} == {"curves.png", "matrix.png"}


def test_names_in_other_scripts(tmp_path: Path) -> None:
    """Letters of a font beside the first are drawn: other letters, other pictures."""
    things = _things(0, 70)
    drawn = []
    for name in ("\u05d0\u05d1", "\u05d5\u05d9"):
        names = (name, *map(str, range(1, 6)))
        seen = collected(things, things[:50])
        plot_precision(judge(seen, names), tmp_path / "curves.png")
        plot_confusion(confusion(seen, len(names)), names, tmp_path / "matrix.png")
        drawn.append(((tmp_path / "curves.png").read_bytes(), (tmp_path / "matrix.png").read_bytes()))
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        plot_precision(report(3), tmp_path / "none" / "x.png")


def test_a_thousand_classes(tmp_path: Path) -> None:
    """Drawn as shares alone, into a picture of an ordinary size."""
    matrix = np.ones((1000, 1000), np.int64) + 3000 * np.eye(1000, dtype=np.int64)
    plot_confusion(matrix, [*map(str, range(1000))], tmp_path / "x.png", "all")
    drawn = cv2.imread(str(tmp_path / "x.png"))
    assert drawn is not None
    assert max(drawn.shape) < 1200
    # The diagonal is darker than what lies beside it.
    assert drawn.min() < 120
