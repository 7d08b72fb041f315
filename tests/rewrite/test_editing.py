"""Layers put in, taken out and moved: what is written anew, what stays, byte for byte, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cspdet.cfg.dialect import ALEXEYAB, DIALECTS
from cspdet.cfg.source import Source
from cspdet.errors import CfgError, CspdetError, UsageError
from cspdet.layers import LAYERS
from cspdet.rewrite.editing import Edited, insert, move, remove
from cspdet.rewrite.outline import Outline, outline
from cspdet.rules import examine
from tests.conftest import SHIPPED, reference_files

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n\n"
CONVOLUTION = "[convolutional]\nfilters=3\n\n"


def cfg(*sections: str) -> str:
    """A text of [net] and sections, each with its options behind a blank."""
    return NET + "\n".join("\n".join(each.split()) + "\n" for each in sections)


def do(change: Callable[..., Edited], text: str, *words: str, dialect: str = "alexeyab") -> str:
    """The text after a change that is good."""
    found = change(Source("X.cfg", text), *words, DIALECTS[dialect])
    assert not found.new, [each.message for each in found.new]
    return found.source.text


BEFORE = cfg(
    "[convolutional] filters=3",
    "[convolutional] filters=3",
    "[route] layers=-1,0",
    "[convolutional] filters=3",
    "[shortcut] from=-3",
    "[route] layers=1,-4,4",
)


# -- what it looks like -----------------------------------------------------------------------------------------------


def test_insert() -> None:
    assert do(insert, BEFORE, "1", "\n[dropout]\nprobability=.1\n\n") == cfg(
        "[convolutional] filters=3",
        "[convolutional] filters=3",
        "[dropout] probability=.1",
        "[route] layers=-2,0",
        "[convolutional] filters=3",
        "[shortcut] from=-4",
        "[route] layers=1,-5,5",
    )


def test_insert_at_the_top_and_at_the_end() -> None:
    assert do(insert, BEFORE, "net", "[dropout]") == cfg(
        "[dropout]",
        "[convolutional] filters=3",
        "[convolutional] filters=3",
        "[route] layers=-1,1",
        "[convolutional] filters=3",
        "[shortcut] from=-3",
        "[route] layers=2,-4,5",
    )
    assert do(insert, BEFORE, "5", "[dropout]\n[route]\nlayers=-1,2") == BEFORE + "\n[dropout]\n[route]\nlayers=-1,2\n"


def test_remove() -> None:
    text = do(insert, BEFORE, "3", "[dropout]")
    assert "layers=1,-5,5" in text
    assert do(remove, text, "4") == BEFORE
    assert do(remove, BEFORE, "5") == BEFORE[: BEFORE.index("\n[route]\nlayers=1")]
    assert do(remove, BEFORE, "3..5") == cfg(
        "[convolutional] filters=3", "[convolutional] filters=3", "[route] layers=-1,0"
    )  # fmt: skip


def test_move() -> None:
    before = cfg(
        "[dropout]", "[convolutional] filters=3", "[convolutional] filters=4", "[maxpool] size=1", "[route] layers=-3,2,-1"
    )
    after = cfg(
        "[dropout]", "[maxpool] size=1", "[convolutional] filters=3", "[convolutional] filters=4", "[route] layers=-2,3,-3"
    )
    assert do(move, before, "3", "0") == after
    assert do(move, after, "1", "3") == before
    assert do(move, before, "1..2", "3") == after
    assert do(move, after, "2..3", "0") == before
    assert do(move, before, "1", "0") == before
    assert do(move, cfg("[maxpool] size=1", "[dropout]"), "1", "net") == cfg("[dropout]", "[maxpool] size=1")


@pytest.mark.parametrize(
    ("section", "written", "anew"),
    [
        ("convolutional", "share_index=1", "share_index=2"),
        ("convolutional", "share_index=-2", "share_index=-2"),
        ("sam", "from=1", "from=2"),
        ("scale_channels", "from=0", "from=1"),
        ("maxunpool", "from=1", "from=2"),
        ("partial_split", "from=1", "from=2"),
        ("contrastive", "yolo_layer=1", "yolo_layer=2"),
        ("yolo", "lead = 1", "lead = 2"),
        ("yolo", "embedding_layer=1", "embedding_layer=2"),
        ("route_lhalf", "layers=1 , -1,0", "layers=2 , -1,1"),
        ("shift_channels", "from=1", "from=2"),
        ("shortcut", "from=1,0 # as before", "from=2,1 # as before"),
        ("shortcut", "from=\t1", "from=\t2"),
        ("shortcut", "from=1.5,0x, 0 0 1", "from=2.5,1x, 2"),
        ("shortcut", "from=x,,1", "from=1x,1,2"),
        ("route", "layers=1\nlayers=0", "layers=2\nlayers=1"),
        ("route", "layers=7,-9", "layers=8,-10"),
        ("roote", "layers=1", "layers=2"),
        ("route", "stream=1\nlayers=0", "stream=1\nlayers=1"),
        ("convolutional", "layers=1", "layers=1"),
    ],
)
def test_everything_that_names_a_layer(section: str, written: str, anew: str) -> None:
    """By the kinds of options; what was wrong before stays as wrong, and what is no reference stays."""
    start = NET + 2 * CONVOLUTION
    found = insert(Source("X.cfg", f"{start}[{section}]\n{written}\n"), "net", "[dropout]")
    assert found.source.text == start.replace(CONVOLUTION, "[dropout]\n\n" + CONVOLUTION, 1) + f"[{section}]\n{anew}\n"


def test_every_naming_option_is_among_them() -> None:
    (mark,) = test_everything_that_names_a_layer.pytestmark
    tested = {(section, word.split("=")[0].strip()) for section, text, _ in mark.args[1] for word in text.split("\n")}
    names = {
        (kind, name)
        for layer in LAYERS
        for kind in layer.names[:1]
        for name, option in layer.options.items()
        if "Source" in option.kind
    }
    # Those that are declared once for several sections are tested with one of them.
    left = names - tested - {(kind, "from") for kind in ("control_channels", "alternate_channels", "select_channels")}
    assert left <= {("Gaussian_yolo", "embedding_layer"), ("Gaussian_yolo", "lead")}, left


def test_comments_stay_with_their_sections() -> None:
    start, first = "# of the file\n" + NET, "# first\n# layer\n[dropout]\n#probability=.5"
    second, third = "# second\n\n[convolutional]\nfilters=2\n# note", "# third\n[maxpool]\n# the end\n"
    text = f"{start}{first}\n\n\n{second}\n\n{third}"
    assert do(move, text, "1", "net") == f"{start}{second}\n\n{first}\n\n{third}"
    assert do(remove, text, "1").count("#") == text.count("#") - 2
    assert do(insert, text, "1", "# new\n[dropout]").index("# note") < do(insert, text, "1", "# new\n[dropout]").index("# new")


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b""])
def test_bytes_of_the_rest_stay(data: bytes) -> None:
    start = data + b"[net]\r\nwidth = 8\r\nheight=8 \r\nchannels=3\r\n# caf\xe9\r\n[dropout]\r\n\r\n\r\n[route]\r\nlayers = 0 "
    source = Source.decode("X.cfg", start)
    found = insert(source, "net", "[dropout]\nprobability=1\n")
    expected = start.replace(b"# caf", b"[dropout]\r\nprobability=1\r\n# caf").replace(b"= 0", b"= 1")
    assert found.source.encode(found.source.text) == expected
    assert remove(found.source, "0").source.text == source.text


# -- what is refused --------------------------------------------------------------------------------------------------


def test_what_names_a_layer_that_is_gone() -> None:
    found = remove(Source("X.cfg", BEFORE), "1")
    assert found.broken
    assert [(each.code, each.label.span.line, each.label.span.text) for each in found.new] == [
        ("bad-reference", 10, "-1"),
        ("bad-reference", 16, "-3"),
        ("bad-reference", 19, "1"),
        ("bad-reference", 19, "-4"),
    ]
    assert found.new[0].message == "`layers=-1` means `[convolutional]`, layer 1, which would be gone"
    assert found.new[0].label.text == "this was layer 2"
    assert found.new[0].label.span.source is found.source


def test_shapes_that_no_longer_meet() -> None:
    sections = (
        "[dropout]",
        "[maxpool] size=2 stride=2",
        "[upsample] stride=2",
        "[route] layers=-1,0",
        "[convolutional] size=1",
    )
    source = Source("X.cfg", cfg(*sections))
    assert examine(source)[0] is not None
    for found in (remove(source, "1"), insert(source, "1", "[maxpool]\nsize=2\nstride=2")):
        assert found.broken
        assert [(each.severity, each.code) for each in found.new] == [("warning", "route-size"), ("error", "needs-image")]
        assert any(label.text.startswith("it stands behind") for each in found.new for label in each.others)
    found = remove(Source("X.cfg", cfg(*sections[:4])), "1")
    assert found.broken
    assert [(each.severity, each.code) for each in found.new] == [("warning", "route-size")]
    found = remove(Source("X.cfg", cfg(*sections[:3], "[shortcut] from=0")), "1")
    assert found.broken
    assert [(each.severity, each.code) for each in found.new] == [("warning", "shortcut-size")]
    # Where maps did not meet before, they need not meet afterwards.
    found = remove(Source("X.cfg", cfg("[dropout]", "[maxpool] size=2 stride=2", "[dropout]", "[route] layers=-2,0")), "2")
    assert not found.new


def test_heads_that_no_longer_fit() -> None:
    text = cfg(
        "[convolutional] filters=8", "[convolutional] filters=18", "[yolo] classes=1 mask=0,1,2 num=3 anchors=1,1,2,2,3,3"
    )
    found = remove(Source("X.cfg", text), "1")
    (said,) = found.new
    assert found.broken
    assert said.code == "head-filters"
    assert said.others[-1].text == "it stands behind `[convolutional]` now, no more behind `[convolutional]`"
    assert said.others[-1].span.text == "yolo"


def test_what_was_broken_before_may_stay_so() -> None:
    text = cfg("[convolutional] size=0", "[dropout]", "[foo]", "[route] layers=-1,5")
    found = insert(Source("X.cfg", text), "1", "[dropout]")
    assert not found.new
    assert found.source.text == cfg("[convolutional] size=0", "[dropout]", "[dropout]", "[foo]", "[route] layers=-1,6")


def test_a_mistake_that_is_pointed_at_elsewhere() -> None:
    """It was said of `filters`, and is said of the head now; but the head is as wrong as it was."""
    text = cfg("[convolutional] filters=8", "[yolo] classes=1 mask=0 num=1 anchors=1,1")
    assert [each.code for each in examine(Source("X.cfg", text))[1]] == ["head-filters"]
    assert not insert(Source("X.cfg", text), "0", "[dropout]").new
    assert insert(Source("X.cfg", text), "1", text.removeprefix(NET)).broken


def test_warnings_that_are_new() -> None:
    found = insert(Source("X.cfg", BEFORE), "1", "[dropout]\nfoo=1")
    assert not found.broken
    assert [(each.code, each.label.span.line) for each in found.new] == [("unknown-option", 13)]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("probability=1\n[dropout]", CfgError, "before the first section"),
        ("[dropout", CfgError, "no closing"),
        ("[net]", UsageError, r"`\[net\]` is no layer"),
        ("[define]\na=1", UsageError, r"`\[define\]` is no layer"),
        ("# nothing", CfgError, "no section"),
        ("", CfgError, "no section"),
    ],
)
def test_what_cannot_be_put_in(text: str, error: type[CspdetError], words: str) -> None:
    with pytest.raises(error, match=words):
        insert(Source("X.cfg", BEFORE), "1", text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("2-4",), "there is no layer `2-4`\n  help: layers that stand together are `2..4`"),
        (("6",), "there is no layer 6: the last is 5"),
        (("-1",), "there is no layer `-1`"),
        (("3..2",), "`3..2` ends before it begins"),
        (("stem",), "there is no layer `stem`"),
        (("",), "there is no layer ``"),
        (("1..",), "there is no layer ``"),
        (("net",), "there is no layer `net`"),
        (("99999999999999999999999",), "there is no layer"),
        (("٣",), "there is no layer"),
    ],
)
def test_layers_that_are_not_there(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        remove(Source("X.cfg", BEFORE), *words)


def test_a_layer_cannot_move_behind_itself() -> None:
    with pytest.raises(UsageError, match="`2` is one of the layers to be moved"):
        move(Source("X.cfg", BEFORE), "1..3", "2")


def test_a_text_without_sections() -> None:
    with pytest.raises(CfgError, match="no section"):
        remove(Source("X.cfg", "# nothing\n"), "0")


# -- the authoring language -------------------------------------------------------------------------------------------

BLOCKS = """[define]
back = -3
[block]
name = pair
filters = ?
[convolutional]
name = side
filters = $filters
[convolutional]
filters = $filters
[route]
layers = -1, @side
[end]
"""
AUTHORED = (
    BLOCKS
    + NET
    + """[convolutional]
