"""Every cfg of the corpus, against what Darknet computes for it.

The large networks take minutes; `pytest tests/test_golden.py --full` runs them too.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cspdet
from cspdet.cfg.source import Source
from cspdet.commands.summary import table
from cspdet.rules import examine
from tests import golden
from tests.conftest import REFERENCE, reference_files

pytestmark = pytest.mark.reference

# What no Darknet accepts, and what must be said of it: code, and words of the message.
REFUSED = {
    "WongKinYiu__CrossStagePartialNetworks__csresnet50-elastic-panet-spp": ("needs-image", "vector"),
    "WongKinYiu__CrossStagePartialNetworks__csresnext50-elastic-panet-spp": ("needs-image", "vector"),
    "WongKinYiu__CrossStagePartialNetworks__yolov3-spp-matrix": ("shared-weights", "do not fit"),
}


@pytest.mark.parametrize("path", reference_files("corpus/*.cfg"), ids=lambda path: path.stem)
def test_every_public_cfg_builds_or_says_why_not(path: Path) -> None:
    graph, diagnostics = examine(Source.read(path))
    errors = [each for each in diagnostics if each.severity == "error"]
    if path.stem in REFUSED:
        code, words = REFUSED[path.stem]
        assert graph is None
        assert any(each.code == code and words in each.message and each.label.span.line > 1 for each in errors)
    else:
        assert graph is not None, errors
        network = cspdet.Network(graph, empty=True)
        assert len(network.layers) == len(graph.nodes)


@pytest.mark.parametrize("name", golden.names())
def test_layer_table(name: str) -> None:
    own = golden.load(name).get("own")
    if own is None:
        pytest.skip("no Darknet loads this cfg, so there is no table")
    graph, _ = examine(Source.read(golden.cfg_of(name)))
    assert graph is not None
    found = table(graph)
    for row, (index, section, width, height, channels, outputs, bflops, parameters) in zip(
        found["layers"], own["layers"], strict=True
    ):
        assert (row["index"], row["type"], row["outputs"], row["parameters"]) == (index, section, outputs, parameters)
        # Darknet gives layers whose output is a vector no shape.
        assert row["shape"] == [channels, height, width] or (channels, height, width) == (0, 0, 0)
        assert row["bflops"] == pytest.approx(bflops, rel=1e-5, abs=1e-12)
    assert found["bflops"] == pytest.approx(own["bflops"], rel=1e-5)
    assert found["parameters"] == own["n_params"]


@pytest.mark.parametrize("name", golden.names())
def test_weights_layout(name: str) -> None:
    """The arrays, in file order: layer, length and fan-in of each."""
    found = golden.load(name)
    if "arrays" not in found:
        pytest.skip("no Darknet loads this cfg, so there is no layout")
    graph, _ = examine(Source.read(golden.cfg_of(name)), **_size(found))
    assert graph is not None
    mine = [(node.index, array.size, array.fan_in) for node in graph.nodes for array in node.arrays.values()]
    assert mine == [(layer, count, fan_in) for layer, _, count, fan_in, _ in found["arrays"]]


def _runnable() -> list[Any]:
    if not golden.LAYERS.is_dir():
        return ["no goldens"]
    return [name for name in golden.names() if golden.load(name)["status"] == "ok"]


@pytest.mark.parametrize("name", _runnable())
def test_every_layers_output(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    found = golden.load(name)
    parameters = sum(count for _, _, count, _, _ in found["arrays"])
    if parameters > golden.QUICK and name not in golden.FAMILIES and not request.config.getoption("--full"):
        pytest.skip(f"{parameters / 1e6:.0f} M parameters; --full runs it")
    make = golden.fill_weights()
    weights = tmp_path / "made.weights"
    make.write_weights(weights, found["arrays"], found["seed"])
    with pytest.warns(cspdet.CfgWarning) if _warns(name) else nullcontext():
        detector = cspdet.load(golden.cfg_of(name), weights, **_size(found))
    shape = (1, *detector.graph.input.dimensions)
    outputs = []
    with torch.inference_mode():
        for step in range(found["run"]["steps"]):
            flat = make.make_input(found["run"]["net"]["inputs"], found["seed"], step)
            outputs.append(detector.network.trace(torch.from_numpy(flat.reshape(shape))))
    heads = np.load(golden.LAYERS / f"{name}.npz") if (golden.LAYERS / f"{name}.npz").exists() else {}
    for row in found["layers"]:
        if _needs_missing_tree(detector.graph, row["i"]):
            continue
        flat = outputs[row.get("step", 0)][row["i"]].reshape(-1).double().numpy()
        assert flat.size == row["n"], row
        largest = max(abs(row["min"]), abs(row["max"]))
        tolerance = max(1e-4 * largest, 3 * row.get("fused_maxdiff", 0.0))
        samples = flat[make.sample_indices(flat.size, row["i"])]
        assert np.abs(samples - row["samples"]).max() <= tolerance, row["i"]
        for statistic in ("mean", "std", "min", "max"):
            assert abs(getattr(np, statistic)(flat) - row[statistic]) <= tolerance, (row["i"], statistic)
        if found["run"]["steps"] == 1:
            _compare_head(heads, row["i"], flat, tolerance)


def _compare_head(heads: Any, index: int, flat: Any, tolerance: float) -> None:
    """The whole output of a head, or many samples of a large one."""
    if f"l{index}" in heads:
        assert np.abs(flat - heads[f"l{index}"].reshape(-1)).max() <= tolerance, index
    elif f"l{index}_idx" in heads:
        assert np.abs(flat[heads[f"l{index}_idx"]] - heads[f"l{index}_val"]).max() <= tolerance, index


def _needs_missing_tree(graph: Any, index: int) -> bool:
    """A class hierarchy that the cfg names is not part of the corpus."""
    layer = graph.nodes[index].layer
    return bool(getattr(layer, "tree", "")) and layer.tree_file is None


def _size(found: dict[str, Any]) -> dict[str, int]:
    net = found["run"]["net"]
    return {"width": net["w"], "height": net["h"]} if net["w"] else {}


def _warns(name: str) -> bool:
    _, diagnostics = examine(Source.read(golden.cfg_of(name)), **_size(golden.load(name)))
    return any(each.severity == "warning" for each in diagnostics)


@pytest.mark.parametrize(
    "path", reference_files("golden/detections/*/*.json"), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_detections(path: Path) -> None:
    """The same objects, in the same order."""
    model = path.parent.name
    folder = REFERENCE / "weights" / model
    detector = cspdet.load(folder / f"{model}.cfg", folder / f"{model}.weights")
    found = detector(REFERENCE / "images" / f"{path.stem}.jpg").to_dicts()
    expected = json.loads(path.read_text())[0]["objects"]
    assert [(each["class_id"], each["name"]) for each in found] == [(each["class_id"], each["name"]) for each in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine["confidence"] == pytest.approx(theirs["confidence"], abs=2e-5)
        assert mine["relative_coordinates"] == pytest.approx(theirs["relative_coordinates"], abs=2e-5)


@pytest.mark.parametrize("path", reference_files("weights/*/*.weights"), ids=lambda path: path.stem)
def test_weights_round_trip(path: Path, tmp_path: Path) -> None:
    detector = cspdet.load(path.with_suffix(".cfg"), path)
    detector.save_weights(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


def test_partial_weights_round_trip(tmp_path: Path) -> None:
    path = REFERENCE / "weights" / "MobileNetV2-Nano.conv.57"
    cfg = REFERENCE / "weights" / "MobileNetV2-YOLOv3-Nano-voc" / "MobileNetV2-YOLOv3-Nano-voc.cfg"
    with pytest.warns(cspdet.WeightsWarning, match="ends before layer 64"):
        detector = cspdet.load(cfg, path)
    detector.save_weights(tmp_path / "again.conv.57", cutoff=57)
    assert (tmp_path / "again.conv.57").read_bytes() == path.read_bytes()
