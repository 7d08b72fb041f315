"""Questions about paths that are answered, never raised: a folder that may not be searched holds nothing for us."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def is_file(path: str | Path) -> bool:
    """Whether an ordinary file, or a link to one, is there. `pathlib` raises where a folder on the way is closed to us."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: str | Path) -> bool:
    """Whether anything is there."""
    return os.path.exists(path)  # noqa: PTH110


def first_file(places: Iterable[Path]) -> Path | None:
    """The first of these that is a file."""
    return next((place for place in places if is_file(place)), None)


def above(folder: Path) -> Path:
    """The folder above; `parent` of `.` and `..` is `.`."""
    return folder.parent if folder.name not in ("", os.pardir) or folder.anchor == str(folder) else folder / os.pardir


def file_near(name: str, beside: Path) -> Path | None:
    """The file that a file `beside` it names: in the working directory, where Darknet looks, else around that file."""
    home = beside.parent
    return first_file((Path(name), home / name, above(home) / name, home / Path(name).name))
