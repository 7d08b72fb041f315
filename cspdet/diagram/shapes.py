"""What a picture is made of, whoever draws it. Lengths are in pixels, from the upper left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """With round corners, if `radius` says so."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = ""
    radius: float = 0.0
    line: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Along points, with round corners, and with an arrow at its end if it has a `head`."""

    points: tuple[Point, ...]
    stroke: str
    line: float = 1.4
    radius: float = 5.0
    head: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """One line; `y` is its base line."""

    x: float
    y: float
    text: str
    size: float
    fill: str
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


Shape = Rectangle | Line | Text


@dataclass(frozen=True, slots=True)
class Group:
    """Shapes that stand for some layers; `title` is what a browser shows under the pointer."""

    shapes: tuple[Shape, ...]
    kind: Literal["layer", "input", "stretch"]
    layers: tuple[int, ...] = ()
    title: str = ""


@dataclass(slots=True)
class Picture:
    """Shapes and groups of them, in the order in which they are drawn."""

    width: float
    height: float
    title: str
    shapes: list[Shape | Group] = field(default_factory=list)
