"""Measuring: what is asked and printed, and what becomes of those that cannot run. No test looks at how long anything took."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cspdet.bench.contender import Contender, engine, peers, subject
from cspdet.bench.layers import layer_table, layer_times
from cspdet.bench.measure import Figures, measure
from cspdet.bench.report import table
from cspdet.cfg.source import Source
from cspdet.engines import ENGINES
from cspdet.errors import CspdetError
from cspdet.loading import load
from cspdet.rules import load as load_graph
from tests.conftest import ROOT

TEXT = """[net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=18
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=1,1,2,2,3,3
num=3
classes=1
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(TEXT)
    return path


def program(folder: Path, name: str, code: str) -> Path:
    """An executable of that name, which this Python runs."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_all_engines_in_turn(run: Run, cfg: Path, tmp_path: Path) -> None:
    plot, found = tmp_path / "speed.png", tmp_path / "speed.json"
    code, out, err = run("bench", cfg, "--size", "96x32", "--batch", 2, "--rounds", 2, "--json", found, "--plot", plot)
    assert (code, err) == (0, "")
    graph = load_graph(Source.read(cfg), width=96, height=32)[0]
    written = json.loads(found.read_text())
    assert written["operations"] == 2 * graph.operations
    assert (written["input"], written["batch"]) == ("96x32x3", 2)
    assert {each["name"] for each in written["contenders"]} == {*ENGINES}
    for each in written["contenders"]:
        assert each["least"] == min(each["times"]) > 0
        assert len(each["times"]) >= 2
        assert each["median"] == pytest.approx(np.median(each["times"]))
        assert each["memory"] > 2**20
        assert each["start"] > each["least"]
    assert written["peak_operations_per_second"] > 1e9
    lines = out.splitlines()
    assert lines[0] == f"small, 96x32x3, 2 images at a time, {written['operations'] / 1e9:.3f} BFLOPs"
    least = [float(line.split()[1]) for line in lines[2:5]]
    assert least == sorted(least)
    assert lines[2].split()[2] == "1.00"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_table() -> None:
    figures = [Figures("b", (0.004, 0.002, 0.008), 1.5, 2**20), Figures("a", (0.001, 0.003, 0.002), 0.25, 3 * 2**20)]
    lines = [line.split() for line in table(figures, 4e6, 8e9)]
    assert lines[1] == ["a", "1.00", "1.00", "2.00", "1.00", "4.0", "50", "%", "0.25", "3"]
    assert lines[2] == ["b", "2.00", "2.00", "4.00", "2.00", "2.0", "25", "%", "1.50", "1"]


def test_who_cannot_run_is_named() -> None:
    good = Contender("good", (sys.executable, "-c", "from cspdet.bench.protocol import serve; serve(int, 0, 0)"))
    silent = Contender("silent", (sys.executable, "-c", "pass"))
    broken = Contender("broken", (sys.executable, "-c", "raise SystemExit('no such layer')"))
    late = Contender("late", (sys.executable, "-c", 'print(\'{"first": 1, "loading": 1}\')'))
    figures, failures = measure([silent, good, broken, late], 2)
    assert [each.name for each in figures] == ["good"]
    assert [each.split(":", 1)[1].strip() for each in failures] == ["it said nothing", "no such layer", "it said nothing"]
    assert failures[1].startswith("`broken` cannot run this network")


def test_peers_that_are_not_there(cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    graph = load_graph(Source.read(cfg))[0]
    bare = program(tmp_path, "bare", "raise SystemExit('no module named cv2')")
    five = program(tmp_path, "five", "print('5.0.0')")
    with subject(graph, None, 1, "cpu") as what:
        found = [str(each) for each in peers(what, str(bare))]
        assert found[0].startswith(f"OpenCV 4, the last with a Darknet importer, is not there: `{bare}` has no OpenCV")
        assert found[1] == "there is no `darknet` on the PATH"
        assert "has OpenCV 5.0.0" in str(next(iter(peers(what, str(five)))))
        with pytest.raises(CspdetError, match="cannot run `/nowhere/python`"):
            next(iter(peers(what, "/nowhere/python")))


def test_a_darknet_binary(cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that reads what Darknet reads, and prints as Darknet does."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "assert sys.argv[1:3] == ['detector', 'test'] and sys.argv[-1] == '-dont_show', sys.argv\n"
        "assert 'classes=1' in Path(sys.argv[3]).read_text() and 'width=96' in Path(sys.argv[4]).read_text()\n"
        "assert Path(sys.argv[5]).stat().st_size > 100\n"
        "sys.stdout.write('Enter Image Path: '); sys.stdout.flush()\n"
        "for line in sys.stdin:\n"
        "    assert Path(line.strip()).read_bytes().startswith(b'P6 96 32 255')\n"
        "    sys.stdout.write(f'{line.strip()}: Predicted in 12.500000 milli-seconds.\\nEnter Image Path: ')\n"
        "    sys.stdout.flush()\n"
    )
    program(tmp_path, "darknet", code)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    graph = load_graph(Source.read(cfg), width=96, height=32)[0]
    with subject(graph, None, 1, "cpu") as what:
        (peer,) = [each for each in peers(what, sys.executable) if isinstance(each, Contender) and each.name == "darknet"]
        (figures,), failures = measure([peer], 2)
    assert not failures
    assert {*figures.times} == {0.0125}


def test_networks_that_darknet_cannot_read_have_no_peers(tmp_path: Path) -> None:
    path = tmp_path / "own.cfg"
    path.write_text(TEXT.replace("size=3", "size_x=3\nsize_y=1"))
    graph = load_graph(Source.read(path))[0]
    with subject(graph, None, 1, "cpu") as what:
        assert [*peers(what, sys.executable)] == ["there are no peers: no Darknet reads this network"]


def test_variables_reach_the_processes(tmp_path: Path) -> None:
    path = tmp_path / "variable.cfg"
    path.write_text("[define]\nwidth=1\n" + TEXT.replace("filters=8", "filters=$(8*width)"))
    graph = load_graph(Source.read(path).set({"width": "2"}))[0]
    with subject(graph, None, 1, "cpu") as what:
        figures, failures = measure([engine("onnxruntime", what)], 1)
    assert not failures
    assert figures


def test_each_layer_has_its_time() -> None:
    detector = load("cspdet-nano")
    times = layer_times(detector.graph, detector.arrays, 1, 2)
    computing = {node.index for node in detector.graph.nodes if node.operations}
    assert computing <= {*times}
    lines = [*layer_table(detector.graph, times, 1)]
    shares = [float(line.split("%")[0].split()[-1]) for line in lines[1:-1]]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))


def test_layers_on_request(run: Run, cfg: Path) -> None:
    code, out, _ = run("bench", cfg, "--layers", "--rounds", 1)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[2:4]] == ["convolutional", "convolutional"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "error: no network was named\n  help: cspdet bench X.cfg X.weights, or the name of a model\n"),
        (("nope.cfg",), "error: no such file: `nope.cfg`\n  help: check the path\n"),
        (("cspdet-nano", "a.jpg"), "error: `a.jpg` is no cfg, weights file or model\n"),
        (("cspdet-nano", "--engines", "torch,x"), "error: there is no engine `x`\n"),
        (("cspdet-nano", "--plot", "x.foo"), "error: cannot write `x.foo`: `.foo` is no format of plots\n"),
        (("cspdet-nano", "--json", "/nowhere/x.json"), "error: cannot write `/nowhere/x.json`"),
    ],
)
def test_wrong_calls(run: Run, words: tuple[str, ...], said: str) -> None:
    code, out, err = run("bench", *words)
    assert (code, out) == (2, "")
    assert err.startswith(said)


def test_wrong_sizes(run: Run) -> None:
    for size in ("x", "1x2x3", "-4", "1000000"):
        code, _, err = run("bench", "cspdet-nano", f"--size={size}")
        assert code == 2
        assert f"`{size}` is no size" in err


def test_the_shipped_network_is_measured_by_its_name(run: Run) -> None:
    assert (ROOT / "weights" / "cspdet-nano.weights").is_file()
    code, out, _ = run("bench", "cspdet-nano", "--engines", "openvino", "--rounds", 1, "--json", "-")
    assert code == 0
    assert [each["name"] for each in json.loads(out)["contenders"]] == ["openvino"]
