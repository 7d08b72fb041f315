"""Words for messages."""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """`text` without control characters: a file must not be able to drive the terminal that shows it."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def brief(text: str, longest: int = 40) -> str:
    """`text`, cut where it is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def counted(number: int, one: str, many: str = "") -> str:
    """For example "3 anchors"; `many` is `one` with an s unless given."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, which was probably meant; None where none is close."""
    from difflib import get_close_matches

    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(word.lower()[:64], by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
