"""Label files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.data.labels import label_text, parse_labels, read_labels
from tests.conftest import reference_files

SHARES = st.floats(0, 1, width=32)
ROWS = st.lists(st.tuples(st.integers(0, 99_999), SHARES, SHARES, SHARES, SHARES), max_size=20)


@given(ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["", "\ufeff"]), st.booleans())
def test_what_is_written_is_read(rows: list[tuple[float, ...]], end: str, mark: str, blank: bool) -> None:
    array = np.array(rows, np.float64).reshape(-1, 5)
    text = mark + label_text(array).replace("\n", end + (end if blank else ""))
    found = parse_labels(text)
    np.testing.assert_allclose(found.rows, array, atol=1e-6)
    assert (found.rows[:, 0] == array[:, 0]).all()
    assert found.lines == tuple(range(1, (1 + blank) * len(rows) + 1, 1 + blank))
    assert [fault.code for fault in found.faults] == ["marked-labels"] * bool(mark)


@given(st.text(st.sampled_from("0123456789.-+eE ,\t\n\r\v\fx\u00a0\u0663")) | st.text())
def test_any_text_is_read_line_by_line(text: str) -> None:
    found = parse_labels(text)
    assert found.rows.shape == (len(found.lines), 5)
    assert found.rows.dtype == np.float32
    assert np.isfinite(found.rows).all()
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    told = {*found.lines, *(fault.line for fault in found.faults if fault.code == "malformed-label")}
    blank = {number for number, line in enumerate(lines, 1) if not line.strip(" \t\v\f")}
    assert told | blank == {*range(1, len(lines) + 1)}
    assert not told & blank


@given(st.lists(st.floats(), min_size=4, max_size=4), st.integers())
def test_numbers_of_all_kinds(box: list[float], number: int) -> None:
    found = parse_labels(f"{number} {' '.join(map(repr, box))}")
    good = all(abs(value) < 1e9 for value in box) and abs(number) < 10**7
    assert len(found.lines) == good == (not found.faults)
    if good:
        np.testing.assert_array_equal(found.rows[0], np.array([number, *box], np.float32))


@pytest.mark.parametrize(
    "line",
    [
        "0 .5 0.5 5e-1 +0.5",
        " 0\t.5  .5 .5 .5 ",
        "+0 0.5 0.5 0.5 0.5",
        "00 0.50000000000000000001 .5 .5 .5",
        "0 .5 .5 .5 .5\v\f",
    ],
)
def test_spellings_that_c_reads_as_well(line: str) -> None:
    assert parse_labels(line).rows.tolist() == [[0, 0.5, 0.5, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("line", "message", "cure"),
    [
        ("0 0.5 0.5 0.5", "has 4 values; a label has 5", "class x y width height"),
        ("0 0.5 0.5 0.5 0.5 0.9", "has 6 values", "class x y width height"),
        ("0 .1 .1 .2 .2 .3 .1", "has 7 values, as an outline has", "only boxes"),
        ("cat .5 .5 .5 .5", "`cat` is not the number of a class", "counted from 0"),
        ("0.0 .5 .5 .5 .5", "`0.0` is not the number of a class", "whole numbers"),
        ("123456789 .5 .5 .5 .5", "`123456789` is not the number of a class", ""),
        ("٣ .5 .5 .5 .5", "is not the number of a class", ""),
        ("0 .5 .5 .5 x", "`x` is not a number", "class x y width height"),
        ("0 0,5 .5 .5 .5", "`0,5` is not a number", "write `0.5`"),
        ("0 1_0 .5 .5 .5", "`1_0` is not a number", ""),
        ("0 ٠ .5 .5 .5", "is not a number", ""),
        ("0 nan .5 .5 .5", "`nan` is not a number", ""),
        ("0 .5 inf .5 .5", "`inf` is not a number", ""),
        ("0 .5 .5 1e999 .5", "the numbers are too large", ""),
        ("0 .5 .5 -1e9 .5", "the numbers are too large", ""),
        ("0, .5, .5, .5, .5", "`0,` is not the number of a class", ""),
        ('{"class": 0}', "has 2 values", ""),
        ("0 .5 .5 .5 " + "9" * 100_000, "…", ""),
    ],
)
def test_a_line_that_is_no_label(line: str, message: str, cure: str) -> None:
    found = parse_labels(f"0 .5 .5 .5 .5\n{line}\n1 .5 .5 .5 .5\n")
    assert found.lines == (1, 3)
    (fault,) = found.faults
    assert (fault.line, fault.code, fault.severity) == (2, "malformed-label", "error")
    assert message in fault.message
    assert cure in fault.help
    assert len(fault.message) < 200


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\t\r\n"])
def test_a_file_without_objects(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    found = read_labels(tmp_path / "a.txt")
    assert found.rows.shape == (0, 5)
    assert {fault.code for fault in found.faults} <= {"marked-labels"}


def test_a_file_that_is_not_there_or_not_readable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none.txt", tmp_path / "file" / "none.txt"):
        (fault,) = read_labels(path).faults
        assert (fault.line, fault.code, fault.severity) == (0, "missing-labels", "warning")
        assert str(path) in fault.help
    for path in (tmp_path, Path("a\0b"), tmp_path / ("x" * 5000)):
        (fault,) = read_labels(path).faults
        assert (fault.line, fault.code, fault.severity) == (0, "unreadable-labels", "error")


@pytest.mark.parametrize("data", ["0 .5 .5 .5 .5\n".encode("utf-16"), bytes(range(256)), b"\x89PNG\r\n\x1a\n\0\0"])
def test_a_file_that_is_something_else(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    found = read_labels(tmp_path / "a.txt")
    assert not len(found.rows)
    assert {fault.code for fault in found.faults} == {"malformed-label"}


@pytest.mark.reference
@pytest.mark.parametrize("folder", reference_files("data/*/labels"), ids=lambda path: path.parent.name)
def test_real_labels(folder: Path) -> None:
    files = sorted(folder.rglob("*.txt"))[:500]
    assert len(files) > 100
    for path in files:
        found = read_labels(path)
        assert not found.faults
        lines = [line for line in path.read_text("ascii").split("\n") if line]
        np.testing.assert_allclose(found.rows, np.array([line.split() for line in lines], float).reshape(-1, 5), atol=1e-6)
