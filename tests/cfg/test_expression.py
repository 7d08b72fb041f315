"""Arithmetic in values, against Python's own."""

from __future__ import annotations

import ast
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspdet.cfg.expression import FUNCTIONS, ExpressionError, divisible, interpolate, number_of, shown

VARIABLES = {"classes": "80", "width": "0.5", "depth": "3", "word": "mish", "list": "1,2,3", "empty": "", "power": "1e3"}


def of(text: str) -> str:
    return interpolate(text, VARIABLES.get)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", "64"),
        ("$classes", "80"),
        ("$(3*(classes+5))", "255"),
        ("$( 3 * ( classes + 5 ) )", "255"),
        ("$word", "mish"),
        ("$(word)", "mish"),
        ("$list,4", "1,2,3,4"),
        ("$(1),$(2)", "1,2"),
        ("a$(depth)b", "a3b"),
        ("$depth.5", "3.5"),
        ("$$", "$"),
        ("$$depth", "$depth"),
        ("$(64*width)", "32"),
        ("$(7/2)", "3.5"),
        ("$(7//2)", "3"),
        ("$(-7//2)", "-4"),
        ("$(-7%3)", "2"),
        ("$(2**3**2)", "512"),
        ("$(-2**2)", "-4"),
        ("$(2**-1)", "0.5"),
        ("$(1-2-3)", "-4"),
        ("$(--3)", "3"),
        ("$(depth>2)", "1"),
        ("$((depth==2)*5)", "0"),
        ("$(1/3)", "0.333333333333"),
        ("$(.5+1e2)", "100.5"),
        ("$(power)", "1e3"),
        ("$(power+0)", "1000"),
        ("$(round(2.5))", "3"),
        ("$(round(-2.5))", "-2"),
        ("$(ceil(2.1)+floor(2.9)+abs(-1))", "6"),
        ("$(max(1,depth,2)-min(4,5))", "-1"),
        ("$(divisible(33,8))", "32"),
        ("$(divisible(36,8))", "40"),
        ("$(divisible(3,8))", "8"),
        ("$(divisible(17.6,8))", "16"),
        ("$(divisible(20*width,8))", "16"),
        ("$empty", ""),
    ],
)
def test_values(text: str, value: str) -> None:
    assert of(text) == value


@pytest.mark.parametrize(
    ("text", "message", "part"),
    [
        ("$(1/0)", "divides by zero", "1/0"),
        ("$(1//(depth-3))", "divides by zero", "1//(depth-3)"),
        ("$(1%0)", "divides by zero", "1%0"),
        ("$(0**-1)", "divides by zero", "0**-1"),
        ("$(divisible(1,0))", "divides by zero", "divisible(1,0)"),
        ("$nothing", "there is no variable `nothing`", "nothing"),
        ("a$(1+nothing)", "there is no variable `nothing`", "nothing"),
        ("$(word*2)", "`word` is `mish`, which is no number", "word"),
        ("$(empty+1)", "`empty` is ``, which is no number", "empty"),
        ("$(1", "the `$(` is not closed", "$("),
        ("$(", "breaks off", ""),
        ("$(1+", "breaks off", "+"),
        ("$(1 2)", "`2` is not expected here", "2"),
        ("$(*2)", "`*` is not expected here", "*"),
        ("$()", "`)` is not expected here", ")"),
        ("$(1,2)", "`,` is not expected here", ","),
        ("$(1?2)", "`?` is not expected here", "?"),
        ("$(max())", "`max` takes at least 1 number, not 0", "max"),
        ("$(round(1,2))", "`round` takes 1 number, not 2", "round"),
        ("$(eval(1))", "there is no function `eval`", "eval"),
        ("$(10**15+1)", "goes beyond", "10**15+1"),
        ("$(9**9**9)", "goes beyond", "9**9**9"),
        ("$(2**1e9)", "goes beyond", "2**1e9"),
        ("$(1e400)", "goes beyond", "1e400"),
        ("$((-1)**.5)", "a root of a negative number", "(-1)**.5"),
        ("$", "nothing that could be a value follows", "$"),
        ("$-1", "nothing that could be a value follows", "$"),
        (f"$({'(' * 60}1{')' * 60})", "nested too deeply", "("),
        (f"$({'-' * 60}1)", "nested too deeply", "-"),
        (f"$({'2**' * 60}1)", "", ""),
    ],
)
def test_what_cannot_be_worked_out(text: str, message: str, part: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        of(text)
    error = caught.value
    assert message in error.message
    assert 0 <= error.start <= error.end <= len(text)
    if part:
        assert text[error.start : error.end].strip() == part


def trees() -> st.SearchStrategy[str]:
    leaves = st.one_of(st.integers(0, 99).map(str), st.decimals(0, 9, places=2).map(str), st.sampled_from(["classes", "depth"]))
    signs = st.sampled_from(["+", "-", "*", "/", "//", "%", "==", "<", ">=", "!="])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, signs, inner).map(lambda each: f"({each[0]} {each[1]} {each[2]})"),
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map("".join),
            inner.map(lambda each: f"-{each}"),
            st.tuples(inner, inner).map(lambda each: f"max({each[0]}, {each[1]})"),
            inner.map(lambda each: f"floor({each})"),
        ),
        max_leaves=8,
    )


@given(trees())
def test_it_reads_as_python_does(text: str) -> None:
    names: dict[str, Any] = {"classes": 80, "depth": 3, "floor": math.floor, "max": max}
    # Python chains comparisons, which are in parentheses here, so that it does not.
    try:
        expected = eval(compile(ast.parse(text, mode="eval"), "", "eval"), {"__builtins__": {}}, names)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="zero"):
            of(f"$(({text}))")
        return
    try:
        found = of(f"$(({text}))")
    except ExpressionError:
        with pytest.raises(ExpressionError, match="beyond"):
            of(f"$(({text}))")
        return
    assert float(found) == pytest.approx(float(expected), rel=1e-9, abs=1e-11)


@given(st.text("$()+-*/%.,eE0123456789abc_ <>=!", max_size=30))
def test_nothing_else_is_ever_raised(text: str) -> None:
    try:
        found: str | ExpressionError = of(text)
    except ExpressionError as error:
        found = error
    if isinstance(found, ExpressionError):
        assert 0 <= found.start <= found.end <= len(text)
        assert found.message


@given(st.floats(1, 1e6), st.integers(1, 64))
def test_divisible(value: float, by: int) -> None:
    found = divisible(value, by)
    assert found % by == 0
    assert found >= by
    assert 0.9 * value <= found <= value + max(by / 2, by) + 1e-9


@given(st.one_of(st.integers(-(10**14), 10**14), st.floats(-1e6, 1e6)))
def test_numbers_come_back(value: float) -> None:
    assert number_of(shown(value)) == pytest.approx(value, rel=1e-11, abs=1e-300)


def test_functions_are_described() -> None:
    assert all(each.doc for each in FUNCTIONS.values())