name=stem
filters=4

[pair]
name=stage
filters=4

[convolutional]
name=c
repeat=2
filters=8

[route]
layers=@stage, -1, @stem, 3

[shortcut]
from = -1
"""
)


def test_names_stay_and_numbers_follow() -> None:
    found = insert(Source("X.cfg", AUTHORED), "stem", "[dropout]")
    assert not found.new
    assert found.source.text == AUTHORED.replace("[pair]\nname=s", "[dropout]\n\n[pair]\nname=s").replace(", 3", ", 4")
    assert found.layers == (8, 9)
    assert remove(found.source, "1").source.text == AUTHORED
    found = insert(Source("X.cfg", AUTHORED), "@c", "[pair]\nfilters=2\n")
    assert found.source.text == AUTHORED.replace("[route]\nlayers=@st", "[pair]\nfilters=2\n\n[route]\nlayers=@st").replace(
        "@stage, -1", "@stage, -4"
    )
    assert found.layers == (8, 11)


def test_names_that_are_handed_over() -> None:
    """A block, a variable and a block within a block get a layer by its name; `@in` follows the order."""
    text = (
        "[define]\nback=-1\n[block]\nname=join\nwith=?\nlike=$with\n[route]\nlayers = $back, $with, $( like )\n[end]\n"
        "[block]\nname=outer\nx=?\ny=@in\n[join]\nwith=$x\n[shortcut]\nfrom=$y\n[end]\n"
        f"{NET}[maxpool]\nname=a\nsize=1\n\n[maxpool]\nname=b\nsize=1\n\n[define]\nboth=@a,@b\n\n"
        "[route]\nlayers=$both,-1\n\n[outer]\nx=@a,@b\ny=@b\n\n[join]\nwith=@b\n\n[outer]\nx=0\n"
    )
    found = insert(Source("X.cfg", text), "a", "[dropout]")
    assert not found.new
    assert found.source.text == text.replace("[maxpool]\nname=b", "[dropout]\n\n[maxpool]\nname=b")
    assert remove(found.source, "1").source.text == text
    words = "`layers=0` of layer 6 would have to be `1`, but it stands in the block that is used in line"
    with pytest.raises(CspdetError, match=words):
        insert(Source("X.cfg", text), "net", "[dropout]")
    gone = remove(Source("X.cfg", text), "a")
    places = [(each.code, str(each.label.span)) for each in gone.new]
    assert places == [("bad-reference", "X.cfg:29:6"), ("bad-reference", "X.cfg:35:3")]


def test_uses_of_blocks_are_taken_as_a_whole() -> None:
    source = Source("X.cfg", AUTHORED.replace("layers=@stage, -1, @stem, 3", "layers=-1, @stem"))
    by_name, by_number = (remove(source, word).source.text for word in ("stage", "1..3"))
    assert by_name == by_number == source.text.replace("[pair]\nname=stage\nfilters=4\n\n", "")
    for words in ("2", "0..1", "@stage.side", "c.0", "3..4"):
        with pytest.raises(UsageError, match="which stands for layers"):
            remove(source, words)
    with pytest.raises(UsageError, match=r"layer 1 comes from `\[pair\]` in line 23, which stands for layers 1 to 3"):
        insert(source, "1", "[dropout]")
    moved = do(move, source.text, "c", "stem")
    assert moved.index("name=stem") < moved.index("name=c") < moved.index("name=stage")
    assert "layers=-4, @stem" in moved


def test_what_is_gone_by_name() -> None:
    found = remove(Source("X.cfg", AUTHORED.replace(", 3", "")), "stage")
    assert found.broken
    assert found.new[0].message == "there is no layer `stage` before this one"


def test_a_name_that_would_come_too_late() -> None:
    found = move(Source("X.cfg", AUTHORED.replace(", 3", "")), "stem", "6")
    assert found.broken
    assert "there is no layer `stem` before this one" in [each.message for each in found.new]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (
            AUTHORED.replace("from = -1", "from = $back"),
            "c",
            "X.cfg:36:8: `from=-3` of layer 7 would have to be `-4`, but it is worked out",
        ),
        (
            BLOCKS.replace("@side", "0") + NET + CONVOLUTION + "[pair]\nfilters=3\n",
            "net",
            "`layers=0` of layer 3 would have to be `1`, but it stands in the block that is used in line 22",
        ),
        (NET + CONVOLUTION + "[route]\nlayers=0 # 0, 0", "net", "would have to be `1`, but it is worked out"),
    ],
    ids=["variable", "block", "comment"],
)
def test_numbers_that_cannot_be_written_anew(text: str, where: str, words: str) -> None:
    with pytest.raises(CspdetError, match=re.escape(words)) as caught:
        insert(Source("X.cfg", text), where, "[dropout]")
    assert caught.value.exit_code == 1


def test_numbers_that_are_worked_out_but_need_no_change() -> None:
    text = AUTHORED.replace("from = -1", "from = $back")
    assert insert(Source("X.cfg", text), "stage", "[dropout]").source.text.endswith("from = $back\n")
    assert "from=1" in do(insert, NET + CONVOLUTION + "[dropout]\n[shortcut]\nrepeat=2\nfrom=0", "net", "[dropout]")


def test_repetitions_that_would_have_to_differ() -> None:
    text = NET + CONVOLUTION + CONVOLUTION + "[shortcut]\nrepeat=2\nfrom=-2\n"
    with pytest.raises(CspdetError, match="it is repeated, and would have to differ from one to the next"):
        insert(Source("X.cfg", text), "0", "[dropout]")


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("[convolutional]\nfilters=3\n[route]\nlayers=-1\n")
    path = tmp_path / "X.cfg"
    path.write_text(NET + CONVOLUTION + "[include]\nfile=a.inc\n\n[route]\nlayers=2,0\n")
    source = Source.read(path)
    found = insert(source, "net", "[dropout]")
    assert found.source.text.endswith("[route]\nlayers=3,1\n")
    found = insert(source, "2", "[dropout]")
    assert found.source.text.endswith("file=a.inc\n\n[dropout]\n\n[route]\nlayers=2,0\n")
    with pytest.raises(UsageError, match=r"layer 1 comes from `\[include\]` in line 9, which stands for layers 1 to 2"):
        insert(source, "1", "[dropout]")
    (tmp_path / "a.inc").write_text("[convolutional]\nfilters=3\n[route]\nlayers=0\n")
    with pytest.raises(CspdetError, match="but it stands in another file"):
        insert(source, "net", "[dropout]")


# -- properties -------------------------------------------------------------------------------------------------------

TWIN = """[block]
name=twin
mark=?
[dropout]
learning_rate=$mark
[route]
layers=-1
learning_rate=$(mark + 100)
[end]
"""


@st.composite
def graphs(draw: Any) -> str:
    """The text of a network whose layers are told apart by their `learning_rate`, in any layout."""
    count = draw(st.integers(1, 9))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    gap = draw(st.sampled_from(["", "\n", "\n\n", " \n"]))
    named = draw(st.booleans())
    rows = ["# of the file", *(TWIN.splitlines() if named else [""]), "[net]", "width=8", "height = 8", "channels=2", gap]
    layer, ends = 0, []
    for section in range(count):
        kinds = ["dropout", "dropout", "maxpool", "route", "shortcut", *["twin"] * named]
        kind = draw(st.sampled_from(kinds)) if section else "dropout"
        rows += draw(st.sampled_from([[], [], ["# above"], ["# apart", ""], ["# apart", "#a=1", "", "; above"]]))
        rows += [f"[{kind}]", f"{'mark' if kind == 'twin' else 'learning_rate'}={section}"]
        if named:
            rows.append(f"name=n{section}")
        if kind == "maxpool":
            rows.append("size=1")
        if kind in ("route", "shortcut"):
            key, blank = ("layers" if kind == "route" else "from"), draw(st.sampled_from(["", " ", "\t"]))
            numbers = []
            for style in draw(st.lists(st.sampled_from(["absolute", "relative", *["name"] * named]), min_size=1, max_size=3)):
                target = draw(st.integers(0, layer - 1))
                known = draw(st.sampled_from([*enumerate(ends)]))
                numbers.append({"absolute": f"{target}", "relative": f"{target - layer}", "name": f"@n{known[0]}"}[style])
            rows.append(f"{key}{blank}={blank}{f',{blank}'.join(numbers)}{draw(st.sampled_from(['', ' ', ' # x']))}")
        layer += 2 if kind == "twin" else 1
        ends.append(layer - 1)
        rows += draw(st.sampled_from([[], [], ["#off=1"], ["# note", ""]]))
        rows += [gap] if gap else []
    return end.join(rows).replace("\n", end).rstrip() + draw(st.sampled_from(["", end, end + end]))


def edges(text: str) -> dict[str, list[str]]:
    """Of every layer, by its mark, the marks of the layers that its options name."""
    found = outline(Source("X.cfg", text), ALEXEYAB)
    marks = marks_of(found)
    named: dict[str, list[str]] = {mark: [] for mark in marks}
    for each in found.references(ALEXEYAB):
        named[marks[each.layer]].append(marks[each.target] if 0 <= each.target < each.layer else "?")
    return named


def marks_of(found: Outline) -> list[str]:
    return [next((entry.value for entry in each.entries if entry.key == "learning_rate"), "new") for each in found.layers]


def units_of(found: Outline) -> list[range]:
    """The layers that each section stands for."""
    return [found.layers_of(owner) for owner in dict.fromkeys(found.owners)]


@settings(deadline=None, max_examples=60)
@given(
    graphs(), st.data(), st.sampled_from(["[dropout]", "\n# it\n[empty]\n# is\n\n\n", "[dropout]\nprobability=.5 # x\n[empty]"])
)
def test_what_is_put_in_and_taken_out_leaves_the_same_bytes(text: str, data: Any, new: str) -> None:
    source = Source("X.cfg", text)
    found = outline(source, ALEXEYAB)
    after = data.draw(st.sampled_from([-1, *(unit.stop - 1 for unit in units_of(found))]))
    changed = insert(source, str(after) if after >= 0 else "net", new)
    assert not changed.broken
    assert {mark: each for mark, each in edges(changed.source.text).items() if mark != "new"} == edges(text)
    back = remove(changed.source, f"{after + 1}..{after + changed.layers[1] - changed.layers[0]}")
    assert not back.broken
    assert back.source.text == text


@settings(deadline=None, max_examples=60)
@given(graphs(), st.data())
def test_what_stays_reads_what_it_read(text: str, data: Any) -> None:
    source = Source("X.cfg", text)
    found = outline(source, ALEXEYAB)
    marks, named, units = marks_of(found), edges(text), units_of(found)
    one = data.draw(st.integers(0, len(units) - 1))
    other = data.draw(st.integers(one, len(units) - 1))
    first, last = units[one].start, units[other].stop - 1
    gone = marks[first : last + 1]
    changed = remove(source, f"{first}..{last}")
    if any(mark not in gone and {*targets} & {*gone} for mark, targets in named.items()):
        assert changed.broken
    else:
        assert edges(changed.source.text) == {mark: each for mark, each in named.items() if mark not in gone}
    assert {*comments(changed.source.text)} <= {*comments(text)}


def comments(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()[:1] in ("#", ";")]


@settings(deadline=None, max_examples=60)
@given(graphs(), st.data())
def test_what_is_moved_reads_what_it_read(text: str, data: Any) -> None:
    source = Source("X.cfg", text)
    found = outline(source, ALEXEYAB)
    marks, named, units = marks_of(found), edges(text), units_of(found)
    assume(len(units) > 1)
    one = data.draw(st.integers(0, len(units) - 1))
    other = data.draw(st.integers(one, min(one + 2, len(units) - 1)))
    first, last = units[one].start, units[other].stop - 1
    ends = [-1, *(unit.stop - 1 for unit in units)]
    after = data.draw(st.sampled_from([end for end in ends if not first <= end <= last]))
    changed = move(source, f"{first}..{last}", str(after) if after >= 0 else "net")
    order = marks_of(outline(changed.source, ALEXEYAB))
    moved = marks[first : last + 1]
    rest = [mark for mark in marks if mark not in moved]
    place = rest.index(marks[after]) + 1 if after >= 0 else 0
    assert order == [*rest[:place], *moved, *rest[place:]]
    assert sorted(comments(changed.source.text)) == sorted(comments(text))
    if all(order.index(target) < order.index(mark) for mark, targets in named.items() for target in targets):
        assert edges(changed.source.text) == named
    else:
        assert changed.broken


def check_that_nothing_else_changes(path: Path, after: int, new: str) -> None:
    """Every layer reads the same layers, but for the numbers and for the new one, which passes on what it reads."""
    source = Source.read(path)
    after %= len(outline(source, ALEXEYAB).layers)
    graph, _ = examine(source)
    if graph is None:
        assert not insert(source, str(after), new).broken
        return
    changed = insert(source, str(after), new)
    assert not changed.broken
    other, _ = examine(changed.source)
    assert other is not None
    assert len(other.nodes) == len(graph.nodes) + 1

    def old(number: int) -> int:
        return number - 1 if number > after else number

    left = [node for node in other.nodes if node.index != after + 1]
    for before, now in zip(graph.nodes, left, strict=True):
        assert (now.name, now.output, now.inputs) == (before.name, before.output, before.inputs)
        assert tuple(map(old, now.sources)) == before.sources
        assert (None if now.shares is None else old(now.shares)) == before.shares
        mentions = [tuple(map(old, targets)) for _, targets in now.layer.mentions()]
        assert mentions == [targets for _, targets in before.layer.mentions()]
        # What is named by number is still that very layer, not the new one in its place, which `@in` is.
        assert graph.names is not None or after + 1 not in [each for _, targets in now.layer.mentions() for each in targets]
    assert remove(changed.source, str(after + 1)).source.text == source.text


# Files of more bytes take long.
_QUICK = 3_000


@pytest.mark.reference
@pytest.mark.parametrize("path", reference_files("corpus/*.cfg"), ids=lambda path: path.stem)
def test_public_cfgs(path: Path, request: pytest.FixtureRequest) -> None:
    if path.stat().st_size > _QUICK and not request.config.getoption("--full"):
        pytest.skip("a large file; --full edits it too")
    chance = Random(path.stem)
    check_that_nothing_else_changes(path, chance.randrange(1000), chance.choice(["[dropout]", "[empty]"]))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_cfgs_that_ship(path: Path) -> None:
    """Whatever they name layers by: numbers, names, or names that go through parameters and includes."""
    found, chance = outline(Source.read(path), ALEXEYAB), Random(path.stem)
    # Of blocks and other files, a part can be changed there only.
    check_that_nothing_else_changes(path, found.layers_of(chance.choice(found.owners))[-1], "[dropout]")
