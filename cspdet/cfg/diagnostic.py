"""Diagnostics: what is wrong, where, what follows from it and what cures it; rendered for people and for machines."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, Protocol

from cspdet.cfg.source import Edit, Span
from cspdet.text import counted, printable

# An error stops the cfg from running. A warning lets it run, but as Darknet does and not as it reads. A note only informs.
Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_COLORS: dict[str, str] = {"error": "1;31", "warning": "1;33", "note": "1;36", "help": "1;32", "frame": "34"}

# Wider source lines are shown in part; a pathological one-line file must not flood the terminal.
_WIDEST = 140


class Label(NamedTuple):
    """A place and what is to be said about it."""

    span: Span
    text: str = ""


class Diagnostic(NamedTuple):
    """One finding. `label` is the place; `others` are further places that explain it; `help` holds the cure.

    `edits` make the text as `help` says, all of them together, where it is certain that this was meant.
    """

    severity: Severity
    code: str
    message: str
    label: Label
    others: tuple[Label, ...] = ()
    help: str = ""
    edits: tuple[Edit, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for `--json`; lines and columns count from 1."""
        found = {"severity": self.severity, "code": self.code, "message": self.message}
        edits = [{**_span_to_json(span), "text": text} for span, text in self.edits]
        others = [*map(_label_to_json, self.others)]
        return {**found, **_label_to_json(self.label), "help": self.help, "others": others, "edits": edits}


class Graded(Protocol):
    """Whatever has a severity."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""


class Findings:
    """Collects diagnostics, and counts the errors among them."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0

    def report(
        self,
        severity: Severity,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        help: str = "",  # noqa: A002 - as the field is called
        others: tuple[Label, ...] = (),
        edits: tuple[Edit, ...] = (),
    ) -> None:
        """Add one."""
        self.diagnostics.append(Diagnostic(severity, code, message, Label(span, label), others, help, edits))
        self.errors += severity == "error"


def _label_to_json(label: Label) -> dict[str, Any]:
    return {**_span_to_json(label.span), "label": label.text}


def _span_to_json(span: Span) -> dict[str, Any]:
    line, column = span.source.place(span.start)
    end_line, end_column = span.source.place(span.end)
    return {
        "file": span.source.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        **({"through": [*map(str, span.through)]} if span.through else {}),
    }


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted as they stand in the file, worst first where two begin at one place; each once."""
    unique = dict.fromkeys(diagnostics)
    return tuple(
        sorted(
            unique,
            key=lambda each: (each.label.span.source.path, each.label.span.start, SEVERITIES.index(each.severity)),
        )
    )


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """The diagnostic for a terminal: message, place, source lines with carets under each label, help."""

    def paint(text: str, role: str) -> str:
        return f"\x1b[{_COLORS[role]}m{text}\x1b[0m" if color and text else text

    label = diagnostic.label
    files: dict[str, list[Label]] = {}
    for each in (label, *diagnostic.others):
        files.setdefault(each.span.source.path, []).append(each)
    width = len(str(max(each.span.line for each in (label, *diagnostic.others))))
    bar = paint(f"{'':{width}} |", "frame")
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    rows = [f"{paint(head, diagnostic.severity)}: {printable(diagnostic.message)}"]
    for labels in files.values():
        arrow = "-->" if label in labels else ":::"
        rows.append(f"{'':{width}}{paint(arrow, 'frame')} {printable(str(labels[0].span))}")
        shown = [*_lines(labels, label, diagnostic.severity, bar, width, paint)]
        rows += [bar, *shown] if shown else []
    remarks = [("note", f"in the block that is used at {use}") for use in reversed(label.span.through)]
    remarks += [("help", diagnostic.help)] if diagnostic.help else []
    sign = paint("=", "frame")
    rows += [bar] if remarks else []
    rows += [f"{'':{width}} {sign} {paint(kind, kind)}: {printable(text)}" for kind, text in remarks]
    return "\n".join(rows)


def _lines(
    labels: Iterable[Label], primary: Label, severity: Severity, bar: str, width: int, paint: Callable[[str, str], str]
) -> Iterator[str]:
    """The lines of one file that labels stand in, and the labels below them."""
    by_line: dict[int, list[Label]] = {}
    for label in labels:
        by_line.setdefault(label.span.line, []).append(label)
    for number in sorted(by_line):
        line = by_line[number][0].span.source.line(number)
        if "\0" in line:
            continue  # it is no text that could be shown
        # The labels of a line stand below it together; of a long line, each gets the part that it is about.
        for group in [by_line[number]] if len(line) <= _WIDEST else [[each] for each in by_line[number]]:
            offset = _window_start(line, group[0].span.column - 1)
            shown = _expand(line[offset : offset + _WIDEST])
            yield f"{paint(f'{number:>{width}} |', 'frame')} {shown}".rstrip()
            for each in group:
                column = each.span.column - 1
                length = max(1, min(each.span.end - each.span.start, len(line) - column))
                lead = _display_width(line[offset:column])
                mark = "^" if each is primary else "-"
                marks = mark * max(1, min(_display_width(line[column : column + length]), _WIDEST - lead))
                note = f"{marks} {printable(each.text)}".rstrip()
                yield f"{bar} {'':{lead}}{paint(note, severity if each is primary else 'frame')}"


def count(diagnostics: Iterable[Graded]) -> str:
    """For example "2 errors, 1 warning"; empty where there is nothing to count."""
    found = [each.severity for each in diagnostics]
    numbers = [(found.count(severity), severity) for severity in SEVERITIES]
    return ", ".join(counted(number, severity) for number, severity in numbers if number)


def _window_start(line: str, column: int) -> int:
    return 0 if len(line) <= _WIDEST or column < _WIDEST // 2 else column - _WIDEST // 2


def _expand(text: str) -> str:
    return printable(text.replace("\t", "    "))


def _display_width(text: str) -> int:
    text = text.replace("\t", "    ")
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
