"""Pictures of networks as PNG and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import pytest

from cspdet.diagram.draw import draw
from cspdet.diagram.raster import write_picture
from cspdet.diagram.shapes import Group, Picture, Rectangle
from tests.analysis.nets import densenet40


@pytest.fixture(autouse=True)
def untouched() -> Any:
    """Whatever else a program draws with matplotlib stays as it is."""
    before = dict(mpl.rcParams), mpl.get_backend()
    yield
    assert (dict(mpl.rcParams), mpl.get_backend()) == before


def test_boxes_are_where_the_picture_has_them(tmp_path: Path) -> None:
    picture = draw(densenet40().graph(), "$x^$ 名前")
    write_picture(picture, tmp_path / "x.png")
    drawn = cv2.imread(str(tmp_path / "x.png"))
    assert drawn is not None
    assert drawn.shape[:2] == pytest.approx((1.5 * picture.height, 1.5 * picture.width), abs=1)
    boxes = [each.shapes[0] for each in picture.shapes if isinstance(each, Group) and each.kind == "layer"]
    for box in boxes:
        assert isinstance(box, Rectangle)
        # Near the left edge, at half the height, where neither number nor name is.
        color = drawn[round(1.5 * (box.y + box.height / 2)), round(1.5 * (box.x + 3))]
        assert color.tolist() == [int(box.fill[place : place + 2], 16) for place in (5, 3, 1)]


def test_pdf(tmp_path: Path) -> None:
    write_picture(draw(densenet40().graph(), "x"), tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


def test_large_pictures_are_made_smaller(tmp_path: Path) -> None:
    write_picture(Picture(40_000, 300, "x", [Rectangle(0, 0, 20_000, 300, "#000000")]), tmp_path / "x.png")
    drawn = cv2.imread(str(tmp_path / "x.png"))
    assert drawn is not None
    assert drawn.shape[:2] == (120, 16_000)
    assert (drawn[:, 100:7_900] == 0).all()
    assert (drawn[:, 8_100:] == 255).all()
