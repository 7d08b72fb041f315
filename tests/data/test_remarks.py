"""What was left out, and where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cspdet.data.remarks import Remarks

PLACES = st.lists(st.tuples(st.sampled_from("ab"), st.text("xy", min_size=1, max_size=2)), max_size=20)


def of(found: list[tuple[str, str]]) -> Remarks:
    remarks = Remarks()
    for what, place in found:
        remarks.add(what, place)
    return remarks


def test_few_places_are_all_named_and_of_many_the_first() -> None:
    assert [*of([("objects left out", "a.xml:3"), ("boxes cut", "b.xml:1"), ("objects left out", "a.xml:9")]).lines()] == [
        "objects left out: 2 (a.xml:3, a.xml:9)",
        "boxes cut: 1 (b.xml:1)",
    ]
    many = [("objects left out", f"a.xml:{number}") for number in range(1234)]
    assert [*of(many[:6]).lines()] == [
        "objects left out: 6 (a.xml:0, a.xml:1, a.xml:2, a.xml:3, a.xml:4, a.xml:5)",
    ]
    assert [*of(many).lines()] == [
        "objects left out: 1,234 (a.xml:0, a.xml:1, a.xml:2, a.xml:3, a.xml:4, a.xml:5 and 1,228 more)",
    ]


def test_a_place_does_not_drive_the_terminal() -> None:
    assert "\x1b" not in "".join(of([("objects left out", "\x1b[31m.xml:3")]).lines())


@given(PLACES, PLACES)
def test_joined_is_as_found_together(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    joined = of(first)
    joined.join(of(second))
    assert [*joined.lines()] == [*of(first + second).lines()]
