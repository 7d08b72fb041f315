"""Diagnostics as people and machines read them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.diagnostic import Diagnostic, Label, Severity, count, in_order, render
from cspdet.cfg.source import Source, Span
from cspdet.rules import examine
from cspdet.text import printable

HEAD = """[net]
width=32
height=32
channels=3

[convolutional]
filters=255
activation=linear

[yolo]
classes=2
mask=0,1,2
num=3
anchors=1,1, 2,2, 3,3
"""


def span(source: Source, text: str, nth: int = 0) -> Span:
    """Where `text` stands in `source`."""
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def diagnostic(text: str, marked: str, severity: Severity = "error", label: str = "here", **more: object) -> Diagnostic:
    source = Source("net.cfg", text)
    return Diagnostic(severity, "some-code", "a fact", Label(span(source, marked), label), **more)  # type: ignore[arg-type]


def test_a_whole_diagnostic() -> None:
    _, (found,) = examine(Source("net.cfg", HEAD))
    assert render(found) == (
        "error[head-filters]: a head with 2 classes and 3 anchors reads 21 channels, not 255\n"
        "  --> net.cfg:7:9\n"
        "   |\n"
        " 7 | filters=255\n"
        "   |         ^^^ layer 0 makes 255\n"
        "11 | classes=2\n"
        "   |         - 2 classes\n"
        "12 | mask=0,1,2\n"
        "   |      ----- 3 anchors\n"
        "   |\n"
        "   = help: set `filters=21`: (2 classes + 5) × 3 anchors"
    )


def test_without_label_text_and_help() -> None:
    assert render(diagnostic("[net]\nwidth = 0\n", "0", "warning", "")) == (
        "warning[some-code]: a fact\n"
        " --> net.cfg:2:9\n"
        "  |\n"
        "2 | width = 0\n"
        "  |         ^"
    )  # fmt: skip


def test_several_labels_of_one_line_stand_below_it() -> None:
    source = Source("net.cfg", "[net]\nsteps=9,4\nscales=1,2\n")
    others = (Label(span(source, "steps"), "named here"), Label(span(source, "scales"), "and here"))
    found = Diagnostic("note", "some-code", "a fact", Label(span(source, "9,4"), "the order"), others, "sort them")
    assert render(found) == (
        "note[some-code]: a fact\n"
        " --> net.cfg:2:7\n"
        "  |\n"
        "2 | steps=9,4\n"
        "  |       ^^^ the order\n"
        "  | ----- named here\n"
        "3 | scales=1,2\n"
        "  | ------ and here\n"
        "  |\n"
        "  = help: sort them"
    )


@pytest.mark.parametrize(
    ("line", "marked", "shown", "marks"),
    [
        ("\twidth=\t32", "32", "    width=    32", "              ^^ here"),
        ("tree=größe.tree x", "x", "tree=größe.tree x", "                ^ here"),
        ("tree=木.tree x", "x", "tree=木.tree x", "             ^ here"),
        ("tree=木木 x", "木木", "tree=木木 x", "     ^^^^ here"),
        ("tree=\tx", "\t", "tree=    x", "     ^^^^ here"),
        ("a=\x1b[31mred", "red", "a=\ufffd[31mred", "       ^^^ here"),
        ("a=\u202eb", "b", "a=\ufffdb", "   ^ here"),
    ],
    ids=["tabs", "accents", "wide", "wide marked", "tab marked", "escape", "right to left"],
)
def test_carets_stand_below_what_they_mark(line: str, marked: str, shown: str, marks: str) -> None:
    rows = render(diagnostic(f"[net]\n{line}\n", marked)).splitlines()
    assert rows[3:] == [f"2 | {shown}", f"  | {marks}"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""], ids=["unix", "windows", "old mac", "no end"])
def test_line_ends_are_not_shown(end: str) -> None:
    rows = render(diagnostic(f"[net]{end or chr(10)}a=1{end}", "1")).splitlines()
    assert rows[3:] == ["2 | a=1", "  |   ^ here"]


def test_numbers_of_lines_are_aligned() -> None:
    source = Source("net.cfg", "a=1\n" * 120)
    others = (Label(span(source, "1", 8), "first"),)
    rows = render(Diagnostic("error", "some-code", "a fact", Label(span(source, "1", 99)), others, "look")).splitlines()
    assert rows[1:] == [
        "   --> net.cfg:100:3",
        "    |",
        "  9 | a=1",
        "    |   - first",
        "100 | a=1",
        "    |   ^",
        "    |",
        "    = help: look",
    ]


def test_an_empty_span_gets_one_caret() -> None:
    source = Source("net.cfg", "")
    rows = render(Diagnostic("error", "some-code", "a fact", Label(Span(source, 0, 0), "nothing"))).splitlines()
    assert rows == ["error[some-code]: a fact", " --> net.cfg:1:1", "  |", "1 |", "  | ^ nothing"]


def test_a_span_over_several_lines_is_marked_on_its_first() -> None:
    source = Source("net.cfg", "[net]\nwidth=32\nheight=32\n")
    rows = render(Diagnostic("error", "some-code", "a fact", Label(Span(source, 6, 20)))).splitlines()
    assert rows[3:] == ["2 | width=32", "  | ^^^^^^^^"]


@pytest.mark.parametrize("before", [0, 69, 70, 139, 140, 1_000_000])
def test_long_lines_are_cut_around_the_label(before: int) -> None:
    rows = render(diagnostic("a" * before + "X" + "b" * 1_000_000, "X")).splitlines()
    source_row, mark_row = rows[3], rows[4]
    assert max(map(len, rows)) < 200
    assert f":1:{before + 1}" in rows[1]
    assert source_row[mark_row.index("^")] == "X"


def test_long_spans_are_cut() -> None:
    rows = render(diagnostic("a=" + "1" * 1_000_000, "1" * 1_000_000)).splitlines()
    assert max(map(len, rows)) < 200
    assert rows[4].startswith("  |   ^^^^")


def test_control_characters_do_not_reach_the_terminal() -> None:
    source = Source("net.cfg", "a=\x1b]0;title\x07\n")
    found = Diagnostic("error", "some-code", "\x1b[2J", Label(span(source, "a="), "\x07\n"), (), "\x9b1m\x7f")
    text = render(found)
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count("\ufffd") == 7
    assert len(text.splitlines()) == 7


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40))
def test_printable_keeps_what_can_be_shown(text: str) -> None:
    found = printable(text)
    assert found.isprintable()
    assert len(found) == len(text)
    assert all(after in (before, "\ufffd") for before, after in zip(text, found, strict=True))


@pytest.mark.parametrize(("severity", "color"), [("error", "31"), ("warning", "33"), ("note", "36")])
def test_colours_change_no_letter(severity: Severity, color: str) -> None:
    found = diagnostic("[net]\nwidth=0\n", "0", severity, help="a cure")
    painted = render(found, color=True)
    assert f"\x1b[1;{color}m{severity}[some-code]\x1b[0m: a fact" in painted
    assert f"\x1b[1;{color}m^ here\x1b[0m" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == render(found)


def test_json() -> None:
    _, (found,) = examine(Source("net.cfg", HEAD))
    assert json.loads(json.dumps(found.to_json())) == {
        "severity": "error",
        "code": "head-filters",
        "message": "a head with 2 classes and 3 anchors reads 21 channels, not 255",
        "file": "net.cfg",
        "line": 7,
        "column": 9,
        "end_line": 7,
        "end_column": 12,
        "label": "layer 0 makes 255",
        "help": "set `filters=21`: (2 classes + 5) × 3 anchors",
        "others": [
            {"file": "net.cfg", "line": 12, "column": 6, "end_line": 12, "end_column": 11, "label": "3 anchors"},
            {"file": "net.cfg", "line": 11, "column": 9, "end_line": 11, "end_column": 10, "label": "2 classes"},
        ],
        "edits": [{"file": "net.cfg", "line": 7, "column": 9, "end_line": 7, "end_column": 12, "text": "21"}],
    }


def test_order_is_that_of_the_text_and_the_worst_comes_first() -> None:
    source, other = Source("b.cfg", "abc\ndef\n"), Source("a.cfg", "abc\n")

    def make(severity: Severity, source: Source, start: int) -> Diagnostic:
        return Diagnostic(severity, "some-code", "a fact", Label(Span(source, start, start + 1)))

    expected = [
        make("note", other, 2),
        make("error", source, 0),
        make("error", source, 4),
        make("warning", source, 4),
        make("note", source, 4),
        make("error", source, 5),
    ]
    assert in_order([*reversed(expected), *expected]) == tuple(expected)
    assert in_order([]) == ()


@pytest.mark.parametrize(
    ("severities", "text"),
    [
        ("", ""),
        ("e", "1 error"),
        ("www", "3 warnings"),
        ("nenw", "1 error, 1 warning, 2 notes"),
    ],
)
def test_count(severities: str, text: str) -> None:
    names: dict[str, Severity] = {"e": "error", "w": "warning", "n": "note"}
    assert count(diagnostic("a", "a", names[each]) for each in severities) == text
