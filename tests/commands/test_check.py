"""`cspdet check`: what it prints, where, and what it says to a script."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PJREDDIES, ROOT, SHIPPED

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

CLEAN = "[net]\nwidth=32\nheight=32\nchannels=3\n[dropout]\n[convolutional]\nfilters=4\nactivation=linear\n"
NOTED = CLEAN + "batch_normalize=1\n"
WARNED = CLEAN + "fliters=8\n"
WRONG = CLEAN + "size=0\n"


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("text", "code", "verdict"),
    [
        (CLEAN, 0, "no problems; 2 layers, 0.000 BFLOPs, 16 parameters"),
        (NOTED, 0, "no problems; 2 layers, 0.000 BFLOPs, 28 parameters (1 note: --notes)"),
        (WARNED, 1, "1 warning; 2 layers, 0.000 BFLOPs, 16 parameters"),
        (WRONG, 1, "1 error"),
        (WRONG + "fliters=8\n[foo]\n", 1, "2 errors, 1 warning"),
        ("", 1, "1 error"),
    ],
    ids=["clean", "note", "warning", "error", "several", "empty"],
)
def test_exit_code_and_verdict(run: Run, write: Write, text: str, code: int, verdict: str) -> None:
    path = write("net.cfg", text)
    found, out, err = run("check", path)
    assert (found, err) == (code, "")
    assert out.splitlines()[-1] == f"{path}: {verdict}"


def test_what_is_printed(run: Run, write: Write) -> None:
    path = write("net.cfg", WARNED)
    code, out, err = run("check", path)
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "warning[unknown-option]: `[convolutional]` has no option `fliters`",
        f" --> {path}:9:1",
        "  |",
        "9 | fliters=8",
        "  | ^^^^^^^ AlexeyAB's Darknet ignores it",
        "  |",
        "  = help: did you mean `filters`?",
        "",
        f"{path}: 1 warning; 2 layers, 0.000 BFLOPs, 16 parameters",
    ]


def test_notes_are_shown_when_asked_for(run: Run, write: Write) -> None:
    path = write("net.cfg", NOTED)
    assert "batch-norm-epsilon" not in run("check", path)[1]
    code, out, _ = run("check", "--notes", path)
    assert code == 0
    assert "note[batch-norm-epsilon]" in out
    assert out.splitlines()[-1].endswith(": 1 note; 2 layers, 0.000 BFLOPs, 28 parameters")


@pytest.mark.parametrize(
    ("repeats", "lines"),
    [
        (2, "line 12"),
        (3, "lines 12, 14"),
        (9, "lines 12, 14, 16, 18, 20, 22, 24, 26"),
        (12, "lines 12, 14, 16, 18, 20, 22, 24, 26, …"),
    ],
)
def test_what_repeats_is_shown_once(run: Run, write: Write, repeats: int, lines: str) -> None:
    path = write("net.cfg", CLEAN + "[dropout]\nfoo=1\n" * repeats + "[dropout]\nbar=1\n")
    _, out, _ = run("check", path)
    shown = out.splitlines()
    assert [line for line in shown if line.startswith("warning")] == [
        "warning[unknown-option]: `[dropout]` has no option `foo`",
        "warning[unknown-option]: `[dropout]` has no option `bar`",
    ]
    assert shown.index(f"   … and {repeats - 1} more like it, in {lines}") < shown.index(f"  --> {path}:{10 + 2 * repeats}:1")
    assert f"{repeats + 1} warnings;" in shown[-1]


def test_what_stands_in_a_block_is_named_once(run: Run, write: Write) -> None:
    net = "[net]\nwidth=32\nheight=32\nchannels=3\n"
    path = write("X.cfg", f"[block]\nname=b\n[convolutional]\nfiltres=2\n[end]\n{net}" + 4 * "[b]\n")
    shown = run("check", path)[1]
    assert "   … and 3 more like it, in line 4\n" in shown


def test_json(run: Run, write: Write) -> None:
    paths = [write("a.cfg", WRONG), write("b.cfg", NOTED), write("c.cfg", WARNED), write("d.cfg", CLEAN)]
    code, out, err = run("check", "--json", *paths)
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert {name: found[name] for name in ("errors", "warnings", "notes")} == {"errors": 1, "warnings": 1, "notes": 1}
    assert [(each["code"], each["severity"], each["file"], each["line"], each["column"]) for each in found["diagnostics"]] == [
        ("out-of-range", "error", str(paths[0]), 9, 6),
        ("batch-norm-epsilon", "note", str(paths[1]), 9, 17),
        ("unknown-option", "warning", str(paths[2]), 9, 1),
    ]
    assert {type(value) for each in found["diagnostics"] for value in each.values()} == {str, int, list}


def test_json_of_nothing_wrong(run: Run, write: Write) -> None:
    code, out, _ = run("check", "--json", write("net.cfg", CLEAN))
    assert code == 0
    assert json.loads(out) == {"diagnostics": [], "errors": 0, "warnings": 0, "notes": 0}


def test_a_missing_file_does_not_keep_the_others_from_being_checked(run: Run, write: Write, tmp_path: Path) -> None:
    good, bad, missing = write("good.cfg", CLEAN), write("bad.cfg", WRONG), tmp_path / "missing.cfg"
    code, out, err = run("check", good, missing, bad)
    assert code == 2
    assert err.startswith(f"error: no such file: `{missing}`\n  help: ")
    assert f"{good}: no problems" in out
    assert f"{bad}: 1 error" in out
    code, out, err = run("check", "--json", missing, bad)
    assert code == 2
    assert json.loads(out)["errors"] == 1
    assert str(missing) in err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is neither a file nor the name of a model"),
        (".", "is a directory, not a cfg file"),
        ("yolov4-tny", "did you mean `yolov4-tiny`?"),
        ("zzz", "is neither a file nor the name of a model"),
        ("z" * 5000, "is neither a file nor the name of a model"),
        ("missing.cfg", "no such file: `missing.cfg`"),
    ],
)
def test_what_is_no_cfg(run: Run, name: str, words: str) -> None:
    code, out, err = run("check", name)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("words", [[], ["--dialect", "yolov5", "net.cfg"], ["--nonsense", "net.cfg"]])
def test_a_call_that_is_wrong(run: Run, words: list[str]) -> None:
    code, out, err = run("check", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    cure = "did you mean `--notes`?" if "--nonsense" in words else "see `cspdet check --help`"
    assert err.splitlines()[1:] == [f"  help: {cure}"]


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, WARNED.encode())
    code, out, _ = run("check", "-")
    assert code == 1
    assert " --> <stdin>:9:1\n" in out
    assert out.splitlines()[-1].startswith("<stdin>: 1 warning")
    give(monkeypatch, b"\xef\xbb\xbf" + CLEAN.replace("\n", "\r\n").encode())
    code, out, _ = run("check", "-", "--json")
    assert code == 1
    assert [each["code"] for each in json.loads(out)["diagnostics"]] == ["byte-order-mark"]


@pytest.mark.parametrize(
    ("dialect", "code", "words"),
    [
        ("alexeyab", 1, "AlexeyAB's Darknet reads 4 and ignores this one"),
        ("pjreddie", 1, "pjreddie's Darknet reads 4 and ignores this one"),
        ("pytorch", 1, "reads 8 and ignores this one"),
        ("hank-ai", 1, "error[duplicate-option]"),
    ],
)
def test_dialects(run: Run, write: Write, dialect: str, code: int, words: str) -> None:
    found, out, _ = run("check", "--dialect", dialect, write("net.cfg", CLEAN + "filters=8\n"))
    assert found == code
    assert words in out


def test_files_that_are_something_else(run: Run, tmp_path: Path) -> None:
    contents = {
        "picture.jpg": bytes(range(256)) * 40,
        "net.weights": bytes(20) + b"\0\0\x80\x3f" * 1000,
        "page.html": b"<html>\n<body>\nnot found\n</body>\n</html>\n",
        "train.log": b"1: 0.5, 0.5 avg loss, 0.001 rate\n" * 2000,
        "words.txt": "größe\n".encode("latin-1") * 10,
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        code, out, err = run("check", tmp_path / name)
        assert (code, err) == (1, "")
        assert len(out) < 5000
        assert all(line.isprintable() for line in out.splitlines())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_without_problems(run: Run, path: Path) -> None:
    dialect = ("--dialect", "pjreddie") if path.stem in PJREDDIES else ()
    assert run("check", path, *dialect)[0] == 0
    code, out, err = run("check", path.stem, *dialect, "--notes")
    assert (code, err) == (0, "")
    assert "error[" not in out
    assert "warning[" not in out


def test_checking_imports_none_of_the_heavy_packages() -> None:
    script = (
        "import sys\n"
        "from cspdet.cli import main\n"
        "code = main(['check', '--notes', *sys.argv[1:]])\n"
        "heavy = {'torch', 'numpy', 'cv2', 'rich', 'safetensors', 'pandas', 'argparse'} & sys.modules.keys()\n"
        "print('code', code, 'imported', *sorted(heavy))\n"
    )
    paths = [str(path) for path in SHIPPED if path.stem == "yolov4"]
    call = [sys.executable, "-c", script, *paths]
    found = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.splitlines()[-1] == "code 0 imported argparse"
    assert found.stderr == ""


# -- --fix ------------------------------------------------------------------------------------------------------------


def test_fix(run: Run, write: Write) -> None:
    path = write("net.cfg", CLEAN.replace("activation=linear", "activation=silu") + "filters=4\nbogus=1\n")
    code, out, err = run("check", "--fix", path)
    assert (code, err) == (1, "")
    assert path.read_text() == CLEAN.replace("activation=linear", "activation=swish") + "bogus=1\n"
    assert out.splitlines() == [
        f"{path}:8:12: fixed[silu]: `silu` becomes `swish`",
        f"{path}:9:1: fixed[duplicate-option]: `filters=4` is removed",
        "",
        "warning[unknown-option]: `[convolutional]` has no option `bogus`",
        f" --> {path}:9:1",
        "  |",
        "9 | bogus=1",
        "  | ^^^^^ AlexeyAB's Darknet ignores it",
        "",
        f"{path}: 2 fixed; 1 warning; 2 layers, 0.000 BFLOPs, 16 parameters",
    ]
    before = path.stat()
    assert run("check", "--fix", path)[1].splitlines()[-1].startswith(f"{path}: 0 fixed; 1 warning;")
    assert path.stat().st_ino == before.st_ino


def test_fix_that_leaves_nothing(run: Run, write: Write) -> None:
    text = CLEAN.replace("filters=4", "fliters=4")
    path, other = write("net.cfg", text), write("other.cfg", CLEAN)
    code, out, _ = run("check", "--fix", path, other)
    assert code == 0
    assert out.splitlines() == [
        f"{path}:7:1: fixed[unknown-option]: `fliters` becomes `filters`",
        "",
        f"{path}: 1 fixed; no problems; 2 layers, 0.000 BFLOPs, 16 parameters",
        f"{other}: 0 fixed; no problems; 2 layers, 0.000 BFLOPs, 16 parameters",
    ]


def test_fix_that_would_do_harm(run: Run, write: Write) -> None:
    text = CLEAN.replace("[convolutional]", "[convolutinal]\nsize=0")
    path = write("net.cfg", text)
    code, out, _ = run("check", "--fix", path)
    assert code == 1
    assert path.read_text() == text
    assert out.splitlines()[-2:] == [
        f"{path}: 0 fixed; 1 error",
        "  nothing is fixed, as it would bring 1 error, first in line 7: `size` is 0; at least 1 is needed",
    ]


def test_fix_leaves_what_is_not_the_files_own(run: Run, write: Write) -> None:
    text = "[define]\nword=silu\n" + CLEAN.replace("activation=linear", "activation=$word")
    path = write("net.cfg", text)
    code, out, _ = run("check", "--fix", path)
    assert code == 1
    assert path.read_text() == text
    assert out.splitlines()[-1] == "  1 cure left to you: in a block, a variable or another file"


def test_fix_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, CLEAN.replace("filters=4", "fliters=4 # é").encode())
    code, out, err = run("check", "--fix", "-")
    assert (code, out) == (0, CLEAN.replace("filters=4", "filters=4 # é"))
    assert "<stdin>: 1 fixed; no problems" in err
    give(monkeypatch, b"")
    code, out, err = run("check", "--fix", "--json", "-")
    assert (code, out) == (2, "")
    assert "both write to standard output" in err


def test_fix_as_json(run: Run, write: Write) -> None:
    path = write("net.cfg", CLEAN.replace("[dropout]", "[dropout] # x") + "filter=4\n")
    code, out, _ = run("check", "--fix", "--json", path)
    found = json.loads(out)
    assert code == 1
    assert found["fixed"] == [
        {
            "file": str(path),
            "code": "section-comment",
            "message": "a comment on the line of `[dropout]`",
            "changes": [{"line": 6, "column": 1, "old": " # x", "new": "\n# x"}],
        }
    ]
    assert [(each["code"], each["edits"]) for each in found["diagnostics"]] == [("unknown-option", [])]


def test_edits_in_json(run: Run, write: Write) -> None:
    path = write("net.cfg", CLEAN.replace("filters=4", "filter=4"))
    (found,) = json.loads(run("check", "--json", path)[1])["diagnostics"]
    assert found["edits"] == [
        {"file": str(path), "line": 7, "column": 1, "end_line": 7, "end_column": 7, "text": "filters"}
    ]  # fmt: skip


def test_models_are_not_fixed(run: Run) -> None:
    code, _, err = run("check", "--fix", "yolov4-tiny")
    assert code == 2
    assert "`yolov4-tiny` is a model of cspdet's, which stays as it is" in err
