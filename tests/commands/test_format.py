"""`cspdet format`: what it writes, what it only says, and what it leaves alone."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

LOOSE = "[net]\nwidth = 32 \n[dropout]\n"
TIDY = "[net]\nwidth=32\n\n[dropout]\n"


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_in_place(run: Run, write: Write) -> None:
    loose, tidy = write("a.cfg", LOOSE), write("b.cfg", TIDY)
    loose.chmod(0o640)
    before = tidy.stat()
    assert run("format", loose, tidy) == (0, f"{loose}: changed\n", "1 file changed\n")
    assert loose.read_text() == TIDY
    assert loose.stat().st_mode & 0o777 == 0o640
    assert (tidy.stat().st_ino, tidy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert run("format", loose, tidy) == (0, "", "0 files changed\n")
    assert sorted(each.name for each in loose.parent.iterdir()) == ["a.cfg", "b.cfg"]


def test_check(run: Run, write: Write) -> None:
    loose, tidy = write("a.cfg", LOOSE), write("b.cfg", TIDY)
    assert run("format", "--check", tidy) == (0, "", "0 files would change\n")
    assert run("format", "--check", loose, tidy) == (1, f"{loose}: would change\n", "1 file would change\n")
    assert loose.read_text() == LOOSE


def test_diff(run: Run, write: Write) -> None:
    path = write("a.cfg", LOOSE + "# the end")
    code, out, _ = run("format", "--diff", path)
    assert code == 1
    assert out.splitlines() == [
        f"--- {path}",
        f"+++ {path}",
        "@@ -1,4 +1,5 @@",
        " [net]",
        "-width = 32 ",
        "+width=32",
        "+",
        " [dropout]",
        "-# the end",
        "\\ No newline at end of file",
        "+# the end",
    ]
    assert path.read_text() == LOOSE + "# the end"


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, LOOSE.encode())
    assert run("format", "-") == (0, TIDY, "")
    give(monkeypatch, TIDY.encode())
    assert run("format", "-") == (0, TIDY, "")
    give(monkeypatch, LOOSE.encode())
    assert run("format", "--check", "-") == (1, "<stdin>: would change\n", "1 file would change\n")


def test_bytes_that_are_not_utf_8(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_bytes(b"[net]\r\n# caf\xe9 \r\nwidth = 1\r\n")
    assert run("format", path)[0] == 0
    assert path.read_bytes() == b"[net]\r\n# caf\xe9\r\nwidth=1\r\n"


def test_what_cannot_be_formatted(run: Run, write: Write, tmp_path: Path) -> None:
    loose, binary = write("a.cfg", LOOSE), write("b.cfg", "[net]\n\0")
    code, out, err = run("format", binary, tmp_path / "missing.cfg", loose)
    assert (code, out) == (2, f"{loose}: changed\n")
    assert f"error: {binary}:2:1: the file holds zero bytes, so it is not cfg text" in err
    assert "error: no such file: " in err
    assert run("format", binary)[0] == 1
    assert binary.read_text() == "[net]\n\0"
    code, _, err = run("format", "yolov4-tiny")
    assert code == 2
    assert "`yolov4-tiny` is a model of cspdet's, which stays as it is" in err
    assert run("format")[0] == 2


def test_a_link_stays_a_link(run: Run, write: Write, tmp_path: Path) -> None:
    path = write("a.cfg", LOOSE)
    link = tmp_path / "link.cfg"
    link.symlink_to(path)
    assert run("format", link)[0] == 0
    assert link.is_symlink()
    assert path.read_text() == TIDY
