"""Check cfg files: everything that is wrong, where, what follows from it, and what cures it.

Exit code: 0 if there are no errors and no warnings, 1 if there are, 2 if a file cannot be read.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from cspdet.cfg.diagnostic import Diagnostic, count
from cspdet.commands.common import add_dialect, dialect_of, print_diagnostics, read_cfg
from cspdet.errors import UsageError
from cspdet.rules import examine
from cspdet.text import counted, printable


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="cfg file, model name, or - for standard input")
    parser.add_argument("--notes", action="store_true", help="also print notes, which do not count as problems")
    parser.add_argument("--json", action="store_true", help="print JSON, notes included")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Check every file."""
    found: list[Diagnostic] = []
    unreadable = False
    for name in arguments.files:
        try:
            source = read_cfg(name, arguments)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            unreadable = True
            continue
        graph, diagnostics = examine(source, dialect_of(arguments))
        found += diagnostics
        if arguments.json:
            continue
        shown = [each for each in diagnostics if arguments.notes or each.severity != "note"]
        print_diagnostics(shown, sys.stdout)
        hidden = len(diagnostics) - len(shown)
        more = f" ({counted(hidden, 'note')}: --notes)" if hidden else ""
        about = (
            f"{counted(len(graph.nodes), 'layer')}, {graph.operations / 1e9:.3f} BFLOPs, {graph.parameters:,} parameters"
            if graph
            else ""
        )
        print(f"{printable(source.path)}: {count(shown) or 'no problems'}{f'; {about}' if about else ''}{more}")
    if arguments.json:
        counts = {f"{severity}s": sum(each.severity == severity for each in found) for severity in ("error", "warning", "note")}
        print(json.dumps({"diagnostics": [each.to_json() for each in found], **counts}, indent=2, ensure_ascii=False))
    if unreadable:
        return 2
    return int(any(each.severity != "note" for each in found))
