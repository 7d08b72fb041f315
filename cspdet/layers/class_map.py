"""Class maps: files whose line n says what the labels' class n is to the head, such as its place in a hierarchy."""

from __future__ import annotations

from pathlib import Path

from cspdet.cfg.number import LARGEST_INTEGER, atoi

# YOLO9000's maps have one line for each of 80 or 200 classes.
_LARGEST = 2**20


def read_map(path: Path) -> tuple[int, ...] | None:
    """The numbers in a file, one per line, or None where the file cannot be read (`utils.c:read_map`).

    A line that is no number is -1 here, no class, where Darknet takes it for 0.
    """
    try:
        if path.stat().st_size > _LARGEST:
            return None
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(_number(line.strip()) for line in lines)


def _number(text: str) -> int:
    value, rest = atoi(text)
    return value if rest != text and abs(value) <= LARGEST_INTEGER else -1
