"""Fonts for names in any script."""

from __future__ import annotations

import warnings

import pytest

from cspdet.fonts import families

pytest.importorskip("matplotlib")

MONO = "DejaVu Sans Mono"
# Letters that this font of matplotlib's own lacks, and another of them has.
HEBREW = "\u05d0\u05d1"
# A place of Unicode where there will hardly ever be a letter.
NONE = "\u0378"


def test_a_font_that_has_all_stands_alone() -> None:
    assert families(["Größe 5 %", "жук", "π\n"]) == ["DejaVu Sans"]
    assert families([], MONO) == [MONO]


def test_another_font_has_what_the_first_lacks() -> None:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    found = families(["red", HEBREW], MONO)
    assert found[0] == MONO
    assert len(found) == 2
    charmap = get_font(findfont(FontProperties(family=[found[1]]))).get_charmap()
    assert {ord(letter) for letter in HEBREW} <= charmap.keys()


def test_letters_that_no_font_has(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(UserWarning, match=f"no installed font has the letters `{NONE}`; boxes are drawn") as caught:
        found = families([f"a{NONE}{HEBREW}", NONE], MONO)
    assert len(caught) == 1
    # The others are not given up for these.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found == families([HEBREW], MONO)
    # Matplotlib has nothing to say of the fonts that were looked into.
    assert not caplog.records
