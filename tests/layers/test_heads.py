"""How heads turn numbers into boxes, against loops written from Darknet's semantics."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cspdet.cfg.dialect import ALEXEYAB, PJREDDIE, Dialect
from cspdet.cfg.source import Source
from cspdet.layers import BY_NAME
from cspdet.layers.base import Shape
from cspdet.layers.head import Head
from cspdet.layers.tree import read_tree
from cspdet.rules import examine
from tests import slow

NETWORK = Shape(3, 96, 128)
ANCHORS = (10.0, 14.0, 23.0, 27.0, 37.0, 58.0)

Floats = NDArray[np.float32]
Boxes = list[tuple[list[float], float, list[float]]]


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.float64(x)))


def head(name: str, **options: Any) -> Head:
    layer = BY_NAME[name](3, ALEXEYAB, options)
    assert isinstance(layer, Head)
    return layer


def raw(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def agree(found: Any, expected: Boxes) -> None:
    assert len(found.xywh) == len(expected) > 0
    for index, (box, objectness, scores) in enumerate(expected):
        assert found.xywh[index] == pytest.approx(box, rel=1e-4, abs=1e-6)
        assert found.objectness[index] == pytest.approx(objectness, abs=1e-5)
        assert found.scores[index] == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("new_coords", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_yolo(new_coords: bool, scale: float) -> None:
    layer = head("yolo", classes=3, num=3, mask=(0, 2), anchors=ANCHORS, scale_x_y=scale, new_coords=new_coords)
    x = raw(16, 5, 7)
    if new_coords:
        x = logistic(x).astype(np.float32)
    threshold = 0.4
    expected: Boxes = []
    cells = x.reshape(2, 8, 5, 7)
    for i in range(5):
        for j in range(7):
            for n, anchor in enumerate((0, 2)):
                entry = cells[n, :, i, j]
                values = entry.astype(np.float64) if new_coords else logistic(entry)
                if values[4] <= threshold:
                    continue
                column, row = (j + values[0] * scale - (scale - 1) / 2) / 7, (i + values[1] * scale - (scale - 1) / 2) / 5
                wide, high = (entry[2:4] ** 2 * 4) if new_coords else np.exp(entry[2:4])
                box = [column, row, wide * ANCHORS[2 * anchor] / 128, high * ANCHORS[2 * anchor + 1] / 96]
                scores = [score if (score := values[4] * value) > threshold else 0 for value in values[5:]]
                expected.append((box, values[4], scores))
    agree(layer.decode(x, NETWORK, threshold), expected)


@pytest.mark.parametrize(("point", "shift"), [("center", 0), ("left_top", 0.5), ("right_bottom", -0.5)])
def test_gaussian_yolo(point: str, shift: float) -> None:
    layer = head("Gaussian_yolo", classes=2, num=3, mask=(1,), anchors=ANCHORS, scale_x_y=1.1, yolo_point=point)
    x = raw(11, 4, 6)
    expected: Boxes = []
    for i in range(4):
        for j in range(6):
            entry = x[:, i, j].astype(np.float64)
            values = logistic(entry)
            if values[8] <= 0.3:
                continue
            size = np.exp(entry[[4, 6]]) * ANCHORS[2:4] / [128, 96]
            column, row = (j + values[0] * 1.1 - 0.05) / 6, (i + values[2] * 1.1 - 0.05) / 4
            sureness = 1 - values[[1, 3, 5, 7]].mean()
            scores = [score if (score := values[8] * value * sureness) > 0.3 else 0 for value in values[9:]]
            expected.append(([column + shift * size[0], row + shift * size[1], *size], values[8], scores))
    agree(layer.decode(x, NETWORK, 0.3), expected)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("classfix", [0, -1])
def test_region(softmax: bool, classfix: int) -> None:
    anchors = (1.1, 1.2, 3.4, 4.4)
    layer = head("region", classes=3, num=2, anchors=anchors, softmax=softmax, classfix=classfix)
    x = raw(16, 4, 5) * 2
    expected: Boxes = []
    cells = x.reshape(2, 8, 4, 5)
    for i in range(4):
        for j in range(5):
            for n in range(2):
                entry = cells[n, :, i, j].astype(np.float64)
                objectness = logistic(entry[4])
                objectness = 0 if classfix == -1 and objectness < 0.5 else objectness
                classes = np.exp(entry[5:]) / np.exp(entry[5:]).sum() if softmax else entry[5:]
                scores = [score if (score := objectness * value) > 0.3 else 0 for value in classes]
                if any(scores):
                    size = np.exp(entry[2:4]) * anchors[2 * n : 2 * n + 2] / [5, 4]
                    expected.append(([(j + logistic(entry[0])) / 5, (i + logistic(entry[1])) / 4, *size], 1, scores))
    agree(layer.decode(x, NETWORK, 0.3), expected)


@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
def test_detection(sqrt: bool, softmax: bool) -> None:
    layer = head("detection", classes=2, num=2, side=3, coords=4, sqrt=sqrt, softmax=softmax)
    x = raw(9 * (2 + 2 * 5)).astype(np.float32)
    expected: Boxes = []
    for cell in range(9):
        classes = x[2 * cell : 2 * cell + 2].astype(np.float64)
        classes = np.exp(classes) / np.exp(classes).sum() if softmax else classes
        for n in range(2):
            objectness = x[18 + 2 * cell + n]
            box = x[36 + 4 * (2 * cell + n) :][:4]
            size = box[2:] ** 2 if sqrt else box[2:]
            scores = [score if (score := objectness * value) > 0.2 else 0 for value in classes]
            if any(scores):
                expected.append(([(box[0] + cell % 3) / 3, (box[1] + cell // 3) / 3, *size], objectness, scores))
    agree(layer.decode(x, NETWORK, 0.2), expected)


# A hierarchy: two roots, of which the first has two children and the second three; one of those has two more.
TREE = "animal -1\nvehicle -1\ncat 0\ndog 0\ncar 1\nbus 1\ntram 1\nvan 4\ntaxi 4\n"
PARENTS = (-1, -1, 0, 0, 1, 1, 1, 4, 4)
GROUPS = ((0, 2), (2, 4), (4, 7), (7, 9))


def hierarchy(logits: Floats) -> Floats:
    out = np.zeros(9)
    for start, end in GROUPS:
        out[start:end] = np.exp(logits[start:end]) / np.exp(logits[start:end]).sum()
    return out


def test_tree_is_read_in_groups(tmp_path: Path) -> None:
    (tmp_path / "t.tree").write_text(TREE)
    tree = read_tree(tmp_path / "t.tree")
    assert tree is not None
    assert tree.parents == PARENTS
    assert tree.groups == (0, 0, 1, 1, 2, 2, 2, 3, 3)


@pytest.mark.parametrize("text", ["", "a 5\n", "a x\n", "a -2\n"])
def test_what_is_no_tree(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.tree").write_text(text)
    assert read_tree(tmp_path / "t.tree") is None


def test_softmax_over_a_tree(tmp_path: Path) -> None:
    (tmp_path / "t.tree").write_text(TREE)
    layer: Any = BY_NAME["softmax"](0, ALEXEYAB, {"tree": "t.tree", "temperature": 2.0})
    layer.find_tree(tmp_path / "made.cfg")
    x = raw(4, 9)
    out = layer.forward(None, torch.from_numpy(x)).numpy()
    assert np.allclose(out, [hierarchy(row / 2) for row in x], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_region_over_a_tree(tmp_path: Path, seed: int) -> None:
    """The last class in the file that is more likely than not, along its branch."""
    (tmp_path / "t.tree").write_text(TREE)
    layer: Any = head("region", classes=9, num=1, anchors=(1.0, 2.0), tree="t.tree")
    layer.find_tree(tmp_path / "made.cfg")
    x = 3 * raw(14, 3, 4, seed=seed)
    expected: Boxes = []
    for i in range(3):
        for j in range(4):
            entry = x[:, i, j].astype(np.float64)
            probability = hierarchy(entry[5:])
            for index, parent in enumerate(PARENTS):
                probability[index] *= probability[parent] if parent >= 0 else 1
            likely = [index for index in range(9) if probability[index] > 0.5]
            if logistic(entry[4]) > 0.24 and likely:
                scores = [probability[index] if index == likely[-1] else 0 for index in range(9)]
                box = [
                    (j + logistic(entry[0])) / 4,
                    (i + logistic(entry[1])) / 3,
                    np.exp(entry[2]) / 4,
                    np.exp(entry[3]) * 2 / 3,
                ]
                expected.append((box, 1, scores))
    agree(layer.decode(x, NETWORK, 0.24), expected)


def test_region_is_box_major_at_alexeyab_and_channel_major_at_pjreddie() -> None:
    x = raw(1, 16, 2, 3)
    options = {"classes": 3, "num": 2, "anchors": (1.0, 2.0, 3.0, 4.0), "softmax": True}
    alexeyab = BY_NAME["region"](0, ALEXEYAB, options).forward(None, torch.from_numpy(x)).reshape(2, 3, 2, 8).numpy()
    pjreddie = BY_NAME["region"](0, PJREDDIE, options).forward(None, torch.from_numpy(x)).reshape(2, 8, 2, 3).numpy()
    pjreddie = pjreddie.transpose(2, 3, 0, 1)
    assert np.allclose(alexeyab[..., 2:], pjreddie[..., 2:], atol=1e-6)
    assert np.allclose(logistic(alexeyab[..., :2]), pjreddie[..., :2], atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"softmax": True}, {"background": True}, {"softmax": True, "background": True}], ids=str
)
@pytest.mark.parametrize("dialect", [ALEXEYAB, PJREDDIE], ids=lambda each: each.name)
def test_region_decodes_what_it_puts_out(dialect: Dialect, options: dict[str, Any]) -> None:
    x = raw(16, 2, 3)
    layer: Any = BY_NAME["region"](0, dialect, {"classes": 3, "num": 2, "anchors": (1.0, 2.0, 3.0, 4.0), **options})
    out = layer.forward(None, torch.from_numpy(x[None])).numpy()[0]
    cells = out.reshape(2, 3, 2, 8) if dialect is ALEXEYAB else out.reshape(2, 8, 2, 3).transpose(2, 3, 0, 1)
    product = (cells[..., 4:5] * cells[..., 5:]).reshape(-1, 3)
    passing = product[(product > 0.05).any(1)]
    found = layer.decode(x, NETWORK, 0.05)
    assert np.allclose(found.scores, np.where(passing > 0.05, passing, 0), atol=1e-6)


@pytest.mark.parametrize("name", ["yolo", "Gaussian_yolo", "region", "detection"])
def test_what_is_not_a_number_is_no_object(name: str) -> None:
    layer = head(name, classes=2, num=1, **({"side": 1, "coords": 4} if name == "detection" else {"anchors": (1.0, 2.0)}))
    x = np.full(7, np.nan, np.float32) if name == "detection" else np.full((layer.needed(), 1, 1), np.nan, np.float32)
    assert len(layer.decode(x, NETWORK, 0.25).scores) == 0
    x = np.where(np.arange(x.size).reshape(x.shape) == x.size - 1, np.nan, np.float32(9)).astype(np.float32)
    assert np.isfinite(layer.decode(x, NETWORK, 0.25).scores).all()


HEADS: list[tuple[str, Dialect, dict[str, Any]]] = [
    ("yolo", ALEXEYAB, {}),
    ("yolo", ALEXEYAB, {"new_coords": True, "scale_x_y": 2.0}),
    ("Gaussian_yolo", ALEXEYAB, {}),
    *(
        ("region", dialect, options)
        for dialect in (ALEXEYAB, PJREDDIE)
        for options in ({}, {"softmax": True}, {"softmax": True, "classfix": -1}, {"classfix": -1})
    ),
    ("region", PJREDDIE, {"background": True, "softmax": True}),
]


@pytest.mark.parametrize("threshold", [0, 0.005, 0.25, 0.5, 0.9, 1])
@pytest.mark.parametrize(("name", "dialect", "options"), HEADS, ids=str)
def test_where_no_object_can_be_nothing_is_missed(
    name: str, dialect: Dialect, options: dict[str, Any], threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit what comes of computing every objectness."""
    layer: Any = BY_NAME[name](0, dialect, {"classes": 6, "num": 3, "anchors": ANCHORS, **options})
    x = raw(layer.needed(), 9, 13, seed=4) * np.float32(5)
    spoilt = np.random.default_rng(5).uniform(size=x.shape) < 0.02
    x[spoilt] = np.random.default_rng(6).choice(np.array([np.nan, np.inf, -np.inf, 0], np.float32), spoilt.sum())
    with np.errstate(all="ignore"):
        found = layer.decode(x, NETWORK, threshold)
        monkeypatch.setattr("cspdet.boxes.objects", slow.objects)
        expected = layer.decode(x, NETWORK, threshold)
    assert len(expected.scores) > 0 or threshold == 1
    assert all(np.array_equal(one, two, equal_nan=True) for one, two in zip(found, expected, strict=True))


