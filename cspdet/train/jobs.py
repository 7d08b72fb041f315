"""The mini-batches of a training, as lists of jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cspdet.layers.base import Shape
from cspdet.train.processes import Team
from cspdet.train.samples import Job


class Jobs(Sequence[Any]):
    """The mini-batches from number `start` up to `end`, each made when it is asked for: of `each` samples, a team's share."""

    def __init__(self, start: int, end: int, each: int, team: Team, size: Callable[[int], Shape]) -> None:
        self.start, self.end, self.each, self.team, self.size = start, end, each, team, size

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = self.start + index
        size = self.size(number)
        first = number * self.each
        return self.team.share([Job(first + place, size.width, size.height) for place in range(self.each)])
