"""Definitions of the authoring language: the words it keeps for itself, and `[block]` … `[end]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from cspdet.cfg.diagnostic import Findings, Label
from cspdet.cfg.expression import NAME
from cspdet.cfg.source import Span
from cspdet.cfg.syntax import Entry, Section
from cspdet.text import brief

DEFINE, BLOCK, END, INCLUDE = "define", "block", "end", "include"
KEYWORDS = (DEFINE, BLOCK, END, INCLUDE)
# Options that every section has, and that do not reach it.
CALLED, REPEAT = "name", "repeat"
# In what is repeated, which one of them it is, from 0.
INDEX = "index"
# In a block, the layer that it reads.
INPUT = "in"


class Block(NamedTuple):
    """A section that the user made: its parameters with their defaults, and the sections it stands for."""

    name: str
    span: Span
    parameters: dict[str, Entry]
    body: tuple[Section, ...]


class Definitions(Findings):
    """The blocks that a file and those it includes define."""

    def __init__(self, taken: Collection[str]) -> None:
        """`taken` are names that blocks cannot have."""
        super().__init__()
        self.taken = taken
        self.blocks: dict[str, Block] = {}

    def block(self, sections: Sequence[Section], place: int) -> int:
        """Read a definition from its `[block]` on; gives the place behind its `[end]`."""
        opening = sections[place]
        end = next((at for at in range(place + 1, len(sections)) if sections[at].name in (END, BLOCK)), len(sections))
        if end == len(sections) or sections[end].name == BLOCK:
            others = () if end == len(sections) else (Label(sections[end].name_span, "the next one begins here"),)
            message = "`[block]` is not closed"
            self.report("error", "block-end", message, opening.name_span, "", "put `[end]` behind its last section", others)
            return end
        body = tuple(sections[place + 1 : end])
        self.only(sections[end], {entry.key: entry for entry in sections[end].entries}, ())
        for each in body:
            if each.name in KEYWORDS:
                message = f"`[{each.name}]` within a `[block]`"
                self.report("error", "block-within", message, each.name_span, "", "put it before the `[block]`")
                return end + 1
        named = [entry for entry in opening.entries if entry.key == CALLED]
        if not named:
            self.report("error", "missing-option", "`[block]` needs `name`", opening.name_span, "", "add `name=…`")
            return end + 1
        name, span = named[0].value, named[0].value_span
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII):
            cure = "letters, digits, `_` and `-`, beginning with a letter"
            self.report("error", "bad-name", f"a block cannot be called `{brief(name)}`", span, "", cure)
        elif name in self.taken or name in KEYWORDS:
            message = f"there is a section `[{name}]` already"
            self.report("error", "same-name", message, span, "", "give the block another name")
        elif name in self.blocks:
            others = (Label(self.blocks[name].span, "the first one"),)
            message = f"a second block `{name}`"
            self.report("error", "same-name", message, span, "", "remove or rename one of them", others)
        else:
            self.blocks[name] = Block(name, span, self.parameters(opening), body)
        return end + 1

    def parameters(self, opening: Section) -> dict[str, Entry]:
        """The parameters that a `[block]` has, with their defaults."""
        found: dict[str, Entry] = {}
        for entry in opening.entries:
            if entry.key == CALLED:
                continue
            if not NAME.fullmatch(entry.key) or entry.key in (REPEAT, INDEX):
                cure = f"letters, digits and `_`; `{CALLED}`, `{REPEAT}` and `{INDEX}` have a meaning already"
                self.report("error", "bad-name", f"`{brief(entry.key)}` cannot be a parameter", entry.key_span, "", cure)
            elif entry.key in found:
                others = (Label(found[entry.key].key_span, "the first one"),)
                message = f"a second parameter `{entry.key}`"
                self.report("error", "same-name", message, entry.key_span, "", "remove or rename one of them", others)
            else:
                found[entry.key] = entry
        return found

    def only(self, section: Section, entries: Mapping[str, Entry], known: Collection[str]) -> None:
        """Complain about options that the section does not have."""
        for key, entry in entries.items():
            if key not in known:
                cure = f"it has `{'`, `'.join(known)}`" if known else "remove it"
                message = f"`[{section.name}]` has no option `{brief(key)}`"
                self.report("error", "unknown-option", message, entry.key_span, "", cure)
