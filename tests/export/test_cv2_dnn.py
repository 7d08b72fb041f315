"""OpenCV's module for networks gets from cspdet what OpenCV 4 read itself.

`CSPDET_OPENCV4` names a folder with OpenCV 4 (`pip install --target FOLDER 'opencv-python<5'`); without it, what OpenCV 4 puts
out is only known from its source.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import cspdet
from cspdet.cfg.dialect import ALEXEYAB
from cspdet.cv2_dnn import read_net_from_darknet
from cspdet.plain import plain_text
from tests.conftest import ROOT, reference_files
from tests.export.opencv_programs import PROGRAMS, Case, run
from tests.export.test_export import PICTURE, RECURRENT, REGION, SMALL, with_weights

OPENCV4 = os.environ.get("CSPDET_OPENCV4", "")
needs_opencv4 = pytest.mark.skipif(not OPENCV4, reason="needs OpenCV 4; set CSPDET_OPENCV4")

COLOURED = REGION.replace("channels=1", "channels=3")
REORG = COLOURED.replace("[region]", "[reorg]\nstride=2\n[convolutional]\nfilters=16\nsize=1\nactivation=linear\n[region]")
GAUSSIAN = "[Gaussian_yolo]\nmask=1,2\nanchors=4,6, 10,14, 20,30\nnum=3\nclasses=3\n"


def blob(width: int, height: int, channels: int = 3) -> Any:
    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
    return cv2.dnn.blobFromImage(picture, 1 / 255, (width, height), swapRB=channels == 3)


def outputs(net: Any, *images: Any) -> dict[str, Any]:
    net.setInput(*images)
    names = net.getUnconnectedOutLayersNames()
    return dict(zip(names, net.forward(names), strict=True))


def test_the_outputs_of_yolo(tmp_path: Path) -> None:
    """Against what the heads decode, with OpenCV's own batch normalisation."""
    files = with_weights(tmp_path / "x.cfg", SMALL)
    net = read_net_from_darknet(*files)
    assert isinstance(net, cv2.dnn.Net)
    images = blob(64, 96)
    found = outputs(net, images)
    assert sorted(found) == ["yolo_3", "yolo_7"]
    detector = cspdet.load(*files, dialect=ALEXEYAB._replace(epsilon=1e-6))
    raw = detector.engine(images)
    for node, each in zip(detector.graph.heads, raw, strict=True):
        rows = found[f"{node.name}_{node.index}"]
        expected = node.layer.decode(each[0], detector.graph.input, -1.0)
        assert rows.shape == (len(expected.xywh), 8)
        np.testing.assert_allclose(rows[:, :4], expected.xywh, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rows[:, 4], expected.objectness, atol=1e-5)
        scores = np.where(expected.scores > 0.2, expected.scores, 0)
        assert 0 < np.count_nonzero(scores) < scores.size
        np.testing.assert_allclose(rows[:, 5:], scores, atol=1e-5)


def test_a_batch_has_an_axis(tmp_path: Path) -> None:
    net = read_net_from_darknet(*with_weights(tmp_path / "x.cfg", SMALL))
    images = np.random.default_rng(0).random((2, 3, 96, 64), np.float32)
    both = outputs(net, images)
    alone = [outputs(net, images[each : each + 1]) for each in range(2)]
    for name, rows in both.items():
        np.testing.assert_allclose(rows, np.stack([each[name] for each in alone]), atol=1e-6)


def test_another_size_is_the_network_of_that_size(tmp_path: Path) -> None:
    """Maps and anchors follow the blob; where a layer is for one size, it is asked for in reading."""
    files = with_weights(tmp_path / "x.cfg", SMALL)
    images = blob(128, 64)
    alike(outputs(read_net_from_darknet(*files), images), outputs(read_net_from_darknet(*files, width=128, height=64), images))
    # Maps of odd sides, which pooling pads.
    pooled = with_weights(tmp_path / "z.cfg", COLOURED.replace("[region]", "[maxpool]\nsize=2\nstride=2\n[region]"))
    images = blob(72, 40)
    found = outputs(read_net_from_darknet(*pooled), images)
    assert found["detection_out"].shape == (2 * 5 * 3, 8)
    alike(found, outputs(read_net_from_darknet(*pooled, width=72, height=40), images))
    fixed = with_weights(tmp_path / "y.cfg", REORG)
    net = read_net_from_darknet(*fixed)
    # As many numbers as in the cfg's size, and more.
    for size in ((128, 32), (32, 128), (128, 64), (64, 128), (128, 128), (32, 32)):
        with pytest.raises(cv2.error):
            outputs(net, blob(*size))
    alike(outputs(net, blob(64, 64)), outputs(read_net_from_darknet(*fixed, width=64, height=64), blob(64, 64)))
    assert outputs(read_net_from_darknet(*fixed, width=128), blob(128, 64))["detection_out"].shape == (64, 8)


