"""`cspdet expand`: the authoring language as plain text, and what strict programs need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet.cfg.dialect import HANK_AI
from cspdet.cfg.source import Source
from cspdet.graph import Graph
from cspdet.layers.base import Shape
from cspdet.plain import plain_text, strict_text
from cspdet.rules import examine, load
from tests.conftest import ROOT, SHIPPED, reference_files

Run = Callable[..., tuple[int, str, str]]

TEXT = """# A small network.
# In two lines.
[define]
width=1
[block]
name=cbs
filters=?
[convolutional]
filters=$filters
size=3
pad=1
activation=silu
[end]
[net]
width=32
height=32
channels=3
[cbs]
name=stem
filters=$(8*width)
[cbs]
filters=$(16*width)
repeat=2
[route]
layers=-1,@stem
"""

PLAIN = """# A small network.
# In two lines.

[net]
width=32
height=32
channels=3

# [cbs], X.cfg:18
[convolutional]
filters=8
size=3
pad=1
activation=swish

# [cbs], X.cfg:21
[convolutional]
filters=16
size=3
pad=1
activation=swish

[convolutional]
filters=16
size=3
pad=1
activation=swish

[route]
layers=-1,0
"""


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "X.cfg"
    path.write_text(TEXT)
    return path


def shape(graph: Graph) -> list[object]:
    """What two texts of one network have in common."""
    layers = [(node.layer.names[0], node.sources, node.output, node.operations, node.parameters) for node in graph.nodes]
    return [graph.input, *layers]


def test_the_language_becomes_plain_text(run: Run, cfg: Path, tmp_path: Path) -> None:
    code, out, err = run("expand", cfg)
    assert (code, out) == (0, PLAIN)
    assert err.startswith(f"{cfg}: 2 warnings")  # silu, in two uses
    assert run("expand", cfg, "-o", tmp_path / "plain.cfg", "--set", "width=0.5")[0] == 0
    written = (tmp_path / "plain.cfg").read_text()
    assert written == PLAIN.replace("filters=8", "filters=4").replace("filters=16", "filters=8")
    assert run("expand", tmp_path / "plain.cfg") == (0, written, "")
    wide, _ = load(Source.read(cfg).set({"width": "0.5"}))
    assert shape(wide) == shape(load(Source.read(tmp_path / "plain.cfg"))[0])


def test_the_place_of_a_use_is_where_the_user_wrote_it(cfg: Path, run: Run) -> None:
    (cfg.parent / "blocks.inc").write_text(TEXT[TEXT.index("[block]") : TEXT.index("[net]")])
    cfg.write_text(
        "[include]\nfile=blocks.inc\n[block]\nname=two\n[cbs]\nfilters=3\nrepeat=2\n[end]\n"
        + PLAIN[PLAIN.index("[net]") : PLAIN.index("# [cbs]")]
        + "[two]\n"
    )
    assert "# [cbs] in [two], X.cfg:1" in run("expand", cfg)[1]


def test_the_example_of_the_manual_is_good(run: Run, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "language.md").read_text("utf-8")
    path = tmp_path / "example.cfg"
    path.write_text(page.split("```ini\n")[1].split("```")[0])
    code, out, _ = run("check", path)
    assert code == 0
    assert "no problems" in out
    for width, filters in (("1", [16, 32, 64]), ("0.5", [8, 16, 32])):
        graph, _ = load(Source.read(path).set({"width": width}))
        assert graph.names is not None
        assert [graph.nodes[graph.names[name]].output.channels for name in ("stem", "stage1", "stage2")] == filters
        assert graph.names["stage1.side"] == 1


def test_the_examples_of_what_is_beyond_darknet_are_good(run: Run, tmp_path: Path) -> None:
    """One after the other they make a network, of which `expand` names each thing that plain text has no words for."""
    page = (ROOT / "docs" / "language.md").read_text("utf-8")
    examples = page[page.index("## Beyond Darknet") : page.index("## What it comes to")].split("```ini\n")[1:]
    path = tmp_path / "example.cfg"
    path.write_text("[net]\nwidth=32\nheight=32\nchannels=3\n" + "".join(each.split("```")[0] for each in examples))
    graph, diagnostics = load(Source.read(path))
    assert {each.code for each in diagnostics} == {"foreign-section"}
    assert graph.nodes[-1].output == Shape(48, 128, 128)
    err = run("expand", path)[2]
    for words in (
        "`size_x` of `[convolutional]`",
        "`[shuffle]`",
        "`[maxunpool]`",
        "`mode` of `[upsample]`",
        "`[deconvolutional]`",
        "`[partial_split]`",
    ):
        assert f"error[not-plain]: {words} is no " in err
    assert "6 errors; nothing is written" in err


@pytest.mark.parametrize("path", [*SHIPPED, *reference_files("corpus/*.cfg")], ids=lambda path: path.stem)
def test_plain_files_pass_byte_for_byte(path: Path) -> None:
    source = Source.read(path)
    graph, _ = examine(source)
    if graph is not None and graph.names is None:
        assert source.encode(plain_text(graph)) == path.read_bytes()


@pytest.mark.reference
@pytest.mark.parametrize("path", reference_files("corpus/*.cfg"), ids=lambda path: path.stem)
def test_what_strict_text_comes_to_is_the_same_network(path: Path) -> None:
    graph, _ = examine(Source.read(path))
    if graph is None:
        return
    text, _, errors = strict_text(graph, HANK_AI)
    if errors:
        assert all("is no section of hank-ai's Darknet" in each.message for each in errors)
        return
    strict, found = examine(Source(str(path), text), HANK_AI)
    assert strict is not None, found
    assert shape(strict) == shape(graph)


def test_strict_says_what_it_does(run: Run, tmp_path: Path) -> None:
    cfg = tmp_path / "X.cfg"
    cfg.write_text(
        "[network]\nwidth=32\nheight=32\nchannels=3\nsaturation=+1.5\nlearning_rate=1e-3\nsteps=1e2,+200\n"
        "[conv]\nfilters=4\nfilters=5\nfoo=1\nactivation=silu\n"
    )
    code, out, err = run("expand", cfg, "--strict", "hank-ai")
    assert code == 0
    assert out == (
        "[net]\nwidth=32\nheight=32\nchannels=3\nsaturation=1.5\nlearning_rate=0.001\nsteps=1,200\n\n"
        "[convolutional]\nfilters=4\nactivation=swish\n"
    )
    for line, words in [
        (1, "`[network]` becomes `[net]`"),
        (5, "`saturation` of `[network]` becomes `1.5`"),
        (6, "`learning_rate` of `[network]` becomes `0.001`"),
        (7, "`steps` of `[network]` becomes `1,200`"),
        (8, "`[conv]` becomes `[convolutional]`"),
        (10, "`filters` of `[conv]` is dropped: another one counts"),
        (11, "`foo` of `[conv]` is dropped: it has no meaning"),
        (12, "`activation` of `[conv]` becomes `swish`"),
    ]:
        assert any(each.startswith(f"note: {cfg}:{line}:") and each.endswith(words) for each in err.splitlines()), words


def test_what_a_strict_program_cannot_do_stops(run: Run, tmp_path: Path) -> None:
    cfg, out = tmp_path / "X.cfg", tmp_path / "out.cfg"
    cfg.write_text("[net]\nwidth=32\nheight=32\nchannels=3\n[crop]\n")
    out.write_text("as it was")
    code, _, err = run("expand", cfg, "--strict", "hank-ai", "-o", out)
    assert code == 1
    assert "error[not-plain]: `[crop]` is no section of hank-ai's Darknet" in err
    assert "1 error; nothing is written" in err
    assert out.read_text() == "as it was"


OWN = """[net]
width=32
height=32
channels=4
[convolutional]
filters=8
size_x=3
size_y=3
pad=1
activation=linear
[convolutional]
filters=8
size_x=5
size=1
stride=2
size_y=5
pad=1
activation=linear
"""
SQUARE = """[net]
width=32
height=32
channels=4

