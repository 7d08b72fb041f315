"""What an exported file says of itself, in flat texts: all that turns its outputs into detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.errors import CfgError, ExportError, UsageError
from cspdet.export.model import OUTPUTS, Options
from cspdet.export.states import NOTE, state_notes
from cspdet.graph import Graph
from cspdet.layers.tree import WithTree
from cspdet.plain import plain_text
from cspdet.preprocess import PROFILES
from cspdet.rules import load

PREFIX = "cspdet."
KEYS = ("version", "cfg", "dialect", "names", "width", "height", "channels", "like", "letterbox", "heads", "outputs")


def make_notes(graph: Graph, names: Sequence[str], like: str, options: Options, version: str) -> dict[str, str]:
    """The notes of a network; `like` is the name of a preprocessing."""
    boxed = PROFILES[like].letterbox == "always" or graph.net.letter_box
    notes = {
        "version": version,
        "cfg": plain_text(graph),
        "dialect": graph.dialect.name,
        "names": "\n".join(names),
        "width": str(graph.input.width),
        "height": str(graph.input.height),
        "channels": str(graph.input.channels),
        "like": like,
        "letterbox": str(int(boxed)),
        "heads": " ".join(node.name for node in graph.heads),
        "outputs": options.outputs,
    }
    if options.outputs == "nms":
        notes |= {"threshold": f"{options.threshold:g}", "nms": f"{options.nms:g}"}
    if options.dynamic_size:
        notes["dynamic_size"] = "1"
    return {PREFIX + key: value for key, value in notes.items()} | state_notes(graph)


class Noted(NamedTuple):
    """What the notes say."""

    graph: Graph
    names: tuple[str, ...]
    like: str
    # Whether the outputs are boxes already.
    boxes: bool


def read_notes(path: str | Path, notes: Mapping[str, str], *, width: int | None = None, height: int | None = None) -> Noted:
    """The network that a file's notes describe.

    Raises:
        ExportError: they are not those that cspdet writes, or a file is missing that the network needs.
        UsageError: a width or height that the file does not have.
    """
    found = {key: notes[PREFIX + key] for key in KEYS if PREFIX + key in notes}
    if len(found) < len(KEYS):
        message = f"`{path}` does not say how boxes come out of it: it was not written by `cspdet export`"
        raise ExportError(message, "export the cfg and weights; other programs' files run in other programs")
    sides = {}
    for name, given in (("width", width), ("height", height)):
        there = int(found[name]) if found[name].isdecimal() else 0
        if given is not None and given != there and PREFIX + "dynamic_size" not in notes:
            message = f"`{path}` has a {name} of {there}, not {given}"
            raise UsageError(message, f"leave `--{name}` out, or export it with `--{name} {given}` or `--dynamic-size`")
        sides[name] = there if given is None else given
    dialect, outputs = DIALECTS.get(found["dialect"]), found["outputs"]
    if dialect is None or outputs not in OUTPUTS or found["like"] not in PROFILES:
        raise ExportError(f"`{path}` has notes that this cspdet does not know", f"cspdet {found['version']} wrote it")
    try:
        graph, _ = load(Source(str(path), found["cfg"]), dialect, **sides)
    except CfgError as error:
        raise ExportError(f"`{path}` holds a cfg that cannot be run: {error.message}", error.help) from None
    for node in graph.nodes:
        if isinstance(node.layer, WithTree) and node.layer.tree and not node.layer.hierarchy:
            message = f"`{path}` needs the class hierarchy `{node.layer.tree}`, which is not beside it"
            raise ExportError(message, "put the file there")
    if state_notes(graph).get(NOTE) != notes.get(NOTE):
        raise ExportError(f"`{path}` has other states than its notes say", "it was changed since: export it again")
    names = tuple(found["names"].split("\n")) if found["names"] else ()
    return Noted(graph, names, found["like"], outputs != "raw")
