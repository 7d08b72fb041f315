"""The label doctor: everything that is wrong with a data set, be it a detector's or a classifier's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cspdet.data.class_doctor import KEYS, ClassCount, ClassDoctor
from cspdet.data.description import PARTS
from cspdet.data.finding import Finding
from cspdet.data.inspection import Look, faults
from cspdet.data.pictures import darknet_label_path
from cspdet.data.survey import Begin, Place, Survey
from cspdet.names import read_settings
from cspdet.paths import exists
from cspdet.text import counted


class Count(NamedTuple):
    """How much there is in a part of a data set."""

    images: int
    objects: int
    without_objects: int
    without_labels: int


class Report(NamedTuple):
    """What was found, in the order of the files, and how much there is in each part."""

    findings: list[Finding]
    counts: Mapping[str, Count | ClassCount]
    classes: int
    kind: Literal["detector", "classifier"] = "detector"
    # What tells the kind, unless that was said.
    evidence: str = ""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for `--json`."""
        severities = [each.severity for each in self.findings]
        return {
            "diagnostics": [each.to_json() for each in self.findings],
            **{f"{severity}s": severities.count(severity) for severity in ("error", "warning", "note")},
            "kind": self.kind,
            "classes": self.classes,
            "parts": {part: count._asdict() for part, count in self.counts.items()},
        }


def examine(
    path: str | Path,
    parts: Sequence[str] = PARTS,
    begin: Begin = lambda _: lambda _: None,
    *,
    classify: bool | None = None,
) -> Report:
    """Look at every image and label file of the parts of a data set.

    `begin` is given the number of images and gives back what is called with the number of those that are done. `classify`
    says whether the set is a classifier's; otherwise it is if it has settings that only classifiers read, and no label file.

    Raises:
        UsageError: there is no such `.data` file, or it says nothing.
    """
    survey = Survey(path)
    description = survey.description
    survey.check_names(description.names, str(description.names_file))
    survey.read_lists(parts)
    survey.look(begin)
    keys = [key for key in KEYS if description.written.get(key)]
    labelled = any(all(fault.code != "missing-labels" for fault in look.labels.faults) for look in survey.looks.values())
    evidence = ""
    if classify is None and keys:
        if labelled:
            message = f"`{keys[0]}=` is for classifiers, but there are label files"
            line = read_settings(path)[keys[0]].line
            label, cure = "it is looked at as a detector's", "`--classify` looks at it as a classifier's"
            survey.add("note", "two-kinds", message, str(path), line, label, cure)
        else:
            evidence = f"`{keys[0]}=` is there, and no label file"
    doctor = ClassDoctor(survey) if classify or evidence else _Doctor(survey, doubt=classify is None and not labelled)
    counts = {part: doctor.check_part(part) for part in survey.lists}
    survey.check_contents()
    kind: Literal["detector", "classifier"] = "classifier" if isinstance(doctor, ClassDoctor) else "detector"
    return Report(survey.findings, counts, description.classes, kind, evidence)


class _Doctor:
    """Looks at the labels; with `doubt`, the set may be a classifier's."""

    def __init__(self, survey: Survey, *, doubt: bool) -> None:
        self.survey = survey
        self.description = survey.description
        self.doubt = doubt
        # The first image of each label file.
        self.owners: dict[str, Place] = {}

    def check_part(self, part: str) -> Count:
        """The images of one list and their labels; gives how much there is."""
        survey = self.survey
        objects: Counter[int] = Counter()
        images = without_objects = without_labels = elsewhere = 0
        for place, look, new in survey.images(part):
            images += look.trouble is None
            labels = look.labels
            objects.update(int(number) for number in labels.rows[:, 0].tolist())
            without_objects += look.trouble is None and not len(labels.rows)
            without_labels += any(fault.code == "missing-labels" for fault in labels.faults)
            elsewhere += bool(labels.lines) and look.label_file != darknet_label_path(place.picture.path)
            # Without an image, no wonder that it has no labels.
            if new and survey.check_image(place, look):
                self.check_labels(place, look)
        if elsewhere:
            first = survey.lists[part][0]
            wanted = darknet_label_path(first.picture.path)
            message = f"{counted(elsewhere, 'label file')} of `{part}` where AlexeyAB's Darknet does not look"
            cure = "only if Darknet is to read them, too: put them beside the images, or call `images` `JPEGImages`"
            survey.add_at(first, "note", "labels-elsewhere", message, f"it looks for `{wanted}`", cure)
        self.check_classes(part, objects)
        return Count(images, sum(objects.values()), without_objects, without_labels)

    def check_labels(self, place: Place, look: Look) -> None:
        """The labels of one image."""
        file = str(look.label_file)
        self.check_owner(place, look)
        for fault in faults(look.labels, self.description.classes, look.size):
            if fault.line:
                self.survey.add(fault.severity, fault.code, fault.message, file, fault.line, fault.label, fault.help)
            else:
                message = f"`{place.picture.written}`: {fault.message}"
                self.survey.add_at(place, fault.severity, fault.code, message, fault.label, fault.help)
        if not len(look.labels.rows) and not look.labels.faults:
            message, cure = "there is no object in the image", "nothing to do, if that is true"
            self.survey.add("note", "empty-labels", message, file, 1, "", cure)

    def check_owner(self, place: Place, look: Look) -> None:
        """A label file that belongs to several images."""
        owner = self.owners.setdefault(os.path.abspath(look.label_file), place)  # noqa: PTH100 - as the survey's paths
        if owner is not place and exists(look.label_file):
            message = f"`{place.picture.written}` and `{owner.picture.written}` have one label file, `{look.label_file}`"
            label, cure = "its objects count for both", "rename one of the images, and give each its labels"
            self.survey.add_at(place, "warning", "shared-labels", message, label, cure)

    def check_classes(self, part: str, objects: Counter[int]) -> None:
        """Classes without any object."""
        description = self.description
        if not objects:
            message = f"no image of `{part}` has an object"
            cure = "are the label files where they are looked for? `labels/x.txt` for `images/x.jpg`"
            if self.doubt:
                cure += "; a classifier's set, whose paths tell the classes, is checked with `--classify`"
            self.survey.add(
                "error", "no-objects", message, self.survey.lists[part][0].file, 1, "there is nothing to learn from", cure
            )
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
                self.survey.add(
                    "warning", "class-without-objects", message, file, line, label, "add images with it, or remove the class"
                )


def summary(report: Report) -> str:
    """How much there is, in a line."""

    def total(name: str) -> int:
        return sum(getattr(count, name) for count in report.counts.values())

    images, classes = counted(total("images"), "image"), counted(report.classes, "class", "classes")
    if report.kind == "detector":
        empty = counted(total("without_objects"), "image")
        return f"{images}, {counted(total('objects'), 'object')}, {classes}, {empty} without objects"
    why = f"; taken for a classifier's, as {report.evidence} (--no-classify)" if report.evidence else ""
    return f"{images}, {classes}, {counted(total('without_class'), 'image')} without a class{why}"
