"""Words for messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cspdet.text import shortened


@given(st.text(), st.integers(1, 30))
def test_what_is_cut_out_is_the_middle(text: str, longest: int) -> None:
    found = shortened(text, longest)
    if len(text) <= longest:
        assert found == text
        return
    assert len(found) == longest + 1
    before, behind = found[: -(longest // 2) or None].removesuffix("…"), found[len(found) - longest // 2 :]
    assert len(before) - len(behind) in (0, 1)
    assert text.startswith(before)
    assert text.endswith(behind)


def test_names_that_begin_alike_stay_different() -> None:
    names = [f"Klasse mit sehr langem Namen {number}" for number in range(58)]
    assert shortened(names[7], 24) == "Klasse mit s…ngem Namen 7"
    assert len({shortened(name, 24) for name in names}) == 58
