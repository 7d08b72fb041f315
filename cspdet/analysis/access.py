"""Memory access cost: how many numbers the convolutions read and write, and how few it could be."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from cspdet.analysis.convolutions import Work, convolutions
from cspdet.graph import Node


class Access(NamedTuple):
    """Numbers moved for one image: as they are, and the least that as much computation takes."""

    cost: int = 0
    bound: float = 0.0

    @property
    def excess(self) -> float:
        """Cost as a multiple of the bound."""
        return self.cost / self.bound if self.bound else 0.0


def access(node: Node) -> Access:
    """Memory access cost of a layer's convolutions, and its lower bound.

    The cost of one is h w (c_in + c_out) + k² c_in c_out / groups: input, output and weights, once each (ShuffleNetV2,
    1807.11164, guideline 1; VoVNet, 1904.09730, equation 1). The papers write it for a stride of 1; here, the input counts
    with its own height and width, and so does the output. Biases and what normalises are left out, as there.

    The bound is 2 √(h w B / k²) + B / (h w) at B = k² h w c_in c_out / groups multiplications (VoVNet, equation 2), with the
    input's h w under the root and the output's in the second term. A convolution reaches it where it has one group, and
    puts out as many numbers as it reads: as many channels, if the size stays. So what groups cost shows, as in guideline 2.
    """
    works = convolutions(node)
    return Access(sum(map(_cost, works)), sum(map(_bound, works)))


def _cost(work: Work) -> int:
    return work.reads + work.writes + work.weights


def _bound(work: Work) -> float:
    # B / k² is (h w)_out c_in c_out / groups, and B / (h w)_out the weights.
    return 2 * sqrt(work.reads * work.writes / work.groups) + work.weights
