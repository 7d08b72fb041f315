"""What a picture shows, over any engine: the class of a picture as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cspdet.boxes import Floats
from cspdet.engines import Engine
from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.image import Pixels
from cspdet.layers.tree import Tree, WithTree
from cspdet.names import check_names
from cspdet.preprocess import Profile, middle

# The cure for names that are more or fewer than the classes.
OTHER_NAMES = "give the names of the classes it was trained on"


class Guess(NamedTuple):
    """One class that a picture may show, and how likely it is."""

    name: str
    class_id: int
    probability: float


class Classification(NamedTuple):
    """What a classifier says of one picture.

    `probabilities` is (classes,) float32: what the last layer puts out, which are probabilities behind a [softmax] or a
    [logistic]; in a class hierarchy, they are multiplied down from the root. `names` is empty where none are known.
    """

    probabilities: Floats
    names: tuple[str, ...] = ()

    def top(self, count: int = 5) -> list[Guess]:
        """The likeliest classes, the likeliest first; of equal ones, the first (`utils.c:top_k`)."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [
            Guess(self.names[number] if self.names else str(number), int(number), float(self.probabilities[number]))
            for number in best
        ]

    def to_dicts(self, count: int = 5) -> list[dict[str, Any]]:
        """The likeliest classes as dictionaries."""
        return [each._asdict() for each in self.top(count)]


class Classifier(NamedTuple):
    """The steps of classifying, as `Detector.classifier` gives them. Each may run in another thread than the others."""

    engine: Engine
    # What the engine does before it first computes with so many images; else, it does that then.
    prepare_engine: Callable[[int], None]
    graph: Graph
    names: tuple[str, ...]
    profile: Profile

    @classmethod
    def of(
        cls, engine: Engine, prepare_engine: Callable[[int], None], graph: Graph, names: tuple[str, ...], profile: Profile
    ) -> Classifier:
        """The steps for a network.

        Raises:
            UsageError: it is a detector, it reads no images, or there are more or fewer names than it has outputs.
        """
        path = graph.source.path
        if graph.heads:
            raise UsageError(f"`{path}` has a detection head: it finds objects", "`cspdet detect`, or `detector.detect`")
        if not graph.input.image:
            raise UsageError("the network reads vectors, not images", "run it with `cspdet trace`")
        made = cls(engine, prepare_engine, graph, names, profile)
        if names:
            check_names(
                names, made.classes, "the list of names", f"`{path}`", "give the names of the classes it was trained on"
            )
        return made

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return class_count(self.graph)

    @property
    def tree(self) -> Tree | None:
        """The class hierarchy of the last layer, if it has one."""
        layer = self.graph.nodes[self.graph.outputs[0]].layer
        return layer.hierarchy if isinstance(layer, WithTree) else None

    @property
    def exact(self) -> bool:
        """Whether pictures should be decoded as Darknet does; see `read_image`."""
        return self.profile.scaling == "darknet"

    def prepare(self, picture: Pixels) -> Floats:
        """The middle of a picture, as the network reads it, (C, H, W).

        Raises:
            UsageError: the network reads other channels.
        """
        return middle(picture, self.graph.input, self.profile)

    def infer(self, prepared: Sequence[Floats]) -> Floats:
        """What the last layer says of each of some pictures, (N, classes) (`classifier.c:predict_classifier`)."""
        found = self.engine(np.stack(prepared))[0].reshape(len(prepared), -1)
        if self.tree:
            found = found.copy()
            for number, parent in enumerate(self.tree.parents):
                if parent >= 0:
                    found[:, number] *= found[:, parent]
        return found

    def found(self, outputs: Floats) -> list[Classification]:
        """What `infer` gave, by picture."""
        return [Classification(each, self.names) for each in outputs]


def class_count(graph: Graph) -> int:
    """How many classes a network without a head tells apart: the outputs of its last layer."""
    return graph.nodes[graph.outputs[0]].output.size
