"""Class hierarchies: `.tree` files, whose line n names class n and its parent (-1 for none)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cspdet.paths import file_near

# YOLO9000's tree has 9,418 lines in 160 kB.
_LARGEST = 2**24


class Tree(NamedTuple):
    """A class hierarchy. Classes of one parent follow each other and form a group, over which a softmax is taken."""

    parents: tuple[int, ...]
    # For each class, its group; groups are numbered in file order.
    groups: tuple[int, ...]


class WithTree:
    """A layer whose option `tree` names the file of a class hierarchy. It is read once, when the graph is built."""

    tree: str
    tree_file: Path | None = None
    hierarchy: Tree | None = None

    def find_tree(self, cfg: Path) -> None:
        """Read the tree; `cfg` is the file that names it."""
        if self.tree:
            self.tree_file = file_near(self.tree, cfg)
            self.hierarchy = read_tree(self.tree_file) if self.tree_file else None


def read_tree(path: Path) -> Tree | None:
    """The tree in a file, or None where the file is not one (`tree.c:read_tree`)."""
    try:
        if path.stat().st_size > _LARGEST:
            return None
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return None
    parents: list[int] = []
    groups: list[int] = []
    for line in lines:
        words = line.split()
        if not words:
            continue
        try:
            parent = int(words[1]) if len(words) > 1 else -1
        except ValueError:
            return None
        if not -1 <= parent < len(parents):
            return None
        groups.append((groups[-1] + (parent != parents[-1])) if groups else 0)
        parents.append(parent)
    return Tree(tuple(parents), tuple(groups)) if parents else None
