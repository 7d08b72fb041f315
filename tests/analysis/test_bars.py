"""The bar chart: what is drawn where."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from cspdet.analysis.bars import check_plot, plot_bars
from cspdet.analysis.kinds import COLORS, Kind, kind_of
from cspdet.cfg.source import Source
from cspdet.errors import UsageError
from cspdet.models import known
from cspdet.rules import load
from tests.analysis.nets import Net, csppelee_efm, densenet40, pelee_yolo
from tests.layers.examples import EXAMPLES


@pytest.fixture(autouse=True)
def untouched() -> Any:
    """Whatever else a program draws with matplotlib stays as it is."""
    before = dict(mpl.rcParams), mpl.get_backend()
    yield
    assert (dict(mpl.rcParams), mpl.get_backend()) == before


def bars(path: Path, kind: Kind) -> np.ndarray[Any, Any]:
    """Where the picture has the colour of a kind, as (row, column), the legend below left out."""
    picture = cv2.imread(str(path))
    assert picture is not None
    color = [int(COLORS[kind][place : place + 2], 16) for place in (5, 3, 1)]
    found = np.argwhere((np.abs(picture.astype(int) - color) < 12).all(2))
    return found[found[:, 0] < 0.9 * len(picture)]


def test_one_network(tmp_path: Path) -> None:
    plot_bars(tmp_path / "bars.png", [densenet40().graph()], ["densenet40"])
    wide, point = bars(tmp_path / "bars.png", Kind.CONVOLUTION), bars(tmp_path / "bars.png", Kind.POINT)
    assert len(wide) > 1000
    # The transitions have the highest bars.
    assert point[:, 0].min() < wide[:, 0].min()


def test_two_networks_have_one_scale(tmp_path: Path) -> None:
    """The highest bar of CSPPeleeNet-EFM reaches to a fifth of that of PeleeNet-YOLO."""
    path = tmp_path / "bars.png"
    plot_bars(path, [pelee_yolo().graph(), csppelee_efm().graph()], ["old", "new"])
    found = bars(path, Kind.CONVOLUTION)
    picture = cv2.imread(str(path))
    assert picture is not None
    middle = picture.shape[1] // 2
    left, right = found[found[:, 1] < middle], found[found[:, 1] > middle]
    bottom = found[:, 0].max()
    heights = [bottom - part[:, 0].min() for part in (left, right)]
    assert heights[1] / heights[0] == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("name", ["bars.svg", "bars.pdf", "BARS.PNG", "bars.jpg"])
def test_endings(tmp_path: Path, name: str) -> None:
    check_plot(tmp_path / name)
    plot_bars(tmp_path / name, [densenet40().graph()], ["x"])
    start = {"svg": b"<?xml", "pdf": b"%PDF", "PNG": b"\x89PNG", "jpg": b"\xff\xd8"}[name.split(".")[1]]
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["bars", "bars.txt", "bars.png.zip"])
def test_endings_that_are_no_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is no format of plots|in which format"):
        check_plot(tmp_path / name)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        plot_bars(tmp_path / "none" / "x.png", [densenet40().graph()], ["x"])


@pytest.mark.parametrize("name", ["$x^$", "名前\x1b[31m", "", "x" * 300])
def test_odd_names(tmp_path: Path, name: str) -> None:
    plot_bars(tmp_path / "bars.png", [densenet40().graph()], [name])
    assert {each.name for each in tmp_path.iterdir()} == {"bars.png"}


def test_a_network_that_computes_nothing(tmp_path: Path) -> None:
    net = Net(8)
    net.add("softmax")
    plot_bars(tmp_path / "bars.svg", [net.graph()], ["x"])
    assert "Darknet counts no operations" in (tmp_path / "bars.svg").read_text("utf-8")


def test_sizes_of_maps_do_not_run_into_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    save = Figure.savefig

    def keep(self: Any, *arguments: Any) -> None:
        figures.append(self)
        save(self, *arguments)

    monkeypatch.setattr(Figure, "savefig", keep)
    graphs = [load(Source.read(known()[name].cfg))[0] for name in ("pelee-yolo", "cspeleenet-efm")]
    plot_bars(tmp_path / "bars.png", graphs, ["old", "new"])
    for axes in figures[0].axes:
        labels = [each for each in axes.texts if re.fullmatch("[0-9]+×[0-9]+", each.get_text())]
        extents = sorted((box.x0, box.x1) for box in (each.get_window_extent() for each in labels))
        assert len(extents) > 3
        assert all(end < start for (_, end), (start, _) in pairwise(extents))


def test_colours_tell_kinds_apart() -> None:
    assert COLORS.keys() == {*Kind}
    assert len({*COLORS.values()}) == len(Kind)


def test_kinds_of_all_sections() -> None:
    found: dict[str, Kind] = {}
    for example in EXAMPLES:
        node: Any = type("Node", (), {"layer": example.make()})
        found.setdefault(example.name, kind_of(node))
    expected = {
        "convolutional": Kind.CONVOLUTION,
        "connected": Kind.DENSE,
        "gru": Kind.DENSE,
        "crnn": Kind.DENSE,
        "maxpool": Kind.POOL,
        "local_avgpool": Kind.POOL,
        "upsample": Kind.RESIZE,
        "maxunpool": Kind.RESIZE,
        "shuffle": Kind.RESIZE,
        "route": Kind.CONCAT,
        "partial_split": Kind.CONCAT,
        "shortcut": Kind.SUM,
        "sam": Kind.SCALE,
        "implicit": Kind.OTHER,
        "yolo": Kind.HEAD,
        "detection": Kind.HEAD,
        "softmax": Kind.HEAD,
    }
    assert {name: found[name] for name in expected} == expected
