"""Files that are not there, and what was probably meant."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path

from cspdet.errors import UsageError
from cspdet.text import nearest

# Of more files in a folder, none is sought.
_MOST = 10_000


def no_such_file(path: str | Path) -> UsageError:
    """The error of a file that is not there; its help names the one in the same folder whose name is most like it, if any."""
    near = _near(Path(path))
    return UsageError(f"no such file: `{path}`", f"did you mean `{near}`?" if near else "check the path")


def _near(path: Path) -> Path | None:
    """The file with a name like that of `path`. Endings are compared on their own: those of all weights files are alike."""
    there: list[Path] = []
    with suppress(OSError, ValueError), os.scandir(path.parent) as entries:
        there = [Path(each.name) for each in islice(entries, _MOST + 1)]
    if len(there) > _MOST:
        return None
    endings = {ending for ending in {each.suffix for each in there} if nearest(path.suffix, [ending]) is not None}
    by_stem: dict[str, list[str]] = {}
    for each in there:
        if each.suffix in endings:
            by_stem.setdefault(each.stem, []).append(each.name)
    stem = nearest(path.stem, by_stem)
    name = nearest(path.name, by_stem[stem]) if stem else None
    return path.with_name(name) if name else None
