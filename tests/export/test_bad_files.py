"""Exported files that are damaged, foreign or changed get one message, which says what is wrong and what to do."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cspdet
from cspdet.export import FORMATS
from tests.conftest import ROOT
from tests.export.conftest import PICTURE, SMALL, with_weights

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole files of one network."""
    folder = tmp_path_factory.mktemp("made")
    detector = cspdet.load(*with_weights(folder / "x.cfg", SMALL))
    for ending in (".onnx", ".xml"):
        detector.export(folder / f"x{ending}", check=False)
    return folder / "x.cfg"


@pytest.mark.parametrize("ending", FORMATS)
def test_damaged_files(run: Run, small: tuple[Path, Path], tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    code, _, err = run("detect", path, PICTURE)
    assert (code, "no such file" in err) == (2, True)
    for content in (b"", b"\0\1\2garbage" * 50):
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code, _, err = run("detect", path, PICTURE)
        assert code == 1
        assert f"error: `{path}` is no " in err
        assert len(err.splitlines()) == 2
    if ending != ".pt2":
        assert run("export", *small, path, "--no-check")[0] == 0
        path.write_bytes(path.read_bytes()[:-100])
        assert run("detect", path, PICTURE)[0] == 1


@pytest.mark.parametrize("ending", FORMATS)
def test_a_folder_is_no_network(run: Run, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    path.mkdir()
    code, _, err = run("detect", path, PICTURE)
    assert code == 2
    assert err.startswith(f"error: `{path}` is a directory, not an exported network\n  help: name a file in it: ")


def test_weights_alone(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    """They are no picture."""
    path, weights = tmp_path / "x.xml", tmp_path / "x.bin"
    assert run("export", *small, path, "--no-check")[0] == 0
    fact = f"error: `{weights}` is neither a picture nor a network: weights beside an exported network end in `.bin`\n"
    for words, cure in (
        ((weights, PICTURE), f"name the file that it goes with: `{path}`"),
        ((path, weights, PICTURE), f"leave it out: it is read with `{path}`"),
    ):
        assert run("detect", *words) == (2, "", f"{fact}  help: {cure}\n")


def test_networks_of_other_programs(run: Run) -> None:
    """The picture is not looked at by some other network."""
    code, printed, err = run("detect", "yolo.pt", PICTURE)
    assert (code, printed) == (2, "")
    assert "`yolo.pt` is a network of another program, which is not read here" in err
    assert ".onnx, .xml, .pt2" in err


def damage(model: Any, what: str) -> None:
    """Damage an ONNX model in one of several ways."""
    match what:
        case "version":
            model.ir_version = 99
        case "operator set":
            model.opset_import[0].version = 99
        case "input":
            model.graph.input[0].name = "picture"
        case "node":
            model.graph.node[0].op_type = "Fold"
        case "weights":
            model.graph.initializer[0].dims[0] = 99


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("version", "Unsupported model IR version: 99, "),
        ("operator set", "ONNX Runtime only *guarantees* "),
        ("input", "Node input 'images' is not a graph input"),
        ("node", 'In Node, ("", Fold, '),
        ("weights", "Initializer 'v0.weight': raw_data size "),
    ],
)
def test_what_onnx_runtime_says_is_readable(run: Run, small: tuple[Path, Path], tmp_path: Path, what: str, reason: str) -> None:
    """Without its numbers, and without the places in its sources."""
    import onnx

    path = tmp_path / "x.onnx"
    assert run("export", *small, path, "--no-check")[0] == 0
    model = onnx.load(path)
    damage(model, what)
    onnx.save(model, path)
    code, _, err = run("detect", path, PICTURE)
    assert code == 1
    assert err.startswith(f"error: `{path}` is no ONNX file that can be run: {reason}")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"Convolution"', '"Fold"', "Opset opset1 doesn't contain the operation with type: Fold\n"),
        ('shape="', 'shape="7,', "Data batch and filters rank do not match (data batch shape"),
        ("</layers>", "", "it is no XML from line "),
        ("<edge ", "<age ", "Convolution layer "),
        ('version="11"', 'version="99"', "its version is `99`, not 10 or 11\n"),
        ("<net ", "<grid ", "it is no XML from line "),
        ("", "<!", "it is no XML from line 1 on: not well-formed (invalid token)\n"),
    ],
)
def test_xml_that_openvino_cannot_run(
    run: Run, small: tuple[Path, Path], tmp_path: Path, old: str, new: str, reason: str
) -> None:
    """Its reason comes without its sources' names."""
    path = tmp_path / "x.xml"
    assert run("export", *small, path, "--no-check")[0] == 0
    path.write_text(path.read_text().replace(old, new, 1))
    code, _, err = run("detect", path, PICTURE)
    assert code == 1
    assert err.startswith(f"error: `{path}` is no OpenVINO file that can be run: {reason}")
    assert len(err.splitlines()) == 2


