"""Samples: alone, blended, four in one; and what becomes of pictures that cannot be read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cspdet.data.pictures import Picture, read_list
from cspdet.errors import UsageError
from cspdet.layers.base import Shape
from cspdet.train.classified import ClassRecipe, ClassSamples, smoothed
from cspdet.train.loader import batches, collate
from cspdet.train.recipe import Recipe
from cspdet.train.samples import Job, Sample, Samples

NETWORK = Shape(3, 64, 64)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """Ten pictures of one colour each, with one box each whose class is the picture's number."""
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((40, 60, 3), number * 20 + 10, np.uint8))
        (tmp_path / f"{number}.txt").write_text(f"{number} 0.5 0.5 0.5 0.5\n")
    (tmp_path / "list.txt").write_text("".join(f"{number}.png\n" for number in range(10)))
    return read_list(tmp_path / "list.txt")


def test_every_picture_is_used_once_in_a_pass(pictures: list[Picture]) -> None:
    samples = Samples(pictures, Recipe(NETWORK, 10))
    passes = [[int(samples(Job(turn * 10 + each, 64, 64)).truth[0, 0]) for each in range(10)] for turn in range(4)]
    assert all(sorted(each) == [*range(10)] for each in passes)
    assert len({tuple(each) for each in passes}) == 4


def test_a_sample_depends_on_nothing_but_its_number(pictures: list[Picture]) -> None:
    recipe = Recipe(NETWORK, 10, jitter=0.3, flip=True, hue=0.1, saturation=1.5, exposure=1.5, mosaic=True, mixup=True, seed=4)
    first, second = Samples(pictures, recipe), Samples(pictures, recipe)
    there = {number: first(Job(number, 64, 96)) for number in range(25)}
    for number in reversed(range(25)):
        again = second(Job(number, 64, 96))
        assert (again.pixels == there[number].pixels).all()
        assert (again.truth == there[number].truth).all()
    other = Samples(pictures, recipe._replace(seed=5))
    assert any((other(Job(number, 64, 96)).pixels != there[number].pixels).any() for number in range(5))


def test_a_plain_sample_is_the_picture(pictures: list[Picture]) -> None:
    sample = Samples(pictures, Recipe(NETWORK, 10))(Job(3, 64, 96))
    assert sample.pixels.shape == (96, 64, 3)
    assert (sample.pixels == sample.truth[0, 0] * 20 + 10).all()
    assert sample.truth[0, 1:].tolist() == [0.5] * 4


def test_a_mosaic_has_four_pictures_and_their_boxes(pictures: list[Picture]) -> None:
    samples = Samples(pictures, Recipe(NETWORK, 10, mosaic=True))
    made = [samples(Job(number, 64, 64)) for number in range(100)]
    joined = [each for each in made if len(np.unique(each.pixels)) > 1]
    assert 30 < len(joined) < 70  # the others are left alone, as in Darknet
    for each in joined:
        corners = {int(each.pixels[y, x, 0]) for y in (0, 63) for x in (0, 63)}
        assert {int(row[0]) * 20 + 10 for row in each.truth} <= corners | {*np.unique(each.pixels).tolist()}
        for number, x, y, w, h in each.truth:
            inside = each.pixels[
                int((y - h / 2) * 64 + 1) : int((y + h / 2) * 64 - 1), int((x - w / 2) * 64 + 1) : int((x + w / 2) * 64 - 1)
            ]
            assert (inside == number * 20 + 10).all()


def test_mixup_blends_two(pictures: list[Picture]) -> None:
    samples = Samples(pictures, Recipe(NETWORK, 10, mixup=True))
    for number in range(40):
        sample = samples(Job(number, 64, 64))
        assert len(sample.truth) in (1, 2)
        assert np.abs(sample.pixels - (sample.truth[:, 0] * 20 + 10).mean()).max() <= 1


def test_no_more_objects_than_the_head_takes(pictures: list[Picture]) -> None:
    samples = Samples(pictures, Recipe(NETWORK, 10, maximum=1, mixup=True))
    assert {len(samples(Job(number, 64, 64)).truth) for number in range(20)} == {1}


def test_grey_networks_read_grey_pictures(pictures: list[Picture]) -> None:
    sample = Samples(pictures, Recipe(NETWORK._replace(channels=1), 10, exposure=1.5))(Job(0, 64, 64))
    assert sample.pixels.shape == (64, 64, 1)


def test_a_picture_that_cannot_be_read_is_replaced_and_named(pictures: list[Picture]) -> None:
    pictures[4].path.write_bytes(b"no picture")
    pictures[7].path.unlink()
    samples = Samples(pictures, Recipe(NETWORK, 10))
    made = [samples(Job(number, 64, 64)) for number in range(10)]
    words = [word for each in made for word in each.skipped]
    assert all(len(each.truth) == 1 for each in made)
    assert any("4.png" in word for word in words)
    assert any("7.png" in word for word in words)


GOOD = "0 .5 .5 .2 .2\n"


