"""The alignment of layers, against an exhaustive one."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from cspdet.comparison.alignment import _GAP, _NEVER, Item, _optimal, align

Pairs = list[tuple[int | None, int | None]]


def points_of(pairs: Pairs, table: list[list[int]]) -> int:
    """What an alignment is worth: its pairs, less the gaps it opens."""
    total, before = 0, ""
    for a, b in pairs:
        if a is not None and b is not None:
            total, before = total + table[a][b], ""
        else:
            side = "first" if b is None else "second"
            total, before = total + (_GAP if side != before else 0), side
    return total


def best(table: list[list[int]], rows: int, columns: int) -> int:
    """The most that any alignment is worth, by trying all of them."""

    @cache
    def rest(a: int, b: int, before: str) -> int:
        if a == rows and b == columns:
            return 0
        found = []
        if a < rows and b < columns and table[a][b] > _NEVER:
            found.append(table[a][b] + rest(a + 1, b + 1, ""))
        if a < rows:
            found.append(rest(a + 1, b, "first") + (_GAP if before != "first" else 0))
        if b < columns:
            found.append(rest(a, b + 1, "second") + (_GAP if before != "second" else 0))
        return max(found)

    return rest(0, 0, "")


@given(st.data(), st.integers(0, 7), st.integers(0, 7))
def test_no_alignment_is_worth_more(data: st.DataObject, rows: int, columns: int) -> None:
    worth = st.one_of(st.integers(-40, 60), st.just(_NEVER))
    table = data.draw(st.lists(st.lists(worth, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    pairs = _optimal(rows, columns, lambda a, b: table[a][b])
    assert [a for a, _ in pairs if a is not None] == [*range(rows)]
    assert [b for _, b in pairs if b is not None] == [*range(columns)]
    assert points_of(pairs, table) == best(table, rows, columns)


items = st.builds(
    Item,
    st.sampled_from(["convolutional", "route", "maxpool"]),
    st.sampled_from([(("filters", "8"), ("size", "3")), (("filters", "16"), ("size", "3")), (("filters", "8"), ("size", "1"))]),
    st.sampled_from([(1.0, 1.0), (2.0, 2.0)]),
    st.just(((), ())),
    st.lists(st.integers(-1, 4), max_size=2).map(tuple),
)


@given(st.lists(items, max_size=9), st.lists(items, max_size=9))
def test_an_alignment_covers_both_in_order_and_pairs_only_equal_types(first: list[Item], second: list[Item]) -> None:
    pairs = align(first, second)
    assert [a for a, _ in pairs if a is not None] == [*range(len(first))]
    assert [b for _, b in pairs if b is not None] == [*range(len(second))]
    assert all(a is None or b is None or first[a].type == second[b].type for a, b in pairs)
    assert all((a, b) != (None, None) for a, b in pairs)


@given(st.lists(items, max_size=9))
def test_a_sequence_is_aligned_with_itself(sequence: list[Item]) -> None:
    assert align(sequence, sequence) == [(place, place) for place in range(len(sequence))]


def test_thousands_of_layers_take_a_moment() -> None:
    kinds = [Item("convolutional", (("filters", str(number)),), (1.0, 1.0), ((), ()), (0,)) for number in range(7)]
    first = [kinds[number * number % 7] for number in range(6000)]
    second = [kinds[0], *first[:3000], kinds[5], kinds[5], *first[3000:], kinds[1]]
    pairs = align(first, second)
    assert sum(a is not None and b is not None for a, b in pairs) >= 5900
