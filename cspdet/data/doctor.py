"""The label doctor: everything that is wrong with a data set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.cfg.diagnostic import Severity
from cspdet.data.description import PARTS, Description, examine_description
from cspdet.data.finding import Finding
from cspdet.data.inspection import Look, faults, look_at_all
from cspdet.data.pictures import Picture, darknet_label_path, read_list
from cspdet.errors import UsageError
from cspdet.text import counted

_MOST_WORKERS = 8


class Count(NamedTuple):
    """How much there is in a part of a data set."""

    images: int
    objects: int
    without_objects: int
    without_labels: int


class Report(NamedTuple):
    """What was found, in the order of the files, and how much there is in each part."""

    findings: list[Finding]
    counts: dict[str, Count]
    classes: int

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for `--json`."""
        severities = [each.severity for each in self.findings]
        return {
            "diagnostics": [each.to_json() for each in self.findings],
            **{f"{severity}s": severities.count(severity) for severity in ("error", "warning", "note")},
            "classes": self.classes,
            "parts": {part: count._asdict() for part, count in self.counts.items()},
        }


class Place(NamedTuple):
    """A line of one of the lists."""

    part: str
    file: str
    picture: Picture
    # The path of the image in a form that is the same however it is written.
    path: str


Begin = Callable[[int], Callable[[int], object]]


def examine(path: str | Path, parts: Sequence[str] = PARTS, begin: Begin = lambda _: lambda _: None) -> Report:
    """Look at every image and label file of the parts of a data set.

    `begin` is given the number of images and gives back what is called with the number of those that are done.

    Raises:
        UsageError: there is no such `.data` file, or it says nothing.
    """
    doctor = _Doctor(*examine_description(path))
    doctor.check_names()
    doctor.read_lists(parts)
    doctor.look(begin)
    for part in doctor.lists:
        doctor.check_part(part)
    doctor.check_contents()
    return Report(doctor.findings, doctor.counts, doctor.description.classes)


