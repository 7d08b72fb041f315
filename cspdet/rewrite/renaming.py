"""Gives a layer, a variable or a block another name, wherever it is named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple

from cspdet.cfg.definitions import BLOCK, DEFINE, END, KEYWORDS
from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.expression import NAME, variables
from cspdet.cfg.source import Edit, Source, Span, edited
from cspdet.cfg.syntax import Document, Entry, Section
from cspdet.errors import CspdetError, UsageError
from cspdet.rewrite.outline import Outline, outline
from cspdet.rewrite.verdict import Examined, worse
from cspdet.rules import examine
from cspdet.text import brief, nearest

Kind = Literal["layer", "variable", "block"]

# How each is called where several have a name.
_CALLED = {"layer": "@{}", "variable": "${}", "block": "[{}]"}
_NAME = "name"


class Renamed(NamedTuple):
    """The text with the new name, the places where it stands now, and what it brings that was not there before."""

    source: Source
    kind: Kind
    edits: tuple[Edit, ...]
    new: tuple[Diagnostic, ...]

    @property
    def places(self) -> int:
        """At how many places the name stands."""
        return len(self.edits)


def rename(source: Source, name: str, new: str, dialect: Dialect = ALEXEYAB) -> Renamed:
    """Rename what is called `name`; `@name`, `$name` or `[name]` says whether a layer, a variable or a block is meant.

    Raises:
        UsageError: there is none, or several, or the new name cannot be.
        CfgError: the file's layers cannot be told.
        CspdetError: a name is put together from parts, or stands in another file, so that something else would be meant.
    """
    old = outline(source, dialect)
    kind, name = _meant(name, old)
    _check(new, kind, old)
    edits = [Edit(span, new) for span in _places(old.document, kind, name, new)]
    text = source.rewritten(edited(source, edits))
    text.settings = {new if kind == "variable" and each == name else each: value for each, value in source.settings.items()}
    found = worse(Examined(source, examine(source, dialect)[1]), Examined(text, examine(text, dialect)[1]))
    if not found:
        _compare(old, text, kind, (name, new), dialect)
    return Renamed(text, kind, tuple(edits), found)


def _names(old: Outline) -> dict[Kind, Collection[str]]:
    """All that has a name in the file itself, and is not part of a block."""
    expansion, source = old.expansion, old.source
    layers = [entry.value for section in _outside(old.document) for entry in section.entries if entry.key == _NAME]
    return {
        "layer": [name for name in layers if name in expansion.names],
        "variable": [name for name, variable in expansion.variables.items() if variable.span.source is source],
        "block": [name for name, block in expansion.blocks.items() if block.span.source is source],
    }


def _meant(word: str, old: Outline) -> tuple[Kind, str]:
    """What a word on the command line means."""
    known = _names(old)
    found = [(kind, name) for kind, names in known.items() for name in names if word in (name, _CALLED[kind].format(name))]
    if len(found) > 1:
        kinds = " and ".join(f"a {kind} `{_CALLED[kind].format(name)}`" for kind, name in found)
        raise UsageError(f"`{word}` is {kinds}", "write it so")
    if not found:
        near = nearest(word, [name for names in known.values() for name in names])
        cure = (
            "what is a block's own is changed by hand; what an included file defines, in that file"
            if "." in word or not near
            else ""
        )
        if word.isdecimal():
            cure = "a layer without a name gets one by `name=…` in its section"
        raise UsageError(f"there is no layer, variable or block `{brief(word)}`", cure or f"did you mean `{near}`?")
    return found[0]


def _check(new: str, kind: Kind, old: Outline) -> None:
    if not NAME.fullmatch(new) and not (kind == "block" and re.fullmatch(r"[A-Za-z_][\w-]*", new, re.ASCII)):
        raise UsageError(f"`{brief(new)}` cannot be a name", "letters, digits and `_`, beginning with a letter")
    if new in _names(old)[kind]:
        raise UsageError(f"there is a {kind} `{new}` already", "choose another name")


# -- where names stand ------------------------------------------------------------------------------------------------


def _outside(document: Document) -> Iterator[Section]:
    """The sections that are no part of a block's definition, and no keyword."""
    return (section for section, block in _with_blocks(document) if block is None and section.name not in KEYWORDS)


