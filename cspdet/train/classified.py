"""Samples for classifiers: a picture, rotated, stretched, cropped and recoloured, and which classes it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cspdet.data.classes import class_of
from cspdet.data.pictures import Picture
from cspdet.graph import Graph
from cspdet.image import Pixels
from cspdet.train.augment import Colour, draw_colour, draw_factor, recolour
from cspdet.train.recipe import Recipe
from cspdet.train.samples import Job, Reader, Sample

# `mixup` and its kin by Darknet's numbers (`parser.c:parse_net_options`).
_MIXUP, _CUTMIX, _MOSAIC, _EITHER = 1, 2, 3, 4


class ClassRecipe(NamedTuple):
    """How a classifier's pictures are augmented; the names are those of [net]'s options."""

    colours: Recipe
    angle: float
    aspect: float
    # Sides that the shorter side of a picture is scaled to, before a square is cut out.
    least: int
    most: int
    flip: bool
    blend: int
    smooth: float

    @classmethod
    def of(cls, graph: Graph, seed: int) -> ClassRecipe:
        """The recipe of a cfg (`classifier.c:train_classifier`)."""
        net = graph.net
        colours = Recipe(graph.input, 0, hue=net.hue, saturation=net.saturation, exposure=net.exposure, seed=seed)
        blend = (
            _EITHER if net.cutmix and net.mosaic else _MOSAIC if net.mosaic else _CUTMIX if net.cutmix else int(bool(net.mixup))
        )
        least, most = net.min_crop or graph.input.width, net.max_crop or 2 * graph.input.width
        return cls(colours, net.angle, net.aspect, least, max(least, most), bool(net.flip), blend, net.label_smooth_eps)


class ClassSamples:
    """Makes samples for classifiers; like `Samples`, it may be asked for any of them in any order."""

    def __init__(self, pictures: Sequence[Picture], recipe: ClassRecipe, names: Sequence[str]) -> None:
        self.recipe = recipe
        self.names = names
        self.reader = Reader(pictures, recipe.colours, "cspdet data check --classify")

    def __call__(self, job: Job) -> Sample:
        """The sample of a job; its truth is (classes,), the share of each.

        Raises:
            UsageError: a hundred pictures in a row cannot be used.
        """
        random = np.random.default_rng((self.recipe.colours.seed, job.number))
        skipped: list[str] = []
        size = (job.width, job.height)
        pixels, truth = self._one(self.reader.picture(job.number), size, random, skipped)
        blend = self.recipe.blend
        if blend == _EITHER:
            blend = _MOSAIC if random.random() < 0.5 else _CUTMIX
        # As for detectors, Darknet leaves it out for one load in two.
        if blend and random.random() < 0.5:
            others = [
                self._one(self.reader.another(random), size, random, skipped) for _ in range(3 if blend == _MOSAIC else 1)
            ]
            pixels, truth = _blended(blend, [(pixels, truth), *others], random)
        return Sample(pixels, truth, tuple(skipped))

    def _one(
        self, picture: Picture, size: tuple[int, int], random: np.random.Generator, skipped: list[str]
    ) -> tuple[Pixels, NDArray[np.float32]]:
        """One picture, augmented, and its truth; those whose class cannot be told count as unreadable."""
        recipe = self.recipe
        picture, pixels = self.reader.pixels(picture, random, skipped, lambda each: class_of(each, self.names))
        pixels = _cut(pixels, size, recipe, random)
        if (colour := draw_colour(recipe.colours, random)) != Colour():
            recolour(pixels, colour)
        return pixels, smoothed(class_of(picture, self.names), len(self.names), recipe.smooth)


def smoothed(number: int, classes: int, share: float) -> NDArray[np.float32]:
    """1 for the class, less what `label_smooth_eps` gives to all others (`data.c:fill_truth_smooth`)."""
    truth = np.full(classes, share / max(classes - 1, 1), np.float32)
    truth[number] = 1 - share
    return truth


def _cut(pixels: Pixels, size: tuple[int, int], recipe: ClassRecipe, random: np.random.Generator) -> Pixels:
    """A part of the picture, rotated and stretched (`image.c:random_augment_image`, `rotate_crop_image`)."""
    height, width = pixels.shape[:2]
    aspect = draw_factor(recipe.aspect, random)
    side = random.uniform(recipe.least, recipe.most) * size[0] / recipe.colours.network.width
    scale = side / min(height, width * aspect)
    angle = math.radians(random.uniform(-recipe.angle, recipe.angle))
    room = max((width * scale / aspect - size[0]) / 2, 0), max((height * scale - size[1]) / 2, 0)
    shift = [random.uniform(-each, each) for each in room]
    mirror = -1 if recipe.flip and random.random() < 0.5 else 1
    cosine, sine = math.cos(angle), math.sin(angle)
    # From the middle of the part to the middle of the picture.
    across = np.array([[cosine / scale * aspect, -sine / scale * aspect], [sine / scale, cosine / scale]]) @ np.diag(
        [mirror, 1]
    )
    middle = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
    offset = np.array([(width - 1) / 2, (height - 1) / 2]) + np.array(shift) / scale * (aspect, 1) - across @ middle
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = np.concatenate([across, offset[:, None]], 1)
    drawn = cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn.reshape(size[1], size[0], -1), np.uint8)


def _blended(
    blend: int, parts: list[tuple[Pixels, NDArray[np.float32]]], random: np.random.Generator
) -> tuple[Pixels, NDArray[np.float32]]:
    """Several pictures in one, and their truths by the share of each (`data.c:load_data_augment`)."""
    (first, truth), *others = parts
    height, width = first.shape[:2]
    if blend == _MIXUP:
        second, other = others[0]
        return cv2.addWeighted(first, 0.5, second, 0.5, 0).reshape(first.shape), (truth + other) / 2  # type: ignore[return-value]
    if blend == _CUTMIX:
        second, other = others[0]
        w, h = (int(random.uniform(0.1, 0.7) * each) for each in (width, height))
        x, y = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
        first[y : y + h, x : x + w] = second[y : y + h, x : x + w]
        share = w * h / (width * height)
        return first, ((1 - share) * truth + share * other).astype(np.float32)
    x, y = (int(random.uniform(0.2, 0.8) * each) for each in (width, height))
    places = [np.s_[:y, :x], np.s_[:y, x:], np.s_[y:, :x], np.s_[y:, x:]]
    canvas = np.empty_like(first)
    total = np.zeros_like(truth)
    for place, (pixels, shown) in zip(places, parts, strict=True):
        canvas[place] = pixels[place]
        total += shown * (canvas[place][..., 0].size / (width * height))
    return canvas, total
