"""Every test of the detect command stands in a folder with a network and some pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.test_detector import TWO, picture, write_network


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a network and some pictures."""
    write_network(tmp_path)
    cv2.imwrite(str(tmp_path / "two.png"), TWO)
    cv2.imwrite(str(tmp_path / "blue.png"), picture((0, 0, 2)))
    cv2.imwrite(str(tmp_path / "black.png"), picture())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")  # nothing is shown: the tests that would replace what shows it
    return tmp_path
