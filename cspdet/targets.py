"""Where the results of each source are written.

All of it is planned before the work: what cannot be written is refused then, and so is what would overwrite a file that is
read, or be written twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdet.errors import UsageError
from cspdet.files import check_writable, is_special, make_folder, overwrites, real_path
from cspdet.image import SUFFIXES, check_format
from cspdet.outputs import check_video_format
from cspdet.paths import exists, is_folder
from cspdet.sources import VIDEOS, Source

# Endings that an annotated image keeps; others become `.png`.
_KEPT = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))


class Wanted(NamedTuple):
    """What the user wants written; None where nothing is said."""

    annotated: bool = True
    save: str | None = None
    labels: str | None = None
    labels_beside: bool = False
    files: tuple[str, ...] = ()


class Target(NamedTuple):
    """The files for one source; None where there is none."""

    annotated: Path | None = None
    labels: Path | None = None
    labels_beside: Path | None = None

    def labels_of(self, frame: int | None) -> list[Path]:
        """The label files of an image, or of a frame of a video, counted from 1."""
        folder = self.labels
        if folder is not None and frame is not None:
            folder = folder.with_name(f"{folder.stem}_{frame}.txt")
        return [path for path in (folder, self.labels_beside) if path is not None]


def plan(sources: Sequence[Source], wanted: Wanted, reads: Iterable[str]) -> list[Target]:
    """The targets of all sources, in their order. `reads` are the other files that are read.

    Of one image, the annotated picture goes to `predictions.jpg`, of several into the folder `predictions`, of a video to
    `predictions.mp4`; that of a stream is only written if there is a name for it.

    Raises:
        UsageError: something cannot be written.
    """
    folder, names = _folder(sources, wanted.save), _Names()
    labels = _label_files(sources, Path(wanted.labels)) if wanted.labels is not None else [None] * len(sources)
    targets = [
        Target(
            _annotated(source, wanted.save, folder, names) if wanted.annotated else None,
            label_file,
            Path(source.name).with_suffix(".txt") if wanted.labels_beside and source.kind == "image" else None,
        )
        for source, label_file in zip(sources, labels, strict=True)
    ]
    for source, target in zip(sources, targets, strict=True):
        if target.annotated is not None:
            (check_format if source.still else check_video_format)(target.annotated)
    paths = [*map(Path, wanted.files), *(path for target in targets for path in target if path is not None)]
    made = {each for each in (folder, wanted.labels and Path(wanted.labels)) if each}
    _check(paths, {real_path(name) for name in (*reads, *(source.name for source in sources))}, made)
    return targets


def make_folders(targets: Iterable[Target]) -> None:
    """Make the folders that the targets are in.

    Raises:
        UsageError: one cannot be made.
    """
    for folder in dict.fromkeys(path.parent for target in targets for path in target if path is not None):
        make_folder(folder)


class _Names:
    """Gives each name once: two folders may hold images of the same name."""

    def __init__(self) -> None:
        self.used: set[Path] = set()
        self.numbers: dict[Path, int] = {}

    def unused(self, folder: Path, stem: str, suffix: str) -> Path:
        first = path = folder / f"{stem}{suffix}"
        while path in self.used:
            self.numbers[first] = number = self.numbers.get(first, 1) + 1
            path = folder / f"{stem}-{number}{suffix}"
        self.used.add(path)
        return path


def _folder(sources: Sequence[Source], save: str | None) -> Path | None:
    """The folder for annotated images and videos; None for a single one that goes into a file."""
    if len(sources) > 1:
        if save is not None and not is_folder(save) and Path(save).suffix.lower() in SUFFIXES | VIDEOS:
            raise UsageError(f"`{save}` is one file, but there are {len(sources)} sources", "name a folder")
        return Path(save or "predictions")
    return Path(save) if save is not None and (is_folder(save) or not Path(save).suffix) else None


def _annotated(source: Source, save: str | None, folder: Path | None, names: _Names) -> Path | None:
    if source.kind == "stream" and save is None:
        return None
    if folder is None:
        return Path(save or ("predictions.jpg" if source.still else "predictions.mp4"))
    suffix = source.suffix if source.suffix.lower() in _KEPT else ".png"
    return names.unused(folder, source.stem, suffix if source.still else ".mp4")


def _label_files(sources: Sequence[Source], folder: Path) -> list[Path | None]:
    """One for each source; those of a video's frames have the frame's number behind its name."""
    names = _Names()
    found: list[Path | None] = [names.unused(folder, each.stem, ".txt") if each.still else None for each in sources]
    # `clip_1.jpg` and frame 1 of `clip.mp4` would have the same file.
    numbered = {re.sub(r"_[0-9]+$", "", path.stem) for path in found if path is not None}
    names.used |= {folder / f"{stem}.txt" for stem in numbered}
    return [
        names.unused(folder, source.stem, ".txt") if path is None else path for source, path in zip(sources, found, strict=True)
    ]


def _check(paths: Iterable[Path], reads: set[str], made: set[Path]) -> None:
    """Refuse what is read, what is written twice, and what cannot be written. The folders in `made` may be missing."""
    planned: set[str] = set()
    folders: set[Path] = set()
    for path in paths:
        if str(path) == "-":
            raise UsageError("cannot write `-`: it is no name of a file", "write to `/dev/stdout`, with `--quiet`")
        if is_special(path) and not is_folder(path):
            continue
        real = real_path(path)
        if real in reads:
            raise overwrites(path)
        if real in planned:
            raise UsageError(f"cannot write `{path}` for two results", "give each a name of its own")
        planned.add(real)
        if path.parent not in folders or is_folder(path):  # once for each folder
            folders.add(path.parent)
            check_writable(_first_missing(path) if path.parent in made else path)


def _first_missing(path: Path) -> Path:
    """The first folder on the way to `path` that has to be made; `path` itself where all are there."""
    while not exists(path.parent) and path.parent != path:
        path = path.parent
    return path
