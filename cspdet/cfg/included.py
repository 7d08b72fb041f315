"""The files that a cfg is made of."""

from __future__ import annotations

from pathlib import Path

from cspdet.cfg.definitions import INCLUDE
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import parse
from cspdet.errors import UsageError


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
        for section in parse(each, dialect)[0].sections if "[include]" in each.text else ():
            for entry in section.entries if section.name == INCLUDE else ():
                try:
                    waiting.append(Source.read(path.parent / entry.value_span.text))
                except UsageError:  # expanding the cfg says so
                    continue
    return [*found.values()]
