"""What is wrong with the classes of a classifier's data set, which the paths of its images tell."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from cspdet.data.classes import class_of
from cspdet.data.survey import Survey
from cspdet.errors import ImageError, UsageError
from cspdet.names import read_names, read_settings
from cspdet.text import counted

# What Darknet reads of a .data file for classifiers, and never for detectors (`classifier.c:train_classifier`).
KEYS = ("labels", "top")


class ClassCount(NamedTuple):
    """How much there is in a part of a classifier's data set."""

    images: int
    without_class: int


class ClassDoctor:
    """Looks at what the paths tell."""

    def __init__(self, survey: Survey) -> None:
        """Read what classes are called in paths, and say what is wrong with that."""
        self.survey = survey
        self.description = survey.description
        self.names: tuple[str, ...] = ()
        self.file = str(self.description.names_file or self.description.path)
        if self.description.written.get("labels"):
            self._read_labels()
        elif self.description.names:
            self.names = self.description.names
        elif not self.description.written.get("names"):
            message = f"`{self.description.path}` has neither `labels=` nor `names=`"
            cure = "name a file with the name of each class: `names = X.names`"
            survey.add("error", "missing-names", message, self.file, 1, "no path tells a class", cure)

    def _read_labels(self) -> None:
        description = self.description
        path, line = str(description.path), read_settings(description.path)["labels"].line
        try:
            file = description.labels_file
            self.names = read_names(file) if file else ()
        except UsageError as error:
            self.survey.add("error", "missing-names", error.message, path, line, "no path tells a class", error.help)
            return
        self.file = str(file)
        self.survey.check_names(self.names, self.file)
        if len(self.names) != description.classes:
            there, wanted = counted(len(self.names), "name"), counted(description.classes, "class", "classes")
            message = f"`{description.written['labels']}` has {there}, `{path}` {wanted}"
            cure = f"write one name per line, or `classes = {len(self.names)}`"
            self.survey.add("error", "classes-names", message, path, line, "", cure)

    def check_part(self, part: str) -> ClassCount:
        """The images of one list and their classes; gives how much there is."""
        found: Counter[int] = Counter()
        images = without_class = 0
        for place, look, new in self.survey.images(part):
            images += look.trouble is None
            if new:
                self.survey.check_image(place, look)
            try:
                number = class_of(place.picture, self.names)
            except ImageError as error:
                without_class += look.trouble is None
                if new and self.names:
                    self.survey.add_at(place, "error", "unclear-class", error.message, "training leaves it out", error.help)
            else:
                found[number] += look.trouble is None
        for number, name in enumerate(self.names):
            if not found[number] and name not in self.names[:number]:
                message = f"no image of `{part}` shows class {number}, `{name}`"
                label = "it cannot be learnt" if part == "train" else "nothing tells how well it is recognised"
                cure = "add images of it, or remove the class"
                self.survey.add("warning", "class-without-images", message, self.file, number + 1, label, cure)
        return ClassCount(images, without_class)
