"""Annotations of other programs → a data set in Darknet's layout: labels, lists, names and a `.data` file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cspdet.data.labels import label_text
from cspdet.data.pictures import darknet_label_path, label_path
from cspdet.data.remarks import Remarks
from cspdet.errors import CspdetError, UsageError
from cspdet.files import check_writable, overwrites, real_path, replacing, unwritable
from cspdet.paths import exists, first_file
from cspdet.text import brief

# Folder of the labels of difficult objects, within that of the images or of their labels.
DIFFICULT = "difficult"


@dataclass(frozen=True, slots=True)
class Object:
    """An annotated object: its class's name, and left, top, right, bottom as shares of the image."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool = False
    # Where it is annotated, for people. The same object may be annotated in two places.
    place: str = field(default="", compare=False)


class Annotated(NamedTuple):
    """An image and the objects in it."""

    image: Path
    objects: tuple[Object, ...]


class Annotations(NamedTuple):
    """What annotation files say: images, the names of all classes in their order, and what was left out."""

    images: tuple[Annotated, ...]
    names: tuple[str, ...]
    remarks: Remarks


class Plan(NamedTuple):
    """The files of a data set, none of them written yet."""

    data: Path
    # Label files first, the `.data` file last, so that what is there is complete.
    files: dict[Path, bytes]
    # Images and objects of each part.
    counts: dict[str, tuple[int, int]]
    remarks: Remarks

    def write(self, advance: Callable[[int], object] = lambda _: None) -> None:
        """Write all files, each whole or not at all. What is there already with the same content stays.

        Raises:
            UsageError: a file cannot be written.
        """
        for path, content in self.files.items():
            if not _holds(path, content):
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise unwritable(path, error) from None
                with replacing(path) as file:
                    file.write(content)
            advance(1)


def plan(
    parts: Mapping[str, Annotations],
    target: str | Path,
    names: Sequence[str] = (),
    *,
    difficult: bool = False,
    force: bool = False,
    reads: Iterable[str | Path] = (),
) -> Plan:
    """The files of a data set with these parts, `train` and maybe `valid`.

    `target` is the `.data` file; the names and the lists stand beside it under names that begin alike. Label files stand where
    AlexeyAB's Darknet looks for them. `names` chooses and orders the classes; without it, there are all, in the order of the
    annotations. Objects marked difficult are left out; with `difficult`, those of `valid` become the labels of a second list,
    as `difficult=` wants it: the same images in a folder of that name, of which only the labels exist. `reads` are the files
    that the parts and names were read from, which stay what they are.

    Raises:
        UsageError: the target is no `.data` file, a file cannot be written, is one of those that were read, or is there already
            with other content (which `force` allows), or there are no classes.
        CspdetError: two images have one label file.
    """
    target = Path(target)
    if target.suffix != ".data":
        raise UsageError(f"cannot write `{target}`: it is no name of a .data file", "end its name in `.data`")
    if difficult and "valid" not in parts:
        raise UsageError("`difficult=` is about the images of `valid`, and there are none", "add `--valid SOURCE`")
    check_writable(target)
    names = tuple(names) or tuple(dict.fromkeys(name for part in parts.values() for name in part.names))
    if not names:
        raise UsageError("there are no classes in these annotations", "name the classes with `--names FILE`")
    for name in names:
        if not name.strip() or "\n" in name or "\r" in name:
            objects = (each for part in parts.values() for image in part.images for each in image.objects)
            where = next((f"{each.place}: " for each in objects if each.name == name and each.place), "")
            raise CspdetError(f"{where}`{brief(name)}` cannot be the name of a class: each has a line of its own", "rename it")
    maker = _Maker(target, {name: number for number, name in enumerate(names)})
    lists = {
        part: maker.part(part, annotations, leave_out=not (difficult and part == "valid"))
        for part, annotations in parts.items()
    }
    if difficult:
        lists[DIFFICULT] = maker.difficult(parts["valid"])
    maker.describe(lists, names)
    maker.check_folders()
    maker.spare(reads)
    if not force:
        maker.refuse_to_overwrite()
    for part in parts.values():
        maker.remarks.join(part.remarks)
    return Plan(target, maker.files, maker.counts, maker.remarks)


