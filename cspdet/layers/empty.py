"""The [empty] section, and hank-ai's [blank]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cspdet.layers.base import Layer, Shape

if TYPE_CHECKING:
    from cspdet.layers.folding import Arrays
    from cspdet.program.builder import Builder, Value


class Empty(Layer, names=("empty", "silence"), known_to=("alexeyab", "hank-ai", "pytorch")):
    """Passes on what it reads. Source: `parser.c:empty_func`."""

    reads_images = False

    def passes_on(self, x: Shape) -> bool:
        """Always."""
        return True

    def lower(self, build: Builder, arrays: Arrays, x: Value) -> Value:
        """What it reads."""
        return x


class Blank(Empty, names=("blank",), known_to=("hank-ai",)):
    """[empty] under another name. Source: hank-ai's `darknet_enums.cpp`."""
