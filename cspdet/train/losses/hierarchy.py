"""Class hierarchies on tensors."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from cspdet.layers.tree import Tree


class Groups(NamedTuple):
    """A hierarchy of C classes, in groups over each of which a softmax is taken; -1 fills up."""

    paths: Tensor  # (C, D): each class, its parent, and so on
    group: Tensor  # (C,)
    members: Tensor  # (groups, L)

    @classmethod
    def of(cls, tree: Tree, like: Tensor) -> Groups:
        """Those of a tree, on the device of `like`."""
        return cls(*(table.to(like.device, non_blocking=True) for table in _tables(tree)))

    def branch(self, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For K classes, the nodes of their paths and the groups of those, (K, D), and the groups' members, (K, D, L)."""
        nodes = self.paths[classes]
        groups = torch.where(nodes >= 0, self.group[nodes.clamp(min=0)], -1)
        return nodes, groups, torch.where(nodes[..., None] >= 0, self.members[groups.clamp(min=0)], -1)


@lru_cache(maxsize=4)
def _tables(tree: Tree) -> tuple[Tensor, Tensor, Tensor]:
    """Paths, groups and members. YOLO9000's tree has 9,418 classes, too many to go through in every step."""
    paths: list[list[int]] = []
    for label, parent in enumerate(tree.parents):
        paths.append([label, *(paths[parent] if parent >= 0 else [])])
    members: list[list[int]] = [[] for _ in range(tree.groups[-1] + 1)]
    for label, group in enumerate(tree.groups):
        members[group].append(label)
    return _padded(paths), torch.tensor(tree.groups), _padded(members)


def _padded(rows: list[list[int]]) -> Tensor:
    length = max(map(len, rows))
    return torch.tensor([row + [-1] * (length - len(row)) for row in rows])


def branch_scores(values: Tensor, members: Tensor) -> Tensor:
    """The softmax over each group, (K, D, L), of the K boxes' logits, (K, C); 0 where there is no member."""
    logits = values.gather(1, members.clamp(min=0).flatten(1)).view(members.shape)
    return torch.where(members >= 0, logits, -torch.inf).softmax(-1).nan_to_num(0)
