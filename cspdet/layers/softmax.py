"""The [softmax] section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cspdet.layers.base import Layer, Problem, Shape, option
from cspdet.layers.tree import Tree, WithTree
from cspdet.layers.window import Windows, everywhere

if TYPE_CHECKING:
    from torch import Tensor

    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Softmax(WithTree, Layer, names=("softmax", "soft")):
    """e^x over its sum, so that the outputs are probabilities.

    With `groups` in equal parts, with `tree` in the groups of a class hierarchy. Source: `softmax_layer.c`, `blas.c:softmax`.
    """

    reads_images = False

    groups: int = option(1, "parts that each sum to 1", at_least=1)
    temperature: float = option(1.0, "divides the inputs; a higher one makes the outputs more alike")
    tree: str = option("", "file of a class hierarchy")
    spatial: float = option(0.0, "softmax over the channels of each pixel; CPU code ignores it")
    noloss: bool = option(False, "compute no loss", training=True)

    def check(self, x: Shape) -> Iterator[Problem]:
        """Groups that divide the input, and a tree of its length."""
        if x.size % self.groups:
            message = f"{x.size} inputs do not divide into {self.groups} groups"
            yield Problem("groups-divide", "groups", message, "use a divisor of the number of inputs")
        if not self.temperature:
            yield Problem("out-of-range", "temperature", "`temperature` is 0", "use 1", "error", "Darknet divides by it")
        yield from check_tree(self, x.size)

    def shape(self, x: Shape) -> Shape:
        """Any → as many probabilities."""
        return Shape.vector(x.size)

    def reach(self, x: Shape) -> tuple[Windows]:
        """The whole map: it is flattened, and a sum taken over all of it."""
        return (everywhere(x),)

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """A softmax over each of the groups; with a tree, over parts of the vector."""
        x = build.affine(build.reshape(x, -1), 1 / self.temperature, 0)
        if self.hierarchy:
            return tree_softmax_value(build, x, self.hierarchy)
        x = build.softmax(build.reshape(x, self.groups, -1), 1)
        return build.reshape(x, -1)

    def forward(self, parts: Any, x: Tensor) -> Tensor:
        """(N, …) → (N, length)."""
        x = x.flatten(1) / self.temperature
        if self.hierarchy:
            return tree_softmax(x, self.hierarchy)
        return x.reshape(x.shape[0], self.groups, -1).softmax(2).flatten(1)


def check_tree(layer: WithTree, classes: int) -> Iterator[Problem]:
    """The problems of a layer whose `tree` is not there, not a tree, or of another length."""
    if not layer.tree:
        return
    consequence = f"here, one softmax is taken over all {classes} classes, which is not what the weights were trained for"
    if layer.tree_file is None:
        message = f"the tree `{layer.tree}` is not there"
        cure = "put it into the folder that the path starts from, or beside the cfg"
        yield Problem("missing-file", "tree", message, cure, "warning", f"Darknet stops; {consequence}")
        return
    tree = layer.hierarchy
    if tree is None:
        yield Problem("bad-tree", "tree", f"`{layer.tree}` is not a class tree", "each line has a name and its parent's number")
    elif len(tree.parents) != classes:
        yield Problem(
            "bad-tree",
            "tree",
            f"`{layer.tree}` has {len(tree.parents)} classes, the layer {classes}",
            "use its own tree",
        )


def tree_softmax_value(build: Builder, x: Value, tree: Tree) -> Value:
    """The same for programs, along the last axis: a softmax over each part of it."""
    groups = [0, *(place for place in range(1, len(tree.groups)) if tree.groups[place] != tree.groups[place - 1])]
    ends = [*groups[1:], len(tree.groups)]
    axis = len(x.dimensions) - 1
    parts = [build.softmax(build.part(x, start, end, axis), axis) for start, end in zip(groups, ends, strict=True)]
    return build.join(parts, axis)


def tree_softmax(x: Tensor, tree: Tree) -> Tensor:
    """A softmax over each group of a class hierarchy; x is (N, classes)."""
    import torch

    group = torch.tensor(tree.groups, device=x.device).expand_as(x)
    count = tree.groups[-1] + 1
    largest = x.new_zeros(x.shape[0], count).scatter_reduce(1, group, x, "amax", include_self=False)
    exponential = (x - largest.gather(1, group)).exp()
    total = x.new_zeros(x.shape[0], count).scatter_add(1, group, exponential)
    return exponential / total.gather(1, group)
