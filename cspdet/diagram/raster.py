"""A picture as PNG or PDF, drawn by matplotlib."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from cspdet.diagram.shapes import Group, Line, Picture, Rectangle, Shape, Text
from cspdet.diagram.svg import arrow, rounded

# Points to an inch, of which matplotlib counts 72; pixels of the picture to an inch.
_POINTS, _PIXELS = 72, 96
# Pixels for one of the picture's, but for no more than so many on a side.
_SCALE, _LARGEST = 1.5, 16_000
_CODES = {"L": [2], "Q": [3, 3]}


def write_picture(picture: Picture, path: Path) -> None:
    """Draw a picture into a file, whose ending says how: `.png` or `.pdf`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale = min(_SCALE, _LARGEST / max(picture.width, picture.height))
    figure = Figure((picture.width / _PIXELS, picture.height / _PIXELS), dpi=scale * _PIXELS)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.axis("off")
    order = 0
    for each in picture.shapes:
        for shape in each.shapes if isinstance(each, Group) else (each,):
            _draw(axes, shape, order)
            order += 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in letters that the font does not have
        figure.savefig(path)


def _draw(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path as Way

    scale = _POINTS / _PIXELS
    if isinstance(shape, Rectangle):
        style = f"round,pad=0,rounding_size={shape.radius}" if shape.radius else "square,pad=0"
        dashes = "--" if shape.dashed else "-"
        stroke: dict[str, Any] = {"edgecolor": shape.stroke or "none", "linewidth": shape.line * scale, "linestyle": dashes}
        corner = (shape.x, shape.y)
        axes.add_patch(FancyBboxPatch(corner, shape.width, shape.height, style, facecolor=shape.fill, zorder=order, **stroke))
    elif isinstance(shape, Line):
        steps = rounded(shape)
        points = [shape.points[0], *(point for _, each in steps for point in each)]
        codes = [1, *(code for command, _ in steps for code in _CODES[command])]
        line: dict[str, Any] = {
            "edgecolor": shape.stroke,
            "facecolor": "none",
            "linewidth": shape.line * scale,
            "capstyle": "butt",
        }
        axes.add_patch(PathPatch(Way(points, codes), zorder=order, **line))
        if shape.head:
            axes.add_patch(Polygon(arrow(shape), facecolor=shape.stroke, edgecolor="none", zorder=order))
    else:
        _write(axes, shape, order, scale)


def _write(axes: Any, text: Text, order: int, scale: float) -> None:
    places = {"start": "left", "middle": "center", "end": "right"}
    weight = "bold" if text.bold else "normal"
    style = {"ha": places[text.anchor], "va": "baseline", "fontsize": text.size * scale * 0.93, "fontweight": weight}
    axes.text(text.x, text.y, text.text, color=text.fill, zorder=order, parse_math=False, **style)
