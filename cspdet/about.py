"""What the comment at the top of a cfg says of it: what it is, where it is described, and its figures.

    # CSPDarknet53: Darknet-53 whose stages are cross stage partial.
    # Paper: Wang et al., "CSPNet", arXiv 1911.11929, section 4.2
    # Published: 27.61 M weights, 13.07 BFLOPs at 256x256; ImageNet top-1 77.2 %, top-5 93.6 %
    # Computed: 27,642,184 parameters

`Published` has what its authors print, `Computed` what nobody prints, `Differs` what is printed and cannot be reproduced, with
the reason. Lines that begin with none of these words go on; an empty one ends it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cspdet.graph import Graph

_FIELDS = ("Paper", "Published", "Computed", "Differs")
_COUNT = re.compile(r"([0-9][0-9.,]*) (M )?(weights|parameters|numbers)\b")
_COST = re.compile(r"([0-9][0-9.,]*) (BFLOPs|G multiply-adds)( in convolutions)? at ([0-9]+)x([0-9]+)")


# Which arrays are counted; all of them where none is named.
_ROLES: dict[str, tuple[str, ...]] = {"weights": ("weights",), "parameters": ("weights", "biases", "scales"), "numbers": ()}


class About(NamedTuple):
    """The comment's parts; empty where it does not say."""

    title: str
    paper: str = ""
    published: str = ""
    computed: str = ""
    differs: str = ""


class Figure(NamedTuple):
    """A figure that can be checked: how it is printed, and what it is of."""

    printed: str
    # `weights` are the numbers in kernels and matrices, `parameters` all that is learnt, `numbers` all in the weights file.
    kind: str
    millions: bool = False
    # Width and height of the input, for costs.
    size: tuple[int, int] | None = None
    convolutions_only: bool = False


def about(text: str) -> About:
    """What the comment at the top of a cfg's text says."""
    fields = {"Title": ""}
    current = "Title"
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#").strip()
        if not words:
            break
        name, colon, rest = words.partition(":")
        if colon and name in _FIELDS:
            current, words = name, rest.strip()
        fields[current] = f"{fields.get(current, '')} {words}".strip()
    return About(fields["Title"], *(fields.get(name, "") for name in _FIELDS))


def figures(found: About) -> tuple[Figure, ...]:
    """The figures of both lines that can be checked against the graph."""
    text = f"{found.published}; {found.computed}"
    counts = [Figure(printed, kind, bool(millions)) for printed, millions, kind in _COUNT.findall(text)]
    costs = [
        Figure(printed, kind, size=(int(width), int(height)), convolutions_only=bool(only))
        for printed, kind, only, width, height in _COST.findall(text)
    ]
    return (*counts, *costs)


def measured(figure: Figure, graph: Graph) -> str:
    """The figure as this network has it, with as many digits as it is printed with. `graph` has the figure's input size."""
    if figure.kind in _ROLES:
        roles = _ROLES[figure.kind]
        arrays = (array for node in graph.nodes for array in node.arrays.values())
        value = float(sum(array.size for array in arrays if not roles or array.role in roles))
    else:
        nodes = [node for node in graph.nodes if not figure.convolutions_only or node.layer.names[0] == "convolutional"]
        value = sum(node.operations for node in nodes) / 1e9 / (1 if figure.kind == "BFLOPs" else 2)
    if figure.millions:
        value /= 1e6
    digits = len(figure.printed.partition(".")[2])
    return f"{value:,.{digits}f}" if "," in figure.printed else f"{value:.{digits}f}"
