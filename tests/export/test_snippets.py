"""The programs in docs/export.md run as they stand there, and find what cspdet finds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cspdet
from tests.conftest import ROOT

PICTURE = ROOT / "docs" / "chelsea.jpg"
# A program without cspdet scales the picture with other rounding.
PIXELS = 1.0
SHARE = 0.005


def snippets() -> list[str]:
    """The programs of the section."""
    section = (ROOT / "docs" / "export.md").read_text("utf-8").partition("## Without cspdet\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that they name."""
    path = tmp_path_factory.mktemp("snippets")
    shutil.copy(PICTURE, path)
    cspdet.load("cspdet-nano").export(path / "nano.onnx", outputs="boxes", check=False)
    return path


def found_by(program: str, folder: Path, packages: str = "") -> list[list[str]]:
    """The words of each line that a program prints; `packages` is a folder of those that come first."""
    words = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": packages}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


def compare(lines: list[list[str]], number: bool) -> None:
    """See that it is what cspdet finds."""
    expected = cspdet.load("cspdet-nano")(PICTURE)
    classes = expected.class_id if number else expected.labels
    assert [line[0] for line in lines] == [str(each) for each in classes] != []
    scores, rectangles = (np.array([line[part] for line in lines], float) for part in (1, slice(2, 6)))
    np.testing.assert_allclose(scores, expected.confidence, atol=SHARE)
    corners = np.hstack([rectangles[:, :2], rectangles[:, :2] + rectangles[:, 2:]])
    np.testing.assert_allclose(corners, expected.xyxy, atol=PIXELS)


@pytest.mark.parametrize(("place", "package"), [(0, "onnxruntime"), (1, "cv2.dnn")])
def test_programs_without_cspdet(folder: Path, place: int, package: str) -> None:
    program = snippets()[place]
    assert package in program
    assert "cspdet" not in program.replace('"cspdet.names"', "")
    compare(found_by(program, folder), number=place == 1)


@pytest.mark.skipif("CSPDET_OPENCV4" not in os.environ, reason="needs OpenCV 4; set CSPDET_OPENCV4")
def test_the_same_in_opencv_4(folder: Path) -> None:
    version = "import cv2\nassert cv2.__version__.startswith('4.')\n"
    compare(found_by(version + snippets()[1], folder, os.environ["CSPDET_OPENCV4"]), number=True)


def test_there_is_a_program_for_each() -> None:
    assert len(snippets()) == 2