def test_a_tree_is_read_once(tmp_path: Path) -> None:
    """A network that was pickled needs the file no more."""
    cfg = tmp_path / "x.cfg"
    cfg.write_text("[net]\ninputs=9\n[softmax]\ntree=t.tree\n")
    (tmp_path / "t.tree").write_text(TREE)
    graph, _ = examine(Source.read(cfg))
    assert graph is not None
    (tmp_path / "t.tree").unlink()
    x = torch.from_numpy(raw(1, 9))
    assert torch.equal(pickle.loads(pickle.dumps(graph.nodes[0].layer)).forward(None, x), graph.nodes[0].layer.forward(None, x))
    assert not torch.equal(graph.nodes[0].layer.forward(None, x), x.softmax(1))


def test_a_tree_is_found_beside_the_cfg_and_checked(tmp_path: Path) -> None:
    cfg = tmp_path / "x.cfg"
    cfg.write_text("[net]\ninputs=9\n[softmax]\ntree=data/t.tree\n")
    graph, diagnostics = examine(Source.read(cfg))
    assert graph is not None
    assert [each.code for each in diagnostics] == ["missing-file"]
    (tmp_path / "t.tree").write_text(TREE)
    graph, diagnostics = examine(Source.read(cfg))
    assert graph is not None
    assert not diagnostics
    cfg.write_text("[net]\ninputs=8\n[softmax]\ntree=data/t.tree\n")
    graph, diagnostics = examine(Source.read(cfg))
    assert graph is None
    assert [each.code for each in diagnostics] == ["bad-tree"]
