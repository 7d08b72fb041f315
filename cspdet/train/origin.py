"""What must stay the same while training is interrupted: the cfg's meaning, the images, the seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cspdet.cfg.source import Source, Span
from cspdet.comparison.difference import Change, difference
from cspdet.data.pictures import Picture
from cspdet.graph import Graph
from cspdet.layers.base import Layer
from cspdet.plain import plain_text
from cspdet.rules import examine
from cspdet.train.diagnose import place

# Earlier checkpoints hold a hash of the cfg's text in place of the text.
_HASH = re.compile("[0-9a-f]{64}")


def origin_of(graph: Graph, pictures: Iterable[Picture], seed: int) -> dict[str, str]:
    """What a checkpoint keeps of it."""
    listed = "\n".join(picture.written for picture in pictures)
    return {"cfg": plain_text(graph), "list of images": _digest(listed), "seed": str(seed)}


def changed(then: Mapping[str, Any], now: Mapping[str, str], graph: Graph) -> tuple[str, str] | None:
    """The first thing that is another now than it was then, and how; None if nothing is. `graph` is the present cfg's.

    Of a cfg, only its meaning counts. Where no more than a hash of its text is known, the text does.
    """
    for what, value in now.items():
        before = str(then.get(what, ""))
        if before == value:
            continue
        if what == "seed":
            return what, f", {before}"
        if what != "cfg":
            return what, ""
        if _HASH.fullmatch(before):
            if before != _digest(value):
                return what, ", or with another text of it (an earlier version compared texts)"
        elif (how := _otherwise(before, graph)) is not None:
            return what, how
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _otherwise(text: str, graph: Graph) -> str | None:
    """In what a cfg of that text differs from the present one, as a clause; None if in nothing that counts."""
    earlier, _ = examine(Source("the checkpoint's cfg", text), graph.dialect)
    if earlier is None:
        return ""
    found = difference(earlier, graph)
    if found.same:
        return None
    if found.net:
        first = _written(found.net, earlier.net, graph.net)
        return _clause(first, f"`[{graph.net.names[0]}]`", graph.place(first.option))
    for each in found.layers:
        if each.status == "added" and each.second:
            return f", which had no {place(graph, each.second)}"
        if each.status == "removed" and each.first:
            return f", which had a layer more: number {each.first.index}, `[{each.first.name}]`"
        if each.changes and each.first and each.second:
            first = _written(each.changes, each.first.layer, each.second.layer)
            return _clause(first, f"layer {each.second.index}", each.second.place(first.option))
    return ""


def _written(changes: Sequence[Change], *layers: Layer) -> Change:
    """The first that somebody wrote; others may follow from it."""
    return next((each for each in changes if any(each.option in layer.given for layer in layers)), changes[0])


def _clause(change: Change, of: str, where: Span) -> str:
    before, after = (f"`{change.option}={text}`" if text else f"no `{change.option}`" for text in (change.before, change.after))
    return f": {of} had {before} then, and has {after} now ({where.source.path}:{where.line})"
