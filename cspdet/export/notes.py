"""What an exported file says of itself, in flat texts: all that turns its outputs into detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.errors import CfgError, ExportError, UsageError
from cspdet.export.model import OUTPUTS, Options
from cspdet.export.states import NOTE, read_states, state_notes
from cspdet.graph import Graph
from cspdet.layers.head import Head
from cspdet.layers.option import LARGEST_SIDE
from cspdet.layers.tree import WithTree
from cspdet.names import check_names
from cspdet.plain import plain_text
from cspdet.preprocess import PROFILES
from cspdet.program.operations import Dimensions
from cspdet.rules import load
from cspdet.text import brief
from cspdet.version import __version__

PREFIX = "cspdet."
KEYS = ("version", "cfg", "dialect", "names", "width", "height", "channels", "like", "letterbox", "heads", "outputs")

# How many sides images have, with the batch and the channels.
_IMAGES = 4
# The sides of an input or output, with None for what is free.
Sides = tuple[int | None, ...]
# The cure.
CHANGED = "it was changed since it was written: export it again"


def make_notes(graph: Graph, names: Sequence[str], like: str, options: Options) -> dict[str, str]:
    """The notes of a network; `like` is the name of a preprocessing."""
    notes = {
        "version": __version__,
        "cfg": plain_text(graph),
        "dialect": graph.dialect.name,
        "names": "\n".join(names),
        "width": str(graph.input.width),
        "height": str(graph.input.height),
        "like": like,
        "outputs": options.outputs,
    } | _derived(graph, like)
    if options.outputs == "nms":
        notes |= {"threshold": f"{options.threshold:g}", "nms": f"{options.nms:g}"}
    if options.dynamic_size:
        notes["dynamic_size"] = "1"
    return {PREFIX + key: value for key, value in notes.items()} | state_notes(graph)


def _derived(graph: Graph, like: str) -> dict[str, str]:
    """The notes that follow from others; programs that read no cfg have use for them."""
    boxed = PROFILES[like].letterbox == "always" or graph.net.letter_box
    return {
        "channels": str(graph.input.channels),
        "letterbox": str(int(boxed)),
        "heads": " ".join(node.name for node in graph.heads),
    }


def classes_of(graph: Graph) -> int:
    """The most classes that a head has; 0 without heads."""
    return max((node.layer.classes for node in graph.heads if isinstance(node.layer, Head)), default=0)


class Noted(NamedTuple):
    """What the notes say."""

    graph: Graph
    names: tuple[str, ...]
    like: str
    # Whether the outputs are boxes already.
    boxes: bool
    states: Sequence[Dimensions]


def read_notes(
    path: str | Path, notes: Mapping[str, str], images: Sides, *, width: int | None = None, height: int | None = None
) -> Noted:
    """The network that a file's notes describe; `images` are the sides of its input.

    Raises:
        ExportError: they are not those that cspdet writes, or a file is missing that the network needs.
        UsageError: a width or height that the file does not have.
    """
    found = {key: notes[PREFIX + key] for key in KEYS if PREFIX + key in notes}
    if not found:
        message = f"`{path}` does not say how boxes come out of it: it was not written by `cspdet export`"
        raise ExportError(message, "export the cfg and weights; other programs' files run in other programs")
    for key in KEYS:
        if key not in found:
            raise ExportError(f"`{path}` lacks the note `{PREFIX}{key}`", CHANGED)
    for key, known in (("dialect", [*DIALECTS]), ("outputs", [*OUTPUTS]), ("like", [*PROFILES])):
        if found[key] not in known:
            fact = f"{_has(path, key, found[key])}, which this cspdet does not know"
            raise ExportError(fact, f"it knows {', '.join(known)}; cspdet {found['version']} wrote the file")
    free = PREFIX + "dynamic_size" in notes
    sides = {}
    for name, given in (("width", width), ("height", height)):
        there = _side(path, name, found[name])
        if given is not None and given != there and not free:
            message = f"`{path}` has a {name} of {there}, not {given}"
            raise UsageError(message, f"leave the {name} out, or export it with `--{name} {given}` or `--dynamic-size`")
        sides[name] = there if given is None else given
    if len(images) == _IMAGES:
        _check_size(path, free, sides, dict(zip(("height", "width"), images[2:], strict=True)))
    dialect, like = DIALECTS[found["dialect"]], found["like"]
    try:
        graph, _ = load(Source(str(path), found["cfg"]), dialect, **sides)
    except UsageError as error:
        if width is not None or height is not None:
            raise
        message = f"`{path}` has the notes `{PREFIX}width` and `{PREFIX}height` of another network: {error.message}"
        raise ExportError(message, CHANGED) from None
    except CfgError as error:
        raise ExportError(f"`{path}` holds a cfg that cannot be run: {error.message}", error.help) from None
    for node in graph.nodes:
        if isinstance(node.layer, WithTree) and node.layer.tree and not node.layer.hierarchy:
            message = f"`{path}` needs the class hierarchy `{node.layer.tree}`, which is not beside it"
            raise ExportError(message, "put the file there")
    for key, right in _derived(graph, like).items():
        if found[key] != right:
            cure = f"it was changed since it was written: set it to `{right}`, or export it again"
            raise ExportError(f"{_has(path, key, found[key])}, where its other notes make it `{right}`", cure)
    if state_notes(graph).get(NOTE) != notes.get(NOTE):
        raise ExportError(f"`{path}` has other states than its note `{NOTE}` says", CHANGED)
    names, classes = tuple(found["names"].split("\n")) if found["names"] else (), classes_of(graph)
    if names and classes:
        try:
            check_names(names, classes, f"the note `{PREFIX}names` of `{path}`")
        except UsageError as error:
            cure = "give it a line for each class or none at all, or export the network again"
            raise ExportError(error.message, cure) from None
    return Noted(graph, names, like, found["outputs"] != "raw", read_states(path, notes))


def _check_size(path: str | Path, free: bool, noted: Mapping[str, int], there: Mapping[str, int | None]) -> None:
    """See that the network takes images of the size in the notes."""
    for name, found in there.items():
        if free and found is not None:
            message = f"`{path}` has the note `{PREFIX}dynamic_size`, but its network takes only a {name} of {found}"
            raise ExportError(message, "it was changed since it was written: remove the note, or export it again")
        if found not in (None, noted[name]):
            message = f"{_has(path, name, str(noted[name]))}, but its network takes {found}"
            raise ExportError(message, f"it was changed since it was written: set it to `{found}`, or export it again")


def _has(path: str | Path, key: str, value: str) -> str:
    note = f"note `{PREFIX}{key}`"
    return f"`{path}` has the {note} as `{brief(value)}`" if value else f"`{path}` has an empty {note}"


def _side(path: str | Path, key: str, value: str) -> int:
    """The number in a note of a side."""
    side = int(value) if value.isdecimal() and len(value) <= len(str(LARGEST_SIDE)) else 0
    if not 1 <= side <= LARGEST_SIDE:
        raise ExportError(f"{_has(path, key, value)}, which is no number from 1 to {LARGEST_SIDE}", CHANGED)
    return side
