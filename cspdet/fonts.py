"""Fonts that have the letters to be drawn."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Set

from cspdet.text import brief

# Fonts that have a box for every letter, and nothing else.
_BOXES = "Last Resort"


def families(texts: Iterable[str], first: str = "DejaVu Sans") -> list[str]:
    """`first`, and of the installed fonts those that have what it lacks of the letters of `texts`, for matplotlib's `family`.

    Warns of letters that none has; matplotlib draws boxes in their place.
    """
    lacking = {letter for text in texts for letter in text if not letter.isspace()}
    lacking -= _letters(first, lacking)
    found = [first]
    has = {name: _letters(name, lacking) for name in _installed()} if lacking else {}
    while lacking:
        best = max(has, key=lambda name: len(has[name] & lacking), default="")
        if not best or not has[best] & lacking:
            shown = brief("".join(sorted(lacking)), 10)
            warnings.warn(f"no installed font has the letters `{shown}`; boxes are drawn in their place", stacklevel=3)
            break
        found.append(best)
        lacking -= has[best]
    return found


def _installed() -> list[str]:
    """Names of fonts that have an upright face of ordinary weight, those without serifs first."""
    from matplotlib.font_manager import fontManager

    upright = [each for each in fontManager.ttflist if each.style == "normal" and each.weight in (400, "normal")]
    names = {each.name for each in upright if not each.name.startswith(_BOXES)}
    return sorted(names, key=lambda name: ("Sans" not in name, name))


def _letters(name: str, wanted: Set[str]) -> set[str]:
    """Those of the wanted letters that a font has, and that can be drawn."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        font = get_font(findfont(FontProperties(family=[name])))
        font.set_size(10, 72)
        there = font.get_charmap()
        found = {letter for letter in wanted if ord(letter) in there}
        for letter in found:
            font.load_char(ord(letter))
    except (OSError, RuntimeError, ValueError):  # a damaged font, or one of coloured pictures
        return set()
    return found