class _Doctor:
    def __init__(self, description: Description, findings: list[Finding]) -> None:
        self.description = description
        self.findings = findings
        self.lists: dict[str, list[Place]] = {}
        self.counts: dict[str, Count] = {}
        # By the path of the image, so that one in two lists is looked at once.
        self.looks: dict[str, Look] = {}

    def check_names(self) -> None:
        """Names that stand there twice, or are none."""
        seen: dict[str, int] = {}
        for line, name in enumerate(self.description.names, 1):
            file = str(self.description.names_file)
            if not name:
                message = f"the name of class {line - 1} is a blank line"
                self.add("warning", "blank-name", message, file, line, "all names behind it move by one", "remove the line")
            elif name in seen:
                message = f"classes {seen[name] - 1} and {line - 1} are both called `{name}`"
                label = "nobody can tell them from each other"
                self.add("warning", "name-twice", message, file, line, label, "give each class a name of its own")
            seen.setdefault(name, line)

    def add(self, severity: Severity, code: str, message: str, file: str, line: int, label: str = "", cure: str = "") -> None:
        self.findings.append(Finding(severity, code, message, file, line, label, cure))

    def read_lists(self, parts: Sequence[str]) -> None:
        """The lists of the parts that there are."""
        description = self.description
        if len(parts) < len(PARTS):
            for part in parts:
                if not description.written.get(part):
                    description.list_of(part)  # raises, and says how to add it
        elif not any(description.written.get(part) for part in parts):
            cure = "add `train = path/to/list.txt`, a list of images"
            message = f"`{description.path}` has neither `train=` nor `valid=`"
            self.add("error", "no-list", message, str(description.path), 1, "there is nothing to look at", cure)
        for part in parts:
            file = getattr(description, part)
            if file is None:
                continue
            try:
                pictures = read_list(file)
            except UsageError as error:
                self.add("error", "no-images", error.message, str(file), 1, "", error.help)
                continue
            self.lists[part] = [Place(part, str(file), each, os.path.abspath(each.path)) for each in pictures]  # noqa: PTH100

    def look(self, begin: Begin) -> None:
        """Look at every image once."""
        pictures: dict[str, Picture] = {}
        for place in (place for places in self.lists.values() for place in places):
            pictures.setdefault(place.path, place.picture)
        workers = min(_MOST_WORKERS, os.cpu_count() or 1)
        self.looks = dict(zip(pictures, look_at_all([*pictures.values()], workers, begin(len(pictures))), strict=True))

    def check_part(self, part: str) -> None:
        """The images of one list and their labels, and how much there is."""
        earlier = [name for name in self.lists if name != part and name in self.counts]
        known = {place.path for name in earlier for place in self.lists[name]}
        seen: dict[str, Place] = {}
        objects: Counter[int] = Counter()
        images = without_objects = without_labels = elsewhere = 0
        for place in self.lists[part]:
            path = place.path
            if path in seen:
                message = f"`{place.picture.written}` is listed twice, first in line {seen[path].picture.line}"
                self.add_at(place, "warning", "listed-twice", message, "it counts twice", "remove the line")
                continue
            seen[path] = place
            look = self.looks[path]
            images += look.trouble is None
            labels = look.labels
            objects.update(int(number) for number in labels.rows[:, 0].tolist())
            without_objects += look.trouble is None and not len(labels.rows)
            without_labels += any(fault.code == "missing-labels" for fault in labels.faults)
            elsewhere += bool(labels.lines) and look.label_file != darknet_label_path(place.picture.path)
            if path in known:
                message = f"`{place.picture.written}` is in `{earlier[0]}`, too"
                label, cure = "what is trained with says nothing in validation", "keep it in one of the lists"
                self.add_at(place, "warning", "in-both-parts", message, label, cure)
            else:
                self.check_image(place, look)
        self.counts[part] = Count(images, sum(objects.values()), without_objects, without_labels)
        if elsewhere:
            first = self.lists[part][0]
            wanted = darknet_label_path(first.picture.path)
            message = f"{counted(elsewhere, 'label file')} of `{part}` where AlexeyAB's Darknet does not look"
            cure = "only if Darknet is to read them, too: put them beside the images, or call `images` `JPEGImages`"
            self.add("note", "labels-elsewhere", message, first.file, first.picture.line, f"it looks for `{wanted}`", cure)
        self.check_classes(part, objects)

    def add_at(self, place: Place, severity: Severity, code: str, message: str, label: str, cure: str) -> None:
        self.add(severity, code, message, place.file, place.picture.line, label, cure)

    def check_image(self, place: Place, look: Look) -> None:
        """One image and its labels."""
        if look.trouble:
            self.add_at(place, "error", look.trouble.code, look.trouble.message, "", look.trouble.help)
            if look.trouble.code == "missing-image":
                return  # no wonder that it has no labels
        file = str(look.label_file)
        for fault in faults(look.labels, self.description.classes, look.size):
            if fault.line:
                self.add(fault.severity, fault.code, fault.message, file, fault.line, fault.label, fault.help)
            else:
                message = f"`{place.picture.written}`: {fault.message}"
                self.add_at(place, fault.severity, fault.code, message, fault.label, fault.help)
        if not len(look.labels.rows) and not look.labels.faults:
            self.add("note", "empty-labels", "there is no object in the image", file, 1, "", "nothing to do, if that is true")

    def check_classes(self, part: str, objects: Counter[int]) -> None:
        """Classes without any object."""
        description = self.description
        if not objects:
            message = f"no image of `{part}` has an object"
            cure = "are the label files where they are looked for? `labels/x.txt` for `images/x.jpg`"
            self.add("error", "no-objects", message, self.lists[part][0].file, 1, "there is nothing to learn from", cure)
            return
        file, line = str(description.names_file or description.path), 1
        for number in range(description.classes):
            if not objects[number]:
                if description.names_file:
                    line = min(number, len(description.names) - 1) + 1
                message = f"no image of `{part}` has an object of class {number}"
                if number < len(description.names):
                    message += f", `{description.names[number]}`"
                label = "it cannot be learnt" if part == "train" else "its average precision counts as 0"
                self.add(
                    "warning", "class-without-objects", message, file, line, label, "add images with it, or remove the class"
                )

    def check_contents(self) -> None:
        """Images of different paths whose bytes are the same."""
        first: dict[bytes, Place] = {}
        checked: set[str] = set()
        for place in (place for places in self.lists.values() for place in places):
            path = place.path
            digest = self.looks[path].digest
            if not digest or path in checked:
                continue
            checked.add(path)
            other = first.setdefault(digest, place)
            if other is place:
                continue
            message = f"`{place.picture.written}` is the same image as `{other.picture.written}`"
            if other.part != place.part:
                message += f" of `{other.part}`"
                label, cure = "what is trained with says nothing in validation", "keep one of them"
                self.add_at(place, "warning", "content-in-both-parts", message, label, cure)
            else:
                label = f"it stands in line {other.picture.line}"
                self.add_at(place, "note", "same-content", message, label, "keep one of them")


def summary(report: Report) -> str:
    """How much there is, in a line."""
    counts = report.counts.values()
    images, objects, empty = (
        sum(getattr(count, name) for count in counts) for name in ("images", "objects", "without_objects")
    )
    parts = [counted(images, "image"), counted(objects, "object"), counted(report.classes, "class", "classes")]
    return ", ".join([*parts, f"{counted(empty, 'image')} without objects"])
