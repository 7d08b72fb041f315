"""Which values name layers by `@…` alone, also where they go through variables and parameters: no number has part in them."""

from __future__ import annotations

import re
from collections.abc import Collection

from cspdet.cfg.expression import ExpressionError, Lookup, interpolate

_NAMED = re.compile(r"@[\w.]+|\$(?:\((?P<within>\w+)\)|(?P<variable>\w+))", re.ASCII)


def by_name(value: str, named: Collection[str]) -> bool:
    """Whether a value names layers and does nothing else: `@stem`, or one of the variables `named`, or a list of them."""
    found = [_NAMED.fullmatch(item) for item in value.split(",")]
    return all(each and (each[0][0] == "@" or (each["within"] or each["variable"]) in named) for each in found)


def named_items(value: str, named: Collection[str], lookup: Lookup) -> tuple[bool, ...]:
    """Of each item that a good value comes to, whether it is from a variable that names layers; nothing where none is."""
    if "$" not in value or not named:
        return ()
    found: list[bool] = []
    begun = ""
    for part in value.split(","):
        begun += part
        # A comma may stand between what a function is given.
        if begun.count("(") == begun.count(")"):
            try:
                number = interpolate(begun, lookup).count(",") + 1
            except ExpressionError:  # of parentheses that are no expression's, it cannot be told
                return ()
            found += [by_name(begun, named)] * number
            begun = ""
        else:
            begun += ","
    return tuple(found) if any(found) and not begun else ()
