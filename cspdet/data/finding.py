"""Findings: what is wrong with annotated data, in which file and line; shown as the diagnostics of a cfg are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.cfg.diagnostic import SEVERITIES, Diagnostic, Label, Severity, render
from cspdet.cfg.source import Source, Span
from cspdet.errors import UsageError
from cspdet.image import SUFFIXES
from cspdet.text import printable

# So many places of what is alike are named.
NAMED = 6


class Finding(NamedTuple):
    """One finding. `line` counts from 1; `label` says what follows from it, `help` holds the cure."""

    severity: Severity
    code: str
    message: str
    file: str
    line: int
    label: str = ""
    help: str = ""

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for `--json`, with the names that `cspdet check --json` uses."""
        return self._asdict()


def folded(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Those of one code together, worst first, else in the order of their first."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.severity, each.code), []).append(each)
    return sorted(groups.values(), key=lambda group: SEVERITIES.index(group[0].severity))


def show(group: list[Finding], color: bool = False) -> str:
    """Findings alike for a terminal: the first with its line of the file, of the others only the places."""
    first, *others = group
    text = _show(first, color)
    if others:
        places = ", ".join(printable(each.place) for each in others[:NAMED])
        text += f"\n   … and {len(others):,} more like it: {places}{', …' if len(others) > NAMED else ''}"
    return text


def _show(finding: Finding, color: bool) -> str:
    try:
        # An image has no lines to show.
        image = Path(finding.file).suffix.lower() in SUFFIXES
        source = Source(finding.file, "") if image else Source.read(finding.file)
        start = source.line_starts[finding.line - 1]
        line = source.line(finding.line)
    except (UsageError, IndexError):  # a folder, or a list of millions
        source, start, line = Source(finding.file, "\n" * (finding.line - 1)), finding.line - 1, ""
    start += len(line) - len(line.lstrip())
    span = Span(source, start, start + len(line.strip()))
    label = Label(span, finding.label)
    return render(Diagnostic(finding.severity, finding.code, finding.message, label, (), finding.help), color)
