"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cspdet.errors import UsageError
from cspdet.paths import exists, is_folder

# What a disk may say in the middle of writing.
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS))


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write into that takes the place of `path` when all is written, and vanishes when something goes wrong.

    Raises:
        UsageError: `path` cannot be written.
    """
    with temporary(path) as beside, beside.open("wb") as file:
        yield file


@contextmanager
def temporary(path: str | Path) -> Iterator[Path]:
    """The same for code that opens its files itself: the path of a file with the same suffix.

    A link stays a link: the file it points to is replaced. What is no ordinary file (`/dev/stdout`, a pipe) is written into.

    Raises:
        UsageError: `path` cannot be written.
    """
    check_writable(path)
    special = is_special(path)
    target = Path(path) if special else Path(os.path.realpath(path))
    try:
        beside = _new_file(Path(tempfile.gettempdir()) if special else target.parent, target.suffix)
    except OSError as error:
        raise unwritable(target, error) from None
    try:
        ordinary = stat.S_IMODE(beside.stat().st_mode)
        try:
            yield beside
        except OSError as error:
            if error.errno in _FULL or not exists(beside):
                raise unwritable(target, error) from None
            raise
        try:
            beside.chmod(ordinary)  # what wrote it may have put another file in its place
            _put(beside, target, special)
        except OSError as error:
            raise unwritable(target, error) from None
    finally:
        beside.unlink(missing_ok=True)


def check_writable(path: str | Path) -> None:
    """See that a file could be written, before the work whose result it is to hold.

    Raises:
        UsageError: it cannot.
    """
    if not str(path):
        raise UsageError("the name of a file to write is empty", "name a file")
    if is_folder(path):
        raise UsageError(f"cannot write `{path}`: it is a directory", f"name a file in it: `{Path(path) / 'X'}`")
    if is_special(path):
        return
    if str(path) == "-":
        raise UsageError("cannot write `-`: it is no name of a file", "standard output is `/dev/stdout`")
    try:
        target = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            target.stat()  # a name that is too long, or a folder that is closed to us
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except (OSError, ValueError) as error:
        raise unwritable(Path(path), error) from None


def check_ending(path: str | Path, endings: Sequence[str], what: str) -> None:
    """See that a file could be written whose name says its format, before the work whose result it is to hold.

    Raises:
        UsageError: it cannot, or the name does not end like one of `endings`, the formats of `what`.
    """
    check_writable(path)
    ending = Path(path).suffix
    if ending.lower() not in endings:
        fact = f"`{ending}` is no format of {what}" if ending else "its name does not say in which format"
        raise UsageError(f"cannot write `{path}`: {fact}", f"end its name in {', '.join(endings)}")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise unwritable(folder, error) from None


def real_path(path: str | Path) -> str:
    """The path without links; as it is, where that cannot be."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def check_unread(path: str | Path, reads: Iterable[str | Path | None]) -> None:
    """See that a file that is to be written is none of those that are read, whatever links lead to it.

    Raises:
        UsageError: it is one of them.
    """
    target = real_path(path)
    if any(real_path(each) == target for each in reads if each is not None):
        raise overwrites(path)


def overwrites(path: str | Path) -> UsageError:
    """The error of a file that is to be written, but is read, too."""
    return UsageError(f"cannot write `{path}`: it is one of the files that are read", "name another place")


def unwritable(path: Path, error: OSError | ValueError) -> UsageError:
    """The error of a file that cannot be written."""
    missing = isinstance(error, FileNotFoundError) and not exists(path.parent)
    cure = f"make the folder first: `mkdir -p {path.parent}`" if missing else ""
    if isinstance(error, NotADirectoryError | FileExistsError):
        cure = "name a folder: a file stands in its place"
    return UsageError(f"cannot write `{path}`: {(getattr(error, 'strerror', None) or str(error)).lower()}", cure)


def is_special(path: str | Path) -> bool:
    """Whether it is no ordinary file: a pipe, a device, or a file that someone else has opened for us (`/dev/stdout`)."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as in `paths`
            return True
    except (OSError, ValueError):
        return False
    return Path(path).is_absolute() and Path(path).parts[1] in ("dev", "proc")


def _new_file(folder: Path, suffix: str) -> Path:
    """An empty file with the permissions of an ordinary new one, which those of `tempfile` are not."""
    while True:
        path = folder / f".cspdet-{secrets.token_hex(4)}{suffix[:32]}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return path


def _put(beside: Path, target: Path, special: bool) -> None:
    if special:
        with beside.open("rb") as source, target.open("ab") as sink:
            shutil.copyfileobj(source, sink)
        return
    with suppress(FileNotFoundError):
        beside.chmod(stat.S_IMODE(target.stat().st_mode))  # a file that is replaced keeps its permissions
    beside.replace(target)
