"""Processes that are measured: what they are told and say, what becomes of those that fail, and who is a peer."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cspdet.bench.contender import Contender, engine, engines, environment, opencv_version, peers, subject
from cspdet.bench.measure import measure
from cspdet.cfg.source import Source
from cspdet.cli import main
from cspdet.engines import ENGINES
from cspdet.errors import UsageError, WeightsError
from cspdet.loading import load
from cspdet.rules import load as load_graph
from tests.bench.conftest import TEXT
from tests.conftest import ROOT


def program(folder: Path, name: str, code: str) -> Path:
    """An executable of that name, which this Python runs."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def serving(name: str, run: str, before: str = "") -> Contender:
    """A contender that calls this expression."""
    code = f"import time\n{before}\nfrom cspdet.bench.protocol import serve\nserve(lambda: {run}, 0, 0)"
    return Contender(name, (sys.executable, "-c", code))


def test_who_cannot_run_is_named() -> None:
    silent = Contender("silent", (sys.executable, "-c", "pass"))
    broken = Contender("broken", (sys.executable, "-c", "raise SystemExit('no such layer')"))
    late = Contender("late", (sys.executable, "-c", 'print(\'{"first": 1, "loading": 1}\')'))
    killed = Contender("killed", (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    figures, failures = measure([silent, serving("good", "0"), broken, late, killed], 2)
    assert [each.name for each in figures] == ["good"]
    assert [each.reason for each in failures] == [
        "it said nothing",
        "no such layer",
        "it said nothing",
        "it was ended by SIGKILL: is there enough memory?",
    ]
    assert str(failures[1]) == "`broken` cannot run this network: no such layer"
    assert not any(each.limit for each in failures)


def test_who_fails_in_the_middle_does_not_end_the_others() -> None:
    fails = serving("fails", "left.pop()", "left = [*range(60)]")
    (good,), (failure,) = measure([fails, serving("good", "0")], 3)
    assert (good.name, len(good.times)) == ("good", 3 * 50)
    assert (failure.name, failure.reason) == ("fails", "IndexError: pop from empty list")


def test_what_libraries_print_disturbs_nobody() -> None:
    """More of it than a pipe holds, also without an end of the line."""
    noise = "import sys\nsys.stderr.write('x' * 2**17)\nsys.stdout.write('[1]\\n{no JSON}\\n' + 'y' * 2**17)"
    (figures,), failures = measure([serving("loud", "0", noise)], 1)
    assert not failures
    assert figures.times


def test_memory_is_that_of_the_process_itself() -> None:
    """Not that of us, who start it, nor that of the other contenders."""
    ours = np.ones(2**25)
    large = serving("large", "len(mine)", "mine = bytes(range(256)) * 2**19")
    (large_figures, small), _ = measure([large, serving("small", "0")], 1)
    assert small.memory is not None
    assert large_figures.memory is not None
    assert 2**20 < small.memory < 2**26 < 2**27 < large_figures.memory < ours.nbytes


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no groups of processes")
def test_nobody_is_left_behind(tmp_path: Path) -> None:
    """Not when a round is interrupted, and not what a contender has started itself."""
    note = tmp_path / "numbers"
    before = (
        "import os, subprocess\nfrom pathlib import Path\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"Path({str(note)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')"
    )

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([serving("parent", "0", before)], 1, interrupt)
    numbers = [int(number) for number in note.read_text().split()]
    assert len(numbers) == 2
    for number in numbers:
        assert gone(number)


def gone(number: int) -> bool:
    """Whether a process ends within seconds; who waits for those that lost their parent may take a moment."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
            os.kill(number, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_an_engine_that_takes_no_such_network_is_not_replaced(tmp_path: Path) -> None:
    """`load` would hand it over to PyTorch."""
    path = tmp_path / "heads.cfg"
    layers = "[convolutional]\nfilters=18\nsize=1\n[yolo]\nmask=0,1,2\nanchors=1,1,2,2,3,3\nnum=3\nclasses=1\n" * 2
    path.write_text(f"[net]\nwidth=32\nheight=32\nchannels=3\n{layers}")
    graph = load_graph(Source.read(path))[0]
    with subject(graph, None, "cpu") as what:
        (torch,), (failure,) = measure([engine("ncnn", what), engine("torch", what)], 1)
    assert torch.name == "torch"
    assert (failure.name, failure.limit) == ("ncnn", True)
    assert failure.reason.startswith("ncnn does not run what layer 1 computes")


def test_weights_of_any_kind(cfg: Path, tmp_path: Path) -> None:
    """Peers read Darknet's own alone, and of the whole network."""
    graph = load_graph(Source.read(cfg))[0]
    whole, first, tensors = (str(tmp_path / name) for name in ("w.weights", "w.conv.1", "w.safetensors"))
    detector = load(cfg)
    detector.save_weights(whole)
    detector.save_weights(first, cutoff=1)
    assert main(["weights", "convert", str(cfg), whole, tensors]) == 0
    with subject(graph, whole, "cpu") as what:
        assert what.weights == whole
    with subject(graph, tensors, "cpu") as what:
        assert Path(what.weights).read_bytes() == Path(whole).read_bytes()
    with subject(graph, first, "cpu") as what:
        assert Path(what.weights).stat().st_size == Path(whole).stat().st_size
        assert Path(what.weights).read_bytes()[20:].startswith(Path(first).read_bytes()[20:])
    with pytest.raises(WeightsError), subject(graph, str(ROOT / "weights" / "cspdet-nano.weights"), "cpu"):
        pass


def python_with(folder: Path, name: str, path: str) -> str:
    """A Python of that name which looks for packages there first, and not where ours are."""
    script = folder / name
    script.write_text(f"#!/bin/sh\nPYTHONPATH='{path}' exec '{sys.executable}' -S \"$@\"\n")
    script.chmod(0o755)
    return str(script)


def test_the_version_of_another_pythons_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cv2.py").write_text("print('hello')\n__version__ = '4.9.0'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert opencv_version(sys.executable) == "4.9.0"
    assert opencv_version(python_with(tmp_path, "bare", "")) == ""
    other = tmp_path / "other-python"
    other.symlink_to(sys.executable)
    assert environment(str(other)).get("PYTHONPATH") is None
    assert environment(sys.executable)["PYTHONPATH"] == str(tmp_path)
    with pytest.raises(UsageError, match="cannot run `/nowhere/python`: no such file"):
        opencv_version("/nowhere/python")
    for foreign in ("ls", "true"):
        with pytest.raises(UsageError, match=f"`{foreign}` is no Python"):
            opencv_version(foreign)


def test_peers_that_are_not_there(cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    graph = load_graph(Source.read(cfg))[0]
    with subject(graph, None, "cpu") as what:
        first, second = peers(what, "python", "")
        assert str(first).startswith("OpenCV 4, the last with a Darknet importer, is not there: `python` has no OpenCV")
        assert second == "there is no `darknet` on the PATH"
        assert "has OpenCV 5.0.0" in str(next(peers(what, "python", "5.0.0")))
        found = next(peers(what, "other", "4.14.0"))
        assert isinstance(found, Contender)
        assert (found.name, found.command[0]) == ("opencv 4.14.0", "other")


def test_a_darknet_binary(cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that reads what Darknet reads, and prints as Darknet does. Its memory counts, not that of who asks it."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "assert sys.argv[1:3] == ['detector', 'test'] and sys.argv[-1] == '-dont_show', sys.argv\n"
        "assert 'classes=1' in Path(sys.argv[3]).read_text() and 'width=96' in Path(sys.argv[4]).read_text()\n"
        "assert Path(sys.argv[5]).stat().st_size > 100\n"
        "mine = bytes(range(256)) * 2**18\n"
        "sys.stdout.write('Enter Image Path: '); sys.stdout.flush()\n"
        "for line in sys.stdin:\n"
        "    assert Path(line.strip()).read_bytes().startswith(b'P6 96 32 255')\n"
        "    sys.stdout.write(f'{line.strip()}: Predicted in 12.500000 milli-seconds.\\nEnter Image Path: ')\n"
        "    sys.stdout.flush()\n"
    )
    program(tmp_path, "darknet", code)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    graph = load_graph(Source.read(cfg), width=96, height=32)[0]
    with subject(graph, None, "cpu") as what:
        (peer,) = [each for each in peers(what, "python", "") if isinstance(each, Contender)]
        (figures,), failures = measure([peer], 2)
    assert not failures
    assert {*figures.times} == {0.0125}
    assert figures.memory is None if sys.platform != "linux" else (figures.memory or 0) > 2**26


def test_networks_that_darknet_cannot_read_have_no_peers(tmp_path: Path) -> None:
    path = tmp_path / "own.cfg"
    path.write_text(TEXT.replace("size=3", "size_x=3\nsize_y=1"))
    graph = load_graph(Source.read(path))[0]
    with subject(graph, None, "cpu") as what:
        assert [*peers(what, "python", "4.14.0")] == ["there are no peers: no Darknet reads this network"]


def test_variables_reach_the_processes(tmp_path: Path) -> None:
    path = tmp_path / "variable.cfg"
    path.write_text("[define]\nwidth=1\n" + TEXT.replace("filters=8", "filters=$(8*width)"))
    graph = load_graph(Source.read(path).set({"width": "2"}))[0]
    with subject(graph, None, "cpu") as what:
        figures, failures = measure([engine("onnxruntime", what)], 1)
    assert not failures
    assert figures


def test_engines_that_run_on_the_device() -> None:
    assert engines((), "cpu") == ([*ENGINES], [])
    assert engines((), "cuda") == (["torch"], ["openvino", "onnxruntime", "ncnn"])
    assert engines(("ncnn", "torch"), "cpu") == (["ncnn", "torch"], [])
