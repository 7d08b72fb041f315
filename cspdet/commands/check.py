"""Check cfg files: everything that is wrong, where, what follows from it, and what cures it.

  cspdet check X.cfg
  cspdet check --fix X.cfg      apply the cures that are certain, and say which; - goes from standard input to standard output

With --fix, a file is replaced only if the cures bring no error that was not there before. What stands in blocks, variables and
included files is left to you.

Exit code: 0 if there are no errors and no warnings (left), 1 if there are, 2 if a file cannot be read.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from cspdet.cfg.diagnostic import SEVERITIES, count
from cspdet.commands.common import add_dialect, dialect_of, print_diagnostics, read_cfg, settings_of
from cspdet.commands.rewriting import read_own, write_own
from cspdet.errors import UsageError
from cspdet.rewrite.fixing import Fixing, fix
from cspdet.rules import examine
from cspdet.text import counted, printable


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="cfg file, model name, or - for standard input")
    parser.add_argument("--fix", action="store_true", help="apply the cures that are certain")
    parser.add_argument("--notes", action="store_true", help="also print notes, which do not count as problems")
    parser.add_argument("--json", action="store_true", help="print JSON, notes included")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Check every file."""
    if arguments.fix and arguments.json and "-" in arguments.files:
        raise UsageError("`--fix -` and `--json` both write to standard output", "name a file, or leave out `--json`")
    found: list[Fixing] = []
    unreadable = False
    for name in arguments.files:
        try:
            result = _fixed(name, arguments) if arguments.fix else _checked(name, arguments)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            unreadable = True
            continue
        found.append(result)
        if not arguments.json:
            _print(result, name, arguments)
    diagnostics = [each for result in found for each in result.diagnostics]
    if arguments.json:
        facts = {"diagnostics": [each.to_json() for each in diagnostics]}
        facts |= {"fixed": [result.to_json(cure) for result in found for cure in result.cures]} if arguments.fix else {}
        counts = {f"{severity}s": sum(each.severity == severity for each in diagnostics) for severity in SEVERITIES}
        print(json.dumps({**facts, **counts}, indent=2, ensure_ascii=False))
    if unreadable:
        return 2
    return int(any(each.severity != "note" for each in diagnostics))


def _checked(name: str, arguments: Namespace) -> Fixing:
    source = read_cfg(name, arguments)
    return Fixing(source, *examine(source, dialect_of(arguments)))


def _fixed(name: str, arguments: Namespace) -> Fixing:
    """Cure a file, and write it."""
    source = read_own(name).set(settings_of(arguments))
    result = fix(source, dialect_of(arguments))
    write_own(name, source, result.source.text)
    return result


def _print(result: Fixing, name: str, arguments: Namespace) -> None:
    """What was fixed, what is left, and the verdict."""
    stream = sys.stderr if arguments.fix and name == "-" else sys.stdout
    remarks = [(change, cure.code, remark) for cure in result.cures for change, remark in cure.remarks]
    for change, code, remark in sorted(remarks, key=lambda each: each[0].place):
        print(printable(f"{result.place(change)}: fixed[{code}]: {remark}"), file=stream)
    if result.cures:
        print(file=stream)
    shown = [each for each in result.diagnostics if arguments.notes or each.severity != "note"]
    print_diagnostics(shown, stream)
    parts = [f"{len(result.cures)} fixed"] if arguments.fix else []
    parts.append(count(shown) or "no problems")
    if graph := result.graph:
        layers, billions = counted(len(graph.nodes), "layer"), graph.operations / 1e9
        parts.append(f"{layers}, {billions:.3f} BFLOPs, {graph.parameters:,} parameters")
    hidden = len(result.diagnostics) - len(shown)
    more = f" ({counted(hidden, 'note')}: --notes)" if hidden else ""
    print(f"{printable(result.source.path)}: {'; '.join(parts)}{more}", file=stream)
    if arguments.fix and result.left:
        print(f"  {counted(result.left, 'cure')} left to you: in a block, a variable or another file", file=stream)
    if result.worse:
        first = result.worse[0]
        place = f"line {first.label.span.line}"
        print(f"  nothing is fixed, as it would bring {count(result.worse)}, first in {place}: {first.message}", file=stream)
