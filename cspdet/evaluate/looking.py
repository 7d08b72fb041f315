"""Look at pictures, and put down what was found and what is there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cspdet.data.labels import read_labels
from cspdet.data.pictures import Picture
from cspdet.detections import Detections
from cspdet.errors import CspdetError, UsageError
from cspdet.evaluate.records import Collected, Found, Truth, join, nothing
from cspdet.image import Exact, Pixels, read_image
from cspdet.pipeline import pipelined
from cspdet.text import counted

Say = Callable[[str], None]
Advance = Callable[[int], object]


class Look(NamedTuple):
    """An image that was read: its width and height, and what of it is needed to find objects. Or why it cannot be read."""

    picture: Picture
    size: tuple[int, int] = (0, 0)
    prepared: Any = None
    error: CspdetError | None = None


class Steps(NamedTuple):
    """How objects are found. `prepare` and `infer` run in other threads, while others are settled."""

    # What of an image is needed, from its pixels,
    prepare: Callable[[Pixels], Any]
    # what a network makes of some of these,
    infer: Callable[[Sequence[Any]], Any]
    # and what that means.
    found: Callable[[Sequence[Look], Any], Sequence[Detections]]


def say(message: str) -> None:
    """Warn as Python does."""
    warnings.warn(message, UserWarning, stacklevel=2)


def ignore(_: int) -> None:
    """Show no progress."""


def look_at(
    steps: Steps,
    pictures: Sequence[Picture],
    classes: int,
    *,
    difficult: Mapping[int, Path] | None,
    batch: int,
    exact: Exact,
    advance: Advance,
    warn: Say,
) -> Collected:
    """What `collect` does, for what needs to know the pictures, too; `steps` look at `batch` of them at a time."""
    numbers = [each.line for each in pictures]
    if len({*numbers}) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise UsageError(
            f"several pictures have the number {twice}", "number those of several lists anew: `picture._replace(line=…)`"
        )
    notes = _Notes(classes, difficult or {}, warn)
    reads = (partial(_read, picture, exact, steps.prepare) for picture in pictures)

    def infer(looks: list[Look]) -> Any:
        good = [each.prepared for each in looks if each.error is None]
        return steps.infer(good) if good else None

    with closing(pipelined(reads, infer, batch=batch)) as groups:
        for looks, inferred in groups:
            good = [each for each in looks if each.error is None]
            found = steps.found(good, inferred) if good else []
            if len(found) != len(good):
                there, wanted = counted(len(found), "result"), counted(len(good), "image")
                raise UsageError(f"the detector gave {there} for {wanted}", "it must give one for each")
            each_found = iter(found)
            for look in looks:
                if look.error is not None:
                    notes.skip(look.picture, look.error)
                else:
                    notes.add(look, next(each_found))
            advance(len(looks))
    return notes.collected()


def _read(picture: Picture, exact: Exact, prepare: Callable[[Pixels], Any]) -> Look:
    try:
        pixels = read_image(picture.path, exact=exact)
    except CspdetError as error:
        return Look(picture, error=error)
    height, width = pixels.shape[:2]
    return Look(picture, (width, height), prepare(pixels))


class _Notes:
    """What is put down, picture by picture."""

    def __init__(self, classes: int, difficult: Mapping[int, Path], warn: Say) -> None:
        self.classes = classes
        self.difficult = difficult
        self.warn = warn
        self.parts: list[Collected] = []
        self.skipped: list[int] = []
        # Where labels are missing, or begin with a mark, and what is wrong with others.
        self.missing: list[Path] = []
        self.marked: list[Path] = []
        self.faults: list[str] = []

    def skip(self, picture: Picture, error: CspdetError) -> None:
        """Leave out a picture that cannot be read."""
        self.warn(f"{error.message}: left out")
        self.skipped.append(picture.line)

    def add(self, look: Look, found: Detections) -> None:
        """One picture: what was found and what is there."""
        width, height = look.size
        number = look.picture.line
        if len(found) and not 0 <= int(found.class_id.min()) <= int(found.class_id.max()) < self.classes:
            odd = next(int(each) for each in found.class_id if not 0 <= each < self.classes)
            raise UsageError(f"the detector finds class {odd}; there are {self.classes}, counted from 0")
        boxes = np.divide(found.xywh, np.array([width, height, width, height], np.float32), dtype=np.float32)
        truth = self.labels(look.picture.labels)
        rows = np.concatenate([truth, self.labels(self.difficult[number])]) if number in self.difficult else truth
        self.parts.append(
            Collected(
                np.array([number], np.int64),
                np.array([(width, height)], np.int64),
                Found(np.full(len(found), number, np.int64), found.class_id, boxes, found.confidence),
                Truth(
                    np.full(len(rows), number, np.int64),
                    rows[:, 0].astype(np.int64),
                    rows[:, 1:],
                    np.arange(len(rows)) >= len(truth),
                ),
                nothing().skipped,
            )
        )

    def labels(self, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """The labels that can be used: (n, 5) of class, centre x, y, width, height."""
        there = read_labels(path)
        for fault in there.faults:
            if fault.code == "missing-labels":
                self.missing.append(path)
            elif fault.code == "marked-labels":
                self.marked.append(path)
            else:
                self.faults.append(f"`{path}`{f', line {fault.line}' if fault.line else ''}: {fault.message}")
        good = (there.rows[:, 0] >= 0) & (there.rows[:, 0] < self.classes)
        for row in np.flatnonzero(~good):
            odd = f"class {there.rows[row, 0]:.0f}; there are {self.classes}, counted from 0"
            self.faults.append(f"`{path}`, line {there.lines[row]}: {odd}")
        return there.rows[good]

    def collected(self) -> Collected:
        """All of it, after a word about labels."""
        if self.missing:
            there = (
                f"{len(self.missing):,} of {counted(len(self.parts), 'image')} {'has' if len(self.missing) == 1 else 'have'}"
            )
            self.warn(f"{there} no label file, such as `{self.missing[0]}`: nothing is expected there")
        if self.marked:
            begin = "begins" if len(self.marked) == 1 else "begin"
            there = f"{counted(len(self.marked), 'label file')} {begin} with a byte-order mark, such as `{self.marked[0]}`"
            self.warn(f"{there}: the objects count here, but Darknet reads none of them")
        if self.faults:
            more = f" (and {len(self.faults) - 1:,} more labels)" if len(self.faults) > 1 else ""
            self.warn(f"{self.faults[0]}: left out{more}")
        return join([*self.parts, nothing(self.skipped)])