[convolutional]
filters=8
size=3
pad=1
activation=linear

[convolutional]
filters=8
size=5
stride=2
pad=1
activation=linear
"""


def test_own_options_become_plain_ones_where_they_say_the_same(run: Run, tmp_path: Path) -> None:
    cfg = tmp_path / "X.cfg"
    cfg.write_text(OWN)
    assert run("expand", cfg) == (0, SQUARE, "")
    (tmp_path / "plain.cfg").write_text(SQUARE)
    assert shape(load(Source.read(cfg))[0]) == shape(load(Source.read(tmp_path / "plain.cfg"))[0])
    code, out, err = run("expand", cfg, "--strict", "hank-ai")
    assert (code, out) == (0, SQUARE)
    assert err == (
        f"note: {cfg}:7:1: `size_x`, `size_y` of `[convolutional]` become `size=3`\n"
        f"note: {cfg}:13:1: `size_x`, `size`, `size_y` of `[convolutional]` become `size=5`\n"
    )


def test_own_options_that_say_nothing_new_stay_byte_for_byte(run: Run, tmp_path: Path) -> None:
    cfg = tmp_path / "X.cfg"
    text = SQUARE.replace("size=3", "size=3 # as ever\nsize_x=3")
    cfg.write_text(text)
    assert run("expand", cfg) == (0, text, "")
    code, out, err = run("expand", cfg, "--strict", "hank-ai")
    assert (code, out) == (0, SQUARE)
    assert err == f"note: {cfg}:9:1: `size_x` of `[convolutional]` is dropped: hank-ai's Darknet does not know it\n"


@pytest.mark.parametrize("strict", [[], ["--strict", "hank-ai"]], ids=["plain", "strict"])
def test_own_options_that_plain_text_cannot_say_stop(run: Run, tmp_path: Path, strict: list[str]) -> None:
    cfg, out = tmp_path / "X.cfg", tmp_path / "out.cfg"
    cfg.write_text(OWN.replace("size_y=3", "size_y=1"))
    code, _, err = run("expand", cfg, "-o", out, *strict)
    assert code == 1
    title = "hank-ai's" if strict else "AlexeyAB's"
    assert f"error[not-plain]: `size_x` of `[convolutional]` is no option of {title} Darknet\n --> {cfg}:7:1\n" in err
    assert "1 error; nothing is written" in err  # a height of 1 is that of `size`
    assert not out.exists()


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"", "latin-1")])
def test_what_is_written_out_is_what_darknet_reads(run: Run, tmp_path: Path, mark: bytes, encoding: str) -> None:
    """Without a mark; a file that is plain stays as it is."""
    path, out = tmp_path / "X.cfg", tmp_path / "out.cfg"
    text = "# größer\r\n[net]\r\nwidth=32\r\nheight=32\r\nchannels=3\r\n[convolutional]\r\nfilters=$(2*4)\r\n"
    for words, expected in ((text, None), (text.replace("$(2*4)", "8"), path)):
        path.write_bytes(mark + words.encode(encoding))
        assert run("expand", path, "-o", out)[0] == 0
        if expected:
            assert out.read_bytes() == expected.read_bytes()
        else:
            assert out.read_bytes().startswith("# größer\n\n[net]\n".encode("utf-8" if mark else encoding))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{none}"], 2, "no such file"),
        (["{broken}"], 1, "there is no variable `nothing`"),
        (["{cfg}", "-o", "{folder}/none/out.cfg"], 2, "cannot write"),
        (["{cfg}", "-o", "{folder}/../{folder.name}/X.cfg"], 2, "it is one of the files that are read"),
        (["{cfg}", "--set", "width"], 2, "`width` is not `NAME=VALUE`"),
        (["{cfg}", "--set", "widht=1"], 2, "has no variable `widht`"),
        (["{cfg}", "--set", "width=wide"], 1, "`width` is `wide`, which is no number"),
        (["{cfg}", "--strict", "alexeyab"], 2, "invalid choice"),
    ],
)
def test_bad_calls(run: Run, cfg: Path, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    (tmp_path / "broken.cfg").write_text("[net]\nwidth=$nothing\n")
    places = {"none": tmp_path / "none.cfg", "broken": tmp_path / "broken.cfg", "cfg": cfg, "folder": tmp_path}
    found, _, err = run("expand", *(word.format(**places) for word in words))
    assert found == code, err
    assert said in err
    assert "Traceback" not in err
