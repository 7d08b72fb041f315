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
from cspdet.cv2_dnn import read_net_from_darknet
from tests.conftest import ROOT, reference_files
from tests.export.test_export import PICTURE, RECURRENT, REGION, SMALL, with_weights

OPENCV4 = os.environ.get("CSPDET_OPENCV4", "")

SCRIPT = """
import sys, cv2, numpy as np
assert cv2.__version__.startswith("4.")
net = cv2.dnn.readNetFromDarknet(sys.argv[1], sys.argv[2])
net.setInput(np.load(sys.argv[3]))
names = net.getUnconnectedOutLayersNames()
np.savez(sys.argv[4], **dict(zip(names, net.forward(names))))
"""


def blob(width: int, height: int, channels: int = 3) -> Any:
    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
    return cv2.dnn.blobFromImage(picture, 1 / 255, (width, height), swapRB=channels == 3)


def outputs(net: Any, images: Any) -> dict[str, Any]:
    net.setInput(images)
    names = net.getUnconnectedOutLayersNames()
    return dict(zip(names, net.forward(names), strict=True))


def test_the_outputs_of_yolo(tmp_path: Path) -> None:
    """Against what the heads decode."""
    files = with_weights(tmp_path / "x.cfg", SMALL)
    net = read_net_from_darknet(*files)
    assert isinstance(net, cv2.dnn.Net)
    assert net.getUnconnectedOutLayersNames() == ("yolo_3", "yolo_7")
    images = blob(64, 96)
    found = outputs(net, images)
    detector = cspdet.load(*files)
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


def test_a_batch_has_the_rows_of_its_images(tmp_path: Path) -> None:
    net = read_net_from_darknet(*with_weights(tmp_path / "x.cfg", SMALL))
    images = np.random.default_rng(0).random((2, 3, 96, 64), np.float32)
    both = outputs(net, images)
    alone = [outputs(net, images[each : each + 1]) for each in range(2)]
    for name, rows in both.items():
        np.testing.assert_allclose(rows, np.concatenate([each[name] for each in alone]), atol=1e-6)


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


@pytest.mark.skipif(not OPENCV4, reason="needs OpenCV 4; set CSPDET_OPENCV4")
@pytest.mark.parametrize("weights", reference_files("weights/*/*.weights"), ids=lambda path: path.stem)
def test_trained_networks_against_opencv4(weights: Path, tmp_path: Path) -> None:
    """Within what the other epsilon of batch normalisation makes."""
    compared(weights.with_suffix(".cfg"), weights, blob(320, 320), tmp_path, 3e-3)


@pytest.mark.skipif(not OPENCV4, reason="needs OpenCV 4; set CSPDET_OPENCV4")
def test_other_heads_against_opencv4(tmp_path: Path) -> None:
    """Without batch normalisation, they agree; of [region], up to the suppression, which OpenCV 4 has in it."""
    plain = SMALL.replace("batch_normalize=1\n", "")
    compared(*with_weights(tmp_path / "x.cfg", plain), blob(64, 96), tmp_path, 1e-4)
    text = SMALL[: SMALL.index("[yolo]")].replace("batch_normalize=1\n", "") + "[avgpool]\n[softmax]\n"
    compared(*with_weights(tmp_path / "y.cfg", text), blob(64, 96), tmp_path, 1e-5)
    compared(*with_weights(tmp_path / "z.cfg", REGION), blob(64, 64, 1), tmp_path, 1e-4, suppressed=True)


def compared(cfg: Path, weights: Path, images: Any, folder: Path, limit: float, *, suppressed: bool = False) -> None:
    np.save(folder / "x.npy", images)
    words = [sys.executable, "-c", SCRIPT, str(cfg), str(weights), str(folder / "x.npy"), str(folder / "y.npz")]
    subprocess.run(words, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": OPENCV4}, capture_output=True)
    expected = dict(np.load(folder / "y.npz"))
    found = outputs(read_net_from_darknet(cfg, weights), images)
    assert [*found] == [*expected]
    for name, rows in found.items():
        assert rows.shape == expected[name].shape
        if suppressed:
            rows[:, 5:][expected[name][:, 5:] == 0] = 0
        scale = np.maximum(1, np.abs(expected[name]))
        assert (np.abs(rows - expected[name]) / scale).max() < limit
