"""The files that a cfg is made of."""

from __future__ import annotations

from pathlib import Path

from cspdet.cfg.definitions import INCLUDE
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import Entry, parse
from cspdet.errors import UsageError


def included_by(path: Path, entry: Entry) -> Path:
    """The file that an entry of an `[include]` in the file at `path` names: as it is written, for blanks are part of names."""
    return path.parent / entry.value_span.text


def files_of(source: Source, dialect: Dialect = ALEXEYAB) -> list[str]:
    """The paths of a cfg, of the files that its `[include]`s name, and of those that these name; without what is not there."""
    found: dict[Path, str] = {}
    waiting = [source]
    while waiting:
        each = waiting.pop()
        path = Path(each.path)
        if path.resolve() in found:
            continue
        found[path.resolve()] = each.path
        for section in parse(each, dialect)[0].sections if INCLUDE in each.text.lower() else ():
            for entry in section.entries if section.name == INCLUDE else ():
                try:
                    waiting.append(Source.read(included_by(path, entry)))
                except UsageError:  # expanding the cfg says so
                    continue
    return [*found.values()]
