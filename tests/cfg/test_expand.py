"""The authoring language: what it comes to, and where what comes out was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.cfg.diagnostic import Diagnostic, render
from cspdet.cfg.dialect import ALEXEYAB
from cspdet.cfg.expand import Expansion, expand
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import parse
from cspdet.errors import UsageError
from cspdet.rules import examine

NET = "[net]\nwidth=32\n"


def expanded(text: str, path: str = "X.cfg", **settings: str) -> tuple[Expansion, tuple[Diagnostic, ...]]:
    document, found = parse(Source(path, text).set(settings))
    assert not found
    return expand(document, ALEXEYAB, {"net", "convolutional", "route"})


def plain(text: str, path: str = "X.cfg", **settings: str) -> list[str]:
    """The sections that a good text comes to, each in one line."""
    expansion, found = expanded(text, path, **settings)
    assert not found, [each.message for each in found]
    assert expansion.authored
    return [
        " ".join([f"[{each.name}]", *(f"{entry.key}={entry.value}" for entry in each.entries)])
        for each in expansion.document.sections
    ]


def messages(text: str, **settings: str) -> list[str]:
    return [f"{each.label.span.line}: {each.message}" for each in expanded(text, **settings)[1]]


# -- names and variables ----------------------------------------------------------------------------------------------


def test_layers_are_named_and_counted_without_net() -> None:
    text = (
        NET
        + "[convolutional]\nname=stem\n[route]\nlayers=-1, @stem\n[route]\nname=two\nlayers=@stem\n[route]\nlayers=@two,@stem\n"
    )
    assert plain(text) == ["[net] width=32", "[convolutional]", "[route] layers=-1,0", "[route] layers=0", "[route] layers=2,0"]


def test_variables_and_what_is_set_from_outside() -> None:
    text = (
        "[define]\nwidth=0.5\nbase=$(64*width)\n" + NET + "[convolutional]\nfilters=$base\n[convolutional]\nfilters=$(base*2)\n"
    )
    assert plain(text)[1:] == ["[convolutional] filters=32", "[convolutional] filters=64"]
    assert plain(text, width="2")[1:] == ["[convolutional] filters=128", "[convolutional] filters=256"]
    assert plain(text, base="7")[1] == "[convolutional] filters=7"


def test_a_variable_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="has no variable `widht`") as caught:
        expanded("[define]\nwidth=1\n" + NET, widht="2")
    assert caught.value.help == "did you mean `width`?"
    with pytest.raises(UsageError, match="has no variable `width`") as caught:
        expanded(NET, width="2")
    assert "[define]" in (caught.value.help or "")


def test_repetition() -> None:
    text = NET + "[convolutional]\nname=c\nrepeat=3\nfilters=$(index*2+4)\n[route]\nlayers=@c\n[route]\nlayers=@c.0,@c.1\n"
    assert plain(text)[1:] == [
        *(f"[convolutional] filters={number}" for number in (4, 6, 8)),
        "[route] layers=2",
        "[route] layers=0,1",
    ]
    assert plain(NET + "[convolutional]\nrepeat=0\n[route]\nlayers=-1\n")[1:] == ["[route] layers=-1"]


# -- blocks -----------------------------------------------------------------------------------------------------------

BLOCKS = """[block]
name=conv
filters=?
size=3
half=$(filters//2)
[convolutional]
filters=$filters
size=$size
[end]
[block]
name=csp
filters=?
depth=1
[conv]
name=side
filters=$(filters/2)
size=1
[route]
layers=@in
[conv]
name=deep
filters=$(filters/2)
repeat=$depth
[route]
layers=@deep,@side
[end]
"""


def test_blocks_have_parameters_defaults_and_names_of_their_own() -> None:
    text = (
        BLOCKS
        + NET
        + "[conv]\nfilters=8\n[csp]\nname=one\nfilters=16\ndepth=2\n[csp]\nfilters=32\n"
        + "[route]\nlayers=@one,@one.side,@one.deep.0\n"
    )
    assert plain(text)[1:] == [
        "[convolutional] filters=8 size=3",
        "[convolutional] filters=8 size=1",
        "[route] layers=0",
        "[convolutional] filters=8 size=3",
        "[convolutional] filters=8 size=3",
        "[route] layers=4,1",
        "[convolutional] filters=16 size=1",
        "[route] layers=5",
        "[convolutional] filters=16 size=3",
        "[route] layers=8,6",
        "[route] layers=5,1,3",
    ]
    expansion, _ = expanded(text)
    assert {name: number for name, number in expansion.names.items() if not name[0].isdigit()} == {
        "one.side": 1,
        "one.deep.0": 3,
        "one.deep.1": 4,
        "one.deep": 4,
        "one": 5,
    }


def test_a_parameter_may_name_a_layer_of_the_caller() -> None:
    text = "[block]\nname=join\nwith=?\n[route]\nlayers=-1,$with\n[end]\n" + NET
    text += "[convolutional]\nname=a\n[convolutional]\n[join]\nwith=@a\n"
    assert plain(text)[-1] == "[route] layers=-1,0"


def test_a_block_sees_its_own_layers_before_those_of_the_file() -> None:
    text = "[block]\nname=b\n[route]\nlayers=@a\n[convolutional]\nname=a\n[route]\nlayers=@a\n[end]\n" + NET
    text += "[convolutional]\nname=a\n[b]\n"
    assert plain(text)[1:] == ["[convolutional]", "[route] layers=0", "[convolutional]", "[route] layers=2"]


def test_a_block_does_not_see_the_parameters_of_its_caller() -> None:
    text = "[block]\nname=inner\n[convolutional]\nfilters=$filters\n[end]\n[block]\nname=outer\nfilters=1\n[inner]\n[end]\n"
    assert messages(text + NET + "[outer]\n") == ["4: there is no variable `filters`"]
    assert plain("[define]\nfilters=9\n" + text + NET + "[outer]\n")[-1] == "[convolutional] filters=9"


def test_the_input_of_a_block_at_the_very_start() -> None:
    assert messages(BLOCKS + NET + "[csp]\nfilters=4\n") == ["19: `@in` is the network's input here, which no section can name"]


def test_a_diagnostic_says_through_which_blocks_it_came() -> None:
    text = BLOCKS.replace("size=$size", "size=$sise") + NET + "[csp]\nfilters=4\n"
    (first, *_) = expanded("[convolutional]\n" + text)[1]
    assert first.label.span.text == "sise"
    assert [each.line for each in first.label.span.through] == [30, 15]
    shown = render(first)
    assert "--> X.cfg:9:7" in shown
    assert "= note: in the block that is used at X.cfg:15:2\n" in shown
    assert "= note: in the block that is used at X.cfg:30:2\n" in shown
    assert "= help: did you mean `size`?" in shown
    assert first.to_json()["through"] == ["X.cfg:30:2", "X.cfg:15:2"]


def test_what_comes_out_knows_where_it_was_written() -> None:
    text = BLOCKS + NET + "[csp]\nfilters=4\n[convolutional]\nfilters= $(4 * 2)\n"
    expansion, _ = expanded("[convolutional]\n" + text)
    last = expansion.document.sections[-1]
    (entry,) = last.entries
    assert (entry.value, entry.value_span.text, last.name_span.through) == ("8", "$(4 * 2)", ())
    # [convolutional], [net], and the convolution of the [conv] of the [csp]
    inner = expansion.document.sections[2]
    assert [each.text for each in inner.name_span.through] == ["csp", "conv"]
    assert inner.entries[0].value_span.through == inner.name_span.through


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_are_put_in_the_place_of_their_include(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "blocks.inc").write_text(BLOCKS + "[include]\nfile=more blocks.inc\n")
    (tmp_path / "parts" / "more blocks.inc").write_text("[define]\nfilters=12\n")
    text = "[include]\nfile = parts/blocks.inc\n" + NET + "[conv]\nfilters=$filters\n"
    assert plain(text, str(tmp_path / "X.cfg"), filters="5") == ["[net] width=32", "[convolutional] filters=5 size=3"]


def test_an_error_in_an_included_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "part.inc").write_text("[convolutional]\nfilters=$none\n")
    _, (found,) = expanded(NET + "[include]\nfile=part.inc\n", str(tmp_path / "X.cfg"))
    assert str(found.label.span) == f"{tmp_path / 'part.inc'}:2:10"
    assert "filters=$none" in render(found)


def test_files_that_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("[include]\nfile=b.inc\n")
    (tmp_path / "b.inc").write_text("[include]\nfile=a.inc\n")
    _, (found,) = expanded(NET + "[include]\nfile=a.inc\n", str(tmp_path / "X.cfg"))
    assert found.message == "`a.inc` includes itself: `X.cfg` → `a.inc` → `b.inc` → `a.inc`"


# -- the whole --------------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(
    [
        "[net]",
        "[block]",
        "[end]",
        "[define]",
        "[b]",
        "[c]",
        "[convolutional]",
        "[include]",
        "name=b",
        "name=c",
        "repeat=3",
        "repeat=$x",
        "repeat=$(x*1000)",
        "x=$(2*2)",
        "x=?",
        "y=@b",
        "y=@in",
        "filters=$x",
        "layers=@b.c,@c.0",
        "file=none",
    ]
)


@given(st.lists(_WORDS, max_size=30))
def test_nothing_is_ever_raised_and_it_ends(lines: list[str]) -> None:
    document, _ = parse(Source("X.cfg", "\n".join(lines)))
    expansion, found = expand(document, ALEXEYAB, {"net", "convolutional"})
    assert len(expansion.document.sections) <= 20_000
    if expansion.authored and not any(each.severity == "error" for each in found):
        for section in expansion.document.sections:
            assert section.name not in ("block", "end", "define", "include")
            assert not any("$" in entry.value or "@" in entry.value for entry in section.entries)


def test_blocks_without_sections_end_too() -> None:
    text = "[block]\nname=a\n[end]\n" + "".join(
        f"[block]\nname={name}\n[{before}]\nrepeat=100\n[end]\n" for before, name in ("ab", "bc", "cd", "de")
    )
    assert messages(text + NET + "[e]\n")[0].endswith("the file becomes more than 20,000 sections")


def test_definitions_alone_are_no_network() -> None:
    for text in ("[define]\n", "[define]\nx=1\n", BLOCKS, NET + "[end]\n"):
        graph, found = examine(Source("X.cfg", text))
        assert graph is None
        assert any(each.severity == "error" for each in found)
    assert [each.message for each in examine(Source("X.cfg", "[define]\n"))[1]] == [
        "there are definitions, and no section of a network"
    ]


def test_plain_text_is_left_alone() -> None:
    document, _ = parse(Source("X.cfg", NET + "[convolutional]\nfilters=3\n"))
    expansion, found = expand(document, ALEXEYAB, ())
    assert expansion.document is document
    assert not expansion.authored
    assert not found


_NET = f"{NET}height=32\nchannels=3\n"
_C = "[convolutional]\nfilters=4\n"
_BLOCK = f"[block]\nname=b\nx=1\n{_C}name=a\n[route]\nlayers={{}}\n[end]\n"


@pytest.mark.parametrize(
    ("text", "said", "cure"),
    [
        (f"{_NET}{_C}[route]\nlayers=@a\n{_C}name=a\n", "no layer `a` before", "stands further down"),
        (f"{_NET}{_C}[route]\nlayers=@in\n", "no layer `in` before", "`-1` is the layer above"),
        (f"{_BLOCK.format('@x')}{_NET}{_C}[b]\n", "no layer `x` before", "a variable is `$x`"),
        (f"{_BLOCK.format('-1')}{_NET}{_C}[b]\nname=u\n[route]\nlayers=@a\n", "no layer `a` before", "did you mean `@u.a`?"),
        (f"{_NET}{_C}name=a\n[route]\nlayers=@a @a\n", "`@a` does not stand alone", "put commas"),
        (f"{_NET}{_C}name=a\n[route]\nlayers=@a-1\n", "`@a` does not stand alone", "cannot count from a name"),
        (f"{_NET}{_C}name=a\n[route]\nlayers=-@a\n", "`@a` does not stand alone", "put commas"),
        (f"{_NET}{_C}size=$w\n[define]\nw=3\n", "no variable `w`", "put that `[define]` above"),
        (f"[define]\nw=3\n{_NET}{_C}size=$($w)\n", "`$` is not expected", "variables stand without `$`"),
        (
            f"[define]\nw=0.3\n{_NET}[convolutional]\nfilters=$(8*w)\n",
            "`2.4` is not a whole number",
            "`$(…)` gives whole numbers by",
        ),
        (f"[Define]\nw=3\n{_NET}{_C}", "no section `[Define]`", "did you mean `[define]`? names are case-sensitive"),
        (f"[block]\nname=b\nx=?\n{_C}[end]\n{_NET}[b]\n", "the block `[b]` needs `x`", "add `x=…`"),
        (f"[block]\nname=b\n{_NET}{_C}", "`[block]` is not closed", "put `[end]`"),
    ],
)
def test_one_mistake_is_said_once_with_its_cure(text: str, said: str, cure: str) -> None:
    (found,) = [each for each in examine(Source("X.cfg", text))[1] if each.severity != "note"]
    assert said in found.message
    assert cure in found.help


def test_the_place_of_a_name_behind_a_variable() -> None:
    (found,) = examine(Source("X.cfg", f"[define]\nback=-1\n{_NET}{_C}[route]\nlayers=$back,@nope\n"))[1]
    assert found.label.span.text == "@nope"
