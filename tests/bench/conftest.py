"""What the tests of measuring share."""

from __future__ import annotations

from pathlib import Path

import pytest

TEXT = """[net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=18
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=1,1,2,2,3,3
num=3
classes=1
"""


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(TEXT)
    return path
