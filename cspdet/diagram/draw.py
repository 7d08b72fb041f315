"""A network as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cspdet.analysis.kinds import COLORS, Kind, kind_of
from cspdet.analysis.table import short
from cspdet.diagram.captions import caption, channels, title, width
from cspdet.diagram.grid import Grid, grid
from cspdet.diagram.layout import BOX_HEIGHT, LANE_WIDTH, Layout, layout
from cspdet.diagram.shapes import Group, Line, Picture, Rectangle, Shape, Text
from cspdet.diagram.sketch import Box, Role, Sketch, sketch
from cspdet.graph import Graph
from cspdet.text import brief, printable

_INK, _FAINT, _PAPER = "#22262c", "#6d7580", "#ffffff"
_COLUMNS = ("#f3f5f8", "#e9edf2")
_FRAME, _FRAMED, _BADGE = "#9aa7b8", "#fdfdf6", "#6b7889"
_LINES = {Role.PLAIN: "#4d555f", Role.CONCAT: "#d9772b", Role.RESIDUAL: "#c9403f", Role.GATE: "#b0489a"}
_MARGIN, _HEADER, _LEGEND = 16.0, 56.0, 18.0
# Wide enough for what is said at the top.
_LEAST = 500.0
# Kinds whose colour takes dark letters.
_LIGHT = (Kind.POINT, Kind.OTHER)
_ROUND = (Kind.SUM, Kind.CONCAT, Kind.HEAD)
# Above the boxes, the size of a column's maps.
_TITLE = 20.0
_FRAME_MARGIN = 5.0


def draw(graph: Graph, name: str) -> Picture:
    """Columns of one resolution from left to right, layers as boxes in them from top to bottom.

    A stretch that repeats is drawn once, in a frame that says how often. Routes to one layer are lines.
    """
    drawn = sketch(graph)
    places = grid(drawn)
    boxes = {box.key: box for box in drawn.boxes}
    found = layout(drawn, places, lambda key: _width(boxes[key]), (_MARGIN, _HEADER + _TITLE))
    right = max(found.columns[-1][1], _LEAST)
    legend = [*_legend(drawn, right, found.bands[-1][1] + 24)]
    bottom = max(each.y for each in legend if isinstance(each, Text))
    picture = Picture(right + _MARGIN, bottom + _MARGIN, printable(name))
    picture.shapes += [Rectangle(0, 0, picture.width, picture.height, _PAPER), *_header(graph, name)]
    picture.shapes += _background(places, found)
    picture.shapes += _frames(drawn, found)
    picture.shapes += _wires(found)
    picture.shapes += (_box(box, *found.centres[box.key]) for box in drawn.boxes)
    picture.shapes += _numbers(drawn, found)
    picture.shapes += _badges(drawn, found)
    picture.shapes += legend
    return picture


def _width(box: Box) -> float:
    return width(box.nodes[0]) if box.nodes else LANE_WIDTH


def _header(graph: Graph, name: str) -> Iterator[Shape]:
    """Two lines of text."""
    yield Text(_MARGIN, 24, brief(printable(name), 70), 16, _INK, bold=True)
    facts = f"input {graph.input}, {len(graph.nodes)} layers, {short(graph.parameters)} parameters"
    yield Text(_MARGIN, 42, f"{facts}, {graph.operations / 1e9:.3f} BFLOPs", 11.5, _FAINT)


def _background(places: Grid, found: Layout) -> Iterator[Shape]:
    """A stripe for each column, with the size of its maps; and a line between bands."""
    top, bottom = found.bands[0][0] - _TITLE, found.bands[-1][1]
    for number, ((left, right), ((height, wide), _)) in enumerate(zip(found.columns, places.columns, strict=True)):
        yield Rectangle(left, top, right - left, bottom - top, _COLUMNS[number % 2])
        yield Text((left + right) / 2, top + 16, f"{wide}×{height}", 11, _FAINT, "middle", bold=True)
    for _, below in found.bands[:-1]:
        yield Line(((found.columns[0][0], below), (found.columns[-1][1], below)), _PAPER, 2.5, head=False)


def _frames(drawn: Sketch, found: Layout) -> Iterator[Group]:
    """A frame around each repeated stretch."""
    for stretch, rounds in drawn.rounds.items():
        inside = [box for box in drawn.boxes if box.stretch == stretch]
        left, top, right, bottom = _around(inside, found)
        frame = Rectangle(left, top, right - left, bottom - top, _FRAMED, _FRAME, 8, 1.2, dashed=True)
        layers = tuple(sorted(layer for box in inside for layer in box.layers))
        about = f"{rounds} times layers {inside[0].key} to {inside[-1].key}"
        yield Group((frame,), "stretch", layers, about)


def _badges(drawn: Sketch, found: Layout) -> Iterator[Shape]:
    """How often each stretch repeats, at the upper left of its frame."""
    for stretch, rounds in drawn.rounds.items():
        left, top, _, _ = _around([box for box in drawn.boxes if box.stretch == stretch], found)
        wide = 10 + _length(f"{rounds}", 10)
        yield Rectangle(left - 6, top - 7, wide + 6, 13, _BADGE, radius=6.5)
        yield Text(left - 3 + wide / 2, top + 3, f"×{rounds}", 10, _PAPER, "middle", bold=True)


def _around(boxes: Sequence[Box], found: Layout) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a frame around boxes."""
    points = [found.centres[box.key] for box in boxes]
    wide, high = LANE_WIDTH / 2 + _FRAME_MARGIN, BOX_HEIGHT / 2 + _FRAME_MARGIN
    left, right = min(x for x, _ in points) - wide, max(x for x, _ in points) + wide
    return left, min(y for _, y in points) - high, right, max(y for _, y in points) + high


