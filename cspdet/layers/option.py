"""Options of a section: what they mean, what they may be, and how Darknet turns their text into a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cspdet.cfg.diagnostic import Severity
from cspdet.cfg.number import LARGEST_INTEGER, atof, atoi
from cspdet.text import brief, counted, nearest, slip

# Limits far beyond any real network, so that a slip of the finger is refused before anything is computed or allocated.
LARGEST_SIDE = 65_536
LARGEST_COUNT = 1_000_000

# A list of more values than this is a mistake, and reading it would take long.
_LONGEST_LIST = 10_000


class Problem(NamedTuple):
    """What a layer finds wrong with itself: it names the option; the graph knows where that was written.

    `others` are (layer index, option or None for the section's name, what to say there). `cures` are options and the texts that
    they should have, where that is certain.
    """

    code: str
    option: str | None
    message: str
    help: str = ""
    severity: Severity = "error"
    consequence: str = ""
    others: tuple[tuple[int, str | None, str], ...] = ()
    cures: tuple[tuple[str, str], ...] = ()


class Sources(tuple[int, ...]):
    """Layers to read, as written: relative to the layer itself if negative, else counted from the first."""

    __slots__ = ()

    def resolve(self, index: int) -> tuple[int, ...]:
        """The layers' own numbers, seen from layer `index`."""
        return tuple(index + each if each < 0 else each for each in self)


# Where Darknet reads one number and stops at the comma: still a layer, but only one.
OneSource = Sources


class Required:
    """The default of an option that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


# Options that AlexeyAB's Darknet brought, and those that followed it know.
NOT_PJREDDIE = ("alexeyab", "hank-ai", "pytorch")

# Options of cspdet's own. They count in every dialect; of the other programs, strict ones refuse the file and all others go on
# without them.
OWN = ("cspdet",)


class Option:
    """One option. `kind` is the annotation it was declared with.

    `training` marks what only matters to training: it is read, checked and kept. `known_to` names the dialects that know it,
    if not all do. `fallback` is the value Darknet takes for a word it does not know; without one, such a word is an error.
    """

    __slots__ = ("at_least", "at_most", "choices", "default", "doc", "fallback", "kind", "known_to", "name", "training")

    def __init__(
        self,
        default: Any,
        doc: str,
        *,
        choices: tuple[str, ...] | Mapping[str, str] = (),
        fallback: str | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
        training: bool = False,
        known_to: tuple[str, ...] = (),
    ) -> None:
        self.name = ""
        self.kind = ""
        self.default = default
        self.doc = doc
        self.choices = choices
        self.fallback = fallback
        self.at_least = at_least
        self.at_most = at_most
        self.training = training
        self.known_to = known_to

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.rstrip("_")  # `from` and the like are Python's own words
        self.kind = owner.__annotations__[name].removesuffix(" | None")

    def parse(self, text: str, comment: str = "") -> tuple[Any, list[Problem]]:
        """The value Darknet takes from `text`, and what is wrong with it.

        `comment` is what follows on the line, if the dialect's reader takes it for a part of the value.
        """
        value, problems = _PARSERS[self.kind](self, text, comment)
        if not problems or problems[-1].severity != "error":
            problems += self._limits(value)
        return value, problems

    def _limits(self, value: Any) -> list[Problem]:
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, str):
                continue
            if number != number:
                return [Problem("bad-number", self.name, f"`{self.name}` is not a number")]
            bound = ""
            if self.at_least is not None and number < self.at_least:
                bound = f"at least {shown(self.at_least)} is needed"
            elif self.at_most is not None and number > self.at_most:
                bound = f"at most {shown(self.at_most)} is possible"
            if bound:
                return [Problem("out-of-range", self.name, f"`{self.name}` is {shown(number)}; {bound}")]
        return []


def option(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] | Mapping[str, str] = (),
    fallback: str | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    training: bool = False,
    known_to: tuple[str, ...] = (),
) -> Any:
    """Declare an option in the body of a `Layer`: its default, what it means, and what it may be."""
    return Option(
        default,
        doc,
        choices=choices,
        fallback=fallback,
        at_least=at_least,
        at_most=at_most,
        training=training,
        known_to=known_to,
    )


def shown(value: Any) -> str:
    """A value as one would write it in a cfg."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
    return str(value)


def _spoilt(option: Option, text: str, rest: str, value: float) -> Problem:
    """`atoi` or `atof` stopped early: Darknet goes on with `value`, whatever was meant."""
    in_list = option.kind not in ("int", "bool", "float", "OneSource")
    whole = option.kind not in ("float", "tuple[float, ...]")
    message = f"`{brief(text)}`{f' in `{option.name}`' if in_list else ''} is not a {'whole number' if whole else 'number'}"
    cure = f"write {shown(value)} if that is meant" if in_list else f"write `{option.name}={shown(value)}` if that is meant"
    if rest == text:
        cure = "write a number"
    elif rest.startswith(",") and not whole and not in_list:
        cure = f"write the decimals behind a point: `{option.name}={brief(text.replace(',', '.', 1))}`"
    consequence = f"Darknet reads {shown(value)}" + (f" and drops `{brief(rest)}`" if rest != text else "")
    return Problem("cut-number", option.name, message, cure, "warning", consequence)


def _integer(option: Option, text: str, comment: str) -> tuple[int, list[Problem]]:
    value, rest = atoi(text)
    if not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
        return 0, [Problem("out-of-range", option.name, f"`{brief(text)}` does not fit into 32 bits")]
    if rest or not text:
        return value, [_spoilt(option, text or comment, rest or comment, value)]
    return value, []


def _boolean(option: Option, text: str, comment: str) -> tuple[bool, list[Problem]]:
    value, problems = _integer(option, text, comment)
    if problems and text.lower() in ("true", "yes", "on"):
        problems = [problems[0]._replace(help=f"write `{option.name}=1`", cures=((option.name, "1"),))]
    return bool(value), problems


def _real(option: Option, text: str, comment: str) -> tuple[float, list[Problem]]:
    value, rest = atof(text)
    if rest or not text:
        return value, [_spoilt(option, text or comment, rest or comment, value)]
    return value, []


def _word(option: Option, text: str, comment: str) -> tuple[str, list[Problem]]:
    if comment and (not option.choices or text in option.choices):
        consequence = "Darknet takes the comment for part of the word"
        if option.choices:
            consequence += f", does not know it, and uses `{option.fallback}`" if option.fallback else " and stops"
        message = f"a comment behind `{option.name}`"
        cure = "put the comment on a line of its own; `--dialect hank-ai` reads it as a comment"
        severity: Severity = "error" if option.choices and not option.fallback else "warning"
        found = Problem("comment-in-word", option.name, message, cure, severity, consequence)
        return (option.fallback or text) if option.choices else text + comment, [found]
    if not option.choices or text in option.choices:
        return text, []
    near = nearest(text, option.choices)
    cures = ((option.name, near),) if near and near == slip(text, option.choices) else ()
    cure = f"did you mean `{near}`?" if near else "one of: " + ", ".join(option.choices)
    message = f"`{option.name}` cannot be `{brief(text)}`"
    if option.fallback is None:
        return text, [Problem("unknown-word", option.name, message, cure, cures=cures)]
    consequence = f"Darknet uses `{option.fallback}` instead"
    return option.fallback, [Problem("unknown-word", option.name, message, cure, "warning", consequence, cures=cures)]


def _list(option: Option, text: str, comment: str, single: Any) -> tuple[tuple[Any, ...], list[Problem]]:
    items = text.split(",")
    if len(items) > _LONGEST_LIST:
        message = f"`{option.name}` lists {len(items):,} values"
        return (), [Problem("out-of-range", option.name, message, f"at most {_LONGEST_LIST:,} are possible")]
    if items == [""]:
        return (), [Problem("empty-list", option.name, f"`{option.name}` lists nothing")]
    values, problems = [], []
    for number, item in enumerate(items, 1):
        if item:
            value, found = single(option, item, "")
        else:
            # `atoi("")`: the commas alone say how many values there are.
            where = "ends in a comma" if number == len(items) else "has two commas in a row"
            value, consequence = 0, "Darknet reads another value there, 0"
            found = [Problem("empty-item", option.name, f"`{option.name}` {where}", "remove the comma", "warning", consequence)]
        values.append(value)
        problems += found
    if re.match(r";\s*[-+.0-9]", comment):
        consequence = f"Darknet reads {counted(len(values), 'value')} and drops the rest"
        message, cure = f"`{option.name}` ends at a `;`", "separate the values with commas"
        problems.append(Problem("cut-number", option.name, message, cure, "warning", consequence))
    # Only for some lists the counting of commas ends at a `#`.
    behind = comment if option.kind == "Sources" else comment.split("#")[0]
    if "," in behind:
        more = [single(option, item, "")[0] for item in behind.split(",")[1:]][:_LONGEST_LIST]
        values += more
        message = f"the comment behind `{option.name}` holds a comma"
        consequence = f"Darknet counts it and reads on: {brief(', '.join(map(shown, more)))}"
        cure = "put the comment on a line of its own"
        problems.append(Problem("comma-in-comment", option.name, message, cure, "warning", consequence))
    return tuple(values), problems


def _integers(option: Option, text: str, comment: str) -> tuple[tuple[int, ...], list[Problem]]:
    return _list(option, text, comment, _integer)


def _reals(option: Option, text: str, comment: str) -> tuple[tuple[float, ...], list[Problem]]:
    return _list(option, text, comment, _real)


def _sources(option: Option, text: str, comment: str) -> tuple[Sources, list[Problem]]:
    values, problems = _list(option, text, comment, _integer)
    return Sources(values), problems


def _one_source(option: Option, text: str, comment: str) -> tuple[Sources, list[Problem]]:
    value, problems = _integer(option, text, comment)
    return Sources((value,)), problems


_PARSERS: dict[str, Any] = {
    "int": _integer,
    "bool": _boolean,
    "float": _real,
    "str": _word,
    "tuple[int, ...]": _integers,
    "tuple[float, ...]": _reals,
    "Sources": _sources,
    "OneSource": _one_source,
}