def _with_blocks(document: Document) -> Iterator[tuple[Section, tuple[Section, ...] | None]]:
    """Every section, and the definition that it is part of: from its `[block]` on."""
    sections = document.sections
    block: tuple[Section, ...] | None = None
    for place, section in enumerate(sections):
        if section.name == BLOCK:
            ends = (at for at in range(place + 1, len(sections)) if sections[at].name in (END, BLOCK))
            block = sections[place : next(ends, len(sections))]
        yield section, block
        if section.name == END:
            block = None


def _places(document: Document, kind: Kind, name: str, new: str) -> Iterator[Span]:
    if kind == "block":
        return _block_places(document, name)
    return (_layer_places if kind == "layer" else _variable_places)(document, name, new)


def _layer_places(document: Document, name: str, new: str) -> Iterator[Span]:
    reference = re.compile(rf"@({name})(?!\w)", re.ASCII)
    for section, block in _with_blocks(document):
        own = {entry.value for each in (block or ())[1:] for entry in each.entries if entry.key == _NAME}
        for entry in section.entries:
            if block is None and section.name not in KEYWORDS and entry.key == _NAME and entry.value == name:
                yield entry.value_span
            elif name not in own:
                found = [_within(entry, *each.span(1)) for each in reference.finditer(entry.value_span.text)]
                yield from _unless_taken(found, new, own)


def _variable_places(document: Document, name: str, new: str) -> Iterator[Span]:
    for section, block in _with_blocks(document):
        parameters = {entry.key for entry in (block[0].entries if block else ())}
        for entry in section.entries:
            if section.name == DEFINE and entry.key == name:
                yield entry.key_span
            if name not in parameters:
                spans = [_within(entry, *found) for found in variables(entry.value_span.text)]
                yield from _unless_taken([span for span in spans if span.text == name], new, parameters)


def _unless_taken(spans: Sequence[Span], new: str, own: Collection[str]) -> Sequence[Span]:
    """The places in a block, if the new name is none of the block's own, which would be meant there."""
    if spans and new in own:
        message = f"{spans[0]}: `{new}` is a name of the block's own there, and would be meant instead"
        raise CspdetError(message, "choose another name")
    return spans


def _block_places(document: Document, name: str) -> Iterator[Span]:
    for section in document.sections:
        if section.name == name:
            yield section.name_span
        if section.name == BLOCK:
            yield from (entry.value_span for entry in section.entries if entry.key == _NAME and entry.value == name)


def _within(entry: Entry, start: int, end: int) -> Span:
    span = entry.value_span
    return span._replace(start=span.start + start, end=span.start + end)


# -- whether it is the same ---------------------------------------------------------------------------------------------


def _compare(old: Outline, source: Source, kind: Kind, names: tuple[str, str], dialect: Dialect) -> None:
    """See that the plain sections are the same, and the layers' names but for the one."""
    name, other = names
    new = outline(source, dialect)
    before, after = old.expansion.document.sections, new.expansion.document.sections
    for one, two in zip_longest(before, after):
        if one is None or two is None or _content(one) != _content(two):
            place = (one or two).name_span
            message = f"{place}: `[{place.text}]` would not be the same if `{name}` were called `{other}`"
            raise CspdetError(message, "a name is put together from parts there, or means two things; change it yourself")
    ending = re.compile(rf"{name}(?![^.])" if kind == "layer" else "(?!)")
    expected = {
        ending.sub(other, each, count=1) if ending.match(each) else each: at for each, at in old.expansion.names.items()
    }
    if expected != new.expansion.names:
        message = f"`{old.source.path}`: another layer would be called otherwise if `{name}` were called `{other}`"
        raise CspdetError(message, "choose another name")


def _content(section: Section) -> tuple[str, list[tuple[str, str]]]:
    return section.name, [(entry.key, entry.value) for entry in section.entries]
