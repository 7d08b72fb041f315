"""Many JPEGs, which other processes decode."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from cspdet.jpeg import helpers
from cspdet.jpeg.helpers import Helpers
from tests.commands.detect.material import NET, Run, new_files
from tests.conftest import ROOT
from tests.test_detector import picture


@pytest.fixture
def photos(folder: Path) -> list[str]:
    """The pictures of a folder: two cannot be read, and one JPEG is of another kind."""
    (folder / "photos").mkdir()
    for number in range(12):
        cv2.imwrite(f"photos/{number:02}.jpg", picture((number % 4, 1, number % 3)), [cv2.IMWRITE_JPEG_QUALITY, 95])
    data = Path("photos/03.jpg").read_bytes()
    Path("photos/04.jpg").write_bytes(data[:-9] + data[-2:])
    Path("photos/05.jpg").write_bytes(data[:-9])
    cv2.imwrite("photos/06.jpg", picture((1, 2, 0)), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    cv2.imwrite("photos/07.png", picture((1, 2, 0)))
    return sorted(str(path.relative_to(folder)) for path in (folder / "photos").iterdir())


@pytest.mark.parametrize("batch", [1, 5])
def test_the_same_is_found(run: Run, photos: list[str], monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    used: list[Helpers] = []
    enter = Helpers.__enter__
    monkeypatch.setattr(Helpers, "__enter__", lambda each: used.append(enter(each)) or used[-1])
    found: list[Any] = []
    for least in (2**40, 1):
        monkeypatch.setattr(helpers, "_WORTHWHILE", least)
        code, out, err = run("detect", *NET, "photos", "--out", "x.json", "--save", "out", "--batch", batch)
        lines = [line for line in out.splitlines() if "milli-seconds" not in line]
        written = {path.name: path.read_bytes() for path in Path("out").iterdir()}
        found.append((code, lines, err, written, Path("x.json").read_text()))
    assert found[0] == found[1]
    assert found[0][0] == 1
    errors = [line.split("`")[1] for line in found[0][2].splitlines() if line.startswith("error: ")]
    assert errors == ["photos/04.jpg", "photos/05.jpg"]
    assert len(found[0][3]) == len(photos) - len(errors)
    without, with_helpers = used
    assert not without.processes
    assert len(with_helpers.processes) >= 2
    assert all(each.poll() is not None for each in with_helpers.processes)


def children(process: int) -> list[int]:
    """Its child processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything.
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(path.parent.name))
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists() or len(os.sched_getaffinity(0)) < 2, reason="needs Linux, 2 cores")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_helpers_end_with_the_command(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C reaches all processes of the terminal; a kill only the one."""
    cv2.imwrite("big.jpg", picture((1, 2, 0)))
    with Path("big.jpg").open("ab") as file:
        file.write(bytes(2**17))
    Path("list.txt").write_text("big.jpg\n" * 3000)
    command = [sys.executable, "-m", "cspdet", "detect", *NET, "list.txt", "--no-save"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = children(process.pid)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
    assert len(started) >= 2
    assert (process.returncode, err) == ((130, "interrupted\n") if number == signal.SIGINT else (-number, ""))
    until = time.monotonic() + 10
    while any(map(alive, started)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(alive, started))
    assert new_files(folder) == {"big.jpg", "list.txt"}
