"""How good a network is in the middle of its training."""

from __future__ import annotations

from collections.abc import Sequence

from cspdet.data.pictures import Picture
from cspdet.detector import Detector
from cspdet.evaluate import collect, judge, judge_classes, look_at_classes, merge
from cspdet.evaluate.collect import finder
from cspdet.evaluate.looking import Say
from cspdet.network import Network
from cspdet.train.processes import Team

_BATCH = 8


def silent(_: str) -> None:
    """Say nothing."""


class Scorer:
    """Mean average precision at an overlap of .5, by Darknet's rules; all processes of a team look at a share each.

    Pictures are decoded by OpenCV, as those for training are, which is quicker; `cspdet map` decodes as Darknet does, and so
    may say a little else.
    """

    def __init__(self, pictures: Sequence[Picture], names: Sequence[str], team: Team) -> None:
        self.pictures = pictures
        self.names = tuple(names)
        self.team = team

    def __call__(self, network: Network, warn: Say = silent) -> float:
        """The mean average precision, 0 … 1; `warn` is called with what cannot be used.

        Raises:
            UsageError: no picture can be read, or none has an object.
        """
        detector = Detector(network, self.names)
        mine = self.pictures[self.team.rank :: self.team.size]
        seen = collect(detector, mine, batch=_BATCH, exact=False, warn=warn)
        report = judge(merge(self.team.gather(seen)), finder(detector).names)
        return report.map


class ClassScorer:
    """The share of pictures whose class has the largest output (`classifier.c:validate_classifier_single`)."""

    def __init__(self, pictures: Sequence[Picture], names: Sequence[str], team: Team) -> None:
        self.pictures = pictures
        self.names = tuple(names)
        self.team = team

    def __call__(self, network: Network, warn: Say = silent) -> float:
        """Top-1 accuracy, 0 … 1. Pictures that cannot be read, or show no class, do not count; `warn` is called with each.

        Raises:
            UsageError: no picture can be used.
        """
        mine = self.pictures[self.team.rank :: self.team.size]
        classifier = Detector(network).classifier()
        seen = look_at_classes(classifier, mine, self.names, batch=_BATCH, exact=False, warn=warn)
        return judge_classes(self.team.gather(seen), self.names).top_1
