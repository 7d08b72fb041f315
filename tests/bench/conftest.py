"""What the tests of measuring share."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """No test is about speed, and threads that wait for each other take long where others use the cores, too."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)
