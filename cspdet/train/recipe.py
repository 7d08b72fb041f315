"""What a cfg says about its training pictures."""

from __future__ import annotations

from typing import Any, NamedTuple

from cspdet.graph import Graph
from cspdet.layers.base import Shape


class Recipe(NamedTuple):
    """How pictures are augmented; the names and meanings are those of the cfg's options."""

    network: Shape
    classes: int
    # Most objects of one picture.
    maximum: int = 200
    letter_box: bool = False
    jitter: float = 0.0
    resize: float = 1.0
    flip: bool = False
    hue: float = 0.0
    saturation: float = 1.0
    exposure: float = 1.0
    blur: int = 0
    gaussian_noise: int = 0
    mosaic: bool = False
    mixup: bool = False
    # The share of a box that must be seen.
    least_visible: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, graph: Graph, seed: int = 0) -> Recipe:
        """The recipe of a detector: [net]'s, and the last head's `jitter`, `resize` and `max` (`detector.c:train_detector`)."""
        net, head = graph.net, graph.heads[-1].layer
        values: dict[str, Any] = {name: getattr(head, name) for name in ("jitter", "resize") if name in head.options}
        values |= {
            name: getattr(net, name) for name in ("hue", "saturation", "exposure", "blur", "gaussian_noise", "least_visible")
        }
        return cls(
            graph.input,
            head.classes,  # type: ignore[attr-defined]
            getattr(head, "max", 200),
            net.letter_box,
            flip=bool(net.flip),
            mosaic=bool(net.mosaic),
            mixup=bool(net.mixup),
            seed=seed,
            **values,
        )
