"""Small networks of the known forms, written from the papers' figures."""

from __future__ import annotations

from fractions import Fraction

from cspdet.cfg.source import Source
from cspdet.graph import Graph
from cspdet.rules import load
from cspdet.scaling.compound import Scaled, scaled

START = "[net]\nwidth=64\nheight=64\nchannels=3\n\n"


def conv(filters: int, size: int = 3, stride: int = 1, *more: str) -> str:
    rest = "".join(f"{each}\n" for each in more)
    form = f"batch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation=swish\n"
    return f"[convolutional]\n{form}{rest}\n"


def route(*layers: int, more: str = "") -> str:
    return f"[route]\nlayers={','.join(map(str, layers))}\n{more}\n"


def shortcut(source: int) -> str:
    return f"[shortcut]\nfrom={source}\nactivation=linear\n\n"


def elan(half: int, out: int, groups: int = 2, length: int = 2) -> str:
    """ELAN (YOLOv7, figure 2c): two paths, of which one goes through groups of convolutions; all ends are joined."""
    points = [-1 - length * each for each in range(groups + 1)]
    entry = points[-1] - 2
    return conv(half, 1) + route(-2) + conv(half, 1) + conv(half) * groups * length + route(*points, entry) + conv(out, 1)


def osa(width: int, out: int, layers: int = 5) -> str:
    """One-shot aggregation (VoVNet, figure 1b): the input and the outputs of all convolutions are joined."""
    return conv(width) * layers + route(*(-1 - each for each in range(layers + 1))) + conv(out, 1)


def csp(half: int, out: int, blocks: int) -> str:
    """A cross stage partial stage with residual blocks (CSPNet, figure 3b)."""
    block = conv(half, 1) + conv(half) + shortcut(-3)
    return (
        conv(half, 1) + route(-2) + conv(half, 1) + block * blocks + conv(half, 1) + route(-1, -4 - 3 * blocks) + conv(out, 1)
    )


def csp_neck(half: int, pairs: int) -> str:
    """A block of Scaled-YOLOv4's necks: pairs of convolutions without shortcuts on one side."""
    return conv(half, 1) + route(-2) + (conv(half, 1) + conv(half)) * pairs + route(-1, -2 - 2 * pairs) + conv(half, 1)


def network(body: str, start: str = START) -> Graph:
    return load(Source("X.cfg", start + body))[0]


def scale(graph: Graph, depth: str | None = None, width: str | None = None) -> Scaled:
    return scaled(graph, Fraction(depth) if depth else None, Fraction(width) if width else None)


def filters(graph: Graph) -> list[int]:
    """The numbers of channels that all layers put out."""
    return [node.output.channels for node in graph.nodes]
