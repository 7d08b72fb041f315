"""Label files: a line per object with its class and its box, centre x, centre y, width, height as shares of the image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.cfg.diagnostic import Severity
from cspdet.text import brief, counted

Truth = NDArray[np.float32]

_LINE_END = re.compile(r"\r\n|\r|\n")
# What C's `scanf` takes for blanks, and for numbers in digits. Python would also take `1_000`, and digits of any script.
_WORD = re.compile(r"[^ \t\v\f]+")
_CLASS = re.compile(r"[+-]?[0-9]{1,7}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_MARK = "\ufeff"
# No coordinate comes near it; larger numbers would only overflow later.
_LARGEST = 1e9

_FORM = "write `class x y width height`, the box in shares of the image"


class Fault(NamedTuple):
    """What is wrong with a line of a label file; line 0 is the file itself. `label` says what follows, `help` the cure."""

    line: int
    code: str
    message: str
    severity: Severity = "error"
    label: str = ""
    help: str = ""


class Labels(NamedTuple):
    """The objects of an image: (n, 5) of class, x, y, width, height, the line of each, and what could not be read."""

    rows: Truth
    lines: tuple[int, ...]
    faults: tuple[Fault, ...] = ()

    @classmethod
    def none(cls, *faults: Fault) -> Labels:
        """No objects."""
        return cls(np.zeros((0, 5), np.float32), (), faults)


def read_labels(path: Path) -> Labels:
    """Read a label file. A line that is no label is a fault, and the others count.

    Darknet (`data.c:read_boxes`) takes numbers five at a time, whatever the lines are, and stops at the first that is none.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        cure = f"write `{path}`; leave it empty if there is no object in the image"
        return Labels.none(Fault(0, "missing-labels", "there is no label file", "warning", "the image has no objects", cure))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        return Labels.none(Fault(0, "unreadable-labels", f"the label file cannot be read: {reason}", help=f"look at `{path}`"))
    return parse_labels(data.decode("utf-8", "replace"))


def parse_labels(text: str) -> Labels:
    """The same of the text of a file."""
    rows: list[tuple[float, ...]] = []
    lines: list[int] = []
    faults: list[Fault] = []
    if text.startswith(_MARK):
        text = text[1:]
        message, label = "the file starts with a byte-order mark", "Darknet reads no number there, and so no object of the file"
        faults.append(Fault(1, "marked-labels", message, "warning", label, "save it as UTF-8 without a byte-order mark"))
    for number, line in enumerate(_LINE_END.split(text), 1):
        words = _WORD.findall(line)
        if not words:
            continue
        row = _numbers(words)
        if isinstance(row, tuple):
            rows.append(row)
            lines.append(number)
        else:
            message, cure = row
            label = "Darknet reads no further, or takes the numbers of the next line"
            faults.append(Fault(number, "malformed-label", message, "error", label, cure))
    return Labels(np.array(rows, np.float32).reshape(-1, 5), tuple(lines), tuple(faults))


def label_text(rows: NDArray[np.floating]) -> str:
    """The text of a label file with these objects, (n, 5) of class, x, y, width, height."""
    return "".join(f"{int(number)} {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n" for number, x, y, width, height in rows.tolist())


def _numbers(words: list[str]) -> tuple[float, ...] | list[str]:
    """The five numbers, or what is wrong and its cure."""
    if len(words) != 5:
        outline = len(words) > 6 and len(words) % 2 == 1
        what = counted(len(words), "value") + (", as an outline has" if outline else "")
        cure = "only boxes are read: " + _FORM if outline else _FORM
        return [f"`{brief(' '.join(words))}` has {what}; a label has 5", cure]
    if not _CLASS.fullmatch(words[0]):
        return [f"`{brief(words[0])}` is not the number of a class", "classes are whole numbers, counted from 0"]
    bad = next((word for word in words[1:] if not _NUMBER.fullmatch(word)), None)
    if bad is not None:
        comma = bad.count(",") == 1 and _NUMBER.fullmatch(bad.replace(",", "."))
        return [f"`{brief(bad)}` is not a number", f"write `{brief(bad.replace(',', '.'))}`" if comma else _FORM]
    box = [float(word) for word in words[1:]]
    if not all(abs(value) < _LARGEST for value in box):
        return [f"`{brief(' '.join(words))}` is not a box: the numbers are too large", _FORM]
    return (float(int(words[0])), *box)
