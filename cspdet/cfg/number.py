"""Numbers as C reads them.

Darknet hands every value to `atoi` or `atof`, which stop at the first character that does not fit.
"""

from __future__ import annotations

import re

# C skips the blanks that Darknet's reader leaves in: vertical tab and form feed.
_INTEGER = re.compile(r"[\v\f]*([+-]?[0-9]+)")
_REAL = re.compile(
    r"[\v\f]*([+-]?(?:"
    r"0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?"
    r"|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|(?i:inf(?:inity)?|nan(?:\([0-9a-z_]*\))?)"
    r"))"
)

# A number, or a list of them, to a strict reader (hank-ai's `darknet_cfg.cpp`).
PLAIN_NUMBERS = re.compile(r"[-.,0-9]*")

# Darknet's `int` has 32 bits, and what lies beyond is undefined there.
LARGEST_INTEGER = 2**31 - 1


def atoi(text: str) -> tuple[int, str]:
    """The whole number at the start of `text` (0 if there is none) and the characters behind it, as C's `atoi` reads them."""
    found = _INTEGER.match(text)
    if not found:
        return 0, text
    sign, digits = re.match(r"([+-]?)0*(.*)", found.group(1)).groups()  # type: ignore[union-attr]
    # Python refuses to convert thousands of digits; anything of more than 11 characters is out of range either way.
    value = int(f"{sign}{digits or 0}") if len(digits) < 20 else LARGEST_INTEGER + 1
    return value, text[found.end() :]


def atof(text: str) -> tuple[float, str]:
    """The number at the start of `text` (0 if there is none) and the characters behind it, as C's `atof` reads them."""
    found = _REAL.match(text)
    if not found:
        return 0.0, text
    digits = found.group(1).split("(")[0]  # C lets `nan` carry a payload in brackets
    if "x" in digits.lower():
        try:
            return float.fromhex(digits), text[found.end() :]
        except OverflowError:
            return float("-inf" if digits[0] == "-" else "inf"), text[found.end() :]
    return float(digits), text[found.end() :]
