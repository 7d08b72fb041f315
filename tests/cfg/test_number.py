"""Numbers, against the C library that Darknet would call."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cspdet.cfg.number import LARGEST_INTEGER, atof, atoi

LIBRARY = None if sys.platform == "win32" else ctypes.CDLL(ctypes.util.find_library("c"))
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the C library is not at hand by this name on Windows")

# What values are made of: digits, signs, points, exponents, hexadecimal digits, the words of C's reals, and strangers. Blanks
# never arrive, for the reader of the text removes them.
characters = st.text("0123456789+-..eEpPxXaAfFinINtTyYqQ,#;_é１", max_size=14)
lookalikes = st.one_of(
    characters,
    st.from_regex(r"[+-]?[0-9]{1,12}[.a-z,#]?", fullmatch=True),
    st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,20}([eE][+-]?[0-9]{0,4})?x?", fullmatch=True),
    st.from_regex(r"[+-]?0[xX][0-9a-f]{0,17}\.?[0-9a-f]{0,17}([pP][+-]?[0-9]{0,2})?g?", fullmatch=True),
    st.sampled_from(["inf", "-inf", "INFINITY", "infinit", "nan", "-nan", "NaN1", "+inf.", "in", "na"]),
    st.floats().map(repr),
    st.floats().map(lambda value: f"{value:g}"),
    st.integers(-(2**33), 2**33).map(str),
)


def c_atoi(text: str) -> int:
    assert LIBRARY is not None
    LIBRARY.atoi.argtypes, LIBRARY.atoi.restype = [ctypes.c_char_p], ctypes.c_int
    return int(LIBRARY.atoi(text.encode()))


def c_strtol(text: str) -> tuple[int, str]:
    """The value before `atoi` cuts it to an `int`, and what is left."""
    assert LIBRARY is not None
    data = ctypes.create_string_buffer(text.encode())
    end = ctypes.c_void_p()
    LIBRARY.strtol.argtypes, LIBRARY.strtol.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int], ctypes.c_long
    value = int(LIBRARY.strtol(data, ctypes.byref(end), 10))
    assert end.value is not None
    return value, data.value[end.value - ctypes.addressof(data) :].decode()


def c_strtod(text: str) -> tuple[float, str]:
    assert LIBRARY is not None
    data = ctypes.create_string_buffer(text.encode())
    end = ctypes.c_void_p()
    LIBRARY.strtod.argtypes, LIBRARY.strtod.restype = [ctypes.c_void_p, ctypes.c_void_p], ctypes.c_double
    value = float(LIBRARY.strtod(data, ctypes.byref(end)))
    assert end.value is not None
    return value, data.value[end.value - ctypes.addressof(data) :].decode()


@settings(deadline=None, max_examples=400)
@given(lookalikes)
@example("")
@example("+")
@example("--5")
@example("007")
@example("2147483647")
@example("-2147483648")
@example("255#coco")
@example("1e3")
def test_whole_numbers_are_those_of_c(text: str) -> None:
    expected, rest = c_strtol(text)
    if -LARGEST_INTEGER - 1 <= expected <= LARGEST_INTEGER:
        assert c_atoi(text) == expected
        assert atoi(text) == (expected, rest)
    else:  # undefined in C; here, so far outside that every limit refuses it
        value, left = atoi(text)
        assert not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER
        assert left == rest


@settings(deadline=None, max_examples=400)
@given(lookalikes)
@example("")
@example(".")
@example("1.")
@example(".5e")
@example("1e+")
@example("1e400")
@example("1e-400")
@example("0x")
@example("0x.p1")
@example("0x1p-1")
@example("4.9e-324")
@example("179769313486231580793e289")
def test_reals_are_those_of_c(text: str) -> None:
    expected, rest = c_strtod(text)
    value, left = atof(text)
    assert left == rest
    if math.isnan(expected):
        assert math.isnan(value)
    else:
        assert (value, math.copysign(1, value)) == (expected, math.copysign(1, expected))


@pytest.mark.parametrize("digits", [20, 4_400, 100_000])
def test_thousands_of_digits_are_out_of_range_and_do_not_raise(digits: int) -> None:
    value, rest = atoi("9" * digits + "x")
    assert value > LARGEST_INTEGER
    assert rest == "x"
    assert atof("9" * digits + "x") == (float("9" * digits), "x")
