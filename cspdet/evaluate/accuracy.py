"""How often a classifier is right: top-1 and top-N accuracy, in all and by class."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Floats
from cspdet.classification import Classifier
from cspdet.data.classes import class_of
from cspdet.data.pictures import Picture
from cspdet.errors import CspdetError, UsageError
from cspdet.evaluate.looking import Advance, Say, ignore, say
from cspdet.image import Exact, read_image
from cspdet.names import check_names
from cspdet.pipeline import pipelined
from cspdet.text import counted, printable

Numbers = NDArray[np.int64]


class Looks(NamedTuple):
    """What was looked at: of each picture its class, the likeliest class, and the place of the right one, 0 for the first."""

    truth: Numbers
    found: Numbers
    place: Numbers
    # How many pictures could not be used.
    skipped: int


class _NoClassError(CspdetError):
    """The path of a picture tells no class."""


class ClassAccuracy(NamedTuple):
    """One class: its pictures, of how many it is the likeliest class, and of how many among the first ones."""

    id: int
    name: str
    pictures: int
    right: int
    among: int

    @property
    def top_1(self) -> float:
        """The share of its pictures that are told right, 0 if there is none."""
        return self.right / self.pictures if self.pictures else 0.0

    @property
    def top_n(self) -> float:
        """The share of its pictures where it is among the first."""
        return self.among / self.pictures if self.pictures else 0.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """All classes together. Shares are from 0 to 1.

    Attributes:
        top: how many classes count as the first ones.
        classes: the figures of each class.
        skipped: how many pictures could not be used.
        matrix: (classes, classes), how many pictures of a class, by row, were taken for another, by column.
    """

    top: int
    classes: tuple[ClassAccuracy, ...]
    skipped: int
    matrix: Numbers

    @property
    def pictures(self) -> int:
        """How many were looked at."""
        return sum(each.pictures for each in self.classes)

    @property
    def top_1(self) -> float:
        """The share of the pictures whose class is the likeliest one."""
        return sum(each.right for each in self.classes) / self.pictures

    @property
    def top_n(self) -> float:
        """The share of the pictures whose class is among the first `top`."""
        return sum(each.among for each in self.classes) / self.pictures

    def to_json(self) -> dict[str, Any]:
        """As in the file that `cspdet classify --json` writes."""
        keys = ("id", "name", "pictures", "top_1", "top_n")
        confused = [(row, column) for row, column in zip(*np.nonzero(self.matrix), strict=True) if row != column]
        classes = [{key: getattr(each, key) for key in keys} for each in self.classes]
        return {
            "top_1": self.top_1,
            "top_n": self.top_n,
            "n": self.top,
            "pictures": self.pictures,
            "skipped": self.skipped,
            "classes": classes,
            "confused": [
                {"id": int(row), "found_as": int(column), "pictures": int(self.matrix[row, column])} for row, column in confused
            ],
        }

    def __str__(self) -> str:
        """A table of the classes, and Darknet's closing line."""
        there = [each for each in self.classes if each.pictures]
        names = [printable(each.name) for each in there]
        width, first = max(map(len, ["class", *names])), f"top-{self.top}"
        lines = [f"{'class':{width}} {'pictures':>9} {'top-1':>9} {first:>9}"]
        for name, each in zip(names, there, strict=True):
            lines.append(f"{name:{width}} {each.pictures:9} {100 * each.top_1:7.2f} % {100 * each.top_n:7.2f} %")
        if len(there) < len(self.classes):
            lines.append(f"no picture of {len(self.classes) - len(there):,} of {len(self.classes):,} classes")
        lines += ["", f" top 1: {self.top_1:f}, top {self.top}: {self.top_n:f}, of {counted(self.pictures, 'picture')}"]
        if self.skipped:
            lines.append(f" {self.skipped:,} of {counted(self.pictures + self.skipped, 'picture')} could not be used: left out")
        return "\n".join(lines)


