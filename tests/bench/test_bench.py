"""`cspdet bench`: what is asked, printed and written. No test looks at how long anything took."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cspdet.bench.layers import layer_table, layer_times
from cspdet.bench.measure import Figures
from cspdet.bench.report import Case, Measured, plot, table
from cspdet.cfg.source import Source
from cspdet.engines import COMPILED, ENGINES, NAMES
from cspdet.loading import load
from cspdet.rules import load as load_graph
from tests.bench.conftest import TEXT
from tests.conftest import ROOT

Run = Callable[..., tuple[int, str, str]]


def test_all_engines_in_turn(run: Run, cfg: Path, tmp_path: Path) -> None:
    plot, found = tmp_path / "speed.png", tmp_path / "speed.json"
    code, out, err = run("bench", cfg, "--size", "96x32", "--batch", 2, "--rounds", 2, "--json", found, "--plot", plot)
    assert (code, err) == (0, "")
    graph = load_graph(Source.read(cfg), width=96, height=32)[0]
    written = json.loads(found.read_text())
    assert written["operations"] == 2 * graph.operations
    assert (written["input"], written["batch"], written["device"]) == ("96x32x3", 2, "cpu")
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


FIGURES = [Figures("b", (0.004, 0.002, 0.008), 1.5, 2**20), Figures("a", (0.001, 0.003, 0.002), 0.25, None)]


def test_the_table(cfg: Path) -> None:
    case = Case(load_graph(Source.read(cfg))[0], 3, "cpu")
    lines = [line.split() for line in table(Measured(case, FIGURES, 1000 * case.operations))]
    speeds = [f"{case.operations * runs / 1e9:.1f}" for runs in (1000, 500)]
    assert lines[1] == ["a", "1.00", "1.00", "2.00", "1.00", speeds[0], "100", "%", "0.25"]
    assert lines[2] == ["b", "2.00", "2.00", "4.00", "2.00", speeds[1], "50", "%", "1.50", "1"]
    assert lines[3][:3] == ["peak:", f"{case.operations / 1e6:.0f}", "GFLOP/s"]
    assert len(lines) == 4


def test_more_than_the_peak_is_explained(cfg: Path) -> None:
    case = Case(load_graph(Source.read(cfg))[0], 1, "cpu")
    lines = [*table(Measured(case, FIGURES, 800 * case.operations))]
    assert "125 %" in lines[1]
    assert lines[-1].startswith("more than 100 % of it: ")
    assert len([*table(Measured(case, FIGURES, 998 * case.operations))]) == 4
    assert len([*table(Measured(case, FIGURES, None))]) == 3


def test_no_speed_where_darknet_counts_no_operations(tmp_path: Path) -> None:
    path = tmp_path / "softmax.cfg"
    path.write_text("[net]\nbatch=1\ninputs=4\n[softmax]\n")
    case = Case(load_graph(Source.read(path))[0], 1, "cpu")
    line = [*table(Measured(case, FIGURES[:1], 1e9))][1]
    assert line.split() == ["b", "2.00", "1.00", "4.00", "1.00", "1.50", "1"]


def test_charts_of_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a$b$_{車.cfg"
    path.write_text(TEXT)
    case = Case(load_graph(Source.read(path))[0], 1, "cpu")
    plot(tmp_path / "x.svg", [Measured(case, FIGURES, None)] * 2)
    assert "</svg>" in (tmp_path / "x.svg").read_text()


def test_several_sizes(run: Run, cfg: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    words = ("bench", cfg, "--engines", "onnxruntime", "--rounds", 1)
    code, out, err = run(*words, "--size", "64", "--batch", 2, "--plot", one)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"saved: {one}"
    code, out, err = run(*words, "--size", "64,96x32", "--batch", 2, "--plot", two, "--json", "-")
    assert (code, err) == (0, f"saved: {two}\n")
    runs = json.loads(out)["runs"]
    assert [(each["input"], each["batch"]) for each in runs] == [("64x64x3", 2), ("96x32x3", 2)]
    assert all([contender["name"] for contender in each["contenders"]] == ["onnxruntime"] for each in runs)
    heights = [int.from_bytes(path.read_bytes()[20:24], "big") for path in (one, two)]
    assert heights[1] == 2 * heights[0]


def test_exported_files(run: Run, cfg: Path, tmp_path: Path) -> None:
    """Beside the engines, and alone; in another size where that is free."""
    detector = load(cfg, engine="")
    one, other, free = (str(tmp_path / name) for name in ("one.onnx", "a-name-longer-than-others.xml", "free.onnx"))
    for path in (one, other, free):
        detector.export(path, dynamic_size=path == free, check=False)
    words = ("--rounds", 1, "--json", "-")
    code, out, err = run("bench", cfg, one, "--engines", "onnxruntime", "--batch", 2, *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [each["name"] for each in found["contenders"]] == ["onnxruntime", one]
    assert (found["cfg"], found["batch"]) == (str(cfg), 2)
    code, out, err = run("bench", one, other, *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [each["name"] for each in found["contenders"]] == [one, other]
    assert (found["cfg"], found["operations"]) == (one, detector.graph.operations)
    code, out, err = run("bench", free, "--size", "64,96x32", "--rounds", 1)
    assert (code, err) == (0, "")
    tables = [part.splitlines() for part in out.split("\n\n")]
    assert [lines[0].partition(" ")[2].partition(",")[0] for lines in tables] == ["64x64x3", "96x32x3"]
    for lines in tables:
        assert lines[2].startswith(free)
        assert len(lines[1]) == len(lines[2])


def test_exported_files_that_do_not_belong_together(run: Run, cfg: Path, tmp_path: Path) -> None:
    path, text = tmp_path / "x.onnx", tmp_path / "other.cfg"
    text.write_text(TEXT.replace("filters=8", "filters=9"))
    load(text, engine="").export(path, check=False)
    code, out, err = run("bench", cfg, path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: `{path}` and `{cfg}` are different networks: ")
    code, out, err = run("bench", path, "--size", "96")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: `{path}` has a width of 64, not 96\n")
    path.write_bytes(b"")
    code, out, err = run("bench", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: `{path}` is no ONNX file that can be run: ")


def test_a_device_that_not_all_engines_have(run: Run, cfg: Path) -> None:
    """PyTorch has a name for the processor that others do not know."""
    code, out, err = run("bench", cfg, "--device", "cpu:0", "--rounds", 1)
    assert (code, err) == (0, "note: left out, for they run on CPUs: openvino, onnxruntime, ncnn\n")
    lines = out.splitlines()
    assert lines[0].endswith(" BFLOPs, cpu:0")
    assert [line.split()[0] for line in lines[2:]] == ["torch", "peak:"]


def test_only_who_was_asked_for_is_at_fault(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "upside.cfg"
    path.write_text(TEXT.replace("activation=leaky", "activation=elu"))  # ncnn has convolutions without it
    said = "warning: `ncnn` cannot run this network: "
    code, out, err = run("bench", path, "--rounds", 1)
    assert code == 0
    assert err.startswith(said)
    assert "onnxruntime" in out
    assert "ncnn" not in out
    code, _, err = run("bench", path, "--rounds", 1, "--engines", "ncnn,onnxruntime")
    assert code == 1
    assert err.startswith(said)


def test_each_layer_has_its_time() -> None:
    detector = load("cspdet-nano")
    times = layer_times(detector.graph, detector.arrays, 1, 2)
    computing = {node.index for node in detector.graph.nodes if node.operations}
    assert computing <= {*times}
    lines = [*layer_table(Case(detector.graph, 1, "cpu"), times)]
    shares = [float(line.split("%")[0].split()[-1]) for line in lines[1:-1]]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))


def test_layers_on_request(run: Run, cfg: Path, tmp_path: Path) -> None:
    found = tmp_path / "layers.json"
    code, out, err = run("bench", cfg, "--layers", "--engines", "torch", "--rounds", 1, "--json", found)
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines()[2:4]] == ["convolutional", "convolutional"]
    written = json.loads(found.read_text())
    assert (written["input"], written["batch"]) == ("64x64x3", 1)
    first, second, *_ = written["layers"]
    assert (first["index"], first["name"], first["output"]) == (0, "convolutional", "32x32x8")
    assert first["operations"] + second["operations"] == written["operations"] == load_graph(Source.read(cfg))[0].operations
    assert written["seconds"] == pytest.approx(sum(each["seconds"] for each in written["layers"]))


def test_layers_of_several_sizes_and_batches(run: Run, cfg: Path) -> None:
    words = ("bench", cfg, "--layers", "--rounds", 1, "--size", "96x32,64", "--batch", "1,3")
    code, out, _ = run(*words, "--json", "-")
    assert code == 0
    runs = json.loads(out)["runs"]
    asked = [(size, batch) for size in ("96x32x3", "64x64x3") for batch in (1, 3)]
    assert [(each["input"], each["batch"]) for each in runs] == asked
    assert runs[1]["layers"][0]["operations"] == 3 * runs[0]["layers"][0]["operations"]
    code, out, _ = run(*words)
    assert [part.splitlines()[0].rpartition(",")[0] for part in out.split("\n\n")] == [
        "small, 96x32x3",
        "small, 96x32x3, 3 images at a time",
        "small, 64x64x3",
        "small, 64x64x3, 3 images at a time",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "error: no network was named\n  help: cspdet bench X.cfg X.weights, or the name of a model\n"),
        (("nope.cfg",), "error: no such file: `nope.cfg`\n  help: check the path\n"),
        (("cspdet-nano", "a.jpg"), "error: `a.jpg` is no cfg, weights file or model\n"),
        (("x.weights",), "error: no network was named\n"),
        (("cspdet-nano", "nope.weights"), "error: no such file: `nope.weights`\n"),
        (("cspdet-nano", "x.names"), "error: `x.names` has nothing to do with how fast a network is\n"),
        (("x.onnx",), "error: no such file: `x.onnx`\n"),
        (("x.onnx", "x.onnx"), "error: `x.onnx` is named twice\n"),
        (("x.onnx", "x.weights"), "error: no network was named\n"),
        (("x.onnx", "--peers"), "error: `--peers` has no effect on exported files alone\n  help: name the cfg and the weights"),
        (("x.onnx", "--engines", "torch"), "error: `--engines` has no effect on exported files alone\n"),
        (("x.onnx", "--set", "a=1"), "error: `--set` has no effect on exported files alone\n"),
        (("x.onnx", "--dialect", "pjreddie"), "error: `--dialect pjreddie` has no effect on exported files alone\n"),
        (("cspdet-nano", "x.onnx", "--layers"), "error: `x.onnx` has no effect with `--layers`"),
        (("cspdet-nano", "x.onnx", "--device", "cuda"), "error: `x.onnx` runs on CPUs, not on `cuda`\n"),
        (("cspdet-nano", "--engines", "torch,x"), "error: there is no engine `x` to measure\n  help: one of: torch, openvino,"),
        (
            ("cspdet-nano", "--engines", "OpenVINO"),
            "error: there is no engine `OpenVINO` to measure\n  help: did you mean `openvino`?",
        ),
        (
            ("cspdet-nano", "--engines", "ncnn", "--device", "cuda"),
            "error: the engine `ncnn` runs on CPUs, not on `cuda`\n  help: what does: torch\n",
        ),
        (("cspdet-nano", "--engines", "auto"), "error: there is no engine `auto` to measure\n"),
        (("cspdet-nano", "--engines", "torch,torch"), "error: argument --engines: `torch` is named twice\n"),
        (("cspdet-nano", "--size", "416,416x416"), "error: argument --size: `416x416` is named twice\n"),
        (
            ("cspdet-nano", "--size", "416,400"),
            "error: the width of 400 is no multiple of the network's stride 32\n  help: use 384",
        ),
        (("cspdet-nano", "--batch", "1,0"), "error: argument --batch: `0` is no number from 1 on\n"),
        (("cspdet-nano", "--peers", "--peer-python", "ls"), "error: `ls` is no Python\n"),
        (("cspdet-nano", "--peers", "--peer-python", "/nowhere/python"), "error: cannot run `/nowhere/python`: no such file"),
        (("cspdet-nano", "--peer-python", "python"), "error: `--peer-python` has no effect without `--peers`\n"),
        (("cspdet-nano", "--layers", "--peers"), "error: `--peers` has no effect with `--layers`"),
        (("cspdet-nano", "--layers", "--plot", "x.png"), "error: `--plot` has no effect with `--layers`"),
        (("cspdet-nano", "--layers", "--engines", "torch,ncnn"), "error: `--engines ncnn` has no effect with `--layers`"),
        (("cspdet-nano", "--layers", "--device", "cpu:0"), "error: `--device cpu:0` has no effect with `--layers`"),
        (("cspdet-nano", "--device", "nope"), "error: the device `nope` cannot be used"),
        (("cspdet-nano", "--device", "cuda", "--peers"), "error: peers run on CPUs, not on `cuda`\n"),
        (("cspdet-nano", "--device", "cuda", "--engines", "ncnn"), "error: the engine `ncnn` runs on CPUs, not on `cuda`\n"),
        (("cspdet-nano", "--json", "x.png", "--plot", "x.png"), "error: `x.png` would be written twice\n"),
        (("cspdet-nano", "--plot", "x.foo"), "error: cannot write `x.foo`: `.foo` is no format of plots\n"),
        (("cspdet-nano", "--json", "/nowhere/x.json"), "error: cannot write `/nowhere/x.json`"),
    ],
)
def test_wrong_calls(run: Run, words: tuple[str, ...], said: str) -> None:
    code, out, err = run("bench", *words)
    assert (code, out) == (2, "")
    assert err.startswith(said)


def test_nothing_that_is_read_is_written(run: Run, cfg: Path) -> None:
    code, _, err = run("bench", cfg, "--json", cfg)
    assert (code, err.splitlines()[0]) == (2, f"error: cannot write `{cfg}`: it is one of the files that are read")
    assert cfg.read_text() == TEXT


def test_weights_of_another_network(run: Run, cfg: Path) -> None:
    code, out, err = run("bench", cfg, ROOT / "weights" / "cspdet-nano.weights")
    assert (code, out) == (1, "")
    assert err.count("error: ") == 1
    assert "does not fit" in err


def test_a_cfg_that_is_wrong(run: Run, cfg: Path) -> None:
    cfg.write_text(TEXT.replace("filters=18", "filters=17"))
    code, out, err = run("bench", cfg, "--size", "64,96")
    assert (code, out) == (1, "")
    assert err.startswith("error[head-filters]: ")


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


def test_help_lists_the_engines_there_are(run: Run) -> None:
    _, out, _ = run("bench", "--help")
    engines = out.split("engines:\n")[1].splitlines()
    assert [line.split()[0] for line in engines] == [*ENGINES]
    assert [line.split(maxsplit=1)[1] for line in engines] == [kind.about for kind in ENGINES.values()]
    for command in ("detect", "map"):
        _, out, _ = run(command, "--help")
        assert f"what runs it: {', '.join(NAMES)}; auto is" in " ".join(out.split())
        assert f"--compile the same as `--engine {COMPILED}`" in " ".join(out.split())
