"""`cspdet edit`: what it writes and says, and when it writes nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
TEXT = (
    NET + "[convolutional]\nfilters=3\nname=stem\n[dropout]\n[shortcut]\nfrom=-2\nactivation=linear\n[route]\nlayers=@stem, 2\n"
)


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_insert(run: Run, write: Write) -> None:
    path = write("net.cfg", TEXT)
    assert run("edit", path, "insert", "stem", "[dropout]", "probability=.5") == (
        0,
        f"{path}: 1 layer put in, 2 references renumbered; 5 layers\n",
        "",
    )
    expected = TEXT.replace("[dropout]", "[dropout]\nprobability=.5\n[dropout]").replace("from=-2", "from=-3")
    assert path.read_text() == expected.replace("@stem, 2", "@stem, 3")
    assert run("edit", path, "remove", "1")[1] == f"{path}: 1 layer taken out, 2 references renumbered; 4 layers\n"
    assert path.read_text() == TEXT


@pytest.mark.parametrize("way", ["file", "words", "one word", "standard input"])
def test_where_sections_come_from(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    path, block = write("net.cfg", TEXT), write("block.cfg", "[dropout]\n[maxpool]\nsize=1\n")
    words = {
        "file": [str(block)],
        "words": ["[dropout]", "[maxpool]", "size=1"],
        "one word": [block.read_text()],
        "standard input": ["-"],
    }
    give(monkeypatch, block.read_bytes())
    code, out, err = run("edit", path, "insert", "net", *words[way])
    assert (code, out, err) == (0, f"{path}: 2 layers put in, 1 reference renumbered; 6 layers\n", "")
    assert path.read_text() == NET + "[dropout]\n[maxpool]\nsize=1\n" + TEXT.removeprefix(NET).replace("@stem, 2", "@stem, 4")


def test_move(run: Run, write: Write) -> None:
    path = write("net.cfg", TEXT)
    assert run("edit", path, "move", "1", "2") == (0, f"{path}: moved, 2 references renumbered; 4 layers\n", "")
    moved = "[shortcut]\nfrom=-1\nactivation=linear\n[dropout]\n[route]\nlayers=@stem, 1\n"
    assert path.read_text() == TEXT[: TEXT.index("[dropout]")] + moved


def test_rename(run: Run, write: Write) -> None:
    path = write("net.cfg", TEXT)
    assert run("edit", path, "rename", "stem", "first") == (0, f"{path}: the layer has its new name in 2 places\n", "")
    assert path.read_text() == TEXT.replace("stem", "first")


@pytest.mark.parametrize("word", ["--diff", "--dry-run"])
def test_diff(run: Run, write: Write, word: str) -> None:
    path = write("net.cfg", TEXT)
    code, out, err = run("edit", path, "insert", "0", "[empty]", word)
    assert (code, err) == (0, f"{path}: 1 layer put in, 2 references renumbered; 5 layers\n")
    assert out.splitlines() == [
        f"--- {path}",
        f"+++ {path}",
        "@@ -5,9 +5,10 @@",
        " [convolutional]",
        " filters=3",
        " name=stem",
        "+[empty]",
        " [dropout]",
        " [shortcut]",
        "-from=-2",
        "+from=-3",
        " activation=linear",
        " [route]",
        "-layers=@stem, 2",
        "+layers=@stem, 3",
    ]
    assert path.read_text() == TEXT


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, TEXT.encode())
    code, out, err = run("edit", "-", "remove", "3")
    assert (code, out) == (0, TEXT[: TEXT.index("[route]")])
    assert err == "<stdin>: 1 layer taken out, 0 references renumbered; 3 layers\n"
    code, out, err = run("edit", "-", "insert", "3", "-")
    assert (code, out) == (2, "")
    assert "both the cfg and the sections come in by standard input" in err


def test_a_network_that_would_be_broken(run: Run, write: Write) -> None:
    path = write("net.cfg", TEXT)
    code, out, err = run("edit", path, "remove", "2")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "error[bad-reference]: `layers=2` means `[shortcut]`, layer 2, which would be gone",
        f"  --> {path}:10:15",
        "   |",
        "10 | layers=@stem, 2",
        "   |               ^ this was layer 3",
        "   |",
        "   = help: let it name another layer first, or remove it, too",
        "",
        f"{path}: without `2`, there would be 1 error; nothing is written",
    ]
    for words in (["move", "stem", "3"], ["insert", "net", "[foo]"], ["rename", "stem", "in"]):
        code, out, err = run("edit", path, *words)
        assert (code, out) == (1, "")
        assert err.endswith("nothing is written\n")
    assert path.read_text() == TEXT


def test_sections_with_mistakes(run: Run, write: Write) -> None:
    path = write("net.cfg", TEXT)
    code, out, err = run("edit", path, "insert", "0", "probability=1", "[dropout]")
    assert (code, out) == (1, "")
    assert "error[option-outside-section]" in err
    assert "--> <sections>:1:1" in err
    assert err.endswith(f"{path}: 1 error; nothing is written\n")
    code, out, err = run("edit", path, "insert", "0", "[dropout]", "fliters=1")
    assert (code, out) == (0, f"{path}: 1 layer put in, 2 references renumbered; 5 layers\n")
    assert "warning[unknown-option]" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "9"], "there is no layer 9: the last is 3"),
        (["remove", "stam"], "did you mean `stem`?"),
        (["move", "1", "1"], "`1` is one of the layers to be moved"),
        (["insert", "0", "missing.cfg"], "no such file: `missing.cfg`"),
        (["insert", "0", "a=1", "b=2"], "there is no section among the lines to put in"),
        (["insert", "0"], "required: SECTION"),
        (["shuffle"], "invalid choice: 'shuffle'"),
        ([], "required: insert|remove|move|rename"),
    ],
)
def test_calls_that_are_wrong(run: Run, write: Write, words: list[str], said: str) -> None:
    path = write("net.cfg", TEXT)
    code, out, err = run("edit", path, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert path.read_text() == TEXT


def test_encodings_without_a_place_for_a_letter(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_bytes(b"# caf\xe9\n" + TEXT.encode())
    code, out, err = run("edit", path, "insert", "net", "# 漢", "[dropout]")
    assert (code, out) == (2, "")
    assert "is latin-1, which has no `漢`" in err
    assert run("edit", path, "insert", "net", "# é", "[dropout]")[0] == 0
    assert b"# \xe9\n[dropout]\n" in path.read_bytes()


def test_models_and_dialects(run: Run, write: Write) -> None:
    code, _, err = run("edit", "yolov4-tiny", "remove", "3")
    assert code == 2
    assert "which stays as it is" in err
    path = write("net.cfg", "[define]\nn=2\n" + NET + "[dropout]\nrepeat=$n\n[route]\nlayers=0\n")
    assert run("edit", path, "remove", "2", "--set", "n=1", "--diff")[0] == 2
    code, out, _ = run("edit", path, "insert", "1", "[empty]", "--set", "n=1", "--dialect", "pytorch")
    assert (code, out) == (0, f"{path}: 1 layer put in, 0 references renumbered; 3 layers\n")
