"""Places of boxes: a grid of lanes, several to a column, and rows, several to a band."""

from __future__ import annotations

from typing import NamedTuple

from cspdet.diagram.sketch import Box, Sketch
from cspdet.diagram.stages import Size, Stage, stages


class Place(NamedTuple):
    """Where a box stands, counted from the upper left."""

    lane: int
    row: int


class Grid(NamedTuple):
    """The boxes in their places, and which lanes and rows belong together."""

    places: dict[int, Place]
    # Of each column, the size of its maps, and its lanes.
    columns: tuple[tuple[Size, range], ...]
    # Of each band, its rows.
    bands: tuple[range, ...]

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return self.columns[-1][1].stop

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.bands[-1].stop


class _Item(NamedTuple):
    """A box, or a whole stretch, in the places that it takes from its own upper left."""

    places: dict[int, Place]
    reads: tuple[int, ...]

    @property
    def width(self) -> int:
        return 1 + max(place.lane for place in self.places.values())

    @property
    def height(self) -> int:
        return 1 + max(place.row for place in self.places.values())


def grid(sketch: Sketch) -> Grid:
    """A place for every box: below those that it reads, in their lane if that is free."""
    sizes, found = stages(sketch)
    cells = [_arranged(_items(stage.boxes)) for stage in found]
    widths, heights = [0] * len(sizes), [0] * (1 + found[-1].band)
    tops = _tops(found, cells)
    for stage, cell, top in zip(found, cells, tops, strict=True):
        widths[stage.column] = max(widths[stage.column], 1 + max(place.lane for place in cell.values()))
        heights[stage.band] = max(heights[stage.band], top + 1 + max(place.row for place in cell.values()))
    lanes, rows = _ranges(widths), _ranges(heights)
    places = {
        key: Place(lanes[stage.column].start + place.lane, rows[stage.band].start + top + place.row)
        for stage, cell, top in zip(found, cells, tops, strict=True)
        for key, place in cell.items()
    }
    return Grid(places, tuple(zip(sizes, lanes, strict=True)), tuple(rows))


def _tops(found: list[Stage], cells: list[dict[int, Place]]) -> list[int]:
    """The rows that each cell starts below the top of its band: there may be several cells in one place."""
    heights: dict[tuple[int, int], int] = {}
    tops = []
    for stage, cell in zip(found, cells, strict=True):
        place = stage.column, stage.band
        tops.append(heights.get(place, 0))
        heights[place] = tops[-1] + 1 + max(each.row for each in cell.values())
    return tops


def _ranges(lengths: list[int]) -> list[range]:
    found, start = [], 0
    for length in lengths:
        found.append(range(start, start + length))
        start += length
    return found


def _items(boxes: tuple[Box, ...]) -> list[_Item]:
    """Boxes, with those of one stretch as one item."""
    items: list[_Item] = []
    taken: set[int] = set()
    for box in boxes:
        if box.key in taken:
            continue
        if box.stretch is None:
            items.append(_Item({box.key: Place(0, 0)}, tuple(read.source for read in box.reads)))
            continue
        inside = [each for each in boxes if each.stretch == box.stretch]
        places = _arranged([_Item({each.key: Place(0, 0)}, tuple(read.source for read in each.reads)) for each in inside])
        reads = tuple(read.source for each in inside for read in each.reads if read.source not in places)
        items.append(_Item(places, reads))
        taken.update(places)
    return items


def _arranged(items: list[_Item]) -> dict[int, Place]:
    """Rows by the longest way from the top; lanes so that nothing overlaps."""
    found: dict[int, Place] = {}
    taken: set[Place] = set()

    def free(lane: int, row: int, width: int, height: int) -> bool:
        return not any(Place(x, y) in taken for x in range(lane, lane + width) for y in range(row, row + height))

    for item in items:
        inside = [found[source] for source in item.reads if source in found]
        row = max((place.row + 1 for place in inside), default=0)
        # Below what it reads: below the leftmost of several, else below the one.
        wanted = [place for place in sorted(inside) if free(place.lane, place.row + 1, 1, row - place.row - 1)]
        lanes = [place.lane for place in wanted if free(place.lane, row, item.width, item.height)]
        lane = lanes[0] if lanes else min((place.lane for place in inside), default=0)
        above = next((place for place in wanted if place.lane == lane), None) if lanes else None
        while not free(lane, row, item.width, item.height):
            lane += 1
        top = above.row + 1 if above else row
        # The way down from there is taken, too: a line runs through it.
        taken.update(Place(lane, each) for each in range(top, row))
        taken.update(Place(lane + x, row + y) for x in range(item.width) for y in range(item.height))
        found.update({key: Place(lane + place.lane, row + place.row) for key, place in item.places.items()})
    return found
