"""What any data set is looked at for: the names of its classes, its lists, and its images, each once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.diagnostic import Severity
from cspdet.cores import usable_cores
from cspdet.data.description import PARTS, Description, examine_description
from cspdet.data.finding import Finding
from cspdet.data.inspection import Look, look_at_all
from cspdet.data.pictures import Picture, read_list
from cspdet.errors import UsageError
from cspdet.paths import is_folder

_MOST_WORKERS = 8

Begin = Callable[[int], Callable[[int], object]]


class Place(NamedTuple):
    """A line of one of the lists."""

    part: str
    file: str
    picture: Picture
    # The path of the image in a form that is the same however it is written.
    path: str

    @property
    def where(self) -> tuple[str, int]:
        """File and line for findings: of a folder, which has no lines, the image itself."""
        return (str(self.picture.path), 1) if is_folder(self.file) else (self.file, self.picture.line)


class Survey:
    """A data set, what is wrong with it, and what its images look like."""

    def __init__(self, path: str | Path) -> None:
        """Read a `.data` file.

        Raises:
            UsageError: it is missing or not text, or says nothing.
        """
        self.description: Description
        self.findings: list[Finding]
        self.description, self.findings = examine_description(path)
        self.lists: dict[str, list[Place]] = {}
        # By the path of the image, so that one in two lists is looked at once.
        self.looks: dict[str, Look] = {}

    def check_names(self, names: Sequence[str], file: str) -> None:
        """Names of classes, one per line of a file, that stand there twice or are none."""
        seen: dict[str, int] = {}
        for line, name in enumerate(names, 1):
            if not name:
                message = f"the name of class {line - 1} is a blank line"
                self.add("warning", "blank-name", message, file, line, "all names behind it move by one", "remove the line")
            elif name in seen:
                message = f"classes {seen[name] - 1} and {line - 1} are both called `{name}`"
                label = "nobody can tell them from each other"
                self.add("warning", "name-twice", message, file, line, label, "give each class a name of its own")
            seen.setdefault(name, line)

    def add(self, severity: Severity, code: str, message: str, file: str, line: int, label: str = "", cure: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, code, message, file, line, label, cure))

    def add_at(self, place: Place, severity: Severity, code: str, message: str, label: str, cure: str) -> None:
        """Add a finding about a line of a list."""
        self.add(severity, code, message, *place.where, label, cure)

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
        workers = min(_MOST_WORKERS, usable_cores())
        self.looks = dict(zip(pictures, look_at_all([*pictures.values()], workers, begin(len(pictures))), strict=True))

    def images(self, part: str) -> Iterator[tuple[Place, Look, bool]]:
        """The images of a list, each once, and whether no other list before had them."""
        earlier = [*self.lists][: [*self.lists].index(part)]
        known = {place.path for name in earlier for place in self.lists[name]}
        seen: dict[str, Place] = {}
        for place in self.lists[part]:
            path = place.path
            if path in seen:
                message = f"`{place.picture.written}` is listed twice, first in line {seen[path].picture.line}"
                self.add_at(place, "warning", "listed-twice", message, "it counts twice", "remove the line")
                continue
            seen[path] = place
            if path in known:
                message = f"`{place.picture.written}` is in `{earlier[0]}`, too"
                label, cure = "what is trained with says nothing in validation", "keep it in one of the lists"
                self.add_at(place, "warning", "in-both-parts", message, label, cure)
            yield place, self.looks[path], path not in known

    def check_image(self, place: Place, look: Look) -> bool:
        """Say what is wrong with an image itself; gives whether there is one."""
        if look.trouble:
            self.add_at(place, "error", look.trouble.code, look.trouble.message, "", look.trouble.help)
        return look.trouble is None or look.trouble.code != "missing-image"

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
                file, line = other.where
                label = f"it stands in {file}:{line}"
                self.add_at(place, "note", "same-content", message, label, "keep one of them")
