"""Names of layers, variables and blocks: changed wherever they are meant, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.dialect import ALEXEYAB
from cspdet.cfg.expression import variables
from cspdet.cfg.source import Source
from cspdet.errors import CspdetError, UsageError
from cspdet.plain import plain_text
from cspdet.rewrite.renaming import Renamed, rename
from cspdet.rules import examine

TEXT = """# pair, stem and width in a comment stay
[define]
width = 8
wide = $(width * 2) # width
[block]
name = inner
width = ?
[convolutional]
filters = $(width + 1)
[end]
[block]
name = pair
filters = $width
with = ?
[convolutional]
name = side
filters = $( min(width, filters) )
[route]
layers = $with, @side
[inner]
width = $(width)
[end]
[net]
width=32
height=32
channels=3
[convolutional]
name=stem
filters = $width
[pair]
name=stage
filters = $(2*width)
with = @stem
[route]
layers = @stage, @stem, @stage.side
[convolutional]
filters = $(round(width * 1e1) + wide)
name = width
[route]
layers = @width
"""


def renamed(name: str, new: str, text: str = TEXT) -> Renamed:
    found = rename(Source("X.cfg", text), name, new)
    assert not found.new, [each.message for each in found.new]
    return found


def plain(text: str) -> str:
    graph, diagnostics = examine(Source("X.cfg", text))
    assert graph is not None, [each.message for each in diagnostics]
    return re.sub(r"(?m)^#.*\n", "", plain_text(graph))


def test_a_layer() -> None:
    found = renamed("stem", "first")
    assert (found.kind, found.places) == ("layer", 3)
    assert found.source.text == TEXT.replace("name=stem", "name=first").replace("@stem", "@first")
    found = renamed("stage", "one")
    assert found.source.text == TEXT.replace("name=stage", "name=one").replace("@stage", "@one")


def test_a_block() -> None:
    found = renamed("pair", "two-of-them")
    assert (found.kind, found.places) == ("block", 2)
    expected = TEXT.replace("name = pair", "name = two-of-them").replace("[pair]", "[two-of-them]")
    assert found.source.text == expected
    assert plain(expected) == plain(TEXT).replace("pair", "two-of-them")
    assert renamed("inner", "outer").places == 2


def test_a_variable_and_a_layer_of_one_name() -> None:
    with pytest.raises(UsageError, match="`width` is a layer `@width` and a variable `\\$width`") as caught:
        renamed("width", "w")
    assert caught.value.help == "write it so"
    found = renamed("@width", "w")
    assert found.source.text == TEXT.replace("name = width", "name = w").replace("@width", "@w")


def test_a_variable_is_not_the_parameter_of_that_name() -> None:
    found = renamed("$width", "w")
    expected = (
        TEXT.replace("width = 8\nwide = $(width * 2)", "w = 8\nwide = $(w * 2)")
        .replace("filters = $width", "filters = $w")
        .replace("min(width", "min(w")
        .replace("$(width)", "$(w)")
        .replace("2*width", "2*w")
        .replace("round(width", "round(w")
    )
    assert found.source.text == expected
    assert found.places == 8
    assert plain(expected) == plain(TEXT)


@pytest.mark.parametrize("name", ["stem", "stage", "pair", "inner", "$width", "@width", "wide"])
def test_there_and_back(name: str) -> None:
    bare = name.lstrip("@$")
    sign = name.removesuffix(bare)
    found = renamed(name, "other")
    assert plain(found.source.text).replace("other", bare) == plain(TEXT)
    assert renamed(f"{sign}other", bare, found.source.text).source.text == TEXT


@pytest.mark.parametrize(
    ("name", "new", "words"),
    [
        ("0", "x", "there is no layer, variable or block `0`\n  help: a layer without a name gets one by `name=…`"),
        ("stam", "x", "there is no layer, variable or block `stam`"),
        ("stage.side", "x", "there is no layer, variable or block `stage.side`"),
        ("side", "x", "there is no layer, variable or block `side`"),
        ("filters", "x", "there is no layer, variable or block `filters`"),
        ("stem", "stage", "there is a layer `stage` already"),
        ("$width", "wide", "there is a variable `wide` already"),
        ("pair", "inner", "there is a block `inner` already"),
        ("stem", "2x", "`2x` cannot be a name"),
        ("stem", "a-b", "`a-b` cannot be a name"),
        ("stem", "", "`` cannot be a name"),
    ],
)
def test_what_cannot_be(name: str, new: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        renamed(name, new)


@pytest.mark.parametrize(("name", "new", "code"), [("pair", "convolutional", "same-name"), ("stem", "in", "bad-name")])
def test_names_that_mean_something_else(name: str, new: str, code: str) -> None:
    found = rename(Source("X.cfg", TEXT), name, new)
    assert code in {each.code for each in found.new}


@pytest.mark.parametrize(
    ("name", "new", "text", "words"),
    [
        (
            "wide",
            "filters",
            TEXT.replace("min(width, ", "min(wide, "),
            "X.cfg:17:18: `filters` is a name of the block's own there",
        ),
        (
            "stem",
            "side",
            TEXT.replace("$with, @side", "$with, @stem"),
            "X.cfg:19:18: `side` is a name of the block's own there",
        ),
    ],
)
def test_a_name_that_would_be_taken_for_another(name: str, new: str, text: str, words: str) -> None:
    """In a block, its own names come first."""
    with pytest.raises(CspdetError, match=re.escape(words)):
        renamed(name, new, text)


def test_a_variable_that_would_count_repetitions() -> None:
    text = "[define]\nn=1\n[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=$(n + 4)\nrepeat=2\n"
    with pytest.raises(CspdetError, match=r"X.cfg:7:2: `\[convolutional\]` would not be the same if `n` were called `index`"):
        renamed("n", "index", text)


def test_a_name_that_is_put_together() -> None:
    text = "[define]\nn=1\n[net]\nwidth=8\nheight=8\nchannels=3\n[dropout]\nname=a1\n[dropout]\n[route]\nlayers=@a$n\n"
    found = rename(Source("X.cfg", text), "a1", "b")
    assert [each.code for each in found.new] == ["bad-reference"]


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("[define]\nk=2\n[block]\nname=cb\n[convolutional]\nfilters=$n\n[end]\n")
    path = tmp_path / "X.cfg"
    path.write_text("[define]\nn=1\n[include]\nfile=a.inc\n[net]\nwidth=8\nheight=8\nchannels=3\n[cb]\n")
    found = rename(Source.read(path), "n", "m")
    assert [(each.code, Path(each.label.span.source.path).name) for each in found.new] == [("undefined-variable", "a.inc")]
    for name in ("cb", "k"):
        with pytest.raises(UsageError, match="there is no layer"):
            rename(Source.read(path), name, "x")


def test_a_plain_file_has_no_names() -> None:
    with pytest.raises(UsageError, match="there is no layer, variable or block `net`"):
        renamed("net", "x", "[net]\nwidth=8\nheight=8\nchannels=3\n[dropout]\n")


def test_variables_that_are_set() -> None:
    found = rename(Source("X.cfg", TEXT).set({"wide": "5"}), "wide", "broad", ALEXEYAB)
    assert not found.new
    assert found.source.settings == {"broad": "5"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$a", "a"),
        ("x$a,$b1.$c", "a b1 c"),
        ("$$a $a", "a"),
        ("$(a + min(b, 2) * (c))$d", "a b c d"),
        ("$( 1e3 * e3 )e", "e3"),
        ("$(min (a))", "a"),
        ("$(a", "a"),
        ("$(a + + ) b", "a"),
        ("$(a ? b)", "a"),
        ("@a $", ""),
    ],
)
def test_where_variables_stand(text: str, names: str) -> None:
    assert [text[start:end] for start, end in variables(text)] == names.split()


@settings(deadline=None)
@given(st.text(st.sampled_from("$()ab1e. +*,@")))
def test_variables_are_found_in_order(text: str) -> None:
    position = 0
    for start, end in variables(text):
        assert position <= start < end
        assert re.fullmatch(r"[A-Za-z_]\w*", text[start:end])
        position = end
