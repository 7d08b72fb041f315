"""Arithmetic in values: `$name` and `$(3 * (classes + 5))`, worked out without Python's `eval`.

Numbers are exact while they are whole. `+ - * / // % **`, comparisons (1 or 0), parentheses, and the functions of `FUNCTIONS`.
`$$` stands for a dollar sign.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cspdet.text import brief, counted

Number = int | float
# The text that a variable stands for; None where there is none of that name.
Lookup = Callable[[str], str | None]

# Beyond this, no option of a cfg has a meaning; it keeps powers from filling the memory.
_LARGEST = 10**15
# Parentheses and signs within each other.
_DEEPEST = 50

_WORD = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|([A-Za-z_]\w*)|(\*\*|//|==|!=|<=|>=|[-+*/%()<>,]))"
)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class ExpressionError(Exception):
    """What is wrong in a value, from `start` to `end` of its text, and the cure."""

    def __init__(self, code: str, message: str, start: int, end: int, cure: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.cure = code, message, start, end, cure


def divisible(value: Number, by: Number) -> Number:
    """The multiple of `by` next to `value`, at least one of it and not below nine tenths of `value`.

    How widths are rounded when a network is scaled; source: MobileNetV2's published code (`make_divisible`).
    """
    if by <= 0:
        raise ZeroDivisionError
    found = max(by, (value + by / 2) // by * by)
    return found + by if found < 0.9 * value else found


def _half_up(value: Number) -> int:
    """To the nearest whole number, halves upwards; Python's own `round` takes the even one."""
    return math.floor(value + 0.5) if isinstance(value, float) else value


class _Function(NamedTuple):
    call: Callable[..., Number]
    least: int
    most: int
    doc: str


FUNCTIONS = {
    "min": _Function(min, 1, 99, "the smallest"),
    "max": _Function(max, 1, 99, "the largest"),
    "round": _Function(_half_up, 1, 1, "the nearest whole number, halves upwards"),
    "floor": _Function(math.floor, 1, 1, "the next whole number below"),
    "ceil": _Function(math.ceil, 1, 1, "the next whole number above"),
    "abs": _Function(abs, 1, 1, "without its sign"),
    "divisible": _Function(divisible, 2, 2, "the nearest multiple of the second number, not below 90 % of the first"),
}

_BINARY: tuple[dict[str, Callable[[Number, Number], Number]], ...] = (
    {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv, "//": operator.floordiv, "%": operator.mod},
)


def interpolate(text: str, lookup: Lookup) -> str:
    """The text with every `$name` and `$(…)` worked out.

    Raises:
        ExpressionError: it cannot be.
    """
    parts, position = [], 0
    while (place := text.find("$", position)) >= 0:
        parts.append(text[position:place])
        if text.startswith("$", place + 1):
            parts.append("$")
            position = place + 2
        elif text.startswith("(", place + 1):
            parser = _Parser(text, place + 2, lookup)
            parts.append(parser.whole(place))
            position = parser.position
        elif found := NAME.match(text, place + 1):
            parts.append(_value(found.group(), lookup, found.start(), found.end()))
            position = found.end()
        else:
            cure = "write `$name`, `$(…)`, or `$$` for a dollar sign"
            raise ExpressionError("bad-expression", "nothing that could be a value follows the `$`", place, place + 1, cure)
    return "".join([*parts, text[position:]])


def variables(text: str) -> Iterator[tuple[int, int]]:
    """Where a value names variables: start and end of each name. Of what is no good expression, what can be told."""
    position = 0
    while (place := text.find("$", position)) >= 0:
        position = place + 1
        if text.startswith("$", position):
            position += 1
        elif text.startswith("(", position):
            depth = 0
            while found := _WORD.match(text, position):
                position, sign = found.end(), found[3]
                depth += (sign == "(") - (sign == ")")
                if found[2] and not text[position:].lstrip().startswith("("):
                    yield found.span(2)
                if depth == 0:
                    break
        elif found := NAME.match(text, position):
            yield found.span()
            position = found.end()


