"""Receptive fields: how much of the network's input one pixel of a layer's output is computed from."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from cspdet.graph import Graph, Node
from cspdet.layers.window import Window

Interval = tuple[int, int]

# Where a map was enlarged by more than this, its pixels are no longer told apart.
_LARGEST_PERIOD = 256


class Field(NamedTuple):
    """The pixels of the network's input, along one axis, that the pixels of a map are computed from.

    Pixel q `period` + p, for p below the period, is computed from the pixels q `step` + phases[p][0] to q `step` +
    phases[p][1], or from none. Upsampling makes periods; a step of 0 means the same field for every pixel. What lies outside
    the input counts as if it were there.
    """

    step: int
    phases: tuple[Interval | None, ...]

    @property
    def period(self) -> int:
        """After so many pixels, the pattern repeats."""
        return len(self.phases)

    @property
    def size(self) -> int:
        """Pixels in the largest one."""
        return max((last - first + 1 for first, last in filter(None, self.phases)), default=0)

    @property
    def stride(self) -> Fraction:
        """How far the fields of neighbours are apart, on average."""
        return Fraction(self.step, self.period)

    def at(self, pixel: int) -> Interval | None:
        """The field of one pixel, which may lie outside the map."""
        round_, phase = divmod(pixel, self.period)
        found = self.phases[phase]
        return found and (found[0] + round_ * self.step, found[1] + round_ * self.step)

    def over(self, first: int, last: int) -> Interval | None:
        """The field of several pixels."""
        # A round on, everything lies further behind.
        front = range(first, min(last, first + self.period - 1) + 1)
        back = range(max(first, last - self.period + 1), last + 1)
        return hull(map(self.at, (*front, *back)))


POINT = Field(1, ((0, 0),))


class Fields(NamedTuple):
    """Vertical and horizontal."""

    vertical: Field
    horizontal: Field

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the largest field."""
        return self.vertical.size, self.horizontal.size


def receptive_fields(graph: Graph) -> dict[int, Fields | None]:
    """The fields of all layers, by number, -1 being the input; None where a layer is not computed from the image.

    A field is the smallest rectangle around the pixels that count, for a pixel far from the border: dilation and partial
    overlaps leave holes in it, and padding shows as a field that is larger than the image. Channels are not told apart: a
    part of them counts as all. Where maps meet whose pixels
    stand for different areas, or where a historic `[reorg]` shuffles the map, it is the smallest such rectangle for all
    pixels at once. What a recurrent layer remembers of earlier images does not count.
    """
    fields: dict[int, Fields | None] = {-1: Fields(POINT, POINT)}
    for node in graph.nodes:
        fields[node.index] = _fields(node, fields)
    return fields


def _fields(node: Node, fields: dict[int, Fields | None]) -> Fields | None:
    vertical, horizontal = [], []
    for source, x, windows in zip(node.sources, node.inputs, node.layer.reach(*node.inputs), strict=True):
        read = fields[source]
        if windows and read:
            vertical.append(through(read.vertical, windows[0], x.height))
            horizontal.append(through(read.horizontal, windows[1], x.width))
    if not vertical:
        return None
    return Fields(merged(vertical, node.output.height), merged(horizontal, node.output.width))


def through(field: Field, window: Window, size: int) -> Field:
    """The field of what sees a map of `size` pixels, which has the given field, through a window."""
    if not window.step:
        return Field(0, (field.over(window.first, window.last),))
    # The first pixel beside which the pattern of windows, and then that of the map, begins anew.
    shift = Fraction(window.step, window.spread)
    rounds = shift.denominator
    period = rounds * field.period // gcd(shift.numerator, field.period)
    if period > _LARGEST_PERIOD:
        return Field(0, (field.over(0, size - 1),))
    phases = tuple(
        field.over(
            -((-pixel * window.step - window.first) // window.spread), (pixel * window.step + window.last) // window.spread
        )
        for pixel in range(period)
    )
    return Field(int(shift * period) // field.period * field.step, phases)


def merged(fields: Iterable[Field], size: int) -> Field:
    """The field of a map of `size` pixels each of which is computed from the same pixel of several maps."""
    fields = [*fields]
    period = lcm(*(field.period for field in fields))
    if len({field.stride for field in fields}) > 1 or period > _LARGEST_PERIOD:
        return Field(0, (hull(field.over(0, size - 1) for field in fields),))
    phases = tuple(hull(field.at(pixel) for field in fields) for pixel in range(period))
    return Field(int(fields[0].stride * period), phases)


def hull(intervals: Iterable[Interval | None]) -> Interval | None:
    """The smallest interval around all of these."""
    found = [each for each in intervals if each]
    return (min(first for first, _ in found), max(last for _, last in found)) if found else None
