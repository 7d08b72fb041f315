"""What a picture shows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cspdet
from cspdet.classification import Classification
from cspdet.data.pictures import read_list
from cspdet.engines import installed
from cspdet.evaluate import judge_classes, look_at_classes
from cspdet.layers.base import Shape
from cspdet.preprocess import middle, prepare, resize, square
from tests.classifying import COLOURS, paint, write_classified, write_classifier
from tests.test_detector import write_network


def softmax(values: Any) -> Any:
    shifted = np.exp(np.asarray(values, np.float64))
    return shifted / shifted.sum()


@pytest.mark.parametrize("engine", ["", *(name for name in installed() if name != "ncnn")])  # which has no mean of a map
def test_every_engine_classifies(tmp_path: Path, engine: str) -> None:
    detector = cspdet.load(*write_classifier(tmp_path), engine=engine)
    pictures = [paint(tmp_path / f"{number}.png", number) for number in range(3)] + [paint(tmp_path / "m.png", (51, 102, 204))]
    found = detector.classify(pictures)
    for number in range(3):
        np.testing.assert_allclose(found[number].scores, softmax(np.eye(3)[number] * 10), atol=1e-6)
        assert found[number].top(1)[0][:2] == (COLOURS[number], number)
    np.testing.assert_allclose(found[3].scores, softmax([8, 4, 2]), atol=1e-5)
    assert [guess.name for guess in found[3].top()] == [*COLOURS]
    assert found[3].to_dicts(1) == [{"name": "red", "class_id": 0, "score": pytest.approx(softmax([8, 4, 2])[0])}]
    assert detector.classify([]) == []


def test_exported_classifiers_classify_alike(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    detector = cspdet.load(*write_classifier(tmp_path))
    detector.export(tmp_path / "tell.onnx")
    grey = paint(tmp_path / "x.png", (10, 200, 150))
    whole = cspdet.load(tmp_path / "tell.onnx").classify([grey])[0]
    np.testing.assert_allclose(whole.scores, detector.classify([grey])[0].scores, atol=1e-5)
    assert whole.names == COLOURS


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (16, 16), (7, 90)])
@pytest.mark.parametrize("network", [(16, 16), (16, 24), (24, 16)])
def test_the_middle_is_what_darknet_cuts_out(size: tuple[int, int], network: tuple[int, int]) -> None:
    """As `resize_min` and `crop_image` do it, pixel by pixel."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
    w, h = network
    if size[0] < size[1]:
        scaled = resize(image[:, :, ::-1], w, size[1] * w // size[0])
    else:
        scaled = resize(image[:, :, ::-1], size[0] * w // size[1], w)
    left, top = (scaled.shape[1] - w) // 2, (scaled.shape[0] - h) // 2
    found = middle(image, Shape(3, h, w))
    assert found.shape == (3, h, w)
    for row in range(h):
        for column in range(w):
            y, x = min(max(row + top, 0), scaled.shape[0] - 1), min(max(column + left, 0), scaled.shape[1] - 1)
            assert (found[:, row, column] == scaled[y, x]).all()


def test_of_a_long_picture_only_the_middle_is_scaled() -> None:
    """The whole of it would take gigabytes."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, 60_000, 3), np.uint8)
    tracemalloc.start()
    found = middle(image, Shape(3, 32, 32))
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    # The middle pixel is 32 pixels wide there.
    np.testing.assert_allclose(found[:, 0, 16], image[0, 30_000, ::-1] / 255, atol=0.6)
    assert np.isfinite(found).all()
    part = random.integers(0, 256, (40, 300, 3), np.uint8)
    rows, columns = np.array([0, 3, 31]), np.array([0, 100, 239])
    whole = resize(part, 240, 32)
    assert (resize(part, 240, 32, rows, columns) == whole[rows][:, columns]).all()


@pytest.mark.parametrize("like", ["alexeyab", "pjreddie", "alexeyab-opencv"])
def test_each_darknet_has_its_own_middle(tmp_path: Path, like: str) -> None:
    detector = cspdet.load(*write_classifier(tmp_path))
    classifier = detector.classifier(like=like)
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    shape = Shape(3, 16, 16)
    cut = middle(image, shape)
    if like == "pjreddie":
        assert (classifier.prepare(image) == prepare(image, shape, classifier.profile)[0]).all()
        expected = resize(image[:, 10:40, ::-1], 16, 16).transpose(2, 0, 1)
        assert (classifier.prepare(image, counting=True) == expected).all()
        assert (square(image, shape) == expected).all()
    else:
        assert (classifier.prepare(image) == cut).all()
        assert (classifier.prepare(image, counting=True) == cut).all()


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("[softmax]\n", True), ("[softmax]\n[cost]\n", True), ("", False), ("[cost]\n", False), ("[softmax]\ngroups=3\n", False)
    ],
)  # fmt: skip
def test_what_is_a_probability(tmp_path: Path, end: str, expected: bool) -> None:
    detector = cspdet.load(*write_classifier(tmp_path, end=end))
    assert detector.classifier().probabilities is expected
    found = detector.classify([paint(tmp_path / "x.png", (51, 102, 204))])[0].scores
    np.testing.assert_allclose(
        found, softmax([8, 4, 2]) if expected else [1, 1, 1] if "groups" in end else [8, 4, 2], atol=1e-5
    )


def test_a_map_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "map.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=3\nsize=1\n")
    detector = cspdet.load(tmp_path / "map.cfg")
    with pytest.raises(cspdet.UsageError, match="is no classifier: it ends in a map of 8x8x3"):
        detector.classify([])


def test_of_equal_classes_the_first_comes_first() -> None:
    found = Classification(np.array([0.2, np.nan, 0.4, 0.2, 0.4], np.float32))
    assert [guess.class_id for guess in found.top()] == [2, 4, 0, 3, 1]
    assert found.top(1)[0].name == "2"
    assert found.top(-1) == []


TREE = "[softmax]\ntree=t.tree\n"


def test_in_a_hierarchy_shares_are_multiplied_down(tmp_path: Path) -> None:
    """`tree.c:hierarchy_predictions`: thing, and of it two kinds."""
    (tmp_path / "t.tree").write_text("thing -1\ngreen 0\nblue 0\n")
    detector = cspdet.load(*write_classifier(tmp_path, end=TREE))
    picture = paint(tmp_path / "x.png", (51, 102, 204), (30, 30))
    kinds = softmax([4, 2])
    np.testing.assert_allclose(detector.classify([picture])[0].scores, [1, *kinds], atol=1e-5)
    # pjreddie's speaks of leaves alone.
    np.testing.assert_allclose(detector.classify([picture], like="pjreddie")[0].scores, [0, *kinds], atol=1e-5)
    # Counted are leaves alone.
    for name in ("green", "blue"):
        paint(tmp_path / "all" / name / "a.png", (51, 102, 204))
    seen = look_at_classes(detector.classifier(), read_list(tmp_path / "all"), COLOURS)
    assert sorted(seen.found.tolist()) == [1, 1]


def test_counting(tmp_path: Path) -> None:
    write_classified(tmp_path)
    classifier = cspdet.load(*write_classifier(tmp_path)).classifier()
    pictures = read_list(tmp_path / "all")
    steps: list[int] = []
    seen = look_at_classes(classifier, pictures, COLOURS, batch=4, advance=steps.append)
    accuracy = judge_classes([seen], COLOURS, 2)
    assert steps == [4, 4, 1]
    assert accuracy.matrix.tolist() == [[3, 0, 0], [0, 3, 0], [0, 2, 1]]
    assert (accuracy.top_1, accuracy.top_n, accuracy.pictures) == (pytest.approx(7 / 9), 1.0, 9)
    assert [each.top_1 for each in accuracy.classes] == [1, 1, pytest.approx(1 / 3)]
    # Shares of the pictures, put together.
    parts = [look_at_classes(classifier, pictures[start::2], COLOURS) for start in range(2)]
    assert str(judge_classes(parts, COLOURS, 2)) == str(accuracy)
    assert judge_classes(parts, COLOURS, 99).top == 3


def test_outputs_that_are_no_numbers_are_not_right(tmp_path: Path) -> None:
    cfg, weights = write_classifier(tmp_path, end="[softmax]\n")
    content = weights.read_bytes()
    weights.write_bytes(content[:20] + np.full(3, np.nan, "<f4").tobytes() + content[32:])
    paint(tmp_path / "all" / "blue" / "a.png", 2)
    classifier = cspdet.load(cfg, weights).classifier()
    seen = look_at_classes(classifier, read_list(tmp_path / "all"), COLOURS)
    assert judge_classes([seen], COLOURS).top_1 == 0


def test_pictures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    write_classified(tmp_path)
    (tmp_path / "all" / "red" / "broken.png").write_bytes(b"no picture")
    for name in ("odd", "even"):
        paint(tmp_path / "all" / f"{name}.png", 0)
    classifier = cspdet.load(*write_classifier(tmp_path)).classifier()
    said: list[str] = []
    seen = look_at_classes(classifier, read_list(tmp_path / "all"), COLOURS, warn=said.append)
    assert seen.skipped == 3
    broken, unclear = said
    assert "broken.png" in broken
    assert broken.endswith(": left out")
    assert unclear.endswith("no name of a class is part of its path: left out (and 1 more picture)")
    assert " 3 of 12 pictures could not be used: left out" in str(judge_classes([seen], COLOURS))
    nothing = look_at_classes(classifier, read_list(tmp_path / "all")[:0], COLOURS)
    with pytest.raises(cspdet.UsageError, match="none of the pictures can be used"):
        judge_classes([nothing], COLOURS)


def test_who_cannot_classify_says_so(tmp_path: Path) -> None:
    detector = cspdet.load(*write_network(tmp_path))
    with pytest.raises(cspdet.UsageError, match="has a detection head"):
        detector.classify([])
    classifier = cspdet.load(*write_classifier(tmp_path, names=("one", "two")))
    with pytest.raises(cspdet.UsageError, match=r"the list of names has 2 names, .* 3 classes"):
        classifier.classify([])
    for one in ("x.png", Image.new("RGB", (8, 8)), np.zeros((8, 8, 3), np.uint8)):
        with pytest.raises(cspdet.UsageError, match="`classify` takes several images"):
            classifier.classify(one)  # type: ignore[arg-type]
    with pytest.raises(cspdet.UsageError, match="`detect` takes several images"):
        detector.detect(Image.new("RGB", (8, 8)))  # type: ignore[arg-type]
    with pytest.raises(cspdet.UsageError, match="has no detection head"):
        classifier.detect([])
    named = cspdet.load(tmp_path / "tell.cfg", tmp_path / "tell.weights", names=COLOURS)
    with pytest.raises(cspdet.UsageError, match="the list of labels has 2 names"):
        look_at_classes(named.classifier(), [], ["a", "b"])
