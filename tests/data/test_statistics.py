"""What a data set holds, in numbers and as a chart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cspdet.data.chart import check_chart, write_chart
from cspdet.data.description import Description, read_description
from cspdet.data.statistics import boxes_of, collect, facts, table
from cspdet.errors import UsageError
from tests.conftest import REFERENCE
from tests.data.material import GOOD, make_set

LABELS: dict[str, str | None] = {
    "a": "0 .5 .5 .1 .2\n1 .5 .5 .2 .4\n0 .5 .5 .3 .6\n",
    "b": None,
    "c": "",
    # Nothing of this is counted: no class, no such class, no width, no height, no label.
    "d": "-1 .5 .5 .1 .1\n2 .5 .5 .1 .1\n0 .5 .5 0 .1\n0 .5 .5 .1 2\nx\n0 .5 .5 .4 .8\n",
}


@pytest.fixture
def made(tmp_path: Path) -> Description:
    return read_description(make_set(tmp_path, LABELS, {"v": GOOD}))


def test_numbers(made: Description) -> None:
    train, valid = collect(made)
    assert train.rows.shape == (4, 5)
    assert train.per_image.tolist() == [3, 0, 0, 1]
    assert (train.without_labels, train.left_out) == (1, 5)
    assert train.per_class(2).tolist() == [3, 1]
    assert valid.per_class(2).tolist() == [1, 0]
    found = facts(made, [train])["parts"]["train"]
    assert found["per_class"] == [3, 1]
    assert found["widths"] == pytest.approx(
        {"smallest": 0.1, "a tenth is below": 0.13, "median": 0.25, "a tenth is above": 0.37, "largest": 0.4}
    )
    assert (found["images"], found["without_objects"], found["most_in_one_image"]) == (4, 2, 3)


def test_table(made: Description) -> None:
    rows = {line[:34].strip(): line[34:].split() for line in table(made, collect(made)).splitlines()}
    assert rows[""] in (["train", "valid"], [])
    assert rows["images"] == ["4", "1"]
    assert rows["images without objects"] == ["2", "0"]
    assert rows["of these, without a label file"] == ["1", "0"]
    assert rows["objects"] == ["4", "1"]
    assert rows["objects per image, on average"] == ["1.00", "1.00"]
    assert rows["labels left out"] == ["5", "0"]
    assert rows["cat"] == ["3", "1"]
    assert rows["dog"] == ["1", "0"]
    assert rows["largest"] == ["80.0", "%", "50.0", "%"]


def test_parts(made: Description, tmp_path: Path) -> None:
    assert [part.name for part in collect(made, ("valid",))] == ["valid"]
    (tmp_path / "made.data").write_text("classes = 1\n")
    with pytest.raises(UsageError, match="has no `train=`"):
        collect(read_description(tmp_path / "made.data"))


def test_boxes_to_fit(made: Description, tmp_path: Path) -> None:
    rows, left_out = boxes_of(made, "train")
    assert (len(rows), left_out) == (4, 5)
    (tmp_path / "labels" / "v.txt").write_text("")
    with pytest.raises(UsageError, match="has an object"):
        boxes_of(made, "valid")


def test_a_set_without_objects(tmp_path: Path) -> None:
    made = read_description(make_set(tmp_path, {"a": ""}))
    parts = collect(made)
    assert "objects" in table(made, parts)
    write_chart(tmp_path / "x.png", made, parts)
    assert cv2.imread(str(tmp_path / "x.png")) is not None


# -- charts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "both"), [(1, False), (26, True), (101, True)])
def test_a_chart_of_any_number_of_classes(tmp_path: Path, classes: int, both: bool) -> None:
    names = "".join(f"class {number}\n" for number in range(classes))
    made = read_description(make_set(tmp_path, {"a": GOOD}, {"v": GOOD} if both else None, names))
    write_chart(tmp_path / "x.png", made, collect(made))
    drawn = cv2.imread(str(tmp_path / "x.png"))
    assert drawn is not None
    assert drawn.shape[0] >= 7.5 * min(classes, 100)


def test_names_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.fonts._installed", list)
    names = ["犬", "$x^2$", "a\tb", "_x", "very long " * 30, "\\frac", "$", ""]
    made = read_description(make_set(tmp_path, {"a": GOOD}, None, "\n".join([*names, "last\n"])))
    with pytest.warns(UserWarning, match="no installed font has the letters `犬`"):
        write_chart(tmp_path / "x.png", made, collect(made))
    assert cv2.imread(str(tmp_path / "x.png")) is not None


def test_bars_show_what_is_counted(tmp_path: Path) -> None:
    """Twice as many objects, a bar twice as long: told from the colour in the picture."""
    labels: dict[str, str | None] = {"a": "0 .5 .5 .2 .2\n" * 50 + "1 .5 .5 .2 .2\n" * 100}
    made = read_description(make_set(tmp_path, labels))
    write_chart(tmp_path / "x.png", made, collect(made))
    drawn = cv2.imread(str(tmp_path / "x.png")).astype(int)
    bars = (np.abs(drawn[:480, :600] - (0xA8, 0x6E, 0x3B)).sum(2) < 12).sum(1)
    lengths = np.unique(bars[bars > 0])
    assert lengths[-1] == pytest.approx(2 * lengths[0], rel=0.03)


@pytest.mark.parametrize("suffix", [".svg", ".PDF"])
def test_formats(tmp_path: Path, made: Description, suffix: str) -> None:
    write_chart(tmp_path / f"x{suffix}", made, collect(made))
    assert (tmp_path / f"x{suffix}").stat().st_size > 1000
    assert len([*tmp_path.glob(".cspdet*")]) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.txt", "no format of charts"), ("x", "in which format"), ("no/x.png", "no such file"), (".", "directory")],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_chart(tmp_path / name)


@pytest.mark.reference
def test_real_counts() -> None:
    """What the set's own description and grep say of it."""
    made = read_description(REFERENCE / "data" / "animals6" / "animals6.data")
    train, valid = collect(made)
    assert (len(train.per_image), len(valid.per_image)) == (3000, 642)
    lines = 0
    for part, name in ((train, "train.txt"), (valid, "val.txt")):
        stems = [Path(line).stem for line in (made.path.parent / name).read_text().split()]
        lines = sum(len((made.path.parent / "labels" / f"{stem}.txt").read_text().split()) for stem in stems) // 5
        assert len(part.rows) == lines
        assert part.left_out == part.without_labels == 0
