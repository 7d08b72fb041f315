"""Windows: the pixels of its input that one pixel of a layer's output is computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cspdet.layers.base import Shape


class Window(NamedTuple):
    """The pixels along one axis: for output pixel i, ceil((i step + first) / spread) to floor((i step + last) / spread).

    None, if the first of these lies behind the last. A convolution has a `step`, what makes a map larger a `spread`; with a
    `step` of 0, all output pixels read the same.
    """

    step: int = 1
    first: int = 0
    last: int = 0
    spread: int = 1

    def then(self, following: Window) -> Window:
        """The window of both, where `following` reads what this one puts out; neither spreads."""
        first, last = following.first * self.step + self.first, following.last * self.step + self.last
        return Window(self.step * following.step, first, last)


# Vertical and horizontal.
Windows = tuple[Window, Window]

POINT: Windows = (Window(), Window())
# Of an input of one pixel, whatever the output's size.
SPREAD_OUT: Windows = (Window(0), Window(0))


def everywhere(x: Shape) -> Windows:
    """The whole map."""
    return Window(0, 0, x.height - 1), Window(0, 0, x.width - 1)


def square(step: tuple[int, int], first: int, size: int, dilation: int = 1) -> Windows:
    """A square of `size` pixels, `dilation` apart; `step` is (vertical, horizontal), `first` its upper left at pixel 0."""
    vertical, horizontal = (Window(each, first, first + (size - 1) * dilation) for each in step)
    return vertical, horizontal
