"""Words for messages."""

from __future__ import annotations

from collections.abc import Iterable

# A shorter word may be meant as it is.
_SHORTEST = 4


def printable(text: str) -> str:
    """`text` without control characters: a file must not be able to drive the terminal that shows it."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def brief(text: str, longest: int = 40) -> str:
    """`text`, cut where it is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def shortened(text: str, longest: int) -> str:
    """`text` without its middle where it is too long: names that begin alike may end otherwise."""
    before = longest - longest // 2
    return text if len(text) <= longest else f"{text[:before]}…{text[len(text) - longest // 2 :]}"


def counted(number: int, one: str, many: str = "") -> str:
    """For example "3 anchors"; `many` is `one` with an s unless given."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def slip(word: str, known: Iterable[str]) -> str | None:
    """The one known word that `word` is by a slip of the finger; None where there is none, or more than one.

    Letters in the wrong case; or one letter, behind the first, too many, too few, wrong, or swapped with the next. Digits are
    no slips, and neither are first letters: `stride_x` and `stride_y`, `relu6` and `relu`, `hswish` and `swish` are different.
    """
    known = [*known]
    found = [each for each in known if each.lower() == word.lower()] or [each for each in known if _one_slip(word, each)]
    return found[0] if len(found) == 1 else None


def _one_slip(word: str, other: str) -> bool:
    if len(word) < _SHORTEST or abs(len(word) - len(other)) > 1:
        return False
    before = _shared(word, other)
    behind = _shared(word[before:][::-1], other[before:][::-1])
    mine, theirs = (each[before : len(each) - behind] for each in (word, other))
    one = max(len(mine), len(theirs)) == 1 or (len(mine) == len(theirs) == 2 and mine == theirs[::-1])
    return before > 0 and one and not any(each.isdigit() for each in mine + theirs)


def _shared(word: str, other: str) -> int:
    """How many letters two words begin with alike."""
    return next(
        (place for place, pair in enumerate(zip(word, other, strict=False)) if len({*pair}) > 1), min(len(word), len(other))
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, which was probably meant; None where none is close."""
    from difflib import get_close_matches

    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(word.lower()[:64], by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
