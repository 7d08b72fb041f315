"""Which class a picture for a classifier shows: the folder it is in tells, or a word of its path."""

from __future__ import annotations

from collections.abc import Sequence

from cspdet.data.pictures import Picture
from cspdet.errors import ImageError


def class_of(picture: Picture, names: Sequence[str]) -> int:
    """The number of the class that a picture shows.

    A folder on its way that has the name of a class tells; the nearest one, if there are several. Otherwise it is the one
    class whose name is part of the path, as in Darknet (`data.c:fill_truth`), which takes every class that is.

    Raises:
        ImageError: no name is, or several are.
    """
    for folder in reversed(picture.path.parts[:-1]):
        if folder in names:
            return names.index(folder)
    found = [number for number, name in enumerate(names) if name in str(picture.path)]
    if len(found) == 1:
        return found[0]
    several = f"`{names[found[0]]}` and `{names[found[1]]}` are both" if found else "no name of a class is"
    raise ImageError(
        f"`{picture.path}`: {several} part of its path", "put the pictures of each class into a folder of its name"
    )
