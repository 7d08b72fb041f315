"""What the commands have in common."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from cspdet import cli
from cspdet.files import temporary


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
