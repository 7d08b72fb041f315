"""Ways of lines between boxes, in terms of the grid: along lanes, between lanes and between rows, never through a box."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cspdet.diagram.grid import Grid, Place
from cspdet.diagram.sketch import Read, Role, Sketch


class Wire(NamedTuple):
    """A line from the bottom of a box to another box.

    It may go sideways in the gap `upper`, below its source, and in the gap `lower`, above its target; gap n lies above row n.
    Between them it goes along the gap `beside` of the lanes, where gap n lies left of lane n, or along a lane. With `side`
    it arrives at the target's left (-1) or right (1), else from above.
    """

    source: int
    target: int
    role: Role
    upper: int | None = None
    beside: int | None = None
    lower: int | None = None
    side: int = 0

    @property
    def straight(self) -> bool:
        """Whether it only goes down."""
        return self.upper is None and self.lower is None


class _Run(NamedTuple):
    """A line along a lane, from one row to another, both excluded."""

    wire: Wire
    start: int
    stop: int


def wires(sketch: Sketch, grid: Grid) -> list[Wire]:
    """The lines of all boxes; short ones choose their way first."""
    plan = _Plan(grid)
    reads = [(read, box.key) for box in sketch.boxes for read in box.reads]
    return [plan.route(read, target) for read, target in sorted(reads, key=lambda each: plan.order(*each))]


class _Plan:
    """What is taken already."""

    def __init__(self, grid: Grid) -> None:
        self.places = grid.places
        self.boxes = set(grid.places.values())
        self.columns = {lane: lanes for _, lanes in grid.columns for lane in lanes}
        self.runs: dict[int, list[_Run]] = {}

    def order(self, read: Read, target: int) -> tuple[bool, int, int, int]:
        """Straight lines first, then short ones."""
        start, end = self.places[read.source], self.places[target]
        return start.lane != end.lane, abs(end.row - start.row) + abs(end.lane - start.lane), target, read.source

    def route(self, read: Read, target: int) -> Wire:
        """The first of the ways that is free; the last always is."""
        for wire, lane in self._ways(read, target):
            if lane is None or self._free(wire, lane):
                if lane is not None:
                    start, end = self.places[wire.source], self.places[target]
                    self.runs.setdefault(lane, []).append(_Run(wire, start.row, end.row))
                return wire
        raise AssertionError("there is always a way beside the lanes")

    def _ways(self, read: Read, target: int) -> Iterator[tuple[Wire, int | None]]:
        """Ways from the best on, each with the lane that it runs along."""
        start, end = self.places[read.source], self.places[target]
        bare = Wire(read.source, target, read.role)
        down = end.row > start.row
        if down and start.lane == end.lane:
            yield bare, end.lane
        elif down:
            yield bare._replace(upper=start.row + 1), end.lane
            yield bare._replace(lower=end.row), start.lane
        if self.columns[start.lane] == self.columns[end.lane]:
            right = start.lane >= end.lane
            yield bare._replace(upper=start.row + 1, beside=end.lane + right, side=1 if right else -1), None
        lanes = self.columns[end.lane]
        beside = lanes.start if start.lane < lanes.start else lanes.stop
        yield bare._replace(upper=start.row + 1, beside=beside, lower=end.row), None

    def _free(self, wire: Wire, lane: int) -> bool:
        """Whether nothing stands or runs in the lane between source and target, but what belongs to the same box."""
        start, end = self.places[wire.source].row, self.places[wire.target].row
        if any(Place(lane, row) in self.boxes for row in range(start + 1, end)):
            return False
        others = (run for run in self.runs.get(lane, []) if run.start < end and start < run.stop)
        return all(
            run.wire.target == wire.target if wire.upper is not None else run.wire.source == wire.source for run in others
        )
