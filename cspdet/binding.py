"""One section of a cfg → a layer with its options: what Darknet makes of each entry, and what it does not."""

from __future__ import annotations

from typing import Any

from cspdet.cfg.diagnostic import Findings, Label, Severity
from cspdet.cfg.dialect import DIALECTS, Dialect
from cspdet.cfg.expression import number_of
from cspdet.cfg.number import PLAIN_NUMBERS
from cspdet.cfg.source import Edit, Span
from cspdet.cfg.syntax import BLANK, Entry, Section
from cspdet.graph import setting
from cspdet.layers import BY_NAME
from cspdet.layers.base import REQUIRED, Layer, Option, Problem
from cspdet.layers.option import OWN, shown
from cspdet.text import brief, nearest, slip


def bind(kind: type[Layer], section: Section, index: int, dialect: Dialect, findings: Findings) -> Layer:
    """The layer with the values of the section's entries; of a doubled key, the dialect says which counts."""
    return _Binder(kind, section, dialect, findings).layer(index)


class _Binder:
    def __init__(self, kind: type[Layer], section: Section, dialect: Dialect, findings: Findings) -> None:
        self.kind = kind
        self.section = section
        self.dialect = dialect
        self.report = findings.report
        self.title = f"[{brief(section.name)}]"
        # A strict program stops at what the others pass over.
        self.severity: Severity = "error" if dialect.strict else "warning"

    def layer(self, index: int) -> Layer:
        values: dict[str, Any] = {}
        refused = set()
        entries: dict[str, list[Entry]] = {}
        for entry in self.section.entries:
            entries.setdefault(entry.key, []).append(entry)
        for key, found in entries.items():
            entry = found[0 if self.dialect.duplicates == "first" else -1]
            self.report_duplicates(entry, found)
            option = self.kind.options.get(key)
            if option is None:
                self.report_unknown(entry, entries)
            elif self.foreign(option):
                self.report_foreign(entry, option)
            else:
                value, problems = self.value(entry, option)
                if any(problem.severity == "error" for problem in problems):
                    refused.add(key)
                else:
                    values[key] = value
        for name, option in self.kind.options.items():
            if option.default is REQUIRED and name not in entries:
                message, cure = f"`{self.title}` needs `{name}`", f"add `{name}=…`: {option.doc}"
                consequence = "" if self.kind.known_to == OWN else "Darknet crashes"
                self.report("error", "missing-option", message, self.section.name_span, consequence, cure)
        layer = self.kind(index, self.dialect, values)
        layer.refused = frozenset(refused)
        return layer

    def foreign(self, option: Option) -> bool:
        """Whether the dialect's program does not know the option, so that it does not count."""
        if option.known_to == OWN:
            return self.dialect.strict
        return bool(option.known_to) and self.dialect.name not in option.known_to

    def value(self, entry: Entry, option: Option) -> tuple[Any, list[Problem]]:
        value, problems = option.parse(entry.value, "" if self.dialect.comments else entry.comment)
        if self.dialect.strict:
            problems = [*self.strictly(entry, option, problems)]
        place = _value_span(entry)
        for problem in problems:
            edits = [setting(self.section, option, text, self.dialect) for option, text in problem.cures]
            if problem.code in ("comment-in-word", "comma-in-comment") and entry.value:
                edits += _comment_above(entry)
            consequence, cure = problem.consequence, problem.help
            if problem.code == "cut-number" and "$" in entry.value_span.text and number_of(entry.value) is not None:
                cure = "`$(…)` gives whole numbers by `round`, `floor`, `ceil`, `//` or `divisible`"
            self.report(problem.severity, problem.code, problem.message, place, consequence, cure, edits=tuple(edits))
        return value, problems

    def strictly(self, entry: Entry, option: Option, problems: list[Problem]) -> list[Problem]:
        """What a program says that stops where the others go on."""
        consequence = f"{self.dialect.title} stops here"
        if option.kind != "str" and not PLAIN_NUMBERS.fullmatch(entry.value):
            message = f"`{brief(entry.value)}` is no number to {self.dialect.title}"
            return [Problem("bad-number", option.name, message, "write digits, `.` and `-` only", "error", consequence)]
        stops = ("unknown-word", "cut-number", "empty-item")
        return [each._replace(severity="error", consequence=consequence) if each.code in stops else each for each in problems]

    def report_duplicates(self, kept: Entry, entries: list[Entry]) -> None:
        for entry in entries:
            if entry is kept:
                continue
            label = f"{self.dialect.title} refuses the file" if self.dialect.strict else ""
            if not label and kept.value != entry.value:
                label = f"{self.dialect.title} reads {brief(kept.value)} and ignores this one"
            changes_nothing = kept.value == entry.value and entry.comment in ("", kept.comment)
            times = "twice" if len(entries) == 2 else f"{len(entries)} times"
            self.report(
                self.severity,
                "duplicate-option",
                f"`{brief(entry.key)}` is given {times}",
                entry.key_span,
                label,
                "remove one of them; hank-ai's Darknet refuses the file, the PyTorch forks take the last",
                () if self.dialect.strict else (Label(kept.key_span, "this one counts"),),
                (Edit(_line(entry), ""),) if changes_nothing else (),
            )

    def report_foreign(self, entry: Entry, option: Option) -> None:
        home = DIALECTS.get(option.known_to[0])
        title = home.title if home else option.known_to[0]
        others = f"only {title} knows" if len(option.known_to) == 1 else f"{self.dialect.title} does not know"
        message = f"{others} `{entry.key}` in `{self.title}`"
        label = f"{self.dialect.title} {'refuses the file' if self.dialect.strict else 'ignores it'}"
        cure = f"say `--dialect {home.name}` if the cfg was made for that" if home else "remove it, or choose another dialect"
        self.report(self.severity, "foreign-option", message, entry.key_span, label, cure)

    def report_unknown(self, entry: Entry, entries: dict[str, list[Entry]]) -> None:
        key = entry.key
        near = nearest(key, self.kind.options)
        label = f"{self.dialect.title} {'refuses the file' if self.dialect.strict else 'ignores it'}"
        if near and near not in entries and not self.dialect.strict:
            default = self.kind.options[near].default
            label += "" if default is REQUIRED or default in (None, "", ()) else f" and uses `{near}={shown(default)}`"
        home = next((name for name, each in BY_NAME.items() if key in each.options), None)
        cures = [f"`{key}` is an option of `[{home}]`"] if home else []
        cures += [f"did you mean `{near}`?"] if near else []
        message = f"`{self.title}` has no option `{brief(key)}`"
        certain = near and near not in entries and not home and near == slip(key, self.kind.options)
        edits = (Edit(entry.key_span, near),) if certain and near and self.could_be(entry, self.kind.options[near]) else ()
        self.report(self.severity, "unknown-option", message, entry.key_span, label, "; ".join(cures), edits=edits)

    def could_be(self, entry: Entry, option: Option) -> bool:
        """Whether the value could be that of an option."""
        return not self.foreign(option) and all(each.severity != "error" for each in option.parse(entry.value)[1])


def _value_span(entry: Entry) -> Span:
    return entry.value_span if entry.value_span.start < entry.value_span.end else entry.key_span


def _line(entry: Entry) -> Span:
    """The whole line of an entry."""
    return entry.key_span.source.line_at(entry.key_span.start)._replace(through=entry.key_span.through)


def _comment_above(entry: Entry) -> list[Edit]:
    """The comment behind a value, on a line of its own above."""
    line, behind = _line(entry), entry.value_span.rest
    above = line._replace(end=line.start)
    return [Edit(above, f"{behind.text.strip(BLANK)}{line.source.line_end}"), Edit(behind, "")]
