"""What values come to: variables, expressions, and layers by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from cspdet.cfg.definitions import CALLED, DEFINE, INPUT
from cspdet.cfg.diagnostic import Findings
from cspdet.cfg.expression import ExpressionError, interpolate
from cspdet.cfg.source import Span
from cspdet.cfg.syntax import Entry
from cspdet.text import nearest

_REFERENCE = re.compile(r"@([A-Za-z_][\w.]*)?", re.ASCII)


class Scope(NamedTuple):
    """Where names are looked up."""

    variables: Mapping[str, str]
    # What stands before the names of layers; none at the top.
    prefix: str = ""
    # The uses of blocks it is in.
    through: tuple[Span, ...] = ()
    # The layer that the block reads; None at the top.
    reads: int | None = None
    # The variables that hold nothing but layers that are named.
    named: frozenset[str] = frozenset()

    def place(self, span: Span) -> Span:
        """Where something stands, and through which uses of blocks it came here."""
        return span._replace(through=self.through) if self.through else span


class Values(Findings):
    """Works out values, with the names that layers have so far."""

    def __init__(self) -> None:
        super().__init__()
        # Of every named layer, its number; those within blocks as `block.layer`.
        self.names: dict[str, int] = {}
        # What the sections of the files so far define, and how they are called, be it further down.
        self.later: dict[str, set[str]] = {DEFINE: set(), CALLED: set()}

    def text(self, entry: Entry, scope: Scope) -> str | None:
        """An entry's value with variables and references worked out; None where that fails, which is reported."""
        try:
            found = interpolate(entry.value, scope.variables.get)
            return _REFERENCE.sub(lambda match: self.reference(match, scope), found) if "@" in found else found
        except ExpressionError as error:
            cure = error.cure
            if error.code == "undefined-variable":
                name = error.message.split("`")[1]
                near = nearest(name, scope.variables)
                cure = f"did you mean `{near}`?" if near else "define it in `[define]`, or make it a parameter of the block"
                cure = "it is defined further down: put that `[define]` above" if name in self.later[DEFINE] else cure
            start, end = error.start, error.end
            if error.code == "bad-reference" and "$" in entry.value:  # it was found in what the variables made of the value
                start = max(entry.value.find(found[start:end]), 0)
                end = start + error.end - error.start
            span = scope.place(_part(entry, start, end))
            self.report("error", error.code, error.message, span, "", cure)
            return None

    def reference(self, match: re.Match[str], scope: Scope) -> str:
        """The number of the layer that `@name` names."""
        name = match[1] or ""
        start, end = match.span()
        around = match.string[start - 1 : start] + match.string[end : end + 1]
        if name and around.strip(","):
            message = f"`@{name}` does not stand alone"
            cure = "put commas between layers; what is worked out cannot count from a name"
            raise ExpressionError("bad-reference", message, start, end, cure)
        if name == INPUT and scope.reads is not None:
            if scope.reads < 0:
                message = "`@in` is the network's input here, which no section can name"
                raise ExpressionError("bad-reference", message, start, end, "use the block behind another layer")
            return str(scope.reads)
        # First among the names of the block, then among those of the file.
        for full in dict.fromkeys((scope.prefix + name, name)):
            if full in self.names:
                return str(self.names[full])
        message = f"there is no layer `{name}` before this one" if name else "`@` without the name of a layer"
        raise ExpressionError("bad-reference", message, start, end, self.meant(name, scope))

    def meant(self, name: str, scope: Scope) -> str:
        """What could be done about `@name`, which means nothing."""
        if name == INPUT:
            return "`@in` is for the sections of blocks; `-1` is the layer above"
        if name in scope.variables:
            return f"a variable is `${name}`"
        if name in self.later[CALLED]:
            return "it stands further down, and only layers further up can be named"
        own = {each.removeprefix(scope.prefix) for each in self.names if each.startswith(scope.prefix)} | {*self.names}
        known = [each for each in own if not each[0].isdigit()]
        near = next((each for each in known if each.endswith(f".{name}")), None) or nearest(name, known)
        return f"did you mean `@{near}`?" if near else "name it by `name=`"


def _part(entry: Entry, start: int, end: int) -> Span:
    """Where a part of a value stands in the file, if its text is the file's; the whole value otherwise."""
    span = entry.value_span
    if span.text != entry.value:
        return span
    return span._replace(start=span.start + start, end=span.start + end)
