"""Calls of the detect command that cannot work."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands.detect.material import NET, Run, new_files
from tests.conftest import ROOT

ERRORS: list[tuple[str, int, str]] = [
    ("colours.cfg colours.weights", 2, "there is nothing to look at"),
    ("colours.cfg colours.weights none.png", 2, "no such file: `none.png`"),
    ("colours.cfg colours.weights nowhere", 2, "no such file: `nowhere`"),
    ("colours.cfg colours.weights void", 2, "there is no image in `void`"),
    ("colours.cfg colours.weights *.gif", 2, "no image or video matches `*.gif`"),
    ("colours.cfg colours.weights empty.png", 1, "`empty.png` is empty"),
    ("colours.cfg colours.weights text.jpg", 1, "`text.jpg` is not an image"),
    ("colours.cfg colours.weights text.avi", 1, "`text.avi` is not a video"),
    ("colours.cfg colours.weights ftp://host/x.png", 2, "`ftp://host/x.png` is no address that can be opened"),
    ("colours.cfg colours.weights http://127.0.0.1:1/x.png", 2, "cannot fetch `http://127.0.0.1:1/x.png`"),
    ("colours.cfg colours.weights 99", 2, "there is no camera 99"),
    ("colours.cfg colours.weights -c 99", 2, "there is no camera 99"),
    ("colours.cfg colours.weights 0 two.png", 2, "`0` has no end"),
    ("colours.cfg two.png", 2, "a cfg without weights: `colours.cfg`"),
    ("colours.weights two.png", 2, "weights without a cfg: `colours.weights`"),
    ("colours.cfg other.cfg colours.weights two.png", 2, "two cfg files: `colours.cfg` and `other.cfg`"),
    ("colours.cfg colours.weights other.weights two.png", 2, "two weights files: `colours.weights` and `other.weights`"),
    ("colours.cfg none.weights two.png", 2, "no such file: `none.weights`"),
    ("none.cfg colours.weights two.png", 2, "no such file: `none.cfg`"),
    ("--model none colours.weights two.png", 2, "`none` is neither a file nor the name of a model"),
    ("--model yolov7-tiny two.png", 2, "there are no weights for `yolov7-tiny`"),
    ("--model csdarknet53 two.png", 2, f"`{ROOT / 'cfg' / 'csp' / 'csdarknet53.cfg'}` has no detection head"),
    ("--model yolov4-tiny colours.cfg colours.weights two.png", 2, "both a model, `yolov4-tiny`, and a cfg file"),
    ("--model yolov4-tiny colours.weights two.png", 1, "`colours.weights` does not fit"),
    ("colours.cfg short.weights two.png", 1, "`short.weights` does not fit"),
    ("colours.cfg empty.weights two.png", 1, "`empty.weights` is empty"),
    ("colours.cfg text.weights two.png", 1, "`text.weights` is not a weights file"),
    ("colours.cfg zip.weights two.png", 1, "`zip.weights` is not a weights file"),
    ("broken.cfg colours.weights two.png", 1, "broken.cfg:"),
    ("headless.cfg colours.weights two.png", 2, "`headless.cfg` has no detection head"),
    ("longer.cfg colours.weights two.png", 2, "`colours.weights` is a backbone"),
    ("none.data colours.cfg colours.weights two.png", 2, "no such file: `none.data`"),
    ("nameless.data colours.cfg colours.weights two.png", 2, "`nameless.data` has no `names=`"),
    ("lost.data colours.cfg colours.weights two.png", 2, "`lost.data` points to `lost.names`, which is not there"),
    ("colours.cfg colours.weights two.png --names none.names", 2, "no such file: `none.names`"),
    ("colours.cfg colours.weights two.png --names two.names", 2, "`two.names` has 2 names, the network 3 classes"),
    ("colours.cfg colours.weights two.png --names void", 2, "`void` is a directory, not a list of class names"),
    ("colours.cfg colours.weights two.png --names zip.weights", 2, "`zip.weights` is not text"),
    ("colours.cfg colours.weights two.png --device gpu", 2, "the device `gpu` cannot be used"),
    ("colours.cfg colours.weights two.png --no-save --save x.png", 2, "both `--no-save` and `--save x.png`"),
    ("colours.cfg colours.weights two.png --batch 0", 2, "argument --batch: `0` is no number from 1 on"),
]


@pytest.mark.parametrize(("words", "expected", "message"), ERRORS, ids=[words for words, _, _ in ERRORS])
def test_errors(run: Run, folder: Path, words: str, expected: int, message: str) -> None:
    made: dict[str, Any] = {
        "empty.png": b"",
        "text.jpg": b"text",
        "text.avi": b"text",
        "other.cfg": (folder / NET[0]).read_bytes(),
        "other.weights": (folder / NET[1]).read_bytes(),
        "short.weights": (folder / NET[1]).read_bytes()[:-4],
        "empty.weights": b"",
        "text.weights": b"Not Found",
        "zip.weights": b"PK\x03\x04" + bytes(100),
        "broken.cfg": b"[net]\nwidth=64\nheight=64\nchannels=3\n[konvolutional]\n",
        "headless.cfg": (folder / NET[0]).read_bytes().split(b"[yolo]")[0],
        "longer.cfg": (folder / NET[0]).read_bytes().replace(b"[yolo]", b"[convolutional]\nfilters=8\n[yolo]"),
        "nameless.data": b"classes=3\n",
        "lost.data": b"names=lost.names\n",
        "two.names": b"a\nb\n",
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    (folder / "void").mkdir()
    code, out, err = run("detect", *words.split())
    assert (code, out) == (expected, "")
    lines = [line for line in err.splitlines() if not line.startswith(("warning: ", "  help: "))]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {message}")
    assert new_files(folder) == {*made}


@pytest.mark.parametrize(
    "words",
    [
        ["--thresh", "2"],
        ["--thresh", "x"],
        ["--nms", "-1"],
        ["--like", "x"],
        ["--dialect", "x"],
        ["--nosuch"],
        ["--batch", "x"],
        ["-c", "-1"],
        ["--width", "0"],
        ["--width", "-32"],
        ["--classes", "3"],
        ["--classes", "99"],
    ],
    ids=" ".join,
)
def test_arguments_that_are_wrong(run: Run, folder: Path, words: list[str]) -> None:
    code, out, err = run("detect", *NET, "two.png", *words)
    assert (code, out) == (2, "")
    first, *rest = err.splitlines()
    assert first.startswith("error: ")
    assert words[0].lstrip("-") in first or words[1] in first
    assert "_" not in first
    assert all(line.startswith("  help: ") for line in rest)
    assert new_files(folder) == set()


def test_a_class_number_of_thousands_of_digits(run: Run) -> None:
    """Python refuses to convert them."""
    code, out, err = run("detect", *NET, "two.png", "--classes", "9" * 5000)
    assert (code, out) == (2, "")
    assert err.startswith("error: there is no class 9999")
    assert len(err) < 200


@pytest.mark.parametrize("option", ["--out", "--coco", "--csv"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere/x", "cannot write `nowhere/x`: no such file or directory"),
        ("void", "cannot write `void`: it is a directory"),
        ("two.png/x", "cannot write `two.png/x`: not a directory"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    run: Run, folder: Path, option: str, target: str, message: str
) -> None:
    (folder / "void").mkdir()
    code, out, err = run("detect", *NET, "two.png", "blue.png", option, target)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}\n")
    assert new_files(folder) == set()


@pytest.mark.parametrize("words", [["--labels", "two.png"], ["--save", "blue.png/x"]], ids=" ".join)
def test_folders_that_cannot_be_made_are_refused_before_the_work(run: Run, folder: Path, words: list[str]) -> None:
    code, out, err = run("detect", *NET, "two.png", "blue.png", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: cannot write `{words[1]}")
    assert ": not a directory\n" in err
    assert new_files(folder) == set()


@pytest.mark.parametrize("target", ["nowhere/x.png", "x.xyz"])
def test_an_image_that_cannot_be_saved(run: Run, folder: Path, target: str) -> None:
    """That is said before the work."""
    code, out, err = run("detect", *NET, "two.png", "--save", target)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: cannot write `{target}`: ")
    assert new_files(folder) == set()


def test_help(run: Run) -> None:
    code, out, _ = run("detect", "--help")
    assert code == 0
    for word in ("--thresh", "-thresh", "-ext_output", "--labels", "--like", "yolov4"):
        assert word in out


# -- what is read ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "two.png --save .",
        "two.png --save two.png",
        ". --save .",
        "two.png --out two.png",
        "two.png --csv colours.weights",
        "two.txt --labels .",
        "two.txt --save-labels",
        "two.png --out x --csv x",
        "two.png two.png --save-labels",
    ],
)
def test_what_is_read_is_never_overwritten(run: Run, folder: Path, words: str) -> None:
    (folder / "two.txt").write_text("two.png")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, err = run("detect", *NET, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: cannot write `")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


# -- surroundings -----------------------------------------------------------------------------------------------------


def test_nothing_is_shown_without_a_display(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV would end the process."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    code, out, err = run("detect", *NET, "two.png", "--show")
    assert (code, out) == (2, "")
    assert err.startswith("error: there is no display")
    assert new_files(folder) == set()


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("--tresh .3", "did you mean `--thresh`?"),
        ("--dont_show", "did you mean `-dont_show`?"),
        ("-conf .3", ""),
        ("--weights x.weights", "without an option"),
        ("--source=x.jpg", "without an option"),
    ],
)
def test_misspelt_options(run: Run, words: str, cure: str) -> None:
    code, _, err = run("detect", *NET, "two.png", *words.split())
    assert code == 2
    assert cure in err
    assert words.split()[0] in err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_that_are_closed(folder: Path, closed: str) -> None:
    for words in (f"detect {NET[0]} {NET[1]} two.png --no-save", f"check {NET[0]}", f"detect {NET[0]} {NET[1]} -"):
        command = f"{shlex.quote(sys.executable)} -m cspdet {words} {closed}"
        found = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode in (0, 2)
        assert "Traceback" not in found.stderr
