"""What a picture shows, over any engine: the class of a picture as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cspdet.boxes import Floats
from cspdet.engines import Engine
from cspdet.errors import UsageError
from cspdet.graph import Graph, Node
from cspdet.image import Pixels
from cspdet.layers.logistic import Logistic
from cspdet.layers.softmax import Softmax
from cspdet.layers.tree import Tree, WithTree
from cspdet.names import check_names
from cspdet.preprocess import Profile, middle, prepare, square

# The cure for names that are more or fewer than the classes.
OTHER_NAMES = "give the names of the classes it was trained on"


class Guess(NamedTuple):
    """One class that a picture may show, and what the network says of it."""

    name: str
    class_id: int
    score: float


class Classification(NamedTuple):
    """What a classifier says of one picture.

    `scores` is (classes,) float32: what the last layer puts out, which are probabilities behind a [softmax] or a [logistic]; in
    a class hierarchy, they are multiplied down from the root. `names` is empty where none are known.
    """

    scores: Floats
    names: tuple[str, ...] = ()

    def top(self, count: int = 5) -> list[Guess]:
        """The likeliest classes, the likeliest first; of equal ones, the first (`utils.c:top_k`)."""
        best = np.argsort(-self.scores, kind="stable")[: max(0, count)]
        return [
            Guess(self.names[number] if self.names else str(number), int(number), float(self.scores[number])) for number in best
        ]

    def to_dicts(self, count: int = 5) -> list[dict[str, Any]]:
        """The likeliest classes as dictionaries."""
        return [each._asdict() for each in self.top(count)]


class Classifier(NamedTuple):
    """The steps of classifying, as `Detector.classifier` gives them. Each may run in another thread than the others."""

    engine: Engine
    graph: Graph
    names: tuple[str, ...]
    profile: Profile

    @classmethod
    def of(cls, engine: Engine, graph: Graph, names: tuple[str, ...], profile: Profile) -> Classifier:
        """The steps for a network.

        Raises:
            UsageError: it is a detector, it reads no images, it ends in a map, or there are more or fewer names than it has
                outputs.
        """
        path = graph.source.path
        if graph.heads:
            raise UsageError(f"`{path}` has a detection head: it finds objects", "`cspdet detect`, or `detector.detect`")
        if not graph.input.image:
            raise UsageError("the network reads vectors, not images", "run it with `cspdet trace`")
        last = _last(graph)
        if last.output.height * last.output.width > 1:
            fact = f"`{path}` is no classifier: it ends in a map of {last.output}, not in a number for each class"
            raise UsageError(fact, "`[avgpool]` and `[softmax]` behind it make numbers of it; `cspdet trace` writes the map")
        made = cls(engine, graph, names, profile)
        if names:
            check_names(names, made.classes, "the list of names", f"`{path}`", OTHER_NAMES)
        return made

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return class_count(self.graph)

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are probabilities."""
        layer = _last(self.graph).layer
        return isinstance(layer, Logistic) or (isinstance(layer, Softmax) and layer.groups == 1)

    @property
    def tree(self) -> Tree | None:
        """The class hierarchy of the last layer, if it has one."""
        layer = _last(self.graph).layer
        return layer.hierarchy if isinstance(layer, WithTree) else None

    @property
    def exact(self) -> bool:
        """Whether pictures should be decoded as Darknet does; see `read_image`."""
        return self.profile.scaling == "darknet"

    def prepare(self, picture: Pixels, *, counting: bool = False) -> Floats:
        """The middle of a picture, as the network reads it, (C, H, W).

        pjreddie's Darknet takes the whole of it, with its proportions kept, unless it counts how often it is right.

        Raises:
            UsageError: the network reads other channels.
        """
        if self.profile.letterbox == "cfg":
            return middle(picture, self.graph.input)
        return square(picture, self.graph.input) if counting else prepare(picture, self.graph.input, self.profile)[0]

    def infer(self, prepared: Sequence[Floats], *, counting: bool = False) -> Floats:
        """What the last layer says of each of some pictures, (N, classes) (`classifier.c:predict_classifier`).

        In a class hierarchy, only leaves count; pjreddie's Darknet does not speak of others at all.
        """
        found = self.engine(np.stack(prepared))[0].reshape(len(prepared), -1)
        if self.tree:
            found = found.copy()
            for number, parent in enumerate(self.tree.parents):
                if parent >= 0:
                    found[:, number] *= found[:, parent]
            if counting or self.profile.letterbox == "always":
                found[:, sorted({parent for parent in self.tree.parents if parent >= 0})] = 0
        return found

    def found(self, outputs: Floats) -> list[Classification]:
        """What `infer` gave, by picture."""
        return [Classification(each, self.names) for each in outputs]


def class_count(graph: Graph) -> int:
    """How many classes a network without a head tells apart: the outputs of its last layer."""
    return _last(graph).output.size


def _last(graph: Graph) -> Node:
    """The layer whose outputs are those of a network without a head."""
    return graph.nodes[graph.outputs[0]]
