"""Does a weights file fit a cfg, and if not, which layer is the first that cannot, and why?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.errors import WeightsError
from cspdet.graph import Graph, Node
from cspdet.layers.head import Head
from cspdet.text import counted
from cspdet.weights.codec import Extent, Slot, WeightsFile, layout


class Fit(NamedTuple):
    """How a file fits: the slots it fills, and where it ends."""

    slots: tuple[Slot, ...]
    extent: Extent
    # The first layer that the file has nothing for; None where it has all.
    ends_before: int | None


def fit(file: WeightsFile, graph: Graph) -> Fit:
    """How `file` fills the layers of `graph`.

    A file that ends between two layers is a partial one, such as `yolov4.conv.137`, and fits.

    Raises:
        WeightsError: it does not fit; the message says where and, if that can be told, why.
    """
    slots = layout(graph)
    count = len(file.numbers)
    if not file.rest and count == _total(slots):
        return Fit(slots, "read", None)
    if not file.rest and (found := _convolutions_only(graph, count)):
        return found
    if not file.rest and 0 < count < _total(slots):
        ends = next(slot for slot in slots if slot.end > count)
        first_of_layer = next(slot for slot in slots if slot.layer == ends.layer)
        if first_of_layer.start == count and not any(suspicious(file, slots)):
            return Fit(tuple(slot for slot in slots if slot.end <= count), "read", ends.layer)
    raise misfit(file, graph)


def misfit(file: WeightsFile, graph: Graph) -> WeightsError:
    """The error that explains why `file` does not fit `graph`."""
    slots = layout(graph)
    count, total = len(file.numbers), _total(slots)
    head = f"`{file.path}` does not fit `{graph.source.path}`"
    if not file.rest and (known := _class_mismatch(file, graph) or _dontload_mismatch(graph, count)):
        return WeightsError(f"{head}: {known[0]}", known[1])
    where = f"the layers take {counted(total, 'number')}, the file holds {counted(count, 'number')}"
    cure = "use the cfg the weights were made with; `cspdet weights info` says more about the file"
    if file.rest:
        where += f" and {counted(file.rest, 'byte')} that make{'s' if file.rest == 1 else ''} no number"
        cure = "the file was cut or damaged: fetch it again"
    if count >= total:
        where += f"; {_left_over(count - total, file.rest)} behind the last layer"
    elif ends := next((slot for slot in slots if slot.end > count), None):
        own = [slot for slot in slots if slot.layer == ends.layer]
        where += f"; the first without is {_named(graph, ends.layer)}, which takes {own[-1].end - own[0].start:,} and finds "
        where += f"{max(0, count - own[0].start):,}"
        if not file.rest:
            cure = "the file was cut, or belongs to another cfg: fetch it again, or use its own cfg"
    if found := next(suspicious(file, slots), None):
        where += f"; at {_named(graph, found[0].layer)} a variance {found[1]}, so the file is out of step there already"
        cure = "the weights were made for a network that differs from this one before that layer: use their own cfg"
    return WeightsError(f"{head}: {where}", cure)


def suspicious(file: WeightsFile, slots: tuple[Slot, ...]) -> Iterator[tuple[Slot, str]]:
    """The slots of a file with statistics that no training gives, and what is odd about them."""
    return odd((slot, file.numbers[slot.start : slot.end]) for slot in slots if slot.end <= len(file.numbers))


def odd(arrays: Iterable[tuple[Slot, NDArray[np.float32]]]) -> Iterator[tuple[Slot, str]]:
    """Negative or unreal variances, from which NaN would follow."""
    for slot, values in arrays:
        if slot.array.role == "rolling_variance":
            if not np.isfinite(values).all():
                yield slot, "is not a number"
            elif values.min() < 0:
                yield slot, "is negative"


def doubt(path: str | Path, graph: Graph, arrays: Iterable[tuple[Slot, NDArray[np.float32]]]) -> str | None:
    """What is odd about the arrays of a file that fits, in one sentence."""
    if not (first := next(odd(arrays), None)):
        return None
    return f"`{path}` is damaged or belongs to another cfg: at {_named(graph, first[0].layer)} a variance {first[1]}"


def _total(slots: tuple[Slot, ...]) -> int:
    return slots[-1].end if slots else 0


def _named(graph: Graph, index: int) -> str:
    section = graph.nodes[index].section
    return f"layer {index} (`[{section.name}]`, line {section.name_span.line})"


def _left_over(numbers: int, rest: int) -> str:
    parts = [counted(numbers, "number")] if numbers else []
    parts += [counted(rest, "byte")] if rest else []
    return f"{' and '.join(parts)} {'is' if numbers + rest == 1 else 'are'} left over"


def _convolutions_only(graph: Graph, count: int) -> Fit | None:
    """The PyTorch forks write convolutions only; recognised by the count, where the cfg has something else."""
    if not any("implicit_" in node.name for node in graph.nodes):
        return None
    slots = layout(graph, "convolutions")
    return Fit(slots, "convolutions", None) if count and _total(slots) == count else None


def _class_mismatch(file: WeightsFile, graph: Graph) -> tuple[str, str] | None:
    """The only difference may be the number of classes: then the count differs by a multiple of what one class takes."""
    count = len(file.numbers)
    nodes = {node.index: node for node in graph.nodes}
    heads = [
        (node, nodes[node.sources[0]]) for node in graph.nodes if isinstance(node.layer, Head) and node.sources[0] in nodes
    ]
    per_class = sum(_per_output(before) * _outputs_per_class(node) for node, before in heads)
    classes = {node.layer.classes for node, _ in heads if isinstance(node.layer, Head)}
    total = _total(layout(graph))
    if not per_class or len(classes) > 1 or (count - total) % per_class:
        return None
    here = min(classes)
    there = here + (count - total) // per_class
    node, before = heads[0]
    in_step = (slot for slot in layout(graph) if slot.layer < before.index)
    if there < 1 or there == here or any(suspicious(file, tuple(in_step))):
        return None
    expected = before.parameters
    found = expected + (there - here) * _per_output(before) * _outputs_per_class(node)
    message = (
        f"these weights have {counted(there, 'class', 'classes')}, the cfg {here}; "
        f"the first that differs is {_named(graph, before.index)}, which takes {expected:,} numbers and finds {found:,}"
    )
    return message, f"set `classes={there}` in every head and {_widths(heads, there)}, or use the cfg of these weights"


def _widths(heads: list[tuple[Node, Node]], classes: int) -> str:
    """What must be set before each head for that many classes."""
    wanted: dict[str, list[int]] = {}
    for node, before in heads:
        head = node.layer
        assert isinstance(head, Head)
        option = "output" if "output" in before.layer.options else "filters"
        width = head.needed() + (classes - head.classes) * _outputs_per_class(node)
        wanted.setdefault(f"`{option}={width}`", []).append(before.index)
    if len(wanted) == 1:
        return f"{next(iter(wanted))} before it"
    return ", ".join(f"{setting} in layer {' and '.join(map(str, layers))}" for setting, layers in wanted.items())


def _dontload_mismatch(graph: Graph, count: int) -> tuple[str, str] | None:
    skipped = [node.index for node in graph.nodes if node.layer.dontload]
    if not skipped or _total(layout(graph, "all")) != count:
        return None
    return f"it holds the weights of {_named(graph, skipped[0])} too, which `dontload=1` skips", "remove `dontload=1`"


def _per_output(node: Node) -> int:
    """Numbers that one more output of a layer takes."""
    return sum(array.size // array.shape[0] for array in node.arrays.values())


def _outputs_per_class(node: Node) -> int:
    """Outputs that one more class takes."""
    head = node.layer
    assert isinstance(head, Head)
    return head.side**2 if hasattr(head, "side") else head.anchor_count
