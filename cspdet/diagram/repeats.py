"""Stretches of a network that repeat, so that they need drawing only once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# The longest stretch that is looked for; that of an elastic residual block has 9 layers.
_LONGEST = 24


class Repeat(NamedTuple):
    """`rounds` times `length` items, from the item `start` on."""

    start: int
    length: int
    rounds: int

    @property
    def stop(self) -> int:
        """The item behind it."""
        return self.start + self.length * self.rounds

    @property
    def saved(self) -> int:
        """Items that need not be drawn."""
        return self.length * (self.rounds - 1)


def repeats(signs: Sequence[object], reads: Sequence[Sequence[int]]) -> list[Repeat]:
    """The repeated stretches of a row of items, none of which overlap.

    `signs` say which items are alike, `reads` which items each one reads; -1 is something before the first. The rounds of a
    stretch read themselves and the end of the round before, all in the same way, and only the end of the last round is read
    by what comes later. A stretch is worth it if it saves two items.
    """
    offsets = [tuple(place - source for source in sources) for place, sources in enumerate(reads)]
    codes: dict[object, int] = {}
    rows = [codes.setdefault((sign, offset), len(codes)) for sign, offset in zip(signs, offsets, strict=True)]
    # The last reader of each item, which is all that the limits below ask for.
    last = [-1] * len(rows)
    for place, sources in enumerate(reads):
        for source in sources:
            if source >= 0:
                last[source] = place
    found, start = [], 0
    while start < len(rows):
        longest = min(_LONGEST, (len(rows) - start) // 2)
        tries = [_from(start, length, rows, offsets, last) for length in range(1, longest + 1)]
        best = max(tries, key=lambda each: (each.saved, -each.length), default=Repeat(start, 1, 1))
        if best.saved > 1:
            found.append(best)
        start = best.stop if best.saved > 1 else start + 1
    return found


def _from(start: int, length: int, rows: list[int], offsets: list[tuple[int, ...]], last: list[int]) -> Repeat:
    """As many rounds of `length` items from `start` on as there are."""
    if any(offset > place + 1 for place in range(length) for offset in offsets[start + place]):
        return Repeat(start, length, 1)
    pattern, count, first = rows[start : start + length], 0, start
    while rows[first : first + length] == pattern:
        end = first + length
        if any(last[place] >= end for place in range(first, end - 1)):
            break  # something later reads the middle of this round
        count += 1
        if last[end - 1] >= end + length:
            break  # something later than the next round reads the end of this one
        first = end
    return Repeat(start, length, max(1, count))
