"""Which items of a value name layers, also through variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.cfg.expression import ExpressionError, interpolate
from cspdet.cfg.naming import by_name, named_items

VARIABLES = {"a": "3", "list": "3,4", "back": "-1"}
NAMED = {"a", "list"}


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("$a", (True,)),
        ("$(a)", (True,)),
        ("-1,$a", (False, True)),
        ("$list,-1,$back", (True, True, False, False)),
        ("$(max(1,2)),$a", (False, True)),
        ("$(a+1)", ()),
        ("1$a", ()),
        ("-1,@stem", ()),
        ("$$a", ()),
        ("$a,x(y", ()),
        ("x))$(max(1,2),$a", ()),
    ],
)
def test_items(value: str, items: tuple[bool, ...]) -> None:
    assert named_items(value, NAMED, VARIABLES.get) == items


def test_values() -> None:
    assert all(by_name(each, NAMED) for each in ("@stem", "@in", "@a.b,$list", "$(a)"))
    assert not any(by_name(each, NAMED) for each in ("", "3", "@stem,3", "$back", "@a-1", "$(a-1)", "$a,", "$$a"))


@given(st.lists(st.sampled_from(["$", "a", "$a", "$list", "(", ")", ",", "$(", "max", "1", "-"])).map("".join))
def test_as_many_as_there_are(value: str) -> None:
    try:
        text = interpolate(value, VARIABLES.get)
    except ExpressionError:
        return
    assert len(named_items(value, NAMED, VARIABLES.get)) in (0, text.count(",") + 1)
