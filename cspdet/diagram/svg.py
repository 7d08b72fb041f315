"""A picture as SVG text."""

from __future__ import annotations

from collections.abc import Iterable
from math import dist
from xml.sax.saxutils import escape

from cspdet.diagram.shapes import Group, Line, Picture, Point, Rectangle, Shape

_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
ARROW = 6.0


def svg(picture: Picture) -> str:
    """The text of an SVG file; the same for the same picture."""
    width, height = _number(picture.width), _number(picture.height)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}">',
        f"<title>{_text(picture.title)}</title>",
    ]
    for each in picture.shapes:
        if isinstance(each, Group):
            layers = " ".join(map(str, each.layers))
            lines += [f'<g class="{each.kind}" data-layers="{layers}"><title>{_text(each.title)}</title>']
            lines += [*map(_shape, each.shapes), "</g>"]
        else:
            lines.append(_shape(each))
    return "\n".join([*lines, "</svg>", ""])


def _shape(shape: Shape) -> str:
    if isinstance(shape, Rectangle):
        return _rectangle(shape)
    if isinstance(shape, Line):
        return _line(shape)
    weight = ' font-weight="bold"' if shape.bold else ""
    anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
    place = f'x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}"'
    return f'<text {place}{anchor}{weight} fill="{shape.fill}">{_text(shape.text)}</text>'


def _rectangle(shape: Rectangle) -> str:
    numbers = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height}
    place = " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())
    radius = f' rx="{_number(shape.radius)}"' if shape.radius else ""
    stroke = f' stroke="{shape.stroke}" stroke-width="{_number(shape.line)}"' if shape.stroke else ""
    dashes = ' stroke-dasharray="5 3"' if shape.dashed else ""
    return f'<rect {place}{radius} fill="{shape.fill}"{stroke}{dashes}/>'


def _line(shape: Line) -> str:
    steps = [f"M{_point(shape.points[0])}"]
    for command, points in rounded(shape):
        steps.append(command + " ".join(map(_point, points)))
    path = f'<path d="{"".join(steps)}" fill="none" stroke="{shape.stroke}" stroke-width="{_number(shape.line)}"/>'
    if not shape.head:
        return path
    return f'{path}<path d="M{"L".join(map(_point, arrow(shape)))}Z" fill="{shape.stroke}"/>'


def rounded(shape: Line) -> list[tuple[str, list[Point]]]:
    """The line behind its first point: `L` straight to a point, `Q` round a corner to a point. The arrow is left out."""
    points = _corners(shape.points)
    if shape.head:
        points[-1] = _towards(points[-1], points[-2], min(ARROW - 1, dist(points[-1], points[-2])))
    found: list[tuple[str, list[Point]]] = []
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(shape.radius, dist(before, at) / 2, dist(at, after) / 2)
        found += [("L", [_towards(at, before, radius)]), ("Q", [at, _towards(at, after, radius)])]
    return [*found, ("L", [points[-1]])]


def arrow(shape: Line) -> list[Point]:
    """The corners of the arrow's head."""
    points = _corners(shape.points)
    tip, before = points[-1], points[-2]
    base = _towards(tip, before, ARROW)
    x, y = (tip[1] - base[1]) * 0.45, (base[0] - tip[0]) * 0.45
    return [tip, (base[0] + x, base[1] + y), (base[0] - x, base[1] - y)]


def _corners(points: Iterable[Point]) -> list[Point]:
    """Points without those that repeat the one before, and those on the way between their neighbours."""
    found: list[Point] = []
    for point in points:
        if found and dist(found[-1], point) < 0.01:
            continue
        if len(found) > 1 and any(
            abs(a[axis] - b[axis]) + abs(b[axis] - point[axis]) < 0.01 for axis in (0, 1) for a, b in [found[-2:]]
        ):
            found[-1] = point
            continue
        found.append(point)
    return found


def _towards(point: Point, other: Point, length: float) -> Point:
    whole = dist(point, other) or 1.0
    return point[0] + (other[0] - point[0]) * length / whole, point[1] + (other[1] - point[1]) * length / whole


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    """Escaped; what XML has no place for becomes a sign that says so."""
    return escape("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text))
