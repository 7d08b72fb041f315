"""What must stay the same between a checkpoint and its resumption, and what need not."""

from __future__ import annotations

import hashlib

import pytest

from cspdet.train.origin import changed, origin_of
from tests.train.material import graph_of, tiny_text

TEXT = tiny_text(net="policy=steps\nsteps=8,10\nscales=.1,.1")


def compared(before: str, after: str) -> tuple[str, str] | None:
    now = graph_of(after)
    return changed(origin_of(graph_of(before), [], 0), origin_of(now, [], 0), now)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("learning_rate=.01", "# a comment\nlearning_rate = 0.010"),
        ("steps=8,10", "steps = 8, 10"),
        ("momentum=.9\n", ""),  # its default
        ("[yolo]", "\n\n[yolo]\n; the head"),
        ("num=2\n", "num=2\nignore_thresh=.7\n"),
        (TEXT, "\n" + TEXT.replace("filters=14", "filters=$(7 * n)").replace("[net]", "[define]\nn=2\n[net]")),
    ],
    ids=["comment", "blanks", "default", "lines", "twice", "language"],
)
def test_the_same_by_other_words(old: str, new: str) -> None:
    assert old in TEXT
    assert compared(TEXT, TEXT.replace(old, new)) is None


@pytest.mark.parametrize(
    ("old", "new", "how"),
    [
        ("=.01", "=.02", ": `[net]` had `learning_rate=0.01` then, and has `learning_rate=0.02` now (X.cfg:{line})"),
        ("8,10", "8,11", ": `[net]` had `steps=8,10` then, and has `steps=8,11` now (X.cfg:{line})"),
        ("size=3\nstride=2", "size=5\nstride=2", ": layer 0 had `size=3` then, and has `size=5` now (X.cfg:{line})"),
        (
            "thresh=.7\n",
            "thresh=.7\nassigner=simota\n",
            ": layer 3 had `assigner=darknet` then, and has `assigner=simota` now (X.cfg:{line})",
        ),
        (
            "[convolutional]\nfilters=14",
            "[dropout]\n[convolutional]\nfilters=14",
            ", which had no layer 2 (`[dropout]`, X.cfg:{line})",
        ),
    ],
)
def test_the_first_difference_is_named(old: str, new: str, how: str) -> None:
    text = TEXT.replace(old, new)
    changed_lines = [n for n, pair in enumerate(zip(TEXT.split("\n"), text.split("\n"), strict=False), 1) if len({*pair}) > 1]
    assert compared(TEXT, text) == ("cfg", how.format(line=changed_lines[0]))


def test_a_layer_that_is_gone_is_named() -> None:
    more = TEXT.replace("[convolutional]\nfilters=14", "[dropout]\n[convolutional]\nfilters=14")
    assert compared(more, TEXT) == ("cfg", ", which had a layer more: number 2, `[dropout]`")


def test_other_images_and_seeds() -> None:
    now = graph_of(TEXT)
    assert changed(origin_of(now, [], 3), origin_of(now, [], 4), now) == ("seed", ", 3")
    assert changed(origin_of(now, [], 3) | {"list of images": "x"}, origin_of(now, [], 3), now) == ("list of images", "")
    assert changed({}, origin_of(now, [], 3), now) == ("cfg", "")


def test_earlier_checkpoints_hold_a_hash_of_the_text() -> None:
    now = graph_of(TEXT)
    earlier = origin_of(now, [], 0) | {"cfg": hashlib.sha256(TEXT.encode()).hexdigest()}
    assert changed(earlier, origin_of(now, [], 0), now) is None
    other = graph_of(TEXT + "\n# a comment\n")
    assert changed(earlier, origin_of(other, [], 0), other) == (
        "cfg",
        ", or with another text of it (an earlier version compared texts)",
    )
