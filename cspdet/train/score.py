"""How good a network is in the middle of its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from cspdet.data.classes import class_of
from cspdet.data.pictures import Picture
from cspdet.detector import Detector
from cspdet.errors import CspdetError, UsageError
from cspdet.evaluate import collect, judge, merge
from cspdet.evaluate.collect import finder
from cspdet.image import Pixels, read_image, to_channels
from cspdet.network import Network
from cspdet.preprocess import resize
from cspdet.train.processes import Team

_BATCH = 8


class Scorer:
    """Mean average precision at an overlap of .5, by Darknet's rules; all processes of a team look at a share each.

    Pictures are decoded by OpenCV, as those for training are, which is quicker; `cspdet map` decodes as Darknet does, and so
    may say a little else.
    """

    def __init__(self, pictures: Sequence[Picture], names: Sequence[str], team: Team) -> None:
        self.pictures = pictures
        self.names = tuple(names)
        self.team = team

    def __call__(self, network: Network) -> float:
        """The mean average precision, 0 … 1.

        Raises:
            UsageError: no picture can be read, or none has an object.
        """
        detector = Detector(network, self.names)
        mine = self.pictures[self.team.rank :: self.team.size]
        seen = collect(detector, mine, batch=_BATCH, exact=False, warn=lambda _: None)
        report = judge(merge(self.team.gather(seen)), finder(detector).names)
        return report.map


class ClassScorer:
    """The share of pictures whose class has the largest output (`classifier.c:validate_classifier_single`)."""

    def __init__(self, pictures: Sequence[Picture], names: Sequence[str], team: Team) -> None:
        self.pictures = pictures
        self.names = names
        self.team = team

    @torch.no_grad()
    def __call__(self, network: Network) -> float:
        """Top-1 accuracy, 0 … 1. Pictures that cannot be read do not count.

        Raises:
            UsageError: no picture can be read.
        """
        device = next(network.parameters()).device
        right = seen = 0
        mine = self.pictures[self.team.rank :: self.team.size]
        for start in range(0, len(mine), _BATCH):
            batch = [*self._read(mine[start : start + _BATCH], network)]
            if not batch:
                continue
            x = torch.from_numpy(np.stack([array for _, array in batch])).to(device)
            largest = network(x)[0].flatten(1).argmax(1).tolist()
            right += sum(number == found for (number, _), found in zip(batch, largest, strict=True))
            seen += len(batch)
        counts = self.team.gather((right, seen))
        if not any(count for _, count in counts):
            raise UsageError("none of the `valid` images can be read", "`cspdet data check --classify` says why")
        found, looked = (sum(column) for column in zip(*counts, strict=True))
        return float(found / looked)

    def _read(self, pictures: Sequence[Picture], network: Network) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The class and the input of each picture that can be read."""
        for picture in pictures:
            with suppress(CspdetError):
                yield class_of(picture, self.names), middle(read_image(picture.path), network)


def middle(pixels: Pixels, network: Network) -> NDArray[np.float32]:
    """The middle of a picture, (C, H, W) of 0 … 1, after its shorter side was scaled (`image.c:resize_min`, `crop_image`)."""
    shape = network.graph.input
    height, width = pixels.shape[:2]
    shorter = min(width, height)
    size = (width * shape.width // shorter, height * shape.width // shorter)
    scaled = resize(to_channels(pixels, shape.channels), *size)
    left, top = (size[0] - shape.width) // 2, (size[1] - shape.height) // 2
    rows = np.arange(top, top + shape.height).clip(0, size[1] - 1)
    columns = np.arange(left, left + shape.width).clip(0, size[0] - 1)
    return np.ascontiguousarray(scaled[rows][:, columns].transpose(2, 0, 1))
