"""What the commands have in common."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet import cli
from cspdet.files import temporary
from tests.conftest import ROOT


def test_a_polite_kill_leaves_no_half_written_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work(*_: object) -> int:
        with temporary(tmp_path / "a.txt") as file:
            file.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        return 0

    monkeypatch.setattr(cli, "_run", work)
    assert cli.main(["check"]) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("pause", "cleaned"), [(0.0, True), (0.6, False)], ids=["at once", "later"])
def test_two_interruptions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pause: float, *, cleaned: bool
) -> None:
    """At once, as `timeout` sends them, they are one; who presses Ctrl-C again later means it."""
    before, done = signal.getsignal(signal.SIGINT), []

    def work(*_: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            time.sleep(pause)
            signal.raise_signal(signal.SIGINT)
            done.append("cleaned up")
        return 0

    monkeypatch.setattr(cli, "_run", work)
    assert cli.main(["check"]) == 130
    assert bool(done) is cleaned
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
@pytest.mark.parametrize(
    "words",
    [("--help",), ("--version",), ("map", "--help"), ("weights", "cut", "-h"), ("layers",), ("expand", "cspdet-nano")],
    ids=" ".join,
)
def test_output_that_cannot_be_written(words: tuple[str, ...], unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        call = [sys.executable, "-m", "cspdet", *words]
        found = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert found.stderr == "error: cannot write to standard output: no space left on device\n"
    assert found.returncode == 2


def test_other_errors_of_the_system_are_not_those_of_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "_run", work)
    assert cli.main(["check"]) == 1
    assert capsys.readouterr().err == "error: no space left on device\n"


@pytest.mark.parametrize(
    ("words", "message", "cure"),
    [
        (("weights", "cut", "x"), "the following arguments are required: IN, OUT, LAYERS", "see `cspdet weights cut --help`"),
        (("weights", "cut", "x", "y", "z", "-3"), "argument LAYERS: `-3`", "see `cspdet weights cut --help`"),
        (("weights", "info", "x", "--jsn"), "unrecognized arguments: --jsn", "did you mean `--json`?"),
        (("weights", "info", "x", "--zzzz"), "unrecognized arguments: --zzzz", "see `cspdet weights info --help`"),
        (("weights", "cat"), "invalid choice: 'cat'", "see `cspdet weights --help`"),
        (("data", "check"), "the following arguments are required", "see `cspdet data check --help`"),
        (("edit", "x.cfg", "insert"), "the following arguments are required", "see `cspdet edit X.cfg insert --help`"),
        (("edit", "x.cfg"), "the following arguments are required", "see `cspdet edit --help`"),
        (("summary", "x.cfg", "--zzzz"), "unrecognized arguments: --zzzz", "see `cspdet summary --help`"),
    ],
)
def test_errors_point_to_the_help_that_shows_the_arguments(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], message: str, cure: str
) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert f"  help: {cure}" in err
    if cure.startswith("see `cspdet "):
        called = cure.split("`")[1].split()[1:]
        code, out, _ = run(*called)
        assert code == 0
        assert out.startswith("usage: " + cure.split("`")[1].removesuffix(" --help"))
