"""What the layers share that read the layer before and one other."""

from __future__ import annotations

from cspdet.layers.base import Layer, Problem, Sources


class Pair(Layer):
    """The layer before meets that of `from`."""

    from_: Sources

    def sources(self) -> tuple[int, ...]:
        """The layer before, then that of `from`."""
        return (self.index - 1, *self.from_.resolve(self.index))

    def columns(self) -> tuple[str, str]:
        """The other layer."""
        return " ".join(map(str, self.sources()[1:])), ""

    def mismatch(self, code: str, message: str, cure: str, other: object, consequence: str = "Darknet stops") -> Problem:
        """The problem of shapes that do not go together; `other` is that of `from`."""
        place = ((self.sources()[1], None, f"puts out {other}"),)
        return Problem(code, "from", message, cure, "error", consequence, place)
