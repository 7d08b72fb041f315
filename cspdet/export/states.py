"""The states of exported networks: inputs and outputs of the file, which are kept here from one run to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cspdet.errors import ExportError
from cspdet.graph import Graph, Node
from cspdet.layers.recurrent import Recurrent
from cspdet.program.operations import Dimensions, Floats
from cspdet.program.states import States, name_after, zeros
from cspdet.text import brief

# The note of their dimensions, a line for each.
NOTE = "cspdet.states"


def remembering_nodes(graph: Graph) -> Iterator[tuple[Node, Mapping[str, Dimensions]]]:
    """The layers of a network that have states, and these, in the order that its program has them in."""
    for node in graph.needed(graph.outputs):
        if isinstance(node.layer, Recurrent):
            yield node, node.layer.states(*node.inputs)


def state_notes(graph: Graph) -> dict[str, str]:
    """The note of a network that has states."""
    lines = [" ".join(map(str, each)) for _, states in remembering_nodes(graph) for each in states.values()]
    return {NOTE: "\n".join(lines)} if lines else {}


def read_states(path: str | Path, notes: Mapping[str, str]) -> list[Dimensions]:
    """The dimensions of the states that a file's notes tell of.

    Raises:
        ExportError: they are no numbers.
    """
    try:
        return [tuple(map(int, line.split())) for line in notes.get(NOTE, "").splitlines()]
    except ValueError:
        message = f"`{path}` has the note `{NOTE}` as `{brief(notes[NOTE])}`, which is not numbers"
        raise ExportError(message, "it was changed since it was written: export it again") from None


def remembering(
    run: Callable[..., Mapping[str, Floats]], dimensions: Sequence[Dimensions]
) -> Callable[[Floats], Mapping[str, Floats]]:
    """What runs a file on images alone, given what runs it on images and states."""
    states = States(dimensions, zeros)

    def compute(images: Floats) -> Mapping[str, Floats]:
        found = run(images, *states.before(len(images)))
        # Copies, for what comes out is the caller's.
        states.keep(len(images), [found[name_after(place)].copy() for place in range(len(dimensions))])
        return found

    return compute
