"""What is left out or changed where annotations are converted: how often, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cspdet.data.finding import NAMED
from cspdet.text import printable


class Example(NamedTuple):
    """What is to be said about the first of a kind: the fact with its consequence, and the cure."""

    fact: str
    help: str


class Remarks:
    """Counts what is alike, and keeps its first places."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        # Never more than are named: there may be a million.
        self.places: dict[str, list[str]] = {}
        # Of those kinds that a heading does not explain.
        self.examples: dict[str, Example] = {}

    def add(self, what: str, place: str, example: Example | None = None) -> None:
        """Note that `what` (in the plural, as a heading) befell something at `place`."""
        self._add(what, 1, [place])
        if example:
            self.examples.setdefault(what, example)

    def join(self, other: Remarks) -> None:
        """Add those of another source."""
        for what, count in other.counts.items():
            self._add(what, count, other.places[what])
        self.examples = other.examples | self.examples

    def lines(self) -> Iterator[str]:
        """For people: `what: how many (where, where and 3 more)` for each kind, and below it what there is to explain."""
        for what, count in self.counts.items():
            places = self.places[what]
            rest = f" and {count - len(places):,} more" if count > len(places) else ""
            yield printable(f"{what}: {count:,} ({', '.join(places)}{rest})")
            if what in self.examples:
                yield from (printable(f"  {text}") for text in (self.examples[what].fact, f"help: {self.examples[what].help}"))

    def _add(self, what: str, count: int, places: list[str]) -> None:
        self.counts[what] = self.counts.get(what, 0) + count
        there = self.places.setdefault(what, [])
        there += places[: NAMED - len(there)]
