"""The progress bar stands on standard error, and leaves standard output alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
from cspdet.commands.progress import progress
with progress(3, "counting") as advance:
    for number in range(3):
        print("line", number)
        advance(1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
def test_what_is_printed_beside_a_bar_goes_into_its_file(tmp_path: Path) -> None:
    """Standard error is a terminal, standard output a file."""
    ours, theirs = os.openpty()
    with (tmp_path / "out.txt").open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", CODE], stdout=out, stderr=theirs)
        os.close(theirs)
        drawn = b""
        try:
            while part := os.read(ours, 4096):
                drawn += part
        except OSError:  # Linux says so where nobody holds the other end any more
            pass
        assert process.wait() == 0
    os.close(ours)
    assert (tmp_path / "out.txt").read_text() == "line 0\nline 1\nline 2\n"
    assert b"counting" in drawn
