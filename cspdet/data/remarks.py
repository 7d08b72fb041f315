"""What is left out or changed where annotations are converted: how often, and where."""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.data.finding import NAMED
from cspdet.text import printable


class Remarks:
    """Counts what is alike, and keeps its first places."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        # Never more than are named: there may be a million.
        self.places: dict[str, list[str]] = {}

    def add(self, what: str, place: str) -> None:
        """Note that `what` (in the plural, as a heading) befell something at `place`."""
        self._add(what, 1, [place])

    def join(self, other: Remarks) -> None:
        """Add those of another source."""
        for what, count in other.counts.items():
            self._add(what, count, other.places[what])

    def lines(self) -> Iterator[str]:
        """For people: a line for each kind, `what: how many (where, where and 3 more)`."""
        for what, count in self.counts.items():
            places = self.places[what]
            rest = f" and {count - len(places):,} more" if count > len(places) else ""
            yield printable(f"{what}: {count:,} ({', '.join(places)}{rest})")

    def _add(self, what: str, count: int, places: list[str]) -> None:
        self.counts[what] = self.counts.get(what, 0) + count
        there = self.places.setdefault(what, [])
        there += places[: NAMED - len(there)]
