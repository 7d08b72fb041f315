"""Words for messages."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` without control characters: a file must not be able to drive the terminal that shows it."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def brief(text: str, longest: int = 40) -> str:
    """`text`, cut where it is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def counted(number: int, one: str, many: str = "") -> str:
    """For example "3 anchors"; `many` is `one` with an s unless given."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