def _wires(found: Layout) -> Iterator[Shape]:
    """The lines; where several leave a box as one, it is a plain one."""
    order = [Role.CONCAT, Role.GATE, Role.RESIDUAL, Role.PLAIN]
    for wire, points in sorted(found.lines.items(), key=lambda item: order.index(item[0].role)):
        yield Line(points, _LINES[wire.role])


def _numbers(drawn: Sketch, found: Layout) -> Iterator[Shape]:
    """Channels, below each box but heads that nothing reads."""
    readers = drawn.readers
    for box in drawn.boxes:
        if readers[box.key] or (box.nodes and kind_of(box.nodes[0]) is not Kind.HEAD):
            x, y = found.centres[box.key]
            yield Text(x + 4, y + BOX_HEIGHT / 2 + 14.5, channels(box), 9.5, _FAINT)


def _box(box: Box, x: float, y: float) -> Group:
    """A layer's box, with its number at the left."""
    wide = _width(box)
    corner = (x - wide / 2, y - BOX_HEIGHT / 2)
    shapes: tuple[Shape, ...]
    if not box.nodes:
        outline = Rectangle(*corner, wide, BOX_HEIGHT, _PAPER, _INK, 10)
        return Group((outline, Text(x, y + 4, "input", 11, _INK, "middle", bold=True)), "input", (), title(box))
    node = box.nodes[0]
    kind = kind_of(node)
    ink, faint = (_INK, "#3d5a78") if kind in _LIGHT else (_PAPER, "#dfe5ec")
    number, text = f"{node.index}", caption(node)
    before = 6 + _length(number, 8)
    size = min(11.0, (wide - before - 8) / _length(text, 1))
    shapes = (
        Rectangle(*corner, wide, BOX_HEIGHT, COLORS[kind], radius=10 if kind in _ROUND else 4),
        Text(corner[0] + 5, y + 3, number, 8, faint),
        Text(x + before / 2 - 2, y + 0.36 * size, text, size, ink, "middle", bold=kind is Kind.HEAD),
    )
    return Group(shapes, "layer", tuple(box.layers), title(box))


def _legend(drawn: Sketch, right: float, y: float) -> Iterator[Shape]:
    """The kinds of boxes and lines that there are, in rows that end at `right`."""
    there = {kind_of(box.nodes[0]) for box in drawn.boxes if box.nodes}
    roles = {read.role for box in drawn.boxes for read in box.reads} - {Role.PLAIN}
    entries: list[tuple[Kind | Role | None, str]] = [(each, each.value) for each in (*Kind, *Role) if each in there | roles]
    x = _MARGIN
    for each, text in [*entries, (None, "numbers below boxes: channels")]:
        wide = 24 + _length(text, 10.5)
        if x + wide > right and x > _MARGIN:
            x, y = _MARGIN, y + _LEGEND
        if isinstance(each, Kind):
            yield Rectangle(x, y - 9, 18, 11, COLORS[each], radius=3)
        elif each:
            yield Line(((x, y - 4), (x + 20, y - 4)), _LINES[each])
        yield Text(x + 24 * (each is not None), y, text, 10.5, _INK if each else _FAINT)
        x += wide + 16


def _length(text: str, size: float) -> float:
    """About how wide letters are."""
    return 0.59 * size * len(text)
