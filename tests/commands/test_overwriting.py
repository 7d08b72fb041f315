"""No command writes over a file that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cspdet.cfg.included import files_of
from cspdet.cfg.source import Source
from tests.evaluate.material import PICTURES, write_set
from tests.test_detector import write_network

Run = Callable[..., tuple[int, str, str]]

WHOLE = "[include]\nfile=head.cfg\n"
PART = "[include]\nfile=deep/size.cfg\n[net]\nwidth=$side\nheight=$side\nchannels=3\n[convolutional]\nfilters=4\nsize=1\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: two networks, one of several files, their weights, links to them, and an annotated set."""
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path)
    write_set(tmp_path / "set", PICTURES)
    Path("deep").mkdir()
    Path("deep/size.cfg").write_text("[define]\nside=8\n")
    Path("head.cfg").write_text(PART)
    # By these names, as some commands ask for the ending of what they write.
    for name in ("whole.cfg", "whole.png"):
        Path(name).write_text(WHOLE)
    Path("whole.weights").write_bytes(bytes([0, 0, 0, 0, 2, *bytes(15)]) + bytes(4 * 16))
    Path("link.weights").symlink_to("whole.weights")
    Path("way").symlink_to("deep")
    np.save("x.npy", np.zeros((1, 3, 8, 8), np.float32))
    return tmp_path


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WEIGHTS = ("whole.cfg", "whole.weights")
COLOURS = ("colours.cfg", "colours.weights")
MAP = ("map", "set/set.data", *COLOURS)


@pytest.mark.parametrize(
    "call",
    [
        ("weights", "cut", *WEIGHTS, "whole.weights", "1"),
        ("weights", "cut", *WEIGHTS, "link.weights", "1"),
        ("weights", "cut", "whole.cfg", "link.weights", "deep/../whole.weights", "1"),
        ("weights", "cut", *WEIGHTS, "whole.cfg", "1"),
        ("weights", "cut", *WEIGHTS, "head.cfg", "1"),
        ("weights", "cut", *WEIGHTS, "way/size.cfg", "1"),
        ("weights", "convert", *WEIGHTS, "whole.weights"),
        ("weights", "convert", *WEIGHTS, "./link.weights"),
        ("expand", "whole.cfg", "-o", "whole.cfg"),
        ("expand", "whole.cfg", "-o", "head.cfg"),
        ("scale", "whole.cfg", "--width", "2", "-o", "way/size.cfg"),
        ("graph", "whole.png", "-o", "whole.png"),
        ("plot", "whole.cfg", "whole.png", "-o", "whole.png"),
        ("trace", *WEIGHTS, "--input", "x.npy", "--out", "x.npy"),
        ("trace", *WEIGHTS, "--input", "x.npy", "--out", "head.cfg"),
        ("bench", *WEIGHTS, "--json", "head.cfg"),
        ("detect", *COLOURS, "set/images/red1.png", "--save", "deep/../set/images/red1.png"),
        ("detect", *COLOURS, "set/images/red1.png", "--csv", "colours.cfg"),
        (*MAP, "--json", "set/labels/red1.txt"),
        (*MAP, "--json", "set/set.names"),
    ],
    ids=" ".join,
)
def test_what_is_read_stays(run: Run, folder: Path, call: tuple[str, ...]) -> None:
    before = everything(folder)
    target = next(word for word in reversed(call) if word != "1")
    code, out, err = run(*call)
    assert (code, out) == (2, "")
    assert err.splitlines()[-2:] == [
        f"error: cannot write `{target}`: it is one of the files that are read",
        "  help: name another place",
    ]
    assert everything(folder) == before


def test_drawn_mistakes_spare_the_pictures(run: Run, folder: Path) -> None:
    """Through a link in their folder, too."""
    assert run(*MAP, "--errors", "1")[0] == 0
    (drawn,) = Path("errors").iterdir()
    drawn.unlink()
    drawn.symlink_to(folder / "set/images/red1.png")
    before = everything(folder)
    code, _, err = run(*MAP, "--errors", "1")
    assert code == 2
    assert f"cannot write `{drawn}`: it is one of the files that are read" in err
    assert everything(folder) == before


def test_the_files_of_a_cfg() -> None:
    assert files_of(Source.read("whole.cfg")) == ["whole.cfg", "head.cfg", "deep/size.cfg"]
    assert files_of(Source.read("colours.cfg")) == ["colours.cfg"]
    # Neither in circles nor into the void.
    Path("deep/size.cfg").write_text("[include]\nfile=../whole.cfg\n[include]\nfile=none.cfg\n")
    assert files_of(Source.read("deep/size.cfg")) == ["deep/size.cfg", "deep/../whole.cfg", "deep/../head.cfg"]
