"""From the grid to pixels: where boxes stand, and the corners of the lines between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cspdet.diagram.grid import Grid, Place
from cspdet.diagram.shapes import Point
from cspdet.diagram.sketch import Sketch
from cspdet.diagram.tracks import Tracks, tracks
from cspdet.diagram.wires import Wire, wires

BOX_HEIGHT = 21.0
LANE_WIDTH = 102.0
# What a gap takes without lines, and with each of them.
_ROW_GAP, _BAND_GAP, _LANE_GAP, _COLUMN_GAP = 22.0, 36.0, 16.0, 30.0
_TRACK = 7.0
# Below a box, its number of channels stands above the first track.
_LABEL = 17.0
_PORT = 10.0


class Layout(NamedTuple):
    """Pixels."""

    # The middles of boxes.
    centres: dict[int, Point]
    # The left and right edges of columns, and the upper and lower of bands.
    columns: tuple[tuple[float, float], ...]
    bands: tuple[tuple[float, float], ...]
    lines: dict[Wire, tuple[Point, ...]]


def layout(sketch: Sketch, grid: Grid, width: Callable[[int], float], origin: Point) -> Layout:
    """Pixels from `origin` on, for boxes that are as wide as `width` says."""
    plan = wires(sketch, grid)
    ways = tracks(plan, grid)
    starts = {lanes.start for _, lanes in grid.columns} | {grid.lanes}
    lefts, lane_gaps = _steps(
        grid.lanes, LANE_WIDTH, lambda gap: _COLUMN_GAP if gap in starts else _LANE_GAP, ways.lanes, origin[0]
    )
    ends = {rows.start for rows in grid.bands} | {grid.rows}
    tops, row_gaps = _steps(grid.rows, BOX_HEIGHT, lambda gap: _BAND_GAP if gap in ends else _ROW_GAP, ways.rows, origin[1])
    centres = {
        key: (lefts[place.lane] + LANE_WIDTH / 2, tops[place.row] + BOX_HEIGHT / 2) for key, place in grid.places.items()
    }
    columns = _between([lanes.start for _, lanes in grid.columns], [lanes.stop for _, lanes in grid.columns], lane_gaps)
    bands = _between([rows.start for rows in grid.bands], [rows.stop for rows in grid.bands], row_gaps)
    corners = _Corners(grid, ways, centres, row_gaps, lane_gaps, width)
    ports = _ports(plan, grid, width) | _side_ports(plan, ways)
    lines = {wire: corners.of(wire, ports.get(wire, 0.0)) for wire in plan}
    return Layout(centres, columns, bands, lines)


def _steps(
    count: int, length: float, base: Callable[[int], float], extra: dict[int, int], at: float
) -> tuple[list[float], list[tuple[float, float]]]:
    """Where each of `count` lanes or rows starts, and where each gap before, between and behind them starts and ends."""
    starts, gaps = [], []
    for gap in range(count + 1):
        end = at + base(gap) + _TRACK * extra.get(gap, 0)
        gaps.append((at, end))
        starts.append(end)
        at = end + length
    return starts[:count], gaps


def _between(starts: list[int], stops: list[int], gaps: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The middles of the gaps before and behind each range; the outermost gaps belong to it as a whole."""
    last = len(gaps) - 1
    return tuple(
        (
            gaps[start][0] if start == 0 else sum(gaps[start]) / 2,
            gaps[stop][1] if stop == last else sum(gaps[stop]) / 2,
        )
        for start, stop in zip(starts, stops, strict=True)
    )


def _ports(plan: list[Wire], grid: Grid, width: Callable[[int], float]) -> dict[Wire, float]:
    """How far from the middle of the target's upper edge each line arrives: those from the left at the left."""
    found: dict[Wire, float] = {}
    boxes = {*grid.places.values()}
    arrivals: dict[int, list[Wire]] = {}
    for wire in plan:
        if not wire.side:
            arrivals.setdefault(wire.target, []).append(wire)
    for target, several in arrivals.items():
        own = grid.places[target]

        def origin(wire: Wire, own: Place = own) -> float:
            came = grid.places[wire.source].lane if wire.beside is None else wire.beside - 0.5
            return came - own.lane

        several.sort(key=lambda wire: (origin(wire), -abs(grid.places[wire.source].row - own.row)))
        straight = next((place for place, wire in enumerate(several) if wire.straight), None)
        middle = (len(several) - 1) / 2 if straight is None else straight
        gap = min(_PORT, (width(target) / 2 - 9) / max(1, middle, len(several) - 1 - middle))
        shift = 0.0
        if straight is None and any(_under_another(wire, own, boxes) for wire in several) and middle == int(middle):
            shift = -gap / 2 if origin(several[int(middle)]) < 0 else gap / 2
        found |= {wire: (place - middle) * gap + shift for place, wire in enumerate(several)}
    return found


def _side_ports(plan: list[Wire], ways: Tracks) -> dict[Wire, float]:
    """How far below the middle of the target's side each line arrives: those that run nearest to it highest."""
    arrivals: dict[tuple[int, int], list[Wire]] = {}
    for wire in plan:
        if wire.side:
            arrivals.setdefault((wire.target, wire.side), []).append(wire)
    found: dict[Wire, float] = {}
    for (_, side), several in arrivals.items():
        several = sorted(several, key=lambda wire: ways.beside[wire])[::side]
        gap = min(_TRACK, (BOX_HEIGHT - 6) / max(1, len(several) - 1))
        found |= {wire: (place - (len(several) - 1) / 2) * gap for place, wire in enumerate(several)}
    return found


def _under_another(wire: Wire, target: Place, boxes: set[Place]) -> bool:
    """Whether a box stands where the line turns down, from whose middle another line may come."""
    return wire.lower is None and wire.upper is not None and Place(target.lane, wire.upper - 1) in boxes


class _Corners:
    """Turns ways into points."""

    def __init__(
        self,
        grid: Grid,
        ways: Tracks,
        centres: dict[int, Point],
        row_gaps: list[tuple[float, float]],
        lane_gaps: list[tuple[float, float]],
        width: Callable[[int], float],
    ) -> None:
        self.grid, self.ways, self.centres, self.width = grid, ways, centres, width
        self.row_gaps, self.lane_gaps = row_gaps, lane_gaps

    def of(self, wire: Wire, port: float) -> tuple[Point, ...]:
        """From the source's lower edge to the target's upper edge, or to its side."""
        x, y = self.centres[wire.source]
        points = [(x, y + BOX_HEIGHT / 2)]
        end_x, end_y = self.centres[wire.target]
        arrival = end_x if wire.side else end_x + port
        if wire.upper is not None:
            height = self.row_gaps[wire.upper][0] + _LABEL + _TRACK * self.ways.upper[wire]
            beside = arrival if wire.beside is None else self.column(wire)
            points += [(points[-1][0], height), (beside, height)]
        if wire.side:
            end_y += port
            return (*points, (points[-1][0], end_y), (end_x + wire.side * self.width(wire.target) / 2, end_y))
        if wire.lower is not None:
            height = self.row_gaps[wire.lower][0] + _LABEL + _TRACK * self.ways.lower[wire]
            points += [(points[-1][0], height), (arrival, height)]
        return (*points, (arrival, end_y - BOX_HEIGHT / 2))

    def column(self, wire: Wire) -> float:
        """Where a line runs in the gap beside its lane."""
        assert wire.beside is not None
        left, right = self.lane_gaps[wire.beside]
        room = right - left - _TRACK * (self.ways.lanes[wire.beside] - 1)
        return left + room / 2 + _TRACK * self.ways.beside[wire]