@pytest.mark.parametrize(
    ("text", "kept", "word"),
    [
        (GOOD, 1, ""),
        ("\ufeff" + GOOD, 1, ""),
        ("", 0, ""),
        (GOOD + "7 .5 .5 .2 .2\n", 1, ":2: there is no class 7: the last is 2; it is left out"),
        ("-1 .5 .5 .2 .2\n" + GOOD, 1, ":1: class -1 is below 0; it is left out"),
        (GOOD + "0 .5 .5 0 .2\n", 1, ":2: the width of 0 is not above 0; it is left out"),
        (
            GOOD + "0 .5 1.5 .2 .2\n",
            1,
            ":2: the centre's y of 1.5 is outside the image, which goes from 0 to 1; it is left out",
        ),
        (GOOD + "0 .5 .5 1.2 .2\n", 2, ""),  # it is cut
        (GOOD + "0 .5 .5 1.2 .2\n0 .5 .5\n9 1 1 1 1\n", 2, ":3: `0 .5 .5` has 3 values; a label has 5; 2 labels of the file"),
        (
            "\n" + "9 1 1 1 1\n" * 3000 + GOOD,
            1,
            ":2: there is no class 9: the last is 2; 3,000 labels of the file are left out",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_told(pictures: list[Picture], text: str, kept: int, word: str) -> None:
    file = pictures[0].labels
    file.write_text(text, "utf-8")
    sample = Samples(pictures[:1], Recipe(NETWORK, 3))(Job(0, 64, 64))
    assert len(sample.truth) == kept
    assert len(sample.skipped) == bool(word)
    assert all(each.startswith(f"`{file}`{word}") for each in sample.skipped)


def test_a_label_file_that_cannot_be_read_is_told(pictures: list[Picture]) -> None:
    pictures[0].labels.unlink()
    pictures[0].labels.mkdir()
    (word,) = Samples(pictures[:1], Recipe(NETWORK, 3))(Job(0, 64, 64)).skipped
    assert "cannot be read" in word
    assert word.endswith("its image counts as one without objects")


def test_nothing_but_unreadable_pictures_is_an_error(pictures: list[Picture]) -> None:
    for each in pictures:
        each.path.write_bytes(b"")
    with pytest.raises(UsageError, match="100 pictures in a row cannot be used"):
        Samples(pictures, Recipe(NETWORK, 10))(Job(0, 64, 64))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches(pictures: list[Picture], workers: int) -> None:
    samples = Samples(pictures, Recipe(NETWORK, 10, mosaic=True))
    jobs = [[Job(number * 4 + each, 64, 32 * (1 + number % 2)) for each in range(4)] for number in range(5)]
    made = [*batches(samples, jobs, workers)]
    assert [each.pixels.shape[1] for each in made] == [32, 64, 32, 64, 32]
    for batch, row in zip(made, jobs, strict=True):
        wanted = collate([samples(job) for job in row])
        assert torch.equal(batch.pixels, wanted.pixels)
        assert torch.equal(batch.truth, wanted.truth)


def test_a_batch_is_red_first_and_filled_up() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 255  # blue
    batch = collate([Sample(pixels, np.zeros((2, 5), np.float32)), Sample(pixels, np.zeros((0, 5), np.float32))])
    images = batch.images(torch.device("cpu"))
    assert images.shape == (2, 3, 8, 8)
    assert images[:, 2].min() == 1
    assert images[:, :2].max() == 0
    assert batch.truth[:, :, 0].tolist() == [[0, 0], [-1, -1]]


# -- classifiers ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sorted_pictures(tmp_path: Path) -> list[Picture]:
    for number, name in enumerate(("dark", "bright")):
        (tmp_path / name).mkdir()
        for each in range(4):
            cv2.imwrite(str(tmp_path / name / f"{each}.png"), np.full((50, 70, 3), 200 * number + each, np.uint8))
    return read_list(tmp_path)


def recipe(**values: object) -> ClassRecipe:
    plain = ClassRecipe(Recipe(NETWORK, 0), 0.0, 1.0, 64, 64, False, 0, 0.0)
    return plain._replace(**values)


def test_classes_come_from_folders(sorted_pictures: list[Picture]) -> None:
    samples = ClassSamples(sorted_pictures, recipe(angle=7.0, aspect=0.75, most=128, flip=True), ["dark", "bright"])
    for number in range(16):
        sample = samples(Job(number, 64, 64))
        assert sample.truth.tolist() == ([0, 1] if sample.pixels.mean() > 100 else [1, 0])
        assert sample.pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("blend", [1, 2, 3, 4])
def test_blends_tell_the_shares(sorted_pictures: list[Picture], blend: int) -> None:
    samples = ClassSamples(sorted_pictures, recipe(blend=blend), ["dark", "bright"])
    shares = []
    for number in range(60):
        sample = samples(Job(number, 64, 64))
        assert sample.truth.sum() == pytest.approx(1)
        assert sample.pixels.mean() / 200 == pytest.approx(sample.truth[1], abs=0.02)
        shares.append(sample.truth[1])
    assert any(0.05 < share < 0.95 for share in shares)


def test_smoothed_labels() -> None:
    assert smoothed(1, 5, 0.1).tolist() == pytest.approx([0.025, 0.9, 0.025, 0.025, 0.025])
