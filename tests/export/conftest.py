"""What the tests of exporting share: small networks with weights, and when detections are the same."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cspdet
from tests.conftest import ROOT

PICTURE = ROOT / "docs" / "astronaut-chelsea.jpg"

# Everything that the decoding of a [yolo] can have, and layers of several kinds.
SMALL = """[net]
width=64
height=96
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=mish
[maxpool]
size=2
stride=2
[convolutional]
filters=16
size=1
activation=logistic
[yolo]
mask=1,2
anchors=4,6, 10,14, 20,30
num=3
classes=3
new_coords=1
scale_x_y=1.5
[route]
layers=-3
[upsample]
stride=2
[convolutional]
filters=8
size=1
activation=linear
[yolo]
mask=0
anchors=4,6, 10,14, 20,30
num=3
classes=3
nms_kind=greedynms
"""
RECURRENT = SMALL.replace(
    "[maxpool]\nsize=2\nstride=2",
    "[crnn]\noutput=8\nhidden=4\nsize=3\npad=1\nshortcut=1\nactivation=leaky\n"
    "[maxpool]\nsize=2\nstride=2\n[conv_lstm]\noutput=6\nsize=3\npad=1\npeephole=1\nbatch_normalize=1",
)
REGION = """[net]
width=64
height=64
channels=1
[convolutional]
filters=16
size=3
stride=8
pad=1
activation=linear
[region]
anchors=1,2, 3,4
num=2
classes=3
softmax=1
"""


def with_weights(path: Path, text: str) -> tuple[Path, Path]:
    """A cfg, and weights under which there is something to see."""
    path.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = cspdet.load(path)
    random = np.random.default_rng(0)
    for key, value in detector.network.state_dict().items():
        low = 0.5 if key.endswith("running_var") else -1
        value.copy_(torch.from_numpy(random.uniform(low, 0.9, value.shape).astype(np.float32)))
    detector.save_weights(path.with_suffix(".weights"))
    path.with_suffix(".names").write_text("cat\ndog\nbird\n")
    return path, path.with_suffix(".weights")


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    return with_weights(tmp_path / "small.cfg", SMALL)


def alike(one: Any, other: Any) -> None:
    """The same boxes; of those that are as sure, which comes first hangs on the last digit."""
    assert len(one) == len(other) > 0
    assert one.names == other.names
    mine, theirs = (np.column_stack([1e3 * each.class_id, 2e3 * each.confidence, each.xyxy]) for each in (one, other))
    apart = np.max([abs(np.subtract.outer(a, b)) for a, b in zip(mine.T, theirs.T, strict=True)], 0)
    assert max(apart.min(0).max(), apart.min(1).max()) < 0.02
