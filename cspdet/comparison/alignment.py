"""Which layers of two networks are the same ones: a global sequence alignment of the layers by what they are and read.

Needleman and Wunsch's dynamic programme with Gotoh's gaps, which cost something only to open, so that what was added stands
together. It is run a second time with what the first found: layers that also read the same layers then fit better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

# Points for a pair of layers, in proportion to each other: of equal type, with equal options, of equal scale, equal in all of
# that, between layers of equal types, and reading the same layers.
_TYPE, _OPTIONS, _SCALE, _IDENTICAL, _BETWEEN, _READS = -65, 90, 20, 10, 6, 15
_GAP = -12
# What the options weigh by which one recognises a layer; others weigh 1, and only where they differ.
_WEIGHTS = {"size": 4, "stride": 3, "filters": 2, "output": 2, "activation": 1}
_REST = 2
# Longer sequences are aligned piece by piece, which finds no layer that moved further than a piece is long.
_LARGEST = 640_000
_PIECE = 300

_MATCH, _FIRST, _SECOND = 0, 1, 2
_NEVER = -(10**9)


class Item(NamedTuple):
    """What alignment knows of a layer."""

    type: str
    options: tuple[tuple[str, str], ...]
    # Pixels of the input for one of its own.
    scale: tuple[float, float]
    # The types of the layers that it reads, and of those that read it.
    between: tuple[tuple[str, ...], tuple[str, ...]]
    sources: tuple[int, ...]


def align(first: Sequence[Item], second: Sequence[Item]) -> list[tuple[int | None, int | None]]:
    """Pairs of places, in order, that cover both sequences; None stands where one of them has nothing."""
    start, end = _common(first, second)
    one, two = first[start : len(first) - end], second[start : len(second) - end]
    if len(one) * len(two) > _LARGEST:
        middle = _piecewise(one, two)
    else:
        alike = _Likeness(one, two)
        middle = _optimal(len(one), len(two), alike)
        there = {place: place for place in range(start)}
        there |= {start + a: start + b for a, b in middle if a is not None and b is not None}
        there |= {len(first) - place: len(second) - place for place in range(1, end + 1)}

        def better(a: int, b: int) -> int:
            points = alike(a, b)
            return points + _reads(one[a], two[b], there) if points > _NEVER else points

        middle = _optimal(len(one), len(two), better)
    return [
        *((place, place) for place in range(start)),
        *((None if a is None else start + a, None if b is None else start + b) for a, b in middle),
        *((len(first) - place, len(second) - place) for place in range(end, 0, -1)),
    ]


def _common(first: Sequence[Item], second: Sequence[Item]) -> tuple[int, int]:
    """How many layers at the start and at the end are equal."""
    shorter = min(len(first), len(second))
    start = next((place for place in range(shorter) if first[place] != second[place]), shorter)
    end = 0
    while end < shorter - start and first[-1 - end][:-1] == second[-1 - end][:-1]:
        end += 1
    return start, end


class _Likeness:
    """Points for a pair of layers, whatever they read."""

    def __init__(self, first: Sequence[Item], second: Sequence[Item]) -> None:
        # Networks have few different layers, so each pair of kinds is looked at once.
        kinds: dict[tuple[object, ...], int] = {}
        self.first, self.second = ([kinds.setdefault(item[:-1], len(kinds)) for item in items] for items in (first, second))
        self.kinds = [*kinds]
        self.known: dict[tuple[int, int], int] = {}

    def __call__(self, a: int, b: int) -> int:
        pair = self.first[a], self.second[b]
        if pair not in self.known:
            self.known[pair] = _points(self.kinds[pair[0]], self.kinds[pair[1]])
        return self.known[pair]


def _points(one: tuple[object, ...], two: tuple[object, ...]) -> int:
    if one[0] != two[0]:
        return _NEVER
    mine, others = dict(one[1]), dict(two[1])  # type: ignore[call-overload]
    differing = sum(_WEIGHTS.get(name, 1) for name in mine.keys() | others.keys() if mine.get(name) != others.get(name))
    equal = sum(weight for name, weight in _WEIGHTS.items() if name in mine and mine[name] == others.get(name))
    points = _TYPE + _OPTIONS * (equal + _REST) // (equal + _REST + differing)
    beside = sum(mine == others for mine, others in zip(one[3], two[3], strict=True))  # type: ignore[call-overload]
    return points + _SCALE * (one[2] == two[2]) + _BETWEEN * beside + _IDENTICAL * (one[:3] == two[:3])


def _reads(one: Item, two: Item, there: dict[int, int]) -> int:
    """Points for layers that read the same ones, as far as that is known."""
    same = sum(
        there.get(mine, mine if mine < 0 else None) == other for mine, other in zip(one.sources, two.sources, strict=False)
    )
    return _READS * same // max(len(one.sources), len(two.sources), 1)


def _optimal(rows: int, columns: int, points: Callable[[int, int], int]) -> list[tuple[int | None, int | None]]:
    """The alignment with the most points; where several have them, the one whose gaps come last."""
    # Of each cell, the best way to reach it that ends in a pair, in a layer of the first, or in one of the second; `came` keeps
    # for each the kind of step before it.
    best = [[0, _NEVER, _NEVER]] + [[_NEVER, _NEVER, _GAP] for _ in range(columns)]
    came = [[bytearray(columns + 1) for _ in range(3)] for _ in range(rows + 1)]
    for b in range(2, columns + 1):
        came[0][_SECOND][b] = _SECOND
    for a in range(1, rows + 1):
        match, first, second = came[a]
        row = [[_NEVER, _GAP, _NEVER]]
        first[0] = _FIRST if a > 1 else _MATCH
        for b in range(1, columns + 1):
            before, above, left = best[b - 1], best[b], row[b - 1]
            gained = points(a - 1, b - 1)
            step = _last(before)
            match[b] = step
            paired = before[step] + gained
            opened = above[_MATCH] + _GAP, above[_FIRST], above[_SECOND] + _GAP
            first[b] = step = _last(opened)
            alone = opened[step]
            opened = left[_MATCH] + _GAP, left[_FIRST] + _GAP, left[_SECOND]
            second[b] = step = _last(opened)
            row.append([paired, alone, opened[step]])
        best = row
    found: list[tuple[int | None, int | None]] = []
    a, b, step = rows, columns, _last(best[columns])
    while a or b:
        before_step = came[a][step][b]
        if step == _MATCH:
            a, b = a - 1, b - 1
            found.append((a, b))
        elif step == _FIRST:
            a -= 1
            found.append((a, None))
        else:
            b -= 1
            found.append((None, b))
        step = before_step
    return found[::-1]


def _last(points: Sequence[int]) -> int:
    """Which of three is the largest; of equal ones the last, so that from the end gaps come first."""
    match, first, second = points
    if second >= match and second >= first:
        return _SECOND
    return _FIRST if first >= match else _MATCH


def _piecewise(first: Sequence[Item], second: Sequence[Item]) -> list[tuple[int | None, int | None]]:
    """The alignment of the first layers of both, of which half is kept, and so on from there."""
    alike = _Likeness(first, second)
    found: list[tuple[int | None, int | None]] = []
    a = b = 0
    while a < len(first) or b < len(second):
        if a < len(first) and b < len(second) and alike.first[a] == alike.second[b]:
            found.append((a, b))
            a, b = a + 1, b + 1
            continue
        rows, columns = min(_PIECE, len(first) - a), min(_PIECE, len(second) - b)
        piece = _optimal(rows, columns, lambda row, column, a=a, b=b: alike(a + row, b + column))  # type: ignore[misc]
        if a + rows < len(first) or b + columns < len(second):
            piece = piece[: len(piece) // 2]
        found += [(None if row is None else a + row, None if column is None else b + column) for row, column in piece]
        a += sum(row is not None for row, _ in piece)
        b += sum(column is not None for _, column in piece)
    return found
