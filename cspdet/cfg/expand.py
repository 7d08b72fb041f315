"""The authoring language → plain sections: `[define]`, `[block]` … `[end]`, `[include]`, `name=`, `repeat=`, `$…` and `@…`.

A file that uses none of it stays as it is. What comes out keeps the places the user wrote it at, and through which uses of
blocks it came. docs/language.md describes the language.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.definitions import BLOCK, CALLED, DEFINE, END, INCLUDE, INDEX, INPUT, KEYWORDS, REPEAT, Block, Definitions
from cspdet.cfg.diagnostic import Diagnostic, Label
from cspdet.cfg.dialect import Dialect
from cspdet.cfg.expression import NAME, number_of
from cspdet.cfg.included import included_by
from cspdet.cfg.naming import by_name, named_items
from cspdet.cfg.source import Edit, Source, Span
from cspdet.cfg.syntax import Document, Entry, Section, parse
from cspdet.cfg.values import Scope, Values
from cspdet.errors import UsageError
from cspdet.text import brief, nearest, slip

# What one file may become; and how many uses of blocks may be in it, as there are blocks without sections.
LARGEST = 20_000
_MOST_USES = 50_000
# Files that include files that include files.
_DEEPEST = 20

# In the place of a parameter's default.
_NO_DEFAULT = "?"


class Variable(NamedTuple):
    """What a variable stands for, and where it is defined."""

    value: str
    span: Span


class Expansion(NamedTuple):
    """What a document became."""

    document: Document
    # Of every named layer, its number; those within blocks as `block.layer`.
    names: dict[str, int]
    # Where each of these names was given.
    places: dict[str, Span]
    # The blocks and the variables that are defined, the latter with what they stand for and where that is written.
    blocks: dict[str, Block]
    variables: dict[str, Variable]
    # Whether the language was used at all.
    authored: bool
    # Whether expansion came to its end.
    complete: bool = True
    # Of every plain section, the number of the section of the document itself that it came from.
    origins: tuple[int, ...] = ()


class _Stop(Exception):  # noqa: N818 - it is no error of the program
    """Expansion goes no further: what would follow is without meaning."""


def authored(document: Document) -> bool:
    """Whether a document uses the language."""
    return any(
        section.name in KEYWORDS
        or any(entry.key in (CALLED, REPEAT) or "$" in entry.value or "@" in entry.value for entry in section.entries)
        for section in document.sections
    )


def expand(
    document: Document,
    dialect: Dialect,
    taken: Collection[str],
    inputs: Collection[str] = ("net", "network"),
) -> tuple[Expansion, tuple[Diagnostic, ...]]:
    """The plain sections of a document, and what is wrong with what they are made from.

    Args:
        document: as it was parsed.
        dialect: for the files it includes.
        taken: names of sections that blocks cannot have.
        inputs: names of the section that is no layer.

    Raises:
        UsageError: the source sets a variable that is not defined.
    """
    settings = document.source.settings
    if not authored(document):
        if settings:
            name = next(iter(settings))
            raise UsageError(f"`{document.source.path}` has no variable `{name}`", "variables are made in `[define]`")
        return Expansion(document, {}, {}, {}, {}, authored=False, origins=tuple(range(len(document.sections)))), ()
    expander = _Expander(dialect, taken, inputs, settings)
    try:
        expander.run(document, ())
        unknown = next((name for name in settings if name not in expander.variables), None)
        if unknown is not None:
            near = nearest(unknown, expander.variables)
            known = "there are " + ", ".join(f"`{each}`" for each in expander.variables) if expander.variables else ""
            cure = f"did you mean `{near}`?" if near else known or "variables are made in `[define]`"
            raise UsageError(f"`{document.source.path}` has no variable `{unknown}`", cure)
        complete = True
    except _Stop:
        complete = False
    plain = document._replace(sections=tuple(expander.sections))
    variables = {name: Variable(value, expander.defined[name].key_span) for name, value in expander.variables.items()}
    names, places, origins = expander.names, expander.places, tuple(expander.origins)
    found = Expansion(plain, names, places, expander.blocks, variables, True, complete, origins)
    return found, tuple(expander.diagnostics)


class _Expander(Definitions, Values):
    def __init__(self, dialect: Dialect, taken: Collection[str], inputs: Collection[str], settings: Mapping[str, str]) -> None:
        super().__init__(taken)
        self.dialect, self.inputs, self.settings = dialect, inputs, settings
        self.sections: list[Section] = []
        self.origins: list[int] = []
        self.origin = 0
        self.layers = 0
        self.uses = 0
        self.anonymous = 0
        self.variables: dict[str, str] = {}
        self.named: frozenset[str] = frozenset()
        self.defined: dict[str, Entry] = {}
        self.places: dict[str, Span] = {}

    # -- files ----------------------------------------------------------------------------------------------------------

    def run(self, document: Document, files: tuple[Path, ...]) -> None:
        """Everything in one file, in its order; `files` are those that include it."""
        path = Path(document.source.path)
        place, sections = 0, document.sections
        self.later[DEFINE] |= {entry.key for section in sections if section.name == DEFINE for entry in section.entries}
        self.later[CALLED] |= {
            entry.value for section in _outside(sections) for entry in section.entries if entry.key == CALLED
        }
        while place < len(sections):
            section = sections[place]
            if not files:
                self.origin = place
            place += 1
            if section.name == BLOCK:
                place = self.block(sections, place - 1)
            elif section.name == END:
                message = "`[end]` without a `[block]`"
                self.report("error", "block-end", message, section.name_span, "", "remove it, or begin the block")
            elif section.name == DEFINE:
                self.define(section)
            elif section.name == INCLUDE:
                self.include(section, (*files, path))
            else:
                self.use(section, Scope(self.variables, named=self.named))

    def define(self, section: Section) -> None:
        """Variables."""
        for entry in section.entries:
            if not NAME.fullmatch(entry.key):
                cure = "letters, digits and `_`, beginning with a letter"
                self.report("error", "bad-name", f"`{brief(entry.key)}` cannot be a variable", entry.key_span, "", cure)
            elif entry.key in self.defined:
                others = (Label(self.defined[entry.key].key_span, "the first one"),)
                message = f"`{entry.key}` is defined twice"
                self.report("error", "same-name", message, entry.key_span, "", "remove or rename one of them", others)
            else:
                self.defined[entry.key] = entry
                value = self.settings.get(entry.key)
                scope = Scope(self.variables, named=self.named)
                text = self.text(entry, scope) if value is None else value
                self.variables[entry.key] = "" if text is None else text
                if value is None and by_name(entry.value, scope.named):
                    self.named |= {entry.key}

    def include(self, section: Section, files: tuple[Path, ...]) -> None:
        """Put another file in the place of the section."""
        entries = {entry.key: entry for entry in section.entries}
        self.only(section, entries, ("file",))
        entry = entries.get("file")
        if entry is None:
            self.report("error", "missing-option", "`[include]` needs `file`", section.name_span, "", "add `file=X.cfg`")
            return
        path = included_by(files[-1], entry)
        if path.resolve() in [each.resolve() for each in files] or len(files) > _DEEPEST:
            chain = " → ".join(f"`{each.name}`" for each in (*files, path))
            message = f"`{path.name}` includes itself: {chain}"
            self.report("error", "recursive-include", message, entry.value_span, "", "remove one of the `[include]`s")
            raise _Stop
        try:
            source = Source.read(path)
        except UsageError as error:
            self.report("error", "no-include", error.message, entry.value_span, "", error.help)
            raise _Stop from None
        document, found = parse(source, self.dialect)
        self.diagnostics += found
        self.errors += sum(each.severity == "error" for each in found)
        self.run(document, files)

    # -- sections -------------------------------------------------------------------------------------------------------

    def use(self, section: Section, scope: Scope) -> None:
        """A section in its place, or the block that it names, as often as `repeat` says."""
        entries = {entry.key: entry for entry in section.entries}
        repeat = self.count(entries[REPEAT], scope) if REPEAT in entries else None
        name = self.name(entries[CALLED], scope) if CALLED in entries else ""
        for index in range(1 if repeat is None else repeat):
            self.uses += 1
            if self.uses > _MOST_USES or len(self.sections) >= LARGEST:
                message = f"the file becomes more than {LARGEST:,} sections"
                cure = "is a `repeat` mistyped?"
                self.report("error", "too-many-sections", message, scope.place(section.name_span), "", cure)
                raise _Stop
            inner, own = scope, name
            if repeat is not None:
                inner = scope._replace(variables={**scope.variables, INDEX: str(index)})
                own = f"{name}.{index}" if name else ""
            if block := self.blocks.get(section.name):
                self.expand(block, section, inner, scope.prefix + own if own else "")
            else:
                self.emit(section, inner)
            if own and section.name not in self.inputs:
                self.call(scope.prefix + own, entries[CALLED], scope)
        if repeat and name and self.layers:
            self.call(scope.prefix + name, entries[CALLED], scope)

    def call(self, name: str, entry: Entry, scope: Scope) -> None:
        """Give the last layer a name."""
        if name in self.places:
            others = (Label(self.places[name], "the first one"),)
            message = f"a second layer `{_spoken(name)}`"
            span = scope.place(entry.value_span)
            self.report("error", "same-name", message, span, "", "rename one of them", others)
        elif self.layers:
            self.names[name] = self.layers - 1
            self.places[name] = entry.value_span

    def emit(self, section: Section, scope: Scope) -> None:
        """A plain section."""
        entries, spoilt = [], False
        for entry in section.entries:
            if entry.key in (CALLED, REPEAT):
                continue
            text = self.text(entry, scope)
            spoilt = spoilt or text is None
            if text is not None:
                key, value = (scope.place(span) for span in (entry.key_span, entry.value_span))
                entries.append(
                    Entry(
                        entry.key, text, entry.comment, key, value, named_items(entry.value, scope.named, scope.variables.get)
                    )
                )
        span = scope.place(section.name_span)
        self.sections.append(Section(section.name, span, tuple(entries), spoilt))
        self.origins.append(self.origin)
        self.layers += section.name not in self.inputs

    def expand(self, block: Block, section: Section, scope: Scope, name: str) -> None:
        """The sections of a block, with the parameters that the section gives it."""
        through = (*scope.through, section.name_span)
        if any(span in self.inside(block) for span in scope.through):
            message = f"`[{block.name}]` uses itself"
            others = (Label(block.span, "the block"),)
            cure = "a block can only use blocks that do not use it"
            self.report("error", "recursive-block", message, scope.place(section.name_span), "", cure, others)
            raise _Stop
        given = {entry.key: entry for entry in section.entries if entry.key not in (CALLED, REPEAT)}
        for key, entry in given.items():
            if key not in block.parameters:
                near = nearest(key, block.parameters)
                known = "it has " + ", ".join(f"`{each}`" for each in block.parameters) if block.parameters else "it has none"
                message = f"the block `[{block.name}]` has no parameter `{brief(key)}`"
                span = scope.place(entry.key_span)
                edits = (Edit(span, near),) if near and near not in given and near == slip(key, block.parameters) else ()
                cure = f"did you mean `{near}`?" if near else known
                self.report("error", "unknown-option", message, span, "", cure, edits=edits)
        values: dict[str, str] = {}
        named = self.named
        # A default may use the parameters before it, and what is defined for the whole file.
        defaults = Scope({}, through=through, reads=self.layers - 1)
        for key, parameter in block.parameters.items():
            here = by_name(given[key].value, scope.named) if key in given else by_name(parameter.value, named)
            named = named | {key} if here else named - {key}
            if key in given:
                text = self.text(given[key], scope)
            elif parameter.value == _NO_DEFAULT:
                message = f"the block `[{block.name}]` needs `{key}`"
                others = (Label(parameter.key_span, "it has no default"),)
                span = scope.place(section.name_span)
                self.report("error", "missing-option", message, span, "", f"add `{key}=…`", others)
                text = None
            else:
                text = self.text(parameter, defaults._replace(variables={**self.variables, **values}))
            if text is None:
                return
            values[key] = text
        self.anonymous += 1
        # What is in a block without a name cannot be named from outside; a digit in front is what no name has.
        prefix = f"{name}." if name else f"{self.anonymous}."
        index = {INDEX: scope.variables[INDEX]} if INDEX in scope.variables else {}
        inner = Scope({**self.variables, **index, **values}, prefix, through, self.layers - 1, named)
        for each in block.body:
            self.use(each, inner)

    def inside(self, block: Block) -> Collection[Span]:
        return {section.name_span for section in block.body}

    # -- options of every section ---------------------------------------------------------------------------------------

    def count(self, entry: Entry, scope: Scope) -> int:
        """How often; once where that cannot be told, which is reported, so that the section is looked at."""
        text = self.text(entry, scope)
        if text is None:
            return 1
        value = number_of(text)
        if value is None or value != int(value) or not 0 <= value <= LARGEST:
            message = f"`repeat={brief(text)}` is no number of times"
            span = scope.place(entry.value_span)
            self.report("error", "bad-repeat", message, span, "", f"a whole number from 0 to {LARGEST:,}")
            return 1
        return int(value)

    def name(self, entry: Entry, scope: Scope) -> str:
        text = self.text(entry, scope)
        if text is None:
            return ""
        if not NAME.fullmatch(text) or text == INPUT:
            cure = "letters, digits and `_`, beginning with a letter; `in` has a meaning already"
            message = f"a layer cannot be called `{brief(text)}`"
            self.report("error", "bad-name", message, scope.place(entry.value_span), "", cure)
            return ""
        return text


def _outside(sections: Sequence[Section]) -> Iterator[Section]:
    """The sections that stand in no block."""
    within = False
    for section in sections:
        within = section.name == BLOCK or (within and section.name != END)
        if not within:
            yield section


def _spoken(name: str) -> str:
    """A layer's name without what stands for a block that has none."""
    return re.sub(r"^\d+\.", "", name)
