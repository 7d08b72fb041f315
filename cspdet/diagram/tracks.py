"""Tracks: which lines run beside each other in a gap, so that none lies upon another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from cspdet.diagram.grid import Grid
from cspdet.diagram.wires import Wire

# Ends of lines closer than this, in lanes or rows, would touch.
_MARGIN = 0.3


class Tracks(NamedTuple):
    """The track of each line in each gap, from the left or the top; and how many there are in each gap."""

    upper: dict[Wire, int]
    lower: dict[Wire, int]
    beside: dict[Wire, int]
    rows: dict[int, int]
    lanes: dict[int, int]


class _Span(NamedTuple):
    """From where to where the lines of one box go along a gap."""

    start: float
    stop: float
    wires: tuple[Wire, ...]


def tracks(wires: Iterable[Wire], grid: Grid) -> Tracks:
    """A track for every line in every gap that it goes along.

    Lines that leave the same box share a track. Those that leave run above those that arrive, and those that arrive at the
    right of a lane run left of those that arrive at the left of the next one.
    """
    wires = [*wires]
    upper, above = _assign({each: each.upper for each in wires if each.upper is not None}, lambda wire: _across(wire, grid))
    lower, below = _assign({each: each.lower for each in wires if each.lower is not None}, lambda wire: _arriving(wire, grid))
    near = {each: each.beside for each in wires if each.beside is not None and each.side > 0}
    far = {each: each.beside for each in wires if each.beside is not None and each.side <= 0}
    left, lefts = _assign(near, lambda wire: _along(wire, grid))
    right, rights = _assign(far, lambda wire: _along(wire, grid))
    rows = {gap: above.get(gap, 0) + below.get(gap, 0) for gap in {*above, *below}}
    lanes = {gap: lefts.get(gap, 0) + rights.get(gap, 0) for gap in {*lefts, *rights}}
    # Arrivals are counted from below, and from the right.
    lower = {wire: rows[gap] - 1 - lower[wire] for wire in lower if (gap := wire.lower) is not None}
    right = {wire: lanes[gap] - 1 - right[wire] for wire in right if (gap := wire.beside) is not None}
    return Tracks(upper, lower, left | right, rows, lanes)


def _assign(gaps: Mapping[Wire, int], span: Callable[[Wire], tuple[float, float]]) -> tuple[dict[Wire, int], dict[int, int]]:
    """The first free track of each line, short ones first; and the number of tracks of each gap."""
    bundles: dict[tuple[int, int], list[Wire]] = {}
    for wire, gap in gaps.items():
        bundles.setdefault((gap, wire.source), []).append(wire)
    found: dict[Wire, int] = {}
    counts: dict[int, int] = {}
    taken: dict[tuple[int, int], list[_Span]] = {}
    spans = []
    for (gap, _), bundle in bundles.items():
        ends = [span(wire) for wire in bundle]
        spans.append((gap, _Span(min(start for start, _ in ends), max(stop for _, stop in ends), tuple(bundle))))
    for gap, each in sorted(spans, key=lambda pair: (pair[1].stop - pair[1].start, pair[1].start, pair[1].wires[0].target)):
        track = 0
        while any(
            each.start < other.stop + _MARGIN and other.start < each.stop + _MARGIN for other in taken.get((gap, track), [])
        ):
            track += 1
        taken.setdefault((gap, track), []).append(each)
        counts[gap] = max(counts.get(gap, 0), track + 1)
        found |= dict.fromkeys(each.wires, track)
    return found, counts


def _across(wire: Wire, grid: Grid) -> tuple[float, float]:
    """From the source's lane to the lane or the gap that it goes on along."""
    start = grid.places[wire.source].lane
    end = grid.places[wire.target].lane if wire.beside is None else wire.beside - 0.5
    return min(start, end), max(start, end)


def _arriving(wire: Wire, grid: Grid) -> tuple[float, float]:
    """From the lane or the gap that it comes along to the target's lane."""
    start = grid.places[wire.source].lane if wire.beside is None else wire.beside - 0.5
    end = grid.places[wire.target].lane
    return min(start, end), max(start, end)


def _along(wire: Wire, grid: Grid) -> tuple[float, float]:
    """From below the source to above the target, or to its side."""
    start = grid.places[wire.source].row + 0.5
    end = grid.places[wire.target].row - (0.0 if wire.side else 0.5)
    return min(start, end), max(start, end)