def number_of(text: str) -> Number | None:
    """What a variable's text is worth in arithmetic."""
    try:
        value: Number = int(text) if re.fullmatch(r"[-+]?\d{1,15}", text, re.ASCII) else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def shown(value: Number) -> str:
    """A number as it stands in a cfg: whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else f"{value:.12g}"


def _value(name: str, lookup: Lookup, start: int, end: int) -> str:
    found = lookup(name)
    if found is None:
        raise ExpressionError("undefined-variable", f"there is no variable `{name}`", start, end)
    return found


class _Parser:
    """Works an expression out while it reads it, by precedence."""

    def __init__(self, text: str, position: int, lookup: Lookup) -> None:
        self.text, self.position, self.lookup = text, position, lookup
        self.depth = 0
        self.kind, self.word, self.start = "", "", position
        self.following = position
        self.advance()

    def whole(self, opening: int) -> str:
        """The expression up to its closing parenthesis; text, if it is nothing but the name of a text."""
        if self.kind == "name" and self.text[self.following :].lstrip().startswith(")") and self.word not in FUNCTIONS:
            text = _value(self.word, self.lookup, self.start, self.following)
            self.advance()
        else:
            text = shown(self.comparison())
        if self.word != ")":
            if not self.word:
                raise ExpressionError("bad-expression", "the `$(` is not closed", opening, opening + 2, "add a `)`")
            self.unexpected()
        # What follows the parenthesis is no part of the expression, so it has not been looked at.
        self.position = self.following
        return text

    def advance(self) -> None:
        """To the next word."""
        self.position = self.following
        found = _WORD.match(self.text, self.position)
        if found is None:
            rest = self.text[self.position :]
            self.start = self.position + len(rest) - len(rest.lstrip())
            self.kind, self.word, self.following = (
                ("", "", len(self.text)) if not rest.strip() else ("odd", rest[0], len(self.text))
            )
            if self.kind:
                self.word, self.following = self.text[self.start], self.start + 1
            return
        self.kind = ("number", "name", "sign")[(found.lastindex or 1) - 1]
        self.word, self.start, self.following = (
            found.group(found.lastindex or 0),
            found.start(found.lastindex or 0),
            found.end(),
        )

    def unexpected(self) -> None:
        """Complain about the word."""
        if not self.word:
            raise ExpressionError("bad-expression", "the expression breaks off", max(self.start - 1, 0), self.start)
        cure = "numbers, variables, `+ - * / // % **`, comparisons, parentheses and " + ", ".join(
            f"`{each}`" for each in FUNCTIONS
        )
        if self.word == "$":
            cure = "within `$(…)`, variables stand without `$`"
        elif self.word == "@":
            cure = "layers are named outside of `$(…)`, in lists"
        raise ExpressionError("bad-expression", f"`{self.word}` is not expected here", self.start, self.following, cure)

    def comparison(self) -> Number:
        return self.binary(0)

    def binary(self, level: int) -> Number:
        """A chain of operators of one precedence, from the left."""
        if level == len(_BINARY):
            return self.signed()
        start, left = self.start, self.binary(level + 1)
        while self.kind == "sign" and self.word in _BINARY[level]:
            sign = self.word
            self.advance()
            left = self.work_out(_BINARY[level][sign], start, left, self.binary(level + 1))
        return left

    def signed(self) -> Number:
        if self.kind == "sign" and self.word in ("-", "+"):
            sign, start = self.word, self.start
            self.advance()
            self.enter(start)
            value = self.signed()
            self.depth -= 1
            return -value if sign == "-" else value
        return self.power()

    def power(self) -> Number:
        start, base = self.start, self.atom()
        if self.kind == "sign" and self.word == "**":
            self.advance()
            self.enter(start)
            exponent = self.signed()
            self.depth -= 1
            if abs(exponent) > 64:
                raise self.too_large(start)
            return self.work_out(operator.pow, start, base, exponent)
        return base

    def atom(self) -> Number:
        start, word, kind = self.start, self.word, self.kind
        if kind == "number":
            self.advance()
            value = number_of(word)
            if value is None or value > _LARGEST:
                raise self.too_large(start)
            return value
        if kind == "name":
            self.advance()
            return self.call(word, start) if self.word == "(" else self.variable(word, start, start + len(word))
        if word == "(":
            self.advance()
            self.enter(start)
            value = self.comparison()
            self.depth -= 1
            if self.word != ")":
                self.unexpected()
            self.advance()
            return value
        self.unexpected()
        raise AssertionError

    def variable(self, name: str, start: int, end: int) -> Number:
        text = _value(name, self.lookup, start, end)
        value = number_of(text)
        if value is None:
            message = f"`{name}` is `{brief(text)}`, which is no number"
            raise ExpressionError("bad-expression", message, start, end, f"`${name}` alone stands for the text")
        return value

    def call(self, name: str, start: int) -> Number:
        function = FUNCTIONS.get(name)
        if function is None:
            known = "there are " + ", ".join(f"`{each}`" for each in FUNCTIONS)
            raise ExpressionError("bad-expression", f"there is no function `{name}`", start, start + len(name), known)
        self.advance()
        self.enter(start)
        values: list[Number] = []
        while self.word != ")":
            values.append(self.comparison())
            if self.word != ",":
                break
            self.advance()
        self.depth -= 1
        if self.word != ")":
            self.unexpected()
        self.advance()
        if not function.least <= len(values) <= function.most:
            least = "" if function.least == function.most else "at least "
            message = f"`{name}` takes {least}{counted(function.least, 'number')}, not {len(values)}"
            raise ExpressionError("bad-expression", message, start, start + len(name), f"it gives {function.doc}")
        return self.work_out(function.call, start, *values)

    def enter(self, start: int) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ExpressionError("bad-expression", "the expression is nested too deeply", start, start + 1, "split it up")

    def work_out(self, call: Callable[..., Number], start: int, *values: Number) -> Number:
        try:
            found = call(*values)
        except ZeroDivisionError:
            message = "the expression divides by zero"
            cure = "give what stands behind the `/`, `//` or `%`, or last in `divisible`, another value"
            raise ExpressionError("bad-expression", message, start, self.start, cure) from None
        except OverflowError:
            raise self.too_large(start) from None
        if isinstance(found, complex):
            raise ExpressionError("bad-expression", "a root of a negative number", start, self.start)
        if abs(found) > _LARGEST:
            raise self.too_large(start)
        return int(found) if isinstance(found, bool) else found

    def too_large(self, start: int) -> ExpressionError:
        message = f"the expression goes beyond {_LARGEST:,}"
        return ExpressionError("bad-expression", message, start, max(self.start, start + 1))
