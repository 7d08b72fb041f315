"""What goes into an exported file and what comes out of it; both must be what its notes say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.errors import ExportError
from cspdet.export.notes import CHANGED, PREFIX, Noted, Sides, classes_of
from cspdet.program.states import name_before

# Names, and their sides.
Ends = Mapping[str, Sides]


class File(NamedTuple):
    """An exported file: its notes, (images, state_0, …) → its outputs by name, and the sides of both."""

    notes: Mapping[str, str]
    run: Callable[..., Mapping[str, Any]]
    inputs: Ends
    outputs: Ends


def sides(dimensions: Sequence[Any]) -> Sides:
    """Sides as a package gives them, where those that are free are no numbers."""
    return tuple(each if isinstance(each, int) else None for each in dimensions)


def wanted_outputs(noted: Noted) -> tuple[str, ...]:
    """The names of the outputs that boxes are made of."""
    return ("boxes", "scores") if noted.boxes else tuple(f"output_{place}" for place in range(len(noted.graph.outputs)))


def check_ends(path: str | Path, noted: Noted, inputs: Ends, outputs: Ends) -> None:
    """See that a file takes and gives what its notes say.

    Raises:
        ExportError: it does not.
    """
    graph = noted.graph
    if noted.boxes:
        found: Ends = {"boxes": (None, None, 4), "scores": (None, None, classes_of(graph))}
    else:
        nodes = (graph.nodes[number] for number in graph.outputs)
        found = {name: (None, *node.output.dimensions) for name, node in zip(wanted_outputs(noted), nodes, strict=True)}
    states = {name_before(place): (None, *each) for place, each in enumerate(noted.states)}
    wanted: Ends = {"images": (None, *graph.input.dimensions)} | states
    _check(path, "input", wanted, inputs)
    for name in inputs:
        if name not in wanted:
            raise ExportError(f"`{path}` has the input `{name}`, of which its notes say nothing", CHANGED)
    _check(path, "output", found, outputs)


def _check(path: str | Path, kind: str, expected: Ends, there: Ends) -> None:
    for name, right in expected.items():
        if name not in there:
            raise ExportError(
                f"`{path}` has no {kind} `{name}`, of which its notes `{PREFIX}outputs` and `{PREFIX}cfg` tell", CHANGED
            )
        found = there[name]
        if len(found) != len(right) or any(None not in pair and pair[0] != pair[1] for pair in zip(found, right, strict=True)):
            message = f"`{path}` has the {kind} `{name}` {_words(found)}, which its note `{PREFIX}cfg` makes {_words(right)}"
            raise ExportError(message, CHANGED)


def _words(sides: Sides) -> str:
    """Sides as they are written in Python; of those that are free, none."""
    return f"({', '.join('…' if each is None else str(each) for each in sides)})"