def test_a_wrong_number_of_channels_is_an_error(tmp_path: Path) -> None:
    """OpenCV 5 reads what lies behind the image."""
    net = read_net_from_darknet(*with_weights(tmp_path / "x.cfg", SMALL))
    for channels in (1, 2, 4, 6):
        with pytest.raises(cv2.error):
            outputs(net, np.zeros((1, channels, 96, 64), np.float32))


def test_options_of_opencv(tmp_path: Path) -> None:
    """Those of its layer that are in the cfg."""
    files = with_weights(tmp_path / "x.cfg", REGION + "thresh = .3\n")
    found = outputs(read_net_from_darknet(*files), blob(64, 64, 1))["detection_out"][:, 5:]
    assert found[found > 0].min() > 0.3


def test_boxes_of_a_region_are_suppressed(tmp_path: Path) -> None:
    """From an overlap of .4, class by class."""
    files = with_weights(tmp_path / "x.cfg", REGION)
    rows = outputs(read_net_from_darknet(*files), blob(64, 64, 1))["detection_out"]
    (raw,) = cspdet.load(*files).engine(blob(64, 64, 1))
    head = cspdet.load(*files).graph.heads[0].layer
    boxes = head.decode(raw[0], cspdet.load(*files).graph.input, 0.001)
    assert 0 < np.count_nonzero(rows[:, 5:]) < np.count_nonzero(boxes.scores > 0.001)
    corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
    for scores in rows[:, 5:].T:
        kept = corners[scores > 0]
        sides = np.minimum(kept[:, None, 2:], kept[:, 2:]) - np.maximum(kept[:, None, :2], kept[:, :2])
        shared = sides.clip(0).prod(2)
        areas = (kept[:, 2:] - kept[:, :2]).prod(1)
        overlap = shared / (areas[:, None] + areas - shared)
        assert overlap[~np.eye(len(kept), dtype=bool)].max(initial=0) <= 0.4 + 1e-5


def test_two_regions_have_two_names(tmp_path: Path) -> None:
    files = with_weights(tmp_path / "x.cfg", REGION + "[route]\nlayers=0\n" + REGION[REGION.index("[region]") :])
    found = outputs(read_net_from_darknet(*files), blob(64, 64, 1))
    assert sorted(found) == ["region_1", "region_3"]
    np.testing.assert_array_equal(found["region_1"], found["region_3"])


def test_heads_that_opencv_does_not_have(tmp_path: Path) -> None:
    """They have such rows, too, with all scores."""
    text = SMALL[: SMALL.index("[yolo]")].replace("filters=16", "filters=24")
    files = with_weights(tmp_path / "x.cfg", text + GAUSSIAN)
    net = read_net_from_darknet(*files)
    found = outputs(net, blob(64, 96))["Gaussian_yolo_3"]
    detector = cspdet.load(*files, dialect=ALEXEYAB._replace(epsilon=1e-6))
    (raw,) = detector.engine(blob(64, 96))
    expected = detector.graph.heads[0].layer.decode(raw[0], detector.graph.input, -1.0)
    np.testing.assert_allclose(found[:, :4], expected.xywh, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[:, 5:], expected.scores, atol=1e-5)
    with pytest.raises(cv2.error):
        outputs(net, blob(96, 64))


@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_programs_of_opencv4(kind: str, tmp_path: Path) -> None:
    """They run, and however they ask, they get the same."""
    text = SMALL if kind == "detector" else SMALL[: SMALL.index("[yolo]")] + "[avgpool]\n[softmax]\n"
    found = run(kind, case(*with_weights(tmp_path / "x.cfg", text), (64, 96), (96, 128)))
    for program in (
        "names_of_indices",
        "names_of_flat_indices",
        "one_name_after_another",
        "keywords",
        "buffers",
        "keywords_of_buffers",
    ):
        for number in range(2 if kind == "detector" else 1):
            np.testing.assert_array_equal(found[f"{program}.{number}"], found[f"names.{number}"], program)
    np.testing.assert_array_equal(found["no_name.0"], found["names.1" if kind == "detector" else "names.0"])
    if kind == "detector":
        assert len(found["detection_model.0"]) > len(found["detection_model_across_classes.0"]) > 0
    else:
        assert found["classification_model.0"] == found["names.0"].argmax()


