"""The model that ships: it works at once, and is as good as its cfg says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

import cspdet
from cspdet.about import about
from cspdet.cfg.source import Source
from cspdet.data.description import read_description
from cspdet.data.pictures import read_list
from cspdet.evaluate import evaluate
from cspdet.models import DEFAULT, known
from tests.conftest import ROOT

PORTRAIT = ROOT / "docs" / "chelsea.jpg"


def test_the_first_command_of_the_readme_finds_a_cat(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the web: no address is known to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSPDET_CACHE", str(tmp_path / "cache"))
    code, out, err = run("detect", PORTRAIT)
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines() if "%" in line] == ["cat"]
    drawn = cv2.imread("predictions.jpg")
    assert drawn is not None
    assert not (tmp_path / "cache").exists()
    found = cspdet.load(DEFAULT)(PORTRAIT)
    assert [*found.labels] == ["cat"]
    left, top, right, bottom = found.xyxy[0].tolist()
    assert left < 150 < 300 < right, "her ears and nose"
    assert top < 60 < 200 < bottom
    assert found.confidence[0] > 0.6


def test_it_is_small() -> None:
    model = known()[DEFAULT]
    assert model.weights is not None
    assert model.weights.stat().st_size < 8e6
    graph = cspdet.load(DEFAULT, width=320, height=320).graph
    assert graph.operations < 1.2e9


@pytest.mark.reference
def test_it_is_as_good_as_its_cfg_says(reference: Path) -> None:
    printed = re.search(r"mAP@0.5 ([0-9.]+) %", about(Source.read(known()[DEFAULT].cfg).text).published)
    assert printed
    data = read_description(reference / "data" / "animals6" / "animals6.data")
    report = evaluate(cspdet.load(DEFAULT), read_list(data.list_of("valid")))
    assert f"{100 * report.map:.1f}" == printed[1]
