"""`cspdet trace` and `cspdet compare`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cspdet

Run = Callable[..., tuple[int, str, str]]

CFG = "[net]\nwidth=8\nheight=6\nchannels=3\n[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n[maxpool]\n"
COUNTING = "[net]\ninputs=4\n[rnn]\noutput=3\nhidden=2\nactivation=linear\n"


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cspdet.Detector:
    """A network in the working directory, with weights of its own."""
    monkeypatch.chdir(tmp_path)
    Path("made.cfg").write_text(CFG)
    detector = cspdet.load("made.cfg")
    detector.save_weights("made.weights")
    return detector


def image(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random(shape, np.float32)


def write(name: str, **arrays: Any) -> str:
    np.savez(name, **arrays)
    return name


# -- trace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 3, 6, 8), (2, 3, 6, 8), (3, 6, 8), (1, 3, 12, 4)])
@pytest.mark.parametrize("kind", ["f4", "f8", "u1"])
def test_trace(network: cspdet.Detector, run: Run, shape: tuple[int, ...], kind: str) -> None:
    x = (255 * image(*shape)).astype(kind)
    np.save("x.npy", x)
    code, out, err = run("trace", "made.cfg", "made.weights", "--input", "x.npy", "--out", "out.npz")
    assert (code, out, err) == (0, "out.npz: 2 arrays\n", "")
    expected = network.network.trace(torch.from_numpy(x.astype(np.float32).reshape(-1, *shape[-3:])))
    with np.load("out.npz") as found:
        assert found.files == ["l0", "l1"]
        for index, output in enumerate(expected):
            assert np.array_equal(found[f"l{index}"], output.numpy())


def test_trace_of_several_inputs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are steps of one sequence."""
    monkeypatch.chdir(tmp_path)
    Path("made.cfg").write_text(COUNTING)
    detector = cspdet.load("made.cfg")
    detector.save_weights("made.weights")
    inputs = [image(1, 4, seed=number) for number in range(3)]
    for number, x in enumerate(inputs):
        np.save(f"{number}.npy", x)
    assert run("trace", "made.cfg", "made.weights", "--input", "0.npy", "1.npy", "2.npy", "--out", "out.npz")[0] == 0
    with np.load("out.npz") as found:
        assert found.files == ["s0.l0", "s1.l0", "s2.l0"]
        for number, x in enumerate(inputs):
            (expected,) = detector.network.trace(torch.from_numpy(x))
            assert np.array_equal(found[f"s{number}.l0"], expected.numpy())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (image(1, 4, 6, 8), "the network reads (3, 6, 8), `x.npy` has (4, 6, 8)"),
        (image(7), "the network reads (3, 6, 8)"),
        (image(1, 1, 1, 1, 1), "holds an array of (1, 1, 1, 1, 1)"),
        (np.zeros((0, 3, 6, 8)), "holds an array of (0, 3, 6, 8)"),
        (np.array(["a"]), "holds no numbers"),
        (np.array([None]), "is not an array file"),
        (b"", "is not an array file: no data left in file"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4", "is not an array file"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((\n", "is not an array file"),
        (b"PK\x03\x04", "is not an array file"),
        (b"text", "is not an array file"),
        (None, "no such file: `x.npy`"),
    ],
)
@pytest.mark.usefixtures("network")
def test_trace_of_what_does_not_fit(run: Run, content: Any, words: str) -> None:
    if isinstance(content, bytes):
        Path("x.npy").write_bytes(content)
    elif content is not None:
        np.save("x.npy", content)
    code, out, err = run("trace", "made.cfg", "made.weights", "--input", "x.npy", "--out", "out.npz")
    assert (code, out) == (2, "")
    assert words in err
    assert "  help: " in err
    assert not Path("out.npz").exists()


@pytest.mark.usefixtures("network")
def test_trace_of_several_arrays_or_shapes(run: Run) -> None:
    write("x.npz", a=image(1, 3, 6, 8), b=image(1, 3, 6, 8))
    np.save("a.npy", image(1, 3, 6, 8))
    np.save("b.npy", image(1, 3, 12, 8))
    for names, words in ((["x.npz"], "holds several arrays"), (["a.npy", "b.npy"], "different shapes")):
        code, _, err = run("trace", "made.cfg", "made.weights", "--input", *names, "--out", "out.npz")
        assert code == 2
        assert words in err


