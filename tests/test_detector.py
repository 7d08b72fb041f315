"""Detectors, with a network whose boxes can be told from the picture.

It looks at squares of 16 pixels: one that is mostly red, green or blue is an object of that class, as large as the square.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import cspdet
from cspdet import Detections, Detector
from cspdet.errors import CfgError, CfgWarning, ImageError, UsageError, WeightsError, WeightsWarning
from cspdet.image import Pixels
from cspdet.preprocess import PROFILES

COLOURS = ("red", "green", "blue")
SQUARE = 16


def write_network(
    folder: Path,
    name: str = "colours",
    *,
    size: tuple[int, int] = (64, 64),
    channels: int = 3,
    classes: int = 3,
    names: Sequence[str] = COLOURS,
    net: str = "",
    head: str = "",
    seen: int = 0,
) -> tuple[Path, Path]:
    """A cfg, its weights and, if there are names, a `.names` file beside them."""
    filters = 5 + classes
    cfg = folder / f"{name}.cfg"
    cfg.write_text(
        f"[net]\nwidth={size[0]}\nheight={size[1]}\nchannels={channels}\n{net}\n"
        f"[convolutional]\nfilters={filters}\nsize={SQUARE}\nstride={SQUARE}\nactivation=linear\n\n"
        f"[yolo]\nmask=0\nnum=1\nanchors={SQUARE},{SQUARE}\nclasses={classes}\n{head}\n"
    )
    # Logits of 20 where a channel is full, and of -20 where it is empty.
    bias = np.array([0, 0, 0, 0, *[-20] * (classes + 1)], "<f4")
    kernel = np.zeros((filters, channels, SQUARE, SQUARE), "<f4")
    kernel[4] = 40 / SQUARE**2
    for number in range(classes):
        kernel[5 + number, number % channels] = 40 / SQUARE**2
    weights = folder / f"{name}.weights"
    weights.write_bytes(struct.pack("<iiiQ", 0, 2, 5, seen) + bias.tobytes() + kernel.tobytes())
    if names:
        (folder / f"{name}.names").write_text("\n".join(names) + "\n")
    return cfg, weights


def picture(*squares: tuple[int, int, int], size: tuple[int, int] = (64, 64), level: int = 255) -> Pixels:
    """A black picture with squares of the grid filled: (column, row, class)."""
    found = np.zeros((size[1], size[0], 3), np.uint8)
    for column, row, number in squares:
        found[row * SQUARE : (row + 1) * SQUARE, column * SQUARE : (column + 1) * SQUARE, 2 - number] = level
    return found


TWO = picture((1, 2, 0), (3, 0, 1))
# What is in it, in the order in which the cells are read; what ranks is the last class, green.
BOXES = [[48, 0, 64, 16], [16, 32, 32, 48]]


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    return cspdet.load(*write_network(tmp_path))


def check(found: Detections, size: tuple[int, int] = (64, 64)) -> None:
    """The objects of `TWO`."""
    assert found.xyxy.tolist() == [pytest.approx(box, abs=1e-4) for box in BOXES]
    assert found.class_id.tolist() == [1, 0]
    assert found.labels == ["green", "red"]
    assert found.confidence.tolist() == pytest.approx([1, 1], abs=1e-6)
    assert found.size == size
    assert found.names == COLOURS


# -- what can be looked at --------------------------------------------------------------------------------------------


def test_paths_and_arrays(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    cv2.imwrite(str(path), TWO)
    for image in (path, str(path), TWO, np.ascontiguousarray(TWO[:, ::-1])[:, ::-1]):
        found = detector(image)
        assert isinstance(found, Detections)
        check(found)


def test_real_pil_images(detector: Detector) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not needed otherwise")
    check(detector(image.fromarray(TWO[:, :, ::-1])))
    check(detector(image.fromarray(TWO[:, :, ::-1]).convert("RGBA")))
    check(detector(image.fromarray(TWO[:, :, ::-1]).quantize(4)))
    turned = image.fromarray(np.rot90(TWO[:, :, ::-1]).copy())
    turned.getexif()[0x0112] = 6
    check(detector(turned))


def test_lists_and_batches(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    cv2.imwrite(str(path), TWO)
    for images in ([TWO, path], (TWO, TWO), np.stack([TWO, TWO])):
        found = detector(images)
        assert isinstance(found, list)
        assert len(found) == 2
        for each in found:
            check(each)
    (alone,) = detector([TWO])
    check(alone)
    for nothing in ([], (), np.zeros((0, 8, 8, 3), np.uint8)):
        assert detector(nothing) == []


def test_images_of_different_sizes_in_a_batch(detector: Detector) -> None:
    large = cv2.resize(TWO, (256, 192), interpolation=cv2.INTER_NEAREST)
    found = detector([TWO, large, picture()], threshold=0.5)
    check(found[0])
    assert found[1].size == (256, 192)
    assert found[1].xyxy.tolist() == [pytest.approx([x1 * 4, y1 * 3, x2 * 4, y2 * 3]) for x1, y1, x2, y2 in BOXES]
    assert len(found[2]) == 0
    assert found[2].size == (64, 64)


def test_batches_change_nothing(detector: Detector) -> None:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (*generator.integers(20, 90, 2), 3)).astype(np.uint8) for _ in range(5)]
    for together, image in zip(detector(images, threshold=0.01), images, strict=True):
        alone = detector(image, threshold=0.01)
        assert len(alone)
        assert np.array_equal(alone.class_id, together.class_id)
        assert np.abs(alone.xyxy - together.xyxy).max() < 1e-3
        assert np.abs(alone.confidence - together.confidence).max() < 1e-5


def test_the_image_is_not_changed(detector: Detector) -> None:
    image = TWO.copy()
    for like in PROFILES:
        detector(image, like=like)
    assert np.array_equal(image, TWO)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "not `NoneType`"),
        (3, "not `int`"),
        (b"dog.jpg", "not `bytes`"),
        ([[TWO]], "not `list`"),
        (TWO.astype(np.float32) / 255, r"not \(64, 64, 3\) of float32"),
        (TWO.astype(np.int64), "of int64"),
        (TWO[:0], r"is empty: \(0, 64, 3\)"),
        (TWO[:, :0], r"is empty: \(64, 0, 3\)"),
        (np.zeros(64, np.uint8), r"not \(64,\)"),
        (np.zeros((1, 1, 64, 64, 3), np.uint8), r"not \(1, 1, 64, 64, 3\)"),
        (np.zeros((64, 64, 2), np.uint8), "the network reads 3 channels, the image has 2"),
        (np.zeros((3, 64, 64), np.uint8), "has 64\n  help: the channels come last"),
        ("none.png", r"no such file: `none\.png`"),
        (Path("none.png"), r"no such file: `none\.png`"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_no_image(detector: Detector, image: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        detector(image)
    assert re.search(message, str(caught.value))


def test_a_file_that_is_no_image(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        detector(tmp_path / "bad.jpg")


# -- channels ---------------------------------------------------------------------------------------------------------


def test_grey_pictures_in_a_colour_network(detector: Detector) -> None:
    grey = picture((2, 1, 0))[:, :, 2]
    for image in (grey, grey[:, :, None]):
        found = detector(image)
        # White is red, green and blue.
        assert sorted(found.class_id) == [0, 1, 2]
        assert found.xyxy.tolist() == [pytest.approx([32, 16, 48, 32], abs=1e-4)] * 3


def test_a_grey_network(tmp_path: Path) -> None:
    detector = cspdet.load(*write_network(tmp_path, channels=1, classes=1, names=("bright",)))
    white = np.repeat(picture((2, 1, 0))[:, :, 2:], 3, 2)
    path = tmp_path / "white.png"
    cv2.imwrite(str(path), white)
    for image in (white, white[:, :, 0], white[:, :, :1], path):
        found = detector(image)
        assert found.labels == ["bright"]
        assert found.xyxy.tolist() == [pytest.approx([32, 16, 48, 32], abs=1e-4)]
    # Blue is dark: 29 of 256.
    assert len(detector(picture((2, 1, 2)))) == 0


def test_a_network_of_five_channels(tmp_path: Path) -> None:
    detector = cspdet.load(*write_network(tmp_path, channels=5, classes=5, names="abcde"))
    image = np.zeros((64, 64, 5), np.uint8)
    image[16:32, 32:48, 4] = 255
    image[:16, :16, 0] = 255
    found = detector(image)
    assert sorted(found.labels) == ["a", "e"]
    assert found[found.class_id == 4].xyxy.tolist() == [pytest.approx([32, 16, 48, 32], abs=1e-4)]
    with pytest.raises(UsageError, match="the network reads 5 channels, the image has 3"):
        detector(TWO)


# -- options ----------------------------------------------------------------------------------------------------------


def test_threshold(detector: Detector) -> None:
    """A square of level 140 has logits of 40 · 140/255 - 20."""
    image = picture((1, 2, 0), level=140)
    expected = 1 / (1 + np.exp(-(40 * 140 / 255 - 20)))
    (row,) = detector(image, threshold=0.5)
    assert row.confidence == pytest.approx(expected**2, abs=1e-4)
    assert len(detector(image, threshold=row.confidence - 1e-4)) == 1
    # Strictly more is asked for.
    assert len(detector(image, threshold=row.confidence)) == 0
    assert len(detector(image, threshold=1)) == 0
    # Every class of every cell passes 0, but for those that are 0.
    assert len(detector(image, threshold=0)) == 16 * 3


def test_suppression(tmp_path: Path) -> None:
    """Anchors of 48 make the boxes of neighbouring squares overlap by half."""
    cfg, weights = write_network(tmp_path)
    cfg.write_text(cfg.read_text().replace("anchors=16,16", "anchors=48,48"))
    detector = cspdet.load(cfg, weights)
    image = picture((1, 1, 0), (2, 1, 0), (2, 2, 1))
    image[16:32, 32:48, 2] = 200
    sure, weaker = [0, 0, 48, 48], [16, 0, 64, 48]
    other = [16, 16, 64, 64]
    for nms, expected in ((0.45, [other, sure]), (0.6, [other, sure, weaker]), (1, [other, sure, weaker]), (0, [other, sure])):
        found = detector(image, nms=nms)
        assert found.xyxy.tolist() == [pytest.approx(box, abs=1e-3) for box in expected]


def test_suppression_is_the_heads_choice(tmp_path: Path) -> None:
    """Boxes that overlap by half, a third of whose size lies between their centres: `greedynms` keeps both."""
    cfg, weights = write_network(tmp_path, head="nms_kind=greedynms")
    cfg.write_text(cfg.read_text().replace("anchors=16,16", "anchors=48,48"))
    image = picture((1, 1, 0), (2, 1, 0))
    assert len(cspdet.load(cfg, weights)(image)) == 2
    cfg.write_text(cfg.read_text().replace("greedynms", "default"))
    assert len(cspdet.load(cfg, weights)(image)) == 1


@pytest.mark.parametrize("option", ["threshold", "nms"])
@pytest.mark.parametrize("value", [-0.1, 1.1, 25, float("nan")])
def test_shares_go_from_0_to_1(detector: Detector, option: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"`{option}` is .*; it goes from 0 to 1"):
        detector(TWO, **{option: value})


@pytest.mark.parametrize(
    ("options", "boxed"),
    [
        ({}, False),
        ({"letterbox": True}, True),
        ({"like": "alexeyab-opencv"}, False),
        ({"like": "alexeyab-opencv", "letterbox": True}, True),
        ({"like": "pjreddie"}, True),
        ({"like": "ultralytics"}, True),
        ({"like": PROFILES["pjreddie"]}, True),
    ],
    ids=str,
)
def test_preprocessing(detector: Detector, options: dict[str, Any], boxed: bool) -> None:
    """In a letterbox, two squares of the wide picture side by side make one; else each is half as wide."""
    image = picture((4, 0, 0), (5, 0, 0), (4, 1, 0), (5, 1, 0), size=(128, 64))
    found = detector(image, **options)
    box = [64, 0, 96, 32]
    if boxed:
        # The picture lies in rows 16 to 48; the grey around it is an object to nobody: .5 gives logits of 0.
        inside = found[found.confidence > 0.9]
        assert inside.xyxy.tolist() == [pytest.approx(box, abs=1e-3)]
    else:
        assert found.xyxy.tolist() == [pytest.approx([64, y, 96, y + 16], abs=1e-3) for y in (0, 16)]


@pytest.mark.parametrize(
    ("net", "dialect", "asked", "boxed"),
    [
        ("", "alexeyab", None, False),
        ("letter_box=1", "alexeyab", None, True),
        ("letter_box=1", "alexeyab", False, False),
        ("", "alexeyab", True, True),
        ("", "pjreddie", None, True),
        ("", "hank-ai", None, False),
    ],
)
def test_who_asks_for_a_letterbox(tmp_path: Path, net: str, dialect: str, asked: bool | None, boxed: bool) -> None:
    detector = cspdet.load(*write_network(tmp_path, net=net), dialect=dialect)
    image = picture((4, 0, 0), (5, 0, 0), (4, 1, 0), (5, 1, 0), size=(128, 64))
    found = detector(image, letterbox=asked, threshold=0.9)
    assert len(found) == (1 if boxed else 2)


def test_preprocessing_that_is_not_there(detector: Detector) -> None:
    with pytest.raises(UsageError, match="there is no preprocessing `opencv`") as caught:
        detector(TWO, like="opencv")
    assert "alexeyab-opencv" in caught.value.help


# -- loading ----------------------------------------------------------------------------------------------------------


def test_size_in_place_of_the_cfgs(tmp_path: Path) -> None:
    detector = cspdet.load(*write_network(tmp_path), width=128, height=32)
    assert detector.graph.input.dimensions == (3, 32, 128)
    # Anchors are in pixels of the network's input, and the picture is stretched to it.
    found = detector(picture((1, 2, 0), (1, 3, 0)))
    assert {row.name for row in found} == {"red"}
    assert found.xyxy.tolist() == [pytest.approx([x, 32, x + 8, 64], abs=1e-3) for x in (16, 24)]


def test_names(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path)
    other = tmp_path / "other.names"
    other.write_text("rot\ngrün\nblau\n\n", "utf-8")
    for names in (other, str(other), ["rot", "grün", "blau"], ("rot", "grün", "blau")):
        assert cspdet.load(cfg, weights, names=names)(TWO).labels == ["grün", "rot"]
    assert cspdet.load(cfg, weights).names == COLOURS
    (tmp_path / "colours.names").unlink()
    detector = cspdet.load(cfg, weights)
    assert detector.names == ()
    assert detector(TWO).labels == ["1", "0"]


@pytest.mark.parametrize("names", [["a"], [], list("abcd"), "two.names"])
def test_names_that_do_not_fit(tmp_path: Path, names: Any) -> None:
    cfg, weights = write_network(tmp_path)
    (tmp_path / "two.names").write_text("a\nb\n")
    if isinstance(names, str):
        names = str(tmp_path / names)
    with pytest.raises(UsageError, match=r"names?, the network 3 classes"):
        cspdet.load(cfg, weights, names=names)


def test_names_beside_the_weights_must_fit_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"colours\.names` has 2 names, the network 3 classes"):
        cspdet.load(*write_network(tmp_path, names=("a", "b")))


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path)
    with pytest.raises(UsageError, match=r"no such file: `.*none\.cfg`"):
        cspdet.load(tmp_path / "none.cfg", weights)
    with pytest.raises(UsageError, match=r"no such file: `.*none\.weights`"):
        cspdet.load(cfg, tmp_path / "none.weights")
    with pytest.raises(UsageError, match=r"no such file: `.*none\.names`"):
        cspdet.load(cfg, weights, names=tmp_path / "none.names")
    with pytest.raises(UsageError, match="neither a file nor the name of a model"):
        cspdet.load("yolov9000", weights)
    with pytest.raises(UsageError, match="there is no dialect `darknet`"):
        cspdet.load(cfg, weights, dialect="darknet")
    with pytest.raises(UsageError, match="width of 0"):
        cspdet.load(cfg, weights, width=0)
    cut = tmp_path / "cut.weights"
    cut.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"`.*cut\.weights` does not fit"):
        cspdet.load(cfg, cut)
    other, _ = write_network(tmp_path, "other", classes=4, names=())
    with pytest.raises(WeightsError, match="does not fit"):
        cspdet.load(other, weights)
    with pytest.raises(WeightsError, match="is not a weights file"):
        cspdet.load(cfg, cfg)


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "cpu:x", "meta", "hpu", "mps", "vulkan"])
def test_devices_that_are_not_there(tmp_path: Path, device: str) -> None:
    cfg, weights = write_network(tmp_path)
    with pytest.raises(UsageError, match=f"the device `{device}` cannot be used: [^A-Z]") as caught:
        cspdet.load(cfg, weights, device=device)
    assert "\n" not in caught.value.message


def test_a_warning_about_the_cfg(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, head="misspelt=1")
    with pytest.warns(CfgWarning, match=r"colours\.cfg:\d+:\d+: .*`misspelt`") as caught:
        detector = cspdet.load(cfg, weights)
    assert len(caught) == 1
    assert Path(caught[0].filename) == Path(__file__)
    assert any("misspelt" in each.message for each in detector.diagnostics)
    check(detector(TWO))
    cfg, weights = write_network(tmp_path, head="misspelt=1\nwrong=2\nodd=3")
    with pytest.warns(CfgWarning, match="and 2 more warnings") as caught:
        cspdet.load(cfg, weights)
    assert len(caught) == 1


def test_an_error_in_the_cfg_carries_all(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path)
    cfg.write_text(cfg.read_text().replace("filters=8", "filters=9").replace("width=64", "width=x"))
    with pytest.raises(CfgError) as caught:
        cspdet.load(cfg, weights)
    assert len([each for each in caught.value.diagnostics if each.severity == "error"]) >= 1
    assert str(cfg) in caught.value.message


def test_without_weights_there_are_initial_ones(tmp_path: Path) -> None:
    cfg, _ = write_network(tmp_path)
    one, two = cspdet.load(cfg), cspdet.load(cfg)
    with pytest.warns(WeightsWarning, match="what it finds means nothing") as caught:
        assert one(TWO, threshold=0.01) == two(TWO, threshold=0.01)
    assert len(caught) == 2
    assert {Path(each.filename) for each in caught} == {Path(__file__)}
    one(TWO)  # it is said once
    kernel = one.network.state_dict()["layers.0.conv.weight"]
    assert 0 < kernel.abs().max() <= (2 / (3 * SQUARE**2)) ** 0.5


def test_a_backbone_warns(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path)
    cfg.write_text(cfg.read_text().replace("[yolo]", "[convolutional]\nfilters=8\nactivation=linear\n\n[yolo]"))
    with pytest.warns(WeightsWarning, match="ends before layer 1 of 3") as caught:
        detector = cspdet.load(cfg, weights)
    assert Path(caught[0].filename) == Path(__file__)
    assert detector.ends_before == 1


def test_a_network_without_a_head(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path)
    cfg.write_text(cfg.read_text().split("[yolo]")[0])
    detector = cspdet.load(cfg, weights)
    assert detector.names == COLOURS
    with pytest.raises(UsageError, match=r"has no detection head: it ends in `\[convolutional\]`"):
        detector(TWO)
    with pytest.raises(UsageError, match="no detection head"):
        detector([])


# -- saving -----------------------------------------------------------------------------------------------------------


def test_saved_weights_are_the_file(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, seen=12_345)
    detector = cspdet.load(cfg, weights)
    detector.save_weights(tmp_path / "saved.weights")
    assert (tmp_path / "saved.weights").read_bytes() == weights.read_bytes()
    detector.save_weights(tmp_path / "none.weights", cutoff=0)
    assert (tmp_path / "none.weights").read_bytes() == weights.read_bytes()[:20]


def test_saving_over_the_file_that_is_in_use(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path)
    before = weights.read_bytes()
    detector = cspdet.load(cfg, weights)
    detector.save_weights(weights)
    assert weights.read_bytes() == before
    check(detector(TWO))


def test_weights_that_cannot_be_saved(detector: Detector, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for target in (tmp_path, tmp_path / "none" / "x.weights"):
        with pytest.raises(UsageError, match="cannot write"):
            detector.save_weights(target)
    assert sorted(tmp_path.iterdir()) == before


def test_detecting_warns_of_nothing(detector: Detector) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for image in (TWO, picture(), np.full((1, 1, 3), 255, np.uint8), np.full((1, 5000, 3), 255, np.uint8)):
            for like in PROFILES:
                detector(image, like=like, threshold=0)


@pytest.mark.parametrize("size", [88.0, 100.0, float("inf")])
def test_boxes_of_weights_that_ran_wild(tmp_path: Path, size: float) -> None:
    """They are shown, and what is computed of them is finite."""
    detector = cspdet.load(*write_network(tmp_path))
    detector.network.state_dict()["layers.0.conv.bias"][2:4] = size
    found = detector(TWO)
    assert len(found)
    assert np.isfinite(found.xyxy).all()
    assert np.isfinite(found.xywhn).all()
    assert "Infinity" not in found.to_json()


def test_detect_takes_several_images(detector: Detector) -> None:
    for image in ("two.png", Path("two.png"), TWO, TWO[:, :, 0]):
        with pytest.raises(UsageError, match="takes several images"):
            detector.detect(image)


@pytest.mark.parametrize("like", ["pjreddie", "ultralytics"])
def test_proportions_need_not_be_kept(detector: Detector, like: str) -> None:
    """Whatever the program does by default."""
    wide = np.repeat(TWO, 2, 1)
    stretched, boxed = (detector(wide, like=like, letterbox=each) for each in (False, None))
    assert len(stretched) == 2
    assert stretched != boxed


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_networks_of_other_precision(tmp_path: Path, kind: torch.dtype) -> None:
    detector = cspdet.load(*write_network(tmp_path))
    detector.network.to(kind)
    check(detector(TWO))


def test_a_state_made_in_inference_mode_can_be_cleared(tmp_path: Path) -> None:
    (tmp_path / "made.cfg").write_text("[net]\ninputs=4\n[rnn]\noutput=3\nhidden=2\nactivation=linear\n")
    network = cspdet.load(tmp_path / "made.cfg").network
    with torch.inference_mode():
        first = network(torch.ones(2, 4))[0].clone()
        network(torch.ones(2, 4))
    network.reset()
    assert torch.allclose(network(torch.ones(2, 4))[0], first)


def test_what_a_detector_shows_of_itself(detector: Detector) -> None:
    assert repr(detector).endswith("colours.cfg', input 64x64x3, 3 names)")
