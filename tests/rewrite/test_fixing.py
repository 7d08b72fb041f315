"""Cures: what they make of a text, when they are left out, and that they bring no harm."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.dialect import ALEXEYAB, DIALECTS
from cspdet.cfg.source import Source
from cspdet.rewrite.fixing import Fixing, fix
from cspdet.rules import examine
from cspdet.text import slip
from tests.conftest import ROOT
from tests.test_cases import CASES, read_case

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
HEAD = "[convolutional]\nfilters={}\nsize=1\nactivation=linear\n[yolo]\nclasses={}\nmask=0,1\nnum=2\nanchors=1,2, 3,4\n"
YOLO = HEAD[HEAD.index("[yolo]") :]
UNSAID = HEAD.replace("filters={}\n", "")
UNMASKED = HEAD.format(16, 3).replace("mask=0,1\n", "")
CONVOLUTION = "[convolutional]\nfilters=4\n"


def fixed(text: str, dialect: str = "alexeyab", path: str = "X.cfg") -> Fixing:
    return fix(Source(path, text), DIALECTS[dialect])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NET + "[convolutional]\nfliters=8\n", NET + "[convolutional]\nfilters=8\n"),
        (NET + "[convolutional]\nfilter = 8 # x\n", NET + "[convolutional]\nfilters = 8 # x\n"),
        (NET + "[ Convolutional ]\n", NET + "[convolutional]\n"),
        (NET + "[convolutionl]\n", NET + "[convolutional]\n"),
        (NET + "[convolutional\nfilters=2\n", NET + "[convolutional]\nfilters=2\n"),
        (NET.replace("net", "Net") + "[dropout]\n", NET + "[dropout]\n"),
        (NET + "[convolutional]\nactivation=Leaky\n", NET + "[convolutional]\nactivation=leaky\n"),
        (NET + "[convolutional]\nactivation=laeky\n", NET + "[convolutional]\nactivation=leaky\n"),
        (NET + "[convolutional]\nactivation=silu\n", NET + "[convolutional]\nactivation=swish\n"),
        (NET + "[convolutional]\nactivation=leaky # x\n", NET + "[convolutional]\n# x\nactivation=leaky\n"),
        (NET + CONVOLUTION + "[route]\nlayers=-1 # a, b", NET + CONVOLUTION + "[route]\n# a, b\nlayers=-1"),
        (NET + "[convolutional] # first\nfilters=1\n", NET + "[convolutional]\n# first\nfilters=1\n"),
        (NET + "[convolutional] filters=3\nsize=1\n", NET + "[convolutional]\nfilters=3\nsize=1\n"),
        (NET + "[convolutional]\nfilters : 3\n", NET + "[convolutional]\nfilters = 3\n"),
        (NET + CONVOLUTION + "filters=4\n", NET + CONVOLUTION),
        (NET + CONVOLUTION + "filters= 4", NET + CONVOLUTION),
        (NET + CONVOLUTION + "flipped=yes\n", NET + CONVOLUTION + "flipped=1\n"),
        (NET + "policy=sig\n[dropout]\n", NET + "policy=sigmoid\n[dropout]\n"),
        (NET + HEAD.format(255, 3), NET + HEAD.format(16, 3)),
        (NET + UNSAID.format(3), NET + UNSAID.format(3).replace("linear", "linear\nfilters=16")),
        (NET + HEAD.format(16, 3).replace("num=2", "num=1"), NET + HEAD.format(16, 3)),
        (NET + HEAD.format(16, 3).replace("num=2\n", ""), NET + HEAD.format(16, 3).replace("num=2\n", "") + "num=2\n"),
        (NET + HEAD.format(16, 3).replace("num=2", "num=4"), NET + HEAD.format(16, 3)),
        (NET + UNMASKED.replace("3,4", "3,4, 5.5,6"), NET + UNMASKED.replace("1,2, ", "1,2,")),
        (
            NET + "[convolutional]\nfilters=8\n[region]\nclasses=3\nnum=1\nanchors=1,.25,3\n",
            NET + "[convolutional]\nfilters=8\n[region]\nclasses=3\nnum=1\nanchors=1,0.25\n",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_cures(before: str, after: str, end: str) -> None:
    result = fixed(before.replace("\n", end))
    assert result.source.text == after.replace("\n", end)
    assert not result.worse
    assert result.cures
    assert all(each.severity == "note" for each in result.diagnostics)


@pytest.mark.parametrize(
    "text",
    [
        "[convolutional]\nfilters=8\nfilters=9\n",  # which one is meant?
        "[convolutional]\nfilters=8\nfliters=9\n",
        "[convolutional]\nfoo=9\n",
        "[convolutional]\nstride_z=1\n",  # x or y?
        "[convolutional]\nclasses=1\n",  # an option of others
        "[convolutional]\nfliters=0\n",  # would be an error
        "[convolutional]\nactivation=hswish\n",  # another function than swish
        "[convolutional]\nactivation=relu7\n",
        "[foo]\n",
        "[dropout]\nsee: what is written below\nurl: http://example.org\n",
        "[dropout] and more\n",
        "[dropout\tx\n",
        "[convolutional]\npad=1.5\n",
        CONVOLUTION + "[route]\nlayers=-1,\n",
        HEAD.format(255, 3) + "[convolutional]\nfilters=14\n" + YOLO.format(2),  # which classes are meant?
        HEAD.format(255, 3).replace("classes", "klasses"),
        HEAD.format(255, 3) + "maskk=1\n",
        HEAD.format(16, 3).replace("mask=0,1", "mask=0,5"),
        HEAD.format(16, 3).replace("mask=0,1", "mask=1,1"),
    ],
)  # fmt: skip
def test_what_is_not_certain_stays(text: str) -> None:
    source = Source("X.cfg", NET + text)
    result = fix(source)
    assert result.source.text == source.text
    assert not result.cures
    assert any(each.severity != "note" for each in result.diagnostics)


def test_one_mistake_hides_another() -> None:
    """The misspelt section is cured first, and only then is it known what the head reads."""
    text = NET + HEAD.format(255, 3).replace("convolutional", "convolutinal")
    result = fixed(text)
    assert result.source.text == NET + HEAD.format(16, 3)
    assert [cure.code for cure in result.cures] == ["unknown-section", "head-filters"]
    places = [str(result.place(change)) for cure in result.cures for change in cure.changes]
    assert places == ["X.cfg:5:2", "X.cfg:6:9"]


def test_places_are_those_of_the_text_that_came_out() -> None:
    text = NET + "[convolutional] # a\nactivation=leaky # b\nfliters=3\nfliters=3\npad: 1\n"
    result = fixed(text)
    lines = result.source.text.splitlines()
    for cure in result.cures:
        for change, _ in cure.remarks:
            if change.new:
                assert lines[result.place(change).line - 1].lstrip().startswith(change.new.strip()) or change.new == "="
    assert result.source.text == NET + "[convolutional]\n# a\n# b\nactivation=leaky\nfilters=3\npad= 1\n"


def test_nothing_is_done_where_new_errors_would_follow() -> None:
    """As the section is understood, its size is seen to be impossible."""
    text = NET + "[convolutinal]\nsize=0\nfliters=3\n"
    result = fixed(text)
    assert result.source.text == text
    assert not result.cures
    assert [(each.code, each.label.span.line) for each in result.worse] == [("out-of-range", 6)]
    assert [each.code for each in result.diagnostics] == ["unknown-section"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_heads_want_different_filters_of_one_layer(dialect: str) -> None:
    """No number is right, and that is no reason to go on for ever."""
    head = HEAD.format(255, 3)
    yolo = head[head.index("[yolo]") :]
    result = fixed(
        NET + head + "[route]\nlayers=0\n" + yolo + "[route]\nlayers=0\n" + yolo.replace("mask=0,1", "mask=1"), dialect
    )
    assert any(each.code == "head-filters" for each in result.diagnostics)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("fliters", "filters"),
        ("filter", "filters"),
        ("filterss", "filters"),
        ("fitlers", "filters"),
        ("FILTERS", "filters"),
        ("filtars", "filters"),
        ("gilters", None),  # the first letter
        ("fliter", None),  # two slips
        ("stride_z", None),  # x or y
        ("stride_x", "stride_x"),
        ("relu7", None),  # digits
        ("pda", None),  # too short
        ("", None),
    ],
)
def test_slips_of_the_finger(word: str, meant: str | None) -> None:
    assert slip(word, ["filters", "stride_x", "stride_y", "relu6", "pad"]) == meant


# -- what belongs to others -------------------------------------------------------------------------------------------

BLOCK = "[block]\nname=cbl\nfilters=?\n[convolutional]\nfilters=$filters\nstirde=1\nactivation=silu # x\n[end]\n"


def test_blocks_and_variables_stay() -> None:
    text = BLOCK + "[define]\nn=255\nword=silu\n" + NET + "[cbl]\nfilters=3\n[convolutional]\nactivation=$word\n"
    text += HEAD.format("$n", 3)
    result = fixed(text)
    assert result.source.text == text
    codes = [each.code for each in result.diagnostics if each.severity != "note"]
    assert sorted(codes) == ["comment-in-word", "head-filters", "silu", "unknown-option"]
    assert result.left == 4


def test_uses_of_blocks_are_cured() -> None:
    text = BLOCK.replace("stirde=1\n", "").replace("silu # x", "mish") + NET + "[cbll]\nfliters=3\n[cbl]\nfilters=2\n"
    result = fixed(text)
    assert result.source.text == text.replace("cbll", "cbl").replace("fliters=3", "filters=3")


def test_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("[convolutional]\nfliters=3\n")
    (tmp_path / "X.cfg").write_text(NET + "[include]\nfile=a.inc\n[convolutional]\nfliters=3\n")
    result = fix(Source.read(tmp_path / "X.cfg"))
    assert result.source.text == NET + "[include]\nfile=a.inc\n[convolutional]\nfilters=3\n"
    assert result.left == 1
    assert (tmp_path / "a.inc").read_text() == "[convolutional]\nfliters=3\n"


# -- properties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_cures_settle_and_bring_no_error(path: Path) -> None:
    dialect = read_case(path)[0]
    source = Source.read(path)
    result = fix(source, dialect)
    before, after = (
        sorted(each.code for each in diagnostics if each.severity == "error")
        for diagnostics in (examine(source, dialect)[1], result.diagnostics)
    )
    assert len(after) <= len(before)
    again = fix(result.source, dialect)
    assert again.source.text == result.source.text
    assert (result.source.text != source.text) == bool(result.cures)


TINY = (ROOT / "cfg" / "vovnet" / "yolov4-tiny.cfg").read_text("utf-8")


@cache
def lines() -> list[str]:
    graph, diagnostics = examine(Source("X.cfg", TINY), ALEXEYAB)
    assert graph is not None
    assert not any(each.edits for each in diagnostics)
    return TINY.splitlines(keepends=True)


def swap(text: str, chance: Random) -> str:
    """Two letters of the first word swapped, that differ; or one doubled, or left out."""
    word = re.match(r"\[?[a-z_]+", text)
    assert word
    start = 2 if text[0] == "[" else 1
    places = [place for place in range(start, word.end() - 1) if text[place] != text[place + 1]]
    place = chance.choice(places)
    kind = chance.randrange(3)
    if kind == 0:
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return text[: place + 1] + text[place:] if kind == 1 else text[:place] + text[place + 1 :]


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_what_was_mistyped_comes_back(chance: Random) -> None:
    """A slip in a word, a colon, a bracket left out, a line given twice, a comment behind: the very bytes come back."""
    broken = [*lines()]
    # `stesp` may be `step` or `steps`, and `scalse` likewise, so these stay.
    places = [place for place, line in enumerate(broken) if re.match(r"\[?(?!steps|scales)[a-z_]{5,}", line)]
    for place in chance.sample(places, 3):
        line = broken[place]
        kind = chance.randrange(3)
        if line.startswith("["):
            broken[place] = swap(line, chance) if kind else line.replace("]", "")
        elif kind == 0:
            broken[place] = swap(line, chance)
        elif kind == 1:
            broken[place] = line.replace("=", ":", 1) if re.fullmatch(r"\w+ *= *[-\w.]+\n", line) else line
        else:
            broken[place] = line + line
    text = "".join(broken)
    result = fixed(text)
    assert not result.worse
    assert result.source.text == TINY


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 100), st.lists(st.sampled_from([255, 18, 30]), min_size=2, max_size=2))
def test_filters_before_heads(classes: int, filters: list[int]) -> None:
    """Whoever changes `classes` alone gets every `filters` right."""
    text = re.sub(r"classes=\d+", f"classes={classes}", TINY)
    right = text.replace("filters=255", f"filters={3 * (classes + 5)}")
    for each in filters:
        text = re.sub(r"filters=255", f"filters=0{each}", text, count=1)
    result = fixed(text)
    assert result.source.text.replace("=0", "=") == right.replace("=0", "=")