def look_at_classes(
    classifier: Classifier,
    pictures: Sequence[Picture],
    labels: Sequence[str],
    *,
    batch: int = 1,
    exact: Exact | None = None,
    advance: Advance = ignore,
    warn: Say = say,
) -> Looks:
    """Let a classifier look at pictures, or at a share of them (`classifier.c:validate_classifier_single`).

    A picture that cannot be read, or whose path tells no class, is left out with a warning.

    Args:
        classifier: as `Detector.classifier` gives it.
        pictures: where to look, as `read_list` gives them.
        labels: what the classes are called in the paths of the pictures.
        batch: pictures that the network is given at a time.
        exact: decode JPEGs to the bit as Darknet does, which takes longer, or what does so; by default where the preprocessing
            is Darknet's.
        advance: called with the number of pictures that were looked at since the last call.
        warn: called with what goes wrong; a Python warning by default.

    Raises:
        UsageError: there are more or fewer labels than the classifier has outputs.
    """
    check_names(labels, classifier.classes, "the list of labels", f"`{classifier.graph.source.path}`", "name each class once")
    decode: Exact = classifier.exact if exact is None else exact
    reads = (partial(_read, picture, labels, decode, classifier) for picture in pictures)
    rows: list[NDArray[np.intp]] = []
    unclear: list[CspdetError] = []

    def infer(looks: list[tuple[int, Floats] | CspdetError]) -> Floats | None:
        good = [each[1] for each in looks if not isinstance(each, CspdetError)]
        return classifier.infer(good, counting=True) if good else None

    skipped = 0
    with closing(pipelined(reads, infer, batch=batch)) as groups:
        for looks, outputs in groups:
            truths = []
            for each in looks:
                if isinstance(each, CspdetError):
                    if isinstance(each, _NoClassError):
                        unclear.append(each)
                    else:
                        warn(f"{each.message}: left out")
                    skipped += 1
                else:
                    truths.append(each[0])
            if outputs is not None:
                order = np.argsort(-outputs, 1, kind="stable")
                place = (order == np.array(truths)[:, None]).argmax(1)
                rows += [np.stack([np.array(truths), order[:, 0], place])]
            advance(len(looks))
    if unclear:
        more = f" (and {counted(len(unclear) - 1, 'more picture')})" if len(unclear) > 1 else ""
        warn(f"{unclear[0].message}: left out{more}")
    truth, found, place = np.concatenate([*rows, np.zeros((3, 0), np.int64)], 1).astype(np.int64)
    return Looks(truth, found, place, skipped)


def judge_classes(parts: Sequence[Looks], names: Sequence[str], top: int = 5) -> Accuracy:
    """Put together what several processes saw, and count; `top` classes count as the first ones, or all if there are fewer.

    Raises:
        UsageError: no picture could be used.
    """
    truth, found, place = (np.concatenate([part[column] for part in parts]) for column in range(3))
    skipped, classes, top = sum(part.skipped for part in parts), len(names), min(top, len(names))
    if not len(truth):
        raise UsageError("none of the pictures can be used", "`cspdet data check --classify` says why")
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (truth, found), 1)
    counts = [np.bincount(truth[chosen], minlength=classes) for chosen in (place >= 0, place == 0, place < top)]
    figures = zip(names, *(each.tolist() for each in counts), strict=True)
    return Accuracy(top, tuple(ClassAccuracy(number, *each) for number, each in enumerate(figures)), skipped, matrix)


def _read(picture: Picture, labels: Sequence[str], exact: Exact, classifier: Classifier) -> tuple[int, Floats] | CspdetError:
    """The class of a picture and the network's input, or why there is none."""
    try:
        number = class_of(picture, labels)
    except CspdetError as error:
        return _NoClassError(error.message, error.help)
    try:
        return number, classifier.prepare(read_image(picture.path, exact=exact), counting=True)
    except CspdetError as error:
        return error