def test_xml_of_other_programs(tmp_path: Path) -> None:
    """OpenVINO would look for a TensorFlow network in it, and print what it finds."""
    path = tmp_path / "x.xml"
    path.write_text("<annotation/>")
    words = [sys.executable, "-m", "cspdet", "detect", str(path), str(PICTURE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    fact = f"`{path}` is no OpenVINO file that can be run: its root is `<annotation>`, not `<net>`"
    assert done.stderr == f"error: {fact}\n  help: is it complete?\n"


def test_weights_that_are_not_beside_it(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    path, weights = tmp_path / "x.xml", tmp_path / "x.bin"
    assert run("export", *small, path, "--no-check")[0] == 0
    data = weights.read_bytes()
    weights.unlink()

    def said() -> str:
        code, _, err = run("detect", path, PICTURE)
        assert code == 1
        assert err.endswith("help: put the one there that was written with `x.xml`, or export the network again\n")
        return err.splitlines()[0]

    assert said() == f"error: `{weights}` is missing, which holds the weights of `{path}`"
    for wrong, reason in ((b"", "cut"), (data[:-1], "cut"), (data + b"0", "of another network")):
        weights.write_bytes(wrong)
        there = f"{len(wrong):,} bytes, where the weights of `{path}` have {len(data):,}"
        assert said() == f"error: `{weights}` has {there}: it is {reason}"
    weights.unlink()
    weights.mkdir()
    assert said() == f"error: `{weights}` is a directory, not the weights of `{path}`"


def test_archives_that_are_no_programs(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    torch.save({"a": 1}, path)
    for data, reason in (
        (path.read_bytes(), "its archive is cut, or of another kind"),
        (b"abc", "it is no archive, or a cut one"),
        (b"", "it is no archive, or a cut one"),
    ):
        path.write_bytes(data)
        code, _, err = run("detect", path, PICTURE)
        assert code == 1
        assert err == f"error: `{path}` is no torch.export file that can be run: {reason}\n  help: is it complete?\n"


def test_a_foreign_file(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    import onnx

    assert run("export", *small, tmp_path / "x.onnx")[0] == 0
    model = onnx.load(tmp_path / "x.onnx")
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    changed.graph.node[-1].output[0] = changed.graph.output[-1].name = "other"
    onnx.save(changed, tmp_path / "y.onnx")
    code, _, err = run("detect", tmp_path / "y.onnx", PICTURE)
    assert code == 1
    assert "has no output `output_1`" in err
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "x.onnx")
    code, _, err = run("detect", tmp_path / "x.onnx", PICTURE)
    assert code == 1
    assert "it was not written by `cspdet export`" in err


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from([".onnx", ".xml"]),
    place=st.floats(0, 1, exclude_max=True),
    new=st.binary(max_size=4),
    cut=st.booleans(),
)
def test_any_damage(made: Path, capfd: pytest.CaptureFixture[str], ending: str, place: float, new: bytes, cut: bool) -> None:
    """A file with other bytes somewhere either works or gets our own error, and nothing else is printed."""
    data = made.with_suffix(ending).read_bytes()
    start = int(place * len(data))
    path = made.with_name(f"y{ending}")
    path.write_bytes(data[:start] + new + (b"" if cut else data[start + len(new) :]))
    path.with_suffix(".bin").write_bytes(made.with_suffix(".bin").read_bytes())
    with suppress(cspdet.CspdetError):
        cspdet.load(path)(PICTURE)
    assert capfd.readouterr() == ("", "")
