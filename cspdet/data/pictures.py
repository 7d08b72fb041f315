"""Lists of images, a path per line, and where the labels of an image are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.source import read_text
from cspdet.data.description import places
from cspdet.errors import UsageError
from cspdet.paths import exists, first_file, is_file, is_folder
from cspdet.text import brief

_LINE_END = re.compile(r"\r\n|\r|\n")
# The folders that `utils.c:replace_image_to_label` knows, and what it makes of them.
_DARKNET = (
    ("/images/train2017/", "/labels/train2017/"),
    ("/images/val2017/", "/labels/val2017/"),
    ("/JPEGImages/", "/labels/"),
    ("/images/train2014/", "/labels/train2014/"),
    ("/images/val2014/", "/labels/val2014/"),
)


class Picture(NamedTuple):
    """One image of a list."""

    # Where it is; as written, if it is nowhere.
    path: Path
    # As written in the list, and the line that says so, counted from 1.
    written: str
    line: int

    @property
    def labels(self) -> Path:
        """The file of its labels, or where it would be."""
        return label_path(self.path)


def read_list(path: str | Path, *, images: bool = True) -> list[Picture]:
    """The images of a list, in its order; blank lines do not count. A folder stands for the images in it.

    A path is resolved against the working directory, as Darknet does, else against the list's own folder or that above.
    Images that are missing are listed, too: whether that matters is not for this function to say. Without `images`, none needs
    to be there: the list that `difficult=` names has images of the same names in a folder of which only the labels exist.

    Raises:
        UsageError: the list is missing, not text, or names no image that is there.
    """
    path = Path(path)
    if is_folder(path):
        return _of_folder(path)
    pictures = [Picture(_find(places(written, path)), written, number) for written, number in listed(path)]
    if images and not any(is_file(each.path) for each in pictures):
        first = pictures[0].written
        cure = f"paths are looked for in the working directory, in `{path.parent}` and above"
        if re.match(r"[A-Za-z]:[\\/]|\\\\", first):
            cure = f"these are paths of a Windows machine: write them relative to `{path.parent}`, with forward slashes"
        elif re.match(r"[A-Za-z]{2,}://", first):
            cure = "only files are read: download the images, and list where they are"
        elif is_folder(pictures[0].path):
            cure = (
                f"`{brief(first, 120)}` is a folder: name it in the .data file, in place of the list, or list the images in it"
            )
        many = f"none of the {len(pictures):,} images that `{path}` lists is there, such as"
        only = f"the only image that `{path}` lists is not there:"
        raise UsageError(f"{many if len(pictures) > 1 else only} `{brief(first, 120)}`", cure)
    return pictures


def listed(path: Path) -> list[tuple[str, int]]:
    """What is written in a list of images, and in which line, counted from 1.

    Raises:
        UsageError: the list is missing, not text, or empty.
    """
    lines = enumerate(_LINE_END.split(read_text(path, "a list of images")), 1)
    found = [(line.strip(), number) for number, line in lines if line.strip()]
    if not found:
        raise UsageError(f"`{path}` lists no images", "write the path of one image per line")
    return found


def label_path(image: Path) -> Path:
    """The file with the labels of an image: the first of these that is there, else the last.

    Where AlexeyAB's Darknet looks (`utils.c:replace_image_to_label`): the same place with `labels` for the folders it knows,
    which is beside the image for all others. Beside the image, where hank-ai's always looks. Then, which neither does,
    `labels` in place of the last folder named `images`.
    """
    candidates = [darknet_label_path(image), _as_text(str(image))]
    folders = list(image.parts)
    for index in range(len(folders) - 2, -1, -1):
        if folders[index] == "images":
            folders[index] = "labels"
            candidates.append(_as_text(str(Path(*folders))))
            break
    else:
        candidates.append(candidates[0])
    return first_file(candidates) or candidates[-1]


def darknet_label_path(image: Path) -> Path:
    """Where AlexeyAB's Darknet looks for the labels of an image.

    Darknet overlooks a folder that its replacements know where the path starts with it; here, that makes no difference.
    """
    text = str(image)
    if not image.is_absolute():
        text = os.sep + text
    for old, new in _DARKNET:
        text = text.replace(old.replace("/", os.sep), new.replace("/", os.sep), 1)
    return _as_text(text if image.is_absolute() else text.removeprefix(os.sep))


def _as_text(image: str) -> Path:
    return Path(os.path.splitext(image)[0] + ".txt")  # noqa: PTH122 - `with_suffix` raises where there is no name


def _find(candidates: tuple[Path, ...]) -> Path:
    """The place with the image, else the one with its labels, else one with anything, else the first."""
    found = first_file(candidates) or next((each for each in candidates if is_file(label_path(each))), None)
    return found or next((each for each in candidates if exists(each)), candidates[0])


def _of_folder(folder: Path) -> list[Picture]:
    found = sorted(_images(folder))
    if not found:
        raise UsageError(f"there are no images in `{folder}`", "name a folder of images, or a list of them")
    return [Picture(each, str(each), number) for number, each in enumerate(found, 1)]


def _images(folder: Path) -> Iterator[Path]:
    from cspdet.image import SUFFIXES

    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if os.path.splitext(name)[1].lower() in SUFFIXES)  # noqa: PTH122
