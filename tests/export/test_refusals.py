"""Exports that cannot be made, and files that are none, are refused before the work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import cspdet
from cspdet.commands.loading import sort_files
from cspdet.export import checking
from cspdet.export.checking import difference
from tests.conftest import ROOT
from tests.export.conftest import PICTURE, REGION, SMALL, alike, with_weights

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x.foo",), "cannot write `x.foo`: `.foo` is no format of exported networks"),
        ((), "no file to write is named"),
        (("no/such/x.onnx",), "cannot write `no/such/x.onnx`"),
        (("x.xml", "--outputs", "nms"), "`x.xml` cannot be written with `--outputs nms`"),
        (("x.onnx", "y.onnx"), "two exported files"),
        (("x.onnx", "y.foo"), "what is `y.foo`?"),
        (("x.onnx", "--dynamic-size", "--outputs", "boxes"), "boxes are computed for one size"),
        (("x.onnx", "--thresh", "2"), "no number from 0 to 1"),
        (("x.onnx", "--thresh", ".3"), "`--thresh` has no effect with `--outputs raw`"),
        (("x.onnx", "--outputs", "boxes", "--nms", "0.45"), "`--nms` has no effect with `--outputs boxes`"),
        (("x.onnx", "--width", "0"), "width"),
        (("x.onnx", "--names", "none.names"), "no such file: `none.names`"),
    ],
)
def test_wrong_calls(
    run: Run, small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.iterdir()}
    code, _, err = run("export", *small, *words)
    assert code == 2
    assert message in err
    assert {*tmp_path.iterdir()} == before


def test_calls_without_a_network(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    for words, message in (
        ((), "no network is named"),
        (("cspdet-nanoo",), "`cspdet-nanoo` is neither a cfg file nor the name of a model"),
        ((small[0],), "a cfg without weights"),
        (("--model", "cspdet-nano", small[0], small[1]), "both a model"),
        (("no.cfg", small[1]), "no such file: `no.cfg`"),
    ):
        code, _, err = run("export", *words, out)
        assert code == 2
        assert message in err
    assert not out.exists()


def test_a_folder_in_its_place(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    code, _, err = run("export", *small, tmp_path / "x.onnx")
    assert code == 2
    assert "it is a directory" in err


def test_a_size_that_cannot_be_free(run: Run, tmp_path: Path) -> None:
    text = SMALL.replace("[maxpool]\nsize=2\nstride=2", "[reorg]\nstride=2")
    files = with_weights(tmp_path / "x.cfg", text)
    code, _, err = run("export", *files, tmp_path / "x.onnx", "--dynamic-size")
    assert code == 2
    line = text[: text.index("[reorg]")].count("\n") + 1
    assert f"layer 1, `[reorg]` in {files[0]}:{line}, is computed for one size" in err


def test_a_head_that_is_read_again(run: Run, tmp_path: Path) -> None:
    files = with_weights(tmp_path / "x.cfg", SMALL.replace("[route]\nlayers=-3\n", ""))
    for name in ("x.onnx", "x.xml", "x.pt2"):
        assert run("export", *files, tmp_path / name)[0] == 0
        alike(cspdet.load(tmp_path / name)(PICTURE), cspdet.load(*files)(PICTURE))


@pytest.mark.parametrize("name", ["x.onnx", "x.xml"])
def test_a_file_that_computes_something_else_is_not_kept(
    run: Run, small: tuple[Path, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text("before")
    monkeypatch.setattr(checking, "difference", lambda *_: (0.5, 1.0))
    code, _, err = run("export", *small, tmp_path / name)
    assert code == 1
    assert "computes another `output_0`: 0.5 apart, where the largest value is 1" in err
    assert (tmp_path / name).read_text() == "before"
    assert not [*tmp_path.glob("*.bin"), *tmp_path.glob(".cspdet*")]
    assert run("export", *small, tmp_path / name, "--no-check")[0] == 0
    assert cspdet.load(tmp_path / name).names == ("cat", "dog", "bird")


@pytest.mark.parametrize("name", ["x.onnx", "x.xml"])
def test_an_interrupted_export_leaves_nothing(
    run: Run, small: tuple[Path, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "_compared", interrupted)
    before = {*tmp_path.iterdir()}
    code, _, err = run("export", *small, tmp_path / name)
    assert (code, err) == (130, "interrupted\n")
    assert {*tmp_path.iterdir()} == before


def test_what_is_not_installed(run: Run, small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = find_spec
    missing = {"onnxruntime"}
    for module in ("cspdet.export", "cspdet.export.checking"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name in missing else there(name))
    code, printed, _ = run("export", *small, tmp_path / "x.onnx")
    assert code == 0
    assert "onnxruntime is not installed: not run there\nopencv: largest difference" in printed
    with pytest.raises(cspdet.UsageError, match="needs the package `onnxruntime`, which is not installed"):
        cspdet.load(tmp_path / "x.onnx")
    missing.update(("onnx", "openvino"))
    for name, package in (("y.onnx", "onnx"), ("y.xml", "openvino")):
        code, _, err = run("export", *small, tmp_path / name)
        assert code == 2
        assert f"needs the package `{package}`, which is not installed\n  help: pip install {package}" in err


def test_differences() -> None:
    nan, inf = np.nan, np.inf
    one = np.array([1, -4, inf, nan, 2], np.float32)
    assert difference(one, one.copy()) == (0.0, 4.0)
    assert difference(one, np.array([1, -4, inf, nan, 1.5], np.float32)) == (0.5, 4.0)
    for wrong in ([1, -4, 9, nan, 2], [1, -4, inf, 0, 2], [1, nan, inf, nan, 2], [1, -4, -inf, nan, 2]):
        assert difference(one, np.array(wrong, np.float32))[0] > 1e30


def test_an_exported_network_is_no_darknet_network(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    assert run("export", *small, tmp_path / "x.onnx")[0] == 0
    detector = cspdet.load(tmp_path / "x.onnx")
    for wrong in (lambda: detector.network, lambda: detector.arrays, lambda: detector.save_weights(tmp_path / "y.weights")):
        with pytest.raises(cspdet.UsageError, match="whose weights are folded into its operations"):
            wrong()
    assert not (tmp_path / "y.weights").exists()
    with pytest.raises(cspdet.UsageError, match="takes no other weights"):
        cspdet.load(tmp_path / "x.onnx", small[1])
    with pytest.raises(cspdet.UsageError, match="runs with `onnxruntime`, not with `torch`"):
        cspdet.load(tmp_path / "x.onnx", engine="torch")
    with pytest.raises(cspdet.UsageError, match="exported from the dialect alexeyab, not pjreddie"):
        cspdet.load(tmp_path / "x.onnx", dialect="pjreddie")
    for more in ((small[0],), (small[1],), ("--model", "cspdet-nano")):
        code, _, err = run("detect", tmp_path / "x.onnx", PICTURE, *more)
        assert code == 2
        assert "both an exported network" in err


def test_files_are_told_apart() -> None:
    found, others = sort_files(["a.ONNX", "b.cfg", "c.jpg"])
    assert found == {"exported": "a.ONNX", "cfg": "b.cfg"}
    assert others == ["c.jpg"]


def test_a_tree_must_be_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.tree").write_text("a -1\nb -1\nc 0\n")
    files = with_weights(tmp_path / "x.cfg", REGION + "tree=t.tree\n")
    assert run("export", *files, tmp_path / "x.onnx")[0] == 0
    alike(cspdet.load(tmp_path / "x.onnx")(PICTURE), cspdet.load(*files)(PICTURE))
    code, _, err = run("export", *files, tmp_path / "y.onnx", "--outputs", "boxes")
    assert code == 1
    assert "has a tree of classes" in err
    (tmp_path / "t.tree").unlink()
    with pytest.raises(cspdet.ExportError, match=r"needs the class hierarchy `t\.tree`"):
        cspdet.load(tmp_path / "x.onnx")


def test_detecting_needs_no_torch(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    assert run("export", *small, tmp_path / "x.onnx")[0] == 0
    code = (
        "import sys, cspdet; found = cspdet.load(sys.argv[1])(sys.argv[2]); "
        "print(len(found) > 0, 'torch' in sys.modules, 'onnx' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "x.onnx"), str(PICTURE)]
    assert subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split() == [
        "True",
        "False",
        "False",
    ]
