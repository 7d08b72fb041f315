"""Repeated stretches: found where they are, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.diagram.repeats import Repeat, repeats


def chain(signs: str) -> list[list[int]]:
    return [[place - 1] for place in range(len(signs))]


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        ("abababab", [(0, 2, 4)]),
        ("xabababy", [(1, 2, 3)]),
        ("aaaa", [(0, 1, 4)]),
        ("aa", []),
        ("aab", []),
        ("abab", [(0, 2, 2)]),
        ("abcabcxabab", [(0, 3, 2), (7, 2, 2)]),
        ("aaabaaab", [(0, 4, 2)]),
        ("", []),
        ("abcd", []),
    ],
)
def test_chains(signs: str, found: list[tuple[int, int, int]]) -> None:
    assert repeats(signs, chain(signs)) == [Repeat(*each) for each in found]


def test_residual_blocks() -> None:
    """Whose first convolution looks like the one before them."""
    signs = "a" + "ab+" * 8 + "a"
    reads = chain(signs)
    for place, sign in enumerate(signs):
        if sign == "+":
            reads[place].append(place - 3)
    assert repeats(signs, reads) == [Repeat(1, 3, 8)]


def test_dense_blocks() -> None:
    """Every concatenation reads the one before, and so all before it."""
    signs = "p" + "abc" * 6
    reads = chain(signs)
    for place in range(3, len(signs), 3):
        reads[place].append(place - 3)
    assert repeats(signs, reads) == [Repeat(1, 3, 6)]


def test_a_stretch_ends_where_something_else_reads_it() -> None:
    """The neck of YOLOv4: three rounds, of the last of which the middle goes on to the next scale."""
    signs = "abababxy"
    reads = chain(signs)
    reads[7] = [4]
    assert repeats(signs, reads) == [Repeat(0, 2, 2)]
    # All of the maps are read: an aggregation of layers, not a repetition.
    aggregated = chain("aaaac")
    aggregated[4] = [3, 2, 1, 0]
    assert repeats("aaaac", aggregated) == []


@st.composite
def nets(draw: st.DrawFn) -> tuple[str, list[list[int]]]:
    signs = draw(st.text("abc", max_size=30))
    return signs, [
        [place - 1, *draw(st.lists(st.integers(max(-1, place - 6), place - 1), max_size=1))] for place in range(len(signs))
    ]


@given(nets())
def test_what_holds_of_all(net: tuple[str, list[list[int]]]) -> None:
    signs, reads = net
    found = repeats(signs, reads)
    ends = [0, *(each.stop for each in found)]
    assert all(each.start >= end for each, end in zip(found, ends, strict=False))
    for start, length, rounds in found:
        assert length * (rounds - 1) > 1
        stop = start + length * rounds
        for place in range(start, stop):
            turn, within = divmod(place - start, length)
            assert signs[place] == signs[start + within]
            assert [source - place for source in reads[place]] == [source - start - within for source in reads[start + within]]
            # It reads its own round, or what came right before it.
            assert all(source >= start + turn * length - 1 for source in reads[place])
            readers = [reader for reader in range(len(signs)) if place in reads[reader]]
            if within < length - 1:
                assert all(reader < start + (turn + 1) * length for reader in readers)
            elif turn < rounds - 1:
                assert all(reader < start + (turn + 2) * length for reader in readers)
