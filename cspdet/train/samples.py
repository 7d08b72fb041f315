"""Training samples: pictures from the list, augmented, alone, blended, or four in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cspdet.data.inspection import faults
from cspdet.data.labels import Labels, Truth, read_labels
from cspdet.data.pictures import Picture
from cspdet.errors import CspdetError, UsageError
from cspdet.image import Pixels, read_image, to_channels
from cspdet.text import counted
from cspdet.train.augment import (
    Colour,
    Crop,
    Tile,
    add_noise,
    draw_colour,
    draw_crop,
    move_boxes,
    paint,
    recolour,
    soften,
    valid,
)
from cspdet.train.recipe import Recipe

# Where the four pictures of a mosaic meet, as a share of width and height: from here to as far from the other end.
_MOSAIC_EDGE = 0.2
# Pictures in a row that may be unusable.
_PATIENCE = 100


class Job(NamedTuple):
    """One sample to make: everything about it follows from its number."""

    number: int
    # The network's input, which changes in multi-scale training.
    width: int
    height: int


class Sample(NamedTuple):
    """What a job made."""

    # (H, W, C) BGR or grey.
    pixels: Pixels
    # (n, 5): class, x, y, width, height as shares of `pixels`; of a classifier's, (classes,), the share of each.
    truth: Truth
    # A word about each picture and each label file that could not be used, or not all of it.
    skipped: tuple[str, ...] = ()


class Reader:
    """Pictures by the number of a sample: every picture once in each pass over the list, in an order of its own.

    Darknet draws pictures at random.
    """

    def __init__(self, pictures: Sequence[Picture], recipe: Recipe, check: str = "cspdet data check") -> None:
        """`check` is the command that says what is wrong with the pictures."""
        self.pictures = pictures
        self.recipe = recipe
        self.check = check
        self._pass = -1
        self._order = np.zeros(0, np.int64)

    def picture(self, number: int) -> Picture:
        """The picture that sample `number` starts from."""
        turn, place = divmod(number, len(self.pictures))
        if turn != self._pass:
            self._pass = turn
            self._order = np.random.default_rng((self.recipe.seed, 1, turn)).permutation(len(self.pictures))
        return self.pictures[int(self._order[place])]

    def another(self, random: np.random.Generator) -> Picture:
        """Any picture of the list."""
        return self.pictures[int(random.integers(len(self.pictures)))]

    def pixels(
        self,
        picture: Picture,
        random: np.random.Generator,
        skipped: list[str],
        usable: Callable[[Picture], object] = lambda _: None,
    ) -> tuple[Picture, Pixels]:
        """The pixels of a picture, or of another in its place if it cannot be read, or if `usable` raises an error.

        Raises:
            UsageError: a hundred pictures in a row cannot be used.
        """
        last = ""
        for _ in range(_PATIENCE):
            try:
                usable(picture)
                pixels = read_image(picture.path)
            except CspdetError as error:
                skipped.append(f"{error.message}: it is left out")
                last = error.message
                picture = self.another(random)
                continue
            return picture, pixels if self.recipe.network.channels == 3 else to_channels(pixels, 1)
        message = f"{_PATIENCE} pictures in a row cannot be used; the last: {last}"
        raise UsageError(message, f"`{self.check}` lists them")


class Samples:
    """Makes samples. None leaves anything behind for the next, so any process may make any of them, in any order."""

    def __init__(self, pictures: Sequence[Picture], recipe: Recipe) -> None:
        self.recipe = recipe
        self.reader = Reader(pictures, recipe)

    def __call__(self, job: Job) -> Sample:
        """The sample of a job.

        Raises:
            UsageError: a hundred pictures in a row cannot be used.
        """
        recipe, size = self.recipe, (job.width, job.height)
        random = np.random.default_rng((recipe.seed, job.number))
        skipped: list[str] = []
        colours = 1 if recipe.network.channels == 1 else 3
        canvas = np.zeros((job.height, job.width, colours), np.uint8)
        # Darknet leaves out both for one load in two.
        joined = random.random() < 0.5
        if recipe.mosaic and joined:
            truth = self._mosaic(job, canvas, random, skipped)
        else:
            whole = Tile(0, 0, *size)
            truth = self._draw(self.reader.picture(job.number), size, whole, canvas, random, skipped)
            if recipe.mixup and joined:
                other = np.zeros_like(canvas)
                more = self._draw(self.reader.another(random), size, whole, other, random, skipped)
                cv2.addWeighted(canvas, 0.5, other, 0.5, 0, canvas)
                truth = np.concatenate([truth, more])
        return Sample(canvas, truth[: recipe.maximum], tuple(skipped))

    def _mosaic(self, job: Job, canvas: Pixels, random: np.random.Generator, skipped: list[str]) -> Truth:
        """Four pictures that meet at a random point; each shows its corner that is nearest to it."""
        size = (job.width, job.height)
        x, y = (int(random.uniform(_MOSAIC_EDGE, 1 - _MOSAIC_EDGE) * extent) for extent in size)
        pictures = [self.reader.picture(job.number), *(self.reader.another(random) for _ in range(3))]
        tiles = [
            Tile(job.width - x, job.height - y, x, y, 0, 0),
            Tile(0, job.height - y, job.width - x, y, x, 0),
            Tile(job.width - x, 0, x, job.height - y, 0, y),
            Tile(0, 0, job.width - x, job.height - y, x, y),
        ]
        return np.concatenate(
            [self._draw(each, size, tile, canvas, random, skipped) for each, tile in zip(pictures, tiles, strict=True)]
        )

    def _draw(
        self,
        picture: Picture,
        size: tuple[int, int],
        tile: Tile,
        canvas: Pixels,
        random: np.random.Generator,
        skipped: list[str],
    ) -> Truth:
        """Draw a tile of a picture, augmented; gives its boxes."""
        recipe = self.recipe
        picture, pixels = self.reader.pixels(picture, random, skipped)
        height, width = pixels.shape[:2]
        crop = draw_crop(recipe, width, height, size, random)
        if tile[2:4] != size:
            crop = _shown(crop, tile, (width, height), size, random)
        labels = read_labels(picture.labels)
        if word := unused(labels, picture.labels, recipe.classes):
            skipped.append(word)
        rows = labels.rows[valid(labels.rows, recipe.classes)]
        truth = move_boxes(rows, crop, (width, height), size, tile, recipe.least_visible)
        paint(pixels, crop, size, tile, canvas)
        part = canvas[tile.to_y : tile.to_y + tile.height, tile.to_x : tile.to_x + tile.width]
        self._finish(part, truth, tile, size, random)
        return truth[random.permutation(len(truth))]

    def _finish(self, part: Pixels, truth: Truth, tile: Tile, size: tuple[int, int], random: np.random.Generator) -> None:
        """Colour, blur and noise of a part of the canvas."""
        recipe = self.recipe
        colour = draw_colour(recipe, random)
        if colour != Colour():
            recolour(part, colour)
        if recipe.blur and (kind := int(random.integers(3))):
            # Smaller objects are not to vanish.
            smallest = int((truth[:, 3:5] * size).min(initial=np.inf) / 8) if len(truth) else recipe.blur
            inside = truth.copy()
            inside[:, 1:3] = (truth[:, 1:3] * size - (tile.to_x, tile.to_y)) / (tile.width, tile.height)
            inside[:, 3:5] = truth[:, 3:5] * size / (tile.width, tile.height)
            part[...] = soften(part, 1 if kind == 1 else max(1, min(recipe.blur, smallest)), inside)
        if recipe.gaussian_noise and random.random() < 0.5:
            part[...] = add_noise(part, recipe.gaussian_noise, random)


def unused(labels: Labels, path: Path, classes: int) -> str:
    """A word about the labels of the file at `path` that training cannot use: the first, and how many; empty if it uses all."""
    broken = [fault for fault in labels.faults if fault.severity == "error"]
    out = [line for line, good in zip(labels.lines, valid(labels.rows, classes), strict=True) if not good]
    lines = sorted([*out, *(fault.line for fault in broken)])
    if not lines:
        return ""
    if not lines[0]:
        return f"`{path}`: {broken[0].message}: its image counts as one without objects"
    first = next(fault for fault in faults(labels, classes) if fault.line == lines[0] and fault.severity == "error")
    many = "it is left out" if len(lines) == 1 else f"{counted(len(lines), 'label')} of the file are left out"
    return f"`{path}`:{lines[0]}: {first.message}; {many}"


def _shown(crop: Crop, tile: Tile, picture: tuple[int, int], size: tuple[int, int], random: np.random.Generator) -> Crop:
    """The crop for a part of a mosaic, moved so that the part shows the picture rather than what is beyond it.

    Every second one is moved to a corner of the picture; then any is moved inwards by what the part would show of beyond, as
    far as what it does not show reaches (`left_shift` and its kin in `data.c:load_data_detection`).
    """
    shows_left, shows_top = (tile.to_x > 0) != crop.flip, tile.to_y > 0
    left, top = crop.left, crop.top
    if random.random() < 0.5:
        left = picture[0] - crop.width if shows_left else 0.0
        top = picture[1] - crop.height if shows_top else 0.0
    left = _inwards(left, crop.width, picture[0], crop.width * (1 - tile.width / size[0]), shows_left)
    top = _inwards(top, crop.height, picture[1], crop.height * (1 - tile.height / size[1]), shows_top)
    return crop._replace(left=left, top=top)


def _inwards(start: float, length: float, end: float, hidden: float, shows_start: bool) -> float:
    """Where an interval within 0 … `end` starts after it was moved inwards, at most by its hidden part."""
    if shows_start:
        return start + min(max(-start, 0), hidden)
    return start - min(max(start + length - end, 0), hidden)
