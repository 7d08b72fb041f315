"""Columns and bands: maps of one size stand in one column, and a band is a way through the columns in one direction."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from cspdet.diagram.sketch import INPUT, Box, Sketch

Size = tuple[int, int]

# A detour to smaller maps of up to so many layers, as elastic blocks make, stays in the column.
_DETOUR = 4
# A box may come before so many others, to stand with those that go before.
_AHEAD = 5


class Stage(NamedTuple):
    """Boxes that follow each other in one column."""

    column: int
    band: int
    boxes: tuple[Box, ...]


def stages(sketch: Sketch) -> tuple[list[Size], list[Stage]]:
    """The height and width of each column's maps, the largest first; and the stages in order.

    A backbone goes through the columns to the right, a pyramid's neck back to the left, and so on: each way is a band.
    """
    runs = _runs(sketch)
    sizes = sorted({size for size, _ in runs}, key=lambda size: (-size[0] * size[1], size))
    found: list[Stage] = []
    band = direction = 0
    for size, boxes in runs:
        column = sizes.index(size)
        step = column - found[-1].column if found else 0
        if step * direction < 0:
            band, direction = band + 1, 0
        elif step:
            direction = step
        found.append(Stage(column, band, tuple(boxes)))
    return sizes, found


def _runs(sketch: Sketch) -> list[tuple[Size, list[Box]]]:
    """Boxes that follow each other and belong to maps of one size."""
    sizes = _sizes(sketch)
    readers = sketch.readers
    runs = [(size, [*run]) for size, run in groupby(_ordered(sketch, sizes), key=lambda box: sizes[box.key])]
    merged: list[tuple[Size, list[Box]]] = []
    for number, (size, run) in enumerate(runs):
        before = merged[-1][0] if merged else None
        after, following = runs[number + 1] if number + 1 < len(runs) else (None, [])
        near = {box.key for box in (*run, *following)}
        detour = (
            before is not None
            and before == after
            and before > size
            and sum(len(box.layers) for box in run) <= _DETOUR
            and all(readers[box.key] and {reader.key for reader in readers[box.key]} <= near for box in run)
        )
        if merged and (size == before or detour):
            merged[-1][1].extend(run)
        else:
            merged.append((size, [*run]))
    return merged


def _ordered(sketch: Sketch, sizes: dict[int, Size]) -> list[Box]:
    """The boxes, so that those of one size which are near each other follow each other."""

    def unit_of(box: Box) -> tuple[bool, int]:
        return (False, box.key) if box.stretch is None else (True, box.stretch)

    # A constant stands beside what reads it, but not within a stretch.
    starts = {box.stretch: box.key for box in reversed(sketch.boxes)}
    readers = sketch.readers

    def place(box: Box) -> tuple[int, int]:
        first = readers[box.key][0] if box.nodes and not box.reads and box.stretch is None and readers[box.key] else box
        return first.key if first.stretch is None else starts[first.stretch], box.key

    boxes = sorted(sketch.boxes, key=place)
    units = [[*unit] for _, unit in groupby(boxes, key=unit_of)]
    found: list[Box] = []
    placed: set[int] = set()
    while units:
        size = sizes[found[-1].key] if found else None
        ready = (number for number, unit in enumerate(units[:_AHEAD]) if sizes[unit[0].key] == size and _reads(unit) <= placed)
        unit = units.pop(next(ready, 0))
        found += unit
        placed.update(box.key for box in unit)
    return found


def _reads(unit: list[Box]) -> set[int]:
    """What boxes read that are none of them."""
    return {read.source for box in unit for read in box.reads} - {box.key for box in unit}


def _sizes(sketch: Sketch) -> dict[int, Size]:
    """The maps that each box belongs to: its own, those that it scales, or those of its stretch; of the input, the first."""
    sizes = {box.key: (box.shape.height, box.shape.width) for box in sketch.boxes}
    readers = sketch.readers
    for box in reversed(sketch.boxes):
        if sizes[box.key] == (1, 1):
            sizes[box.key] = max([(1, 1), *(sizes[reader.key] for reader in readers[box.key])])
    ends = {box.stretch: sizes[box.key] for box in sketch.boxes}
    found = {box.key: sizes[box.key] if box.stretch is None else ends[box.stretch] for box in sketch.boxes}
    found[INPUT] = found[sketch.boxes[1].key]
    return found
