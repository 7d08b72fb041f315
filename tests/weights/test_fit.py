"""Whether a file fits a cfg, and what is said when it does not."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import cspdet
from cspdet.cfg.dialect import ALEXEYAB, PYTORCH, Dialect
from cspdet.cfg.source import Source
from cspdet.errors import WeightsError, WeightsWarning
from cspdet.graph import Graph
from cspdet.rules import load as load_graph
from cspdet.weights.codec import open_weights
from cspdet.weights.fit import Fit, fit
from tests.conftest import REFERENCE

HEADER = struct.pack("<iiiQ", 0, 2, 5, 0)
NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
# Two normalised convolutions and one before the head: 4 x 4 + 4 x 27, 4 x 4 + 4 x 36, 255 + 255 x 4 numbers.
FIRST, SECOND, THIRD = 124, 160, 1275


def head(classes: int = 80, anchors: int = 3, kind: str = "yolo") -> str:
    """A detection head and the convolution before it."""
    entries = {"yolo": 5, "Gaussian_yolo": 9, "region": 5}[kind]
    listed = ",".join(["10,13"] * anchors)
    filters = anchors * (classes + entries)
    return (
        f"[convolutional]\nfilters={filters}\nsize=1\nactivation=linear\n"
        f"[{kind}]\nclasses={classes}\nnum={anchors}\nanchors={listed}\n{'coords=4' if kind == 'region' else ''}\n"
    )


THREE = CONV + CONV + head()


def graph_of(sections: str, dialect: Dialect = ALEXEYAB) -> Graph:
    return load_graph(Source("made.cfg", NET + sections), dialect)[0]


def line_of(sections: str, number: int) -> int:
    """The line that section `number` (from 0, [net] not counted) starts in."""
    return [at for at, line in enumerate((NET + sections).splitlines(), 1) if line.startswith("[")][number + 1]


def numbers_of(sections: str) -> int:
    """How many numbers a cfg of ordinary convolutions takes; counted from its text alone."""
    channels, total = 3, 0
    for section in sections.split("[")[1:]:
        name, _, body = section.partition("]\n")
        if name != "convolutional":
            continue
        options = dict(line.split("=") for line in body.split())
        filters, size = int(options["filters"]), int(options["size"])
        total += filters * (4 if "batch_normalize" in options else 1) + filters * channels * size**2
        channels = filters
    return total


class Made(NamedTuple):
    """A file in the making."""

    path: Path

    def of(self, count: int, rest: bytes = b"", changes: dict[int, float] | None = None) -> Path:
        """`count` halves, with some replaced, and some bytes behind them."""
        numbers = np.full(count, 0.5, "<f4")
        for place, value in (changes or {}).items():
            numbers[place] = value
        self.path.write_bytes(HEADER + numbers.tobytes() + rest)
        return self.path


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "made.weights")


def misfit(path: Path, graph: Graph) -> WeightsError:
    """The error; it always says which file does not fit which cfg, and has a cure."""
    with pytest.raises(WeightsError) as caught:
        fit(open_weights(path), graph)
    error = caught.value
    assert error.message.startswith(f"`{path}` does not fit `made.cfg`: ")
    assert error.help
    assert error.exit_code == 1
    return error


# -- what fits --------------------------------------------------------------------------------------------------------


def test_a_file_that_fits(made: Made) -> None:
    assert numbers_of(THREE) == FIRST + SECOND + THIRD
    found = fit(open_weights(made.of(numbers_of(THREE))), graph_of(THREE))
    assert found.ends_before is None
    assert found.extent == "read"
    assert found.slots[-1].end == numbers_of(THREE)


def test_a_network_without_weights_takes_a_file_without_numbers(made: Made) -> None:
    assert fit(open_weights(made.of(0)), graph_of("[maxpool]\nsize=2\nstride=2\n")) == Fit((), "read", None)


@pytest.mark.parametrize(("count", "ends_before"), [(FIRST, 1), (FIRST + SECOND, 3)])
def test_a_file_that_ends_between_layers_is_a_partial_one(made: Made, count: int, ends_before: int) -> None:
    sections = CONV + CONV + "[maxpool]\nsize=2\nstride=2\n" + head()
    found = fit(open_weights(made.of(count)), graph_of(sections))
    assert found.ends_before == ends_before
    assert sum(slot.array.size for slot in found.slots) == count


def test_a_partial_file_fills_the_layers_it_has(made: Made, tmp_path: Path) -> None:
    cfg = tmp_path / "made.cfg"
    cfg.write_text(NET + THREE)
    path = made.of(FIRST, changes={place: place for place in range(FIRST)})
    with pytest.warns(WeightsWarning, match="ends before layer 1 of 4: the layers from there on have initial weights"):
        detector = cspdet.load(cfg, path)
    assert detector.ends_before == 1
    state = detector.network.state_dict()
    names = ("norm.bias", "norm.weight", "norm.running_mean", "norm.running_var", "conv.weight")
    loaded = torch.cat([state[f"layers.0.{name}"].flatten() for name in names])
    assert loaded.tolist() == list(range(FIRST))
    # Darknet starts with biases and means of 0, scales of 1, and weights within ±√(2 / fan-in).
    beyond = [state[f"layers.1.{name}"] for name in names]
    assert [value.unique().tolist() for value in beyond[:4]] == [[0], [1], [0], [1]]
    assert 0 < beyond[4].abs().max() <= (2 / 36) ** 0.5
    assert state["layers.2.conv.weight"].unique().numel() > 900
    assert state["layers.2.conv.bias"].abs().max() == 0


def test_a_whole_file_warns_of_nothing(made: Made, tmp_path: Path) -> None:
    cfg = tmp_path / "made.cfg"
    cfg.write_text(NET + THREE)
    assert cspdet.load(cfg, made.of(numbers_of(THREE))).ends_before is None


@pytest.mark.reference
def test_a_real_partial_file(tmp_path: Path) -> None:
    cfg = REFERENCE / "weights" / "MobileNetV2-YOLOv3-Nano-voc" / "MobileNetV2-YOLOv3-Nano-voc.cfg"
    weights = REFERENCE / "weights" / "MobileNetV2-Nano.conv.57"
    with pytest.warns(WeightsWarning, match="ends before layer"):
        detector = cspdet.load(cfg, weights)
    detector.save_weights(tmp_path / "again", detector.ends_before)
    assert (tmp_path / "again").read_bytes() == weights.read_bytes()


# -- what does not ----------------------------------------------------------------------------------------------------

TOTAL = FIRST + SECOND + THIRD
# Numbers there, of the numbers that the first layer without takes, and that layer.
SHORT = [
    # A header alone, which is no partial file.
    (0, 0, FIRST, 0),
    (1, 0, FIRST, 1),
    (FIRST - 1, 0, FIRST, FIRST - 1),
    (FIRST + 1, 1, SECOND, 1),
    # Between two arrays of a layer, which is not between two layers.
    (FIRST + 4, 1, SECOND, 4),
    (FIRST + 16, 1, SECOND, 16),
    (FIRST + SECOND + 256, 2, THIRD, 256),
    (TOTAL - 1, 2, THIRD, THIRD - 1),
]


@pytest.mark.parametrize(("count", "layer", "takes", "finds"), SHORT)
def test_too_short(made: Made, count: int, layer: int, takes: int, finds: int) -> None:
    error = misfit(made.of(count), graph_of(THREE))
    holds = "1 number" if count == 1 else f"{count:,} numbers"
    assert f"the layers take {TOTAL:,} numbers, the file holds {holds}; " in error.message
    place = f"layer {layer} (`[convolutional]`, line {line_of(THREE, layer)})"
    assert f"the first without is {place}, which takes {takes:,} and finds {finds:,}" in error.message
    assert "variance" not in error.message
    assert "fetch it again" in error.help


@pytest.mark.parametrize(
    ("more", "rest", "left"),
    [
        (1, 0, "1 number is"),
        (2, 0, "2 numbers are"),
        (1000, 0, "1,000 numbers are"),
        (0, 1, "1 byte is"),
        (0, 3, "3 bytes are"),
        (1, 1, "1 number and 1 byte are"),
        (5, 2, "5 numbers and 2 bytes are"),
    ],
)
def test_too_long(made: Made, more: int, rest: int, left: str) -> None:
    error = misfit(made.of(TOTAL + more, b"x" * rest), graph_of(THREE))
    assert f"the layers take {TOTAL:,} numbers, the file holds {TOTAL + more:,} numbers" in error.message
    assert error.message.endswith(f"; {left} left over behind the last layer")
    assert ("fetch it again" if rest else "use the cfg the weights were made with") in error.help


@pytest.mark.parametrize(("count", "rest"), [(TOTAL - 1, 3), (FIRST, 1), (0, 2)])
def test_cut_inside_a_number(made: Made, count: int, rest: int) -> None:
    """Even at the end of a layer, such a file is no partial one."""
    error = misfit(made.of(count, b"x" * rest), graph_of(THREE))
    assert f"the file holds {count:,} numbers and {rest} byte" in error.message
    assert "; the first without is layer " in error.message
    assert error.help == "the file was cut or damaged: fetch it again"


def test_a_network_without_weights_takes_no_numbers(made: Made) -> None:
    error = misfit(made.of(5), graph_of("[maxpool]\nsize=2\nstride=2\n"))
    assert "the layers take 0 numbers, the file holds 5 numbers; 5 numbers are left over" in error.message


@pytest.mark.parametrize(
    ("value", "said"), [(-0.5, "is negative"), (float("nan"), "is not a number"), (float("inf"), "is not a number")]
)
@pytest.mark.parametrize("count", [TOTAL - 1, FIRST + SECOND])
def test_a_variance_that_cannot_be_shows_where_a_file_is_out_of_step(made: Made, value: float, said: str, count: int) -> None:
    """Also a file that ends between two layers is then no partial one."""
    path = made.of(count, changes={FIRST + 12: value})
    error = misfit(path, graph_of(THREE))
    place = f"layer 1 (`[convolutional]`, line {line_of(THREE, 1)})"
    assert f"at {place} a variance {said}, so the file is out of step there already" in error.message
    assert "differs from this one before that layer" in error.help


@pytest.mark.parametrize(
    ("value", "said"), [(-0.5, "is negative"), (float("nan"), "is not a number"), (float("-inf"), "is not a number")]
)
def test_a_file_of_the_right_length_may_still_be_another(made: Made, tmp_path: Path, value: float, said: str) -> None:
    (tmp_path / "made.cfg").write_text(NET + THREE)
    path = made.of(TOTAL, changes={FIRST + 12: value})
    with pytest.warns(WeightsWarning) as caught:
        cspdet.load(tmp_path / "made.cfg", path)
    place = f"layer 1 (`[convolutional]`, line {line_of(THREE, 1)})"
    assert [str(each.message) for each in caught] == [
        f"`{path}` is damaged or belongs to another cfg: at {place} a variance {said}"
    ]


@pytest.mark.parametrize("count", [FIRST, TOTAL])
def test_warnings_point_at_the_caller(made: Made, tmp_path: Path, count: int) -> None:
    (tmp_path / "made.cfg").write_text(NET + THREE)
    with pytest.warns(WeightsWarning) as caught:
        cspdet.load(tmp_path / "made.cfg", made.of(count, changes={12: -1.0} if count == TOTAL else {}))
    assert [each.filename for each in caught] == [__file__]


def test_other_numbers_may_be_negative(made: Made) -> None:
    changes = dict.fromkeys([*range(12), *range(16, FIRST)], -1.0)
    assert fit(open_weights(made.of(FIRST, changes=changes)), graph_of(THREE)).ends_before == 1


# -- another number of classes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["yolo", "Gaussian_yolo", "region"])
@pytest.mark.parametrize(("there", "wanted", "anchors"), [(20, 80, 3), (80, 1, 3), (1, 2, 5), (81, 80, 3)])
def test_another_number_of_classes(made: Made, kind: str, there: int, wanted: int, anchors: int) -> None:
    sections = CONV + head(wanted, anchors, kind)
    path = made.of(numbers_of(CONV + head(there, anchors, kind)))
    error = misfit(path, graph_of(sections))
    assert f"these weights have {there} class" in error.message
    assert f", the cfg {wanted}; " in error.message
    entries = 9 if kind == "Gaussian_yolo" else 5
    # Every filter has a bias and four weights.
    takes, finds = (anchors * (classes + entries) * 5 for classes in (wanted, there))
    place = f"layer 1 (`[convolutional]`, line {line_of(sections, 1)})"
    assert f"the first that differs is {place}, which takes {takes:,} numbers and finds {finds:,}" in error.message
    assert f"set `classes={there}` in every head and `filters={anchors * (there + entries)}` before it" in error.help


def test_another_number_of_classes_in_two_heads(made: Made) -> None:
    sections = CONV + head(20) + "[route]\nlayers=0\n" + head(20)
    # Each of the two convolutions before the heads has 3 x (3 + 5) filters of 5 numbers.
    error = misfit(made.of(FIRST + 2 * 3 * 8 * 5), graph_of(sections))
    assert "these weights have 3 classes, the cfg 20; the first that differs is layer 1 (" in error.message
    assert "which takes 375 numbers and finds 120" in error.message
    assert "`filters=24`" in error.help


def test_another_number_of_classes_in_heads_of_different_anchors(made: Made) -> None:
    """Each of them needs another width."""
    sections = CONV + head(20, 3) + "[route]\nlayers=0\n" + head(20, 2) + "[route]\nlayers=0\n" + head(20, 3)
    path = made.of(FIRST + (2 * 24 + 16) * 5)
    error = misfit(path, graph_of(sections))
    assert "these weights have 3 classes, the cfg 20; " in error.message
    assert "set `classes=3` in every head and `filters=24` in layer 1 and 7, `filters=16` in layer 4, or" in error.help
    cured = sections.replace("classes=20", "classes=3").replace("filters=75", "filters=24").replace("filters=50", "filters=16")
    assert fit(open_weights(path), graph_of(cured)).ends_before is None


def test_another_number_of_classes_before_a_detection_head(made: Made) -> None:
    """It reads a vector: for each of 2 x 2 cells, 2 boxes of 5 numbers and the classes; each output sums 4 x 8 x 8 inputs."""

    def sections(classes: int) -> str:
        layer = f"[connected]\noutput={4 * (10 + classes)}\nactivation=linear\n"
        return CONV + layer + f"[detection]\nclasses={classes}\ncoords=4\nnum=2\nside=2\n"

    path = made.of(FIRST + 4 * 13 * 257)
    error = misfit(path, graph_of(sections(20)))
    assert "these weights have 3 classes, the cfg 20; the first that differs is layer 1 (`[connected]`" in error.message
    assert f"which takes {120 * 257:,} numbers and finds {52 * 257:,}" in error.message
    assert "set `classes=3` in every head and `output=52` before it" in error.help
    assert fit(open_weights(path), graph_of(sections(3))).ends_before is None


def test_heads_of_several_class_counts_are_no_ground_for_a_guess(made: Made) -> None:
    sections = CONV + head(20) + "[route]\nlayers=0\n" + head(10)
    # Two classes fewer in both heads.
    error = misfit(made.of(FIRST + 3 * 23 * 5 + 3 * 13 * 5), graph_of(sections))
    assert "these weights have" not in error.message


def test_following_the_cure_makes_the_file_fit(made: Made) -> None:
    path = made.of(numbers_of(CONV + head(7)))
    error = misfit(path, graph_of(CONV + head(80)))
    assert "set `classes=7` in every head and `filters=36` before it" in error.help
    cured = (NET + CONV + head(80)).replace("classes=80", "classes=7").replace("filters=255", "filters=36")
    assert fit(open_weights(path), load_graph(Source("made.cfg", cured))[0]).ends_before is None


@pytest.mark.parametrize("count", [-5, -16, 1])
def test_a_difference_that_no_class_explains(made: Made, count: int) -> None:
    """One class of one anchor takes 5 numbers here; a third of a class, or a class less than none, is no guess."""
    path = made.of(TOTAL + count)
    assert "these weights have" not in misfit(path, graph_of(THREE)).message


@pytest.mark.reference
@pytest.mark.parametrize("there", ["MobileNetV2-YOLO-Fastest-voc-v2", "MobileNetV2-YOLOv3-Nano-voc"])
def test_a_real_file_with_another_number_of_classes(there: str, tmp_path: Path) -> None:
    weights = REFERENCE / "weights" / there / f"{there}.weights"
    text = weights.with_suffix(".cfg").read_text()
    cfg = tmp_path / "more.cfg"
    cfg.write_text(text.replace("classes=20", "classes=80").replace("filters=75", "filters=255"))
    assert cfg.read_text() != text
    graph = load_graph(Source.read(cfg))[0]
    with pytest.raises(WeightsError, match="these weights have 20 classes, the cfg 80") as caught:
        fit(open_weights(weights), graph)
    assert "set `classes=20` in every head and `filters=75` before it" in caught.value.help


@pytest.mark.reference
def test_the_weights_of_another_network() -> None:
    folder = REFERENCE / "weights"
    graph = load_graph(Source.read(folder / "yolo-fastest-1.1" / "yolo-fastest-1.1.cfg"))[0]
    path = folder / "yolo-fastest-1.0" / "yolo-fastest-1.0.weights"
    with pytest.raises(WeightsError, match="does not fit") as caught:
        fit(open_weights(path), graph)
    assert "these weights have" not in caught.value.message


# -- dontload, and the PyTorch forks ----------------------------------------------------------------------------------

SKIPPED = CONV + CONV + "dontload=1\n" + head()


def test_dontload_layers_are_not_in_the_file(made: Made) -> None:
    found = fit(open_weights(made.of(FIRST + THIRD)), graph_of(SKIPPED))
    assert found.ends_before is None
    assert {slot.layer for slot in found.slots} == {0, 2}


def test_a_dontload_layer_keeps_its_initial_weights(made: Made, tmp_path: Path) -> None:
    cfg = tmp_path / "made.cfg"
    cfg.write_text(NET + SKIPPED)
    state = cspdet.load(cfg, made.of(FIRST + THIRD)).network.state_dict()
    assert (state["layers.0.conv.weight"] == 0.5).all()
    assert (state["layers.2.conv.weight"] == 0.5).all()
    assert state["layers.1.norm.running_var"].tolist() == [1] * 4
    assert state["layers.1.conv.weight"].unique().numel() > 100


def test_a_file_that_holds_a_dontload_layer(made: Made) -> None:
    error = misfit(made.of(TOTAL), graph_of(SKIPPED))
    place = f"layer 1 (`[convolutional]`, line {line_of(SKIPPED, 1)})"
    assert f"it holds the weights of {place} too, which `dontload=1` skips" in error.message
    assert error.help == "remove `dontload=1`"
    assert fit(open_weights(made.path), graph_of(SKIPPED.replace("dontload=1\n", ""))).ends_before is None


@pytest.mark.parametrize("kind", ["convolutional", "connected"])
def test_what_dontloadscales_skips_keeps_its_initial_values(made: Made, tmp_path: Path, kind: str) -> None:
    """Biases and weights are those of the file: only scales, means and variances are not in it."""
    cfg = tmp_path / "made.cfg"
    size = "output=4" if kind == "connected" else "filters=4\nsize=1"
    cfg.write_text(f"{NET}[{kind}]\n{size}\nbatch_normalize=1\nactivation=linear\ndontloadscales=1\n")
    state = cspdet.load(cfg, made.of(4 + 4 * (192 if kind == "connected" else 3))).network.state_dict()
    found = {key.removeprefix("layers.0."): value.unique().tolist() for key, value in state.items() if value.dim()}
    weights = "linear.weight" if kind == "connected" else "conv.weight"
    expected = {"norm.weight": [1], "norm.bias": [0.5], "norm.running_mean": [0], "norm.running_var": [1], weights: [0.5]}
    assert found == expected


FORK = (
    CONV
    + "[implicit_add]\nfilters=4\n[route]\nlayers=0\n[shift_channels]\nfrom=1\n"
    + CONV.replace("filters=4", "filters=6")
    + "[implicit_mul]\nfilters=6\n[route]\nlayers=4\n[control_channels]\nfrom=5\n"
)


@pytest.fixture
def fork() -> Graph:
    """A cfg of the PyTorch forks, with a constant that is added and one that is multiplied with."""
    return graph_of(FORK, PYTORCH)


def test_the_forks_write_convolutions_only(made: Made, fork: Graph) -> None:
    convolutions = FIRST + 6 * 4 + 6 * 36
    found = fit(open_weights(made.of(convolutions)), fork)
    assert found.extent == "convolutions"
    assert found.ends_before is None
    assert {slot.layer for slot in found.slots} == {0, 4}
    # With the constants, as we write them.
    whole = fit(open_weights(made.of(convolutions + 4 + 6)), fork)
    assert whole.extent == "read"
    assert {slot.layer for slot in whole.slots} == {0, 1, 4, 5}
    error = misfit(made.of(convolutions + 1), fork)
    assert f"the file holds {convolutions + 1:,} numbers" in error.message


def test_the_forks_constants_keep_their_initial_values(made: Made, tmp_path: Path) -> None:
    cfg = tmp_path / "made.cfg"
    cfg.write_text(NET + FORK)
    path = made.of(FIRST + 240)
    detector = cspdet.load(cfg, path, dialect="pytorch")
    state = detector.network.state_dict()
    assert (state["layers.4.conv.weight"] == 0.5).all()
    # Means of 0 and 1, and a deviation of 0.02.
    for key, mean in (("layers.1.weight", 0), ("layers.5.weight", 1)):
        assert state[key].unique().numel() > 1
        assert (state[key] - mean).abs().max() < 0.15
    # What is saved has the form of what was loaded.
    detector.save_weights(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


def test_convolutions_only_is_no_guess_for_other_cfgs(made: Made) -> None:
    """Where the cfg has no such constants, a file without the [connected] layer's weights is a partial one."""
    graph = graph_of(CONV + "[connected]\noutput=2\nactivation=linear\n")
    found = fit(open_weights(made.of(FIRST)), graph)
    assert (found.extent, found.ends_before) == ("read", 1)


def test_a_file_out_of_step_is_no_ground_for_a_guess(made: Made) -> None:
    """A variance before the head that cannot be says that more than the classes differ."""
    sections = CONV + head(80)
    path = made.of(numbers_of(CONV + head(20)), changes={3 * 4 + 1: -1.0})
    assert "classes" not in misfit(path, graph_of(sections)).message