class _Maker:
    def __init__(self, target: Path, numbers: dict[str, int]) -> None:
        self.target = target
        self.numbers = numbers
        self.files: dict[Path, bytes] = {}
        self.owners: dict[Path, Path] = {}
        self.counts: dict[str, tuple[int, int]] = {}
        self.remarks = Remarks()

    def part(self, part: str, annotations: Annotations, *, leave_out: bool) -> list[Path]:
        """Plan the label files of a part; gives the images for its list.

        Difficult objects are never among the labels; with `leave_out`, they are nowhere else either.
        """
        objects = 0
        images = dict.fromkeys(annotations.images)
        for image, found in images:
            for each in found:
                if each.difficult and leave_out:
                    self.remarks.add("difficult objects left out", each.place)
            objects += self.label(image, [each for each in found if not each.difficult])
        self.counts[part] = len(images), objects
        return [image for image, _ in images]

    def difficult(self, annotations: Annotations) -> list[Path]:
        """The same with nothing but the difficult objects, for images that need not exist."""
        images, objects = [], 0
        for image, found in dict.fromkeys(annotations.images):
            images.append(image.parent / DIFFICULT / image.name)
            objects += self.label(images[-1], [each for each in found if each.difficult])
        self.counts[DIFFICULT] = len(images), objects
        return images

    def label(self, image: Path, objects: Sequence[Object]) -> int:
        """Plan one label file; gives how many objects it holds."""
        rows = [row for each in objects if (row := self.row(each))]
        there = first_file([label_path(image)])
        path = there or darknet_label_path(image)
        content = label_text(np.array(rows, np.float64).reshape(-1, 5)).encode()
        if path in self.files and (self.owners[path] != image or self.files[path] != content):
            other = self.owners[path]
            what = f"`{image}` and `{other}` have one label file, `{path}`"
            if other == image:
                what = f"`{image}` is annotated twice, and differently"
            raise CspdetError(what, "rename one of the images" if other != image else "leave one of the sources out")
        self.owners[path], self.files[path] = image, content
        return len(rows)

    def row(self, each: Object) -> tuple[float, ...]:
        """Class, x, y, width, height of an object; nothing if it is left out. What lies outside the image is cut off."""
        number = self.numbers.get(each.name)
        if number is None:
            self.remarks.add("objects of other classes left out", each.place)
            return ()
        left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in each.box)
        if not (left < right and top < bottom):
            self.remarks.add("boxes without area left out", each.place)
            return ()
        if (left, top, right, bottom) != each.box:
            self.remarks.add("boxes cut at the edge of the image", each.place)
        return number, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top

    def describe(self, lists: Mapping[str, Sequence[Path]], names: Sequence[str]) -> None:
        """Plan the lists, the names and the `.data` file."""
        stem, folder = self.target.stem, self.target.parent
        lines = [f"classes = {len(names)}"]

        def add(path: Path, texts: Sequence[str]) -> None:
            # Names of files may hold what is not Unicode.
            self.files[path] = "".join(f"{text}\n" for text in texts).encode("utf-8", "surrogateescape")

        for key, images in lists.items():
            lines.append(f"{key} = {stem}-{key}.txt")
            add(folder / f"{stem}-{key}.txt", [_seen_from(folder, each) for each in images])
        add(folder / f"{stem}.names", names)
        add(self.target, [*lines, f"names = {stem}.names", "backup = backup"])

    def check_folders(self) -> None:
        """See that files can be put into every folder, or the folder be made."""
        for folder in dict.fromkeys(path.parent for path in self.files):
            probe = folder / "x"
            while not exists(probe.parent):
                probe = probe.parent
            check_writable(probe)

    def spare(self, reads: Iterable[str | Path]) -> None:
        """See that no file takes the place of one that was read, unless it says the same."""
        read = {*map(real_path, reads)}
        for path, content in self.files.items():
            if exists(path) and not _holds(path, content) and real_path(path) in read:
                raise overwrites(path)

    def refuse_to_overwrite(self) -> None:
        """See that no file is there with other content."""
        differing = [path for path, content in self.files.items() if exists(path) and not _holds(path, content)]
        if differing:
            more = f" (and {len(differing) - 1:,} more)" if len(differing) > 1 else ""
            message = f"`{differing[0]}` is there already, with other content{more}"
            raise UsageError(message, "`--force` overwrites it; nothing was written")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _seen_from(folder: Path, image: Path) -> str:
    """The path of an image as its list names it: relative to the list, as cspdet reads it from anywhere.

    Darknet counts from the working directory, and knows `JPEGImages` only with a slash before it: hence the dot.
    """
    try:
        path = os.path.relpath(os.path.abspath(image), os.path.abspath(folder)).replace(os.sep, "/")  # noqa: PTH100 - as written
    except ValueError:  # on another drive
        return Path(image).absolute().as_posix()
    return path if path.startswith("../") else f"./{path}"