def test_classifiers(tmp_path: Path) -> None:
    files = with_weights(tmp_path / "x.cfg", SMALL[: SMALL.index("[yolo]")] + "[avgpool]\n[softmax]\n")
    net = read_net_from_darknet(*files)
    images = blob(64, 96)
    net.setInput(images)
    found = net.forward()
    with torch.inference_mode():
        expected = cspdet.load(*files).network(torch.from_numpy(images))[0].numpy()
    assert net.getUnconnectedOutLayersNames() == ("softmax_4",)
    assert found.shape == (1, 16, 1, 1)
    np.testing.assert_allclose(found[:, :, 0, 0], expected, atol=1e-6)


def test_a_model_by_name() -> None:
    assert len(read_net_from_darknet("cspdet-nano").getUnconnectedOutLayersNames()) == 3


def test_names_and_places_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cv2.dnn.readNet` takes cfg and weights in any order; and files need not be there."""
    cfg, weights = with_weights(tmp_path / "x.cfg", SMALL)
    expected = outputs(read_net_from_darknet(cfg, weights), blob(64, 96))
    alike(outputs(read_net_from_darknet(weights, str(cfg)), blob(64, 96)), expected)
    alike(outputs(read_net_from_darknet(cfg.read_bytes(), bytearray(weights.read_bytes())), blob(64, 96)), expected)
    alike(outputs(read_net_from_darknet(cfg, bufferModel=weights.read_bytes()), blob(64, 96)), expected)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    read_net_from_darknet(cfg.read_bytes(), weights.read_bytes())
    assert not [*folder.iterdir()]
    with pytest.raises(cspdet.UsageError, match="`weights` is given under two names"):
        read_net_from_darknet(cfg, weights, darknetModel=weights)
    for files in ((), (weights,), (None, weights)):
        with pytest.raises(cspdet.UsageError, match="there is no cfg to read"):
            read_net_from_darknet(*files)
    with pytest.raises(cspdet.CfgError, match=r"buffer\.cfg:\d"):
        read_net_from_darknet(b"[net]\nwidth=32\n[nothing]\n", weights)


def test_other_versions_of_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = with_weights(tmp_path / "x.cfg", SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(cv2.dnn, "readNetFromONNX", lambda _: cv2.dnn.Net())
        with pytest.raises(cspdet.ExportError, match="cannot read the network"):
            read_net_from_darknet(*files)
    monkeypatch.setattr(cv2.dnn, "readNetFromDarknet", None, raising=False)
    with pytest.raises(cspdet.UsageError, match="reads Darknet's files itself"):
        read_net_from_darknet(*files)


def test_what_opencv5_refuses(tmp_path: Path) -> None:
    """As `docs/export.md` says: an error, not something else's result."""
    files = with_weights(tmp_path / "x.cfg", SMALL)
    net = read_net_from_darknet(*files)
    raw = (255 * blob(64, 96)).astype(np.uint8)
    for words in ((raw,), (raw, "data", 1 / 255), (blob(64, 96), "data", 1 / 255), (blob(64, 96), "data", 1, (1, 2, 3))):
        with pytest.raises(cv2.error):
            outputs(net, *words)
    net.setInput(blob(64, 96))
    for names in (["yolo_3"], ["yolo_3", "conv_0"], "conv_0"):
        with pytest.raises(cv2.error):
            net.forward(names)


def test_what_goes_wrong(tmp_path: Path) -> None:
    files = with_weights(tmp_path / "x.cfg", SMALL)
    with pytest.raises(cspdet.UsageError, match="there are no weights for all layers"):
        read_net_from_darknet(files[0])
    with pytest.raises(cspdet.UsageError, match="no such file"):
        read_net_from_darknet(tmp_path / "y.cfg", files[1])
    files[1].write_bytes(files[1].read_bytes()[:-40])
    with pytest.raises(cspdet.WeightsError):
        read_net_from_darknet(*files)
    (tmp_path / "t.tree").write_text("a -1\nb -1\nc 0\n")
    with pytest.raises(cspdet.ExportError, match="has a tree of classes"):
        read_net_from_darknet(*with_weights(tmp_path / "y.cfg", REGION + "tree=t.tree\n"))
    with pytest.raises(cspdet.ExportError, match=r"layer 1, `\[crnn\]` in .*z.cfg:\d+, keeps a state from image to image"):
        read_net_from_darknet(*with_weights(tmp_path / "z.cfg", RECURRENT))


@needs_opencv4
@pytest.mark.parametrize("weights", reference_files("weights/*/*.weights"), ids=lambda path: path.stem)
def test_trained_networks_against_opencv4(weights: Path, tmp_path: Path) -> None:
    compared("detector", case(weights.with_suffix(".cfg"), weights, (320, 320), (416, 288)), tmp_path)


@needs_opencv4
def test_cspdet_nano_against_opencv4(tmp_path: Path) -> None:
    cfg = tmp_path / "plain.cfg"
    cfg.write_text(plain_text(cspdet.load("cspdet-nano").graph))
    compared("detector", case(cfg, ROOT / "weights" / "cspdet-nano.weights", (288, 288), (320, 256)), tmp_path)


@needs_opencv4
@pytest.mark.filterwarnings("ignore:.*has no option `thresh`:cspdet.CfgWarning")
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("detector", SMALL),
        ("detector", SMALL.replace("nms_kind=greedynms", "thresh=.4\nnms_threshold=.3")),
        ("detector", COLOURED),
        ("detector", COLOURED + "thresh=.6\nclassfix=-1\n"),
        ("fixed", REORG),
        ("classifier", SMALL[: SMALL.index("[yolo]")] + "[avgpool]\n[softmax]\n[cost]\n"),
        ("classifier", SMALL[: SMALL.index("[yolo]")]),
        ("fixed", SMALL[: SMALL.index("[yolo]")] + "[connected]\noutput=10\nactivation=linear\n[softmax]\n"),
    ],
    ids=["yolo", "options", "region", "region-options", "reorg", "softmax", "convolutional", "connected"],
)
def test_kinds_of_networks_against_opencv4(kind: str, text: str, tmp_path: Path) -> None:
    # It reads [connected] in square networks only.
    text = text.replace("width=64", "width=96") if "[connected]" in text else text
    size = (96, 96) if "height=96" in text else (64, 64)
    compared(kind, case(*with_weights(tmp_path / "x.cfg", text), size, (128, 160)), tmp_path)


def case(cfg: Path, weights: Path, size: tuple[int, int], other: tuple[int, int]) -> Case:
    return Case(read_net_from_darknet, str(cfg), str(weights), size, cv2.imread(str(PICTURE)), other)


def alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert [*one] == [*other]
    for name, rows in one.items():
        np.testing.assert_allclose(rows, other[name], rtol=1e-5, atol=1e-6)


def compared(kind: str, case: Case, folder: Path) -> None:
    """To 1e-4 in scores, a thousandth in boxes, and a pixel in detections."""
    script = ROOT / "tests" / "export" / "opencv_programs.py"
    words = [script, kind, case.cfg, case.weights, PICTURE, folder / "y.npz", *case.size, *case.other]
    environment = {**os.environ, "PYTHONPATH": OPENCV4}
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=ROOT, env=environment, capture_output=True)
    expected = dict(np.load(folder / "y.npz"))
    found = run(kind, case)
    # OpenCV 4 itself cannot run batches of one of the networks.
    assert {name for name in found if name not in expected} <= {f"batch.{number}" for number in range(4)}
    assert len(expected) >= len(PROGRAMS[kind])
    for name, rows in found.items():
        if name not in expected:
            continue
        assert rows.shape == expected[name].shape, name
        if name.startswith("detection_model"):
            np.testing.assert_allclose(rows, expected[name], atol=1 if name.endswith(".2") else 1e-4, err_msg=name)
            continue
        if kind == "detector":
            np.testing.assert_allclose(rows[..., :4], expected[name][..., :4], rtol=1e-3, atol=1e-6, err_msg=name)
            rows, expected[name] = rows[..., 4:], expected[name][..., 4:]
        np.testing.assert_allclose(rows, expected[name], atol=1e-4, err_msg=name)