# -- compare ----------------------------------------------------------------------------------------------------------


def test_equal_traces(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a = write("a.npz", l0=image(1, 3, 4, 4), l1=image(5), l10=np.array([np.nan, np.inf]))
    b = write("b.npz", l0=image(48) + np.float32(1e-6), l1=image(5), l10=np.array([np.nan, np.inf]), x=image(3))
    assert run("compare", a, b) == (0, "all 3 layers agree to 0.0001 of their largest value\n", "")
    assert run("compare", a, b, "--tolerance", "1e-9")[0] == 1


def test_the_first_layer_that_differs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers count, not letters: l2 comes before l10."""
    monkeypatch.chdir(tmp_path)
    same = {"l0": image(4), "l1": image(4)}
    a = write("a.npz", **same, l2=np.array([1.0, 2.0]), l10=image(3))
    b = write("b.npz", **same, l2=np.array([1.0, 2.5]), l10=image(4))
    code, out, _ = run("compare", a, b)
    assert (code, out) == (1, "l2 is the first layer that differs: 0.25 of its largest value; up to l1 all agree\n")
    code, out, _ = run("compare", a, b, "--all")
    assert [line.split()[:2] for line in out.splitlines()[:4]] == [
        ["l0", "same"],
        ["l1", "same"],
        ["l2", "DIFFERS"],
        ["l10", "DIFFERS"],
    ]


def test_samples_are_compared_in_their_places(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = image(9)
    a = write("a.npz", l0=values.reshape(3, 3))
    b = write("b.npz", l0_idx=np.array([7, 2]), l0_val=values[[7, 2]])
    c = write("c.npz", l0_idx=np.array([2, 7]), l0_val=values[[7, 2]])
    d = write("d.npz", l0_idx=np.array([2, 70]), l0_val=values[[7, 2]])
    assert run("compare", a, b)[0] == run("compare", b, a)[0] == run("compare", b, b)[0] == 0
    for first, second in ((a, c), (c, a), (b, c), (a, d)):
        assert run("compare", first, second)[0] == 1


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (np.array([1.0]), np.array([np.nan]), "inf of"),
        (np.array([0.0]), np.array([1e-9]), "inf of"),
        (np.array([1.0]), np.array([1.0, 1.0]), "other shape"),
        (np.array([1e308]), np.array([-1e308]), "inf of"),
    ],
)
def test_what_cannot_be_equal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: Any, two: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("compare", write("a.npz", l0=one), write("b.npz", l0=two))
    assert code == 1
    assert words in out


def test_files_that_are_no_traces(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = write("good.npz", l0=image(3))
    np.save("one.npy", image(3))
    write("other.npz", conv=image(3))
    write("bad.npz", l0_idx=np.array([-1]), l0_val=image(1))
    Path("text.npz").write_text("text")
    Path("cut.npz").write_bytes(Path("good.npz").read_bytes()[:60])
    with zipfile.ZipFile("pickled.npz", "w") as archive:
        archive.writestr("l0.npy", b"\x80\x04N.")
    for name, words in {
        "one.npy": "holds one array without a name",
        "other.npz": "no array in common",
        "bad.npz": "does not hold the places",
        "text.npz": "is not a file of arrays",
        "cut.npz": "is not a file of arrays",
        "none.npz": "no such file",
        ".": "is a directory",
    }.items():
        code, out, err = run("compare", good, name)
        assert (code, out) == (2, ""), name
        assert words in err, name


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("target", ["made.cfg", "made.weights", "x.npy", "./x.npy"])
def test_trace_overwrites_nothing_that_it_reads(run: Run, target: str) -> None:
    np.save("x.npy", image(1, 3, 6, 8))
    before = Path(target).read_bytes()
    code, out, err = run("trace", "made.cfg", "made.weights", "--input", "x.npy", "--out", target)
    assert (code, out) == (2, "")
    assert "it is one of the files that are read" in err
    assert Path(target).read_bytes() == before


def test_signalling_nans(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy warns when it converts one."""
    monkeypatch.chdir(tmp_path)
    odd = np.array([0x7F800001, 0x3F800000], np.uint32).view(np.float32)
    assert run("compare", write("a.npz", l0=odd), write("b.npz", l0=odd))[0] == 0
