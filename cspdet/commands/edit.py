"""Put layers into a cfg, take them out, move them, rename them; every other layer keeps reading what it read.

  cspdet edit X.cfg insert 12 '[dropout]' probability=.5   behind layer 12; each word is a line
  cspdet edit X.cfg insert stem block.cfg                  the sections of a file, or of - for standard input
  cspdet edit X.cfg remove 5..9
  cspdet edit X.cfg move 5..9 net                          behind [net], which is to the top
  cspdet edit X.cfg rename stem first                      a layer, a variable or a block; @stem, $stem, [stem]

Layers are called by their numbers, as `cspdet summary` shows them, or by their names. Numbers in `layers=`, `from=` and the
like are written anew where they must be, negative ones as negative ones. Nothing is written if it would break the network.

Exit code: 0; 1 if it would be broken, or a file has mistakes that make it impossible; 2 if there is no such layer or file.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from cspdet.cfg.diagnostic import Diagnostic, count
from cspdet.cfg.dialect import Dialect
from cspdet.cfg.source import Source, read_text
from cspdet.commands.common import add_dialect, dialect_of, print_diagnostics, settings_of, standard_input
from cspdet.commands.rewriting import print_diff, read_own, write_own
from cspdet.errors import CfgError, UsageError
from cspdet.rewrite.editing import Edited, insert, move, remove
from cspdet.rewrite.renaming import rename
from cspdet.rewrite.verdict import breaks
from cspdet.text import counted, printable


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cfg", metavar="X.cfg", help="cfg file, or - for standard input")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="insert|remove|move|rename")
    put = verbs.add_parser("insert", help="put sections behind a layer")
    put.add_argument("after", metavar="AFTER", help="layer, or `net` for the top")
    put.add_argument("lines", nargs="+", metavar="SECTION", help="lines of sections, a file of them, or -")
    take = verbs.add_parser("remove", help="take layers out")
    take.add_argument("layers", metavar="LAYERS", help="a layer, or several: `5..9`")
    shift = verbs.add_parser("move", help="put layers behind another one")
    shift.add_argument("layers", metavar="LAYERS", help="a layer, or several: `5..9`")
    shift.add_argument("after", metavar="AFTER", help="layer, or `net` for the top")
    call = verbs.add_parser("rename", help="give a layer, a variable or a block another name")
    call.add_argument("name", metavar="NAME", help="its name; `@NAME`, `$NAME` or `[NAME]` where it could be several")
    call.add_argument("new", metavar="NEW", help="its new name")
    for each in (put, take, shift, call):
        each.add_argument("--diff", "--dry-run", action="store_true", help="write nothing, but show what would change")
        add_dialect(each)


def run(arguments: Namespace) -> int:
    """Do what the verb says."""
    if arguments.cfg == "-" and getattr(arguments, "lines", None) == ["-"]:
        raise UsageError("both the cfg and the sections come in by standard input", "name a file for one of them")
    source = read_own(arguments.cfg).set(settings_of(arguments))
    try:
        result, done, new = _renamed(source, arguments) if arguments.verb == "rename" else _edited(source, arguments)
    except CfgError as error:
        errors = [each for each in error.diagnostics if each.severity == "error"]
        print_diagnostics(errors, sys.stderr)
        print(f"{printable(source.path)}: {count(errors)}; nothing is written", file=sys.stderr)
        return 1
    print_diagnostics(new, sys.stderr)
    path = printable(source.path)
    if any(map(breaks, new)):
        print(f"{path}: {_cause(arguments)}, there would be {count(new)}; nothing is written", file=sys.stderr)
        return 1
    if arguments.diff:
        print_diff(source, result.text)
    else:
        write_own(arguments.cfg, source, result.text)
    print(f"{path}: {done}", file=sys.stderr if arguments.diff or arguments.cfg == "-" else sys.stdout)
    return 0


def _edited(source: Source, arguments: Namespace) -> tuple[Source, str, Sequence[Diagnostic]]:
    dialect = dialect_of(arguments)
    found = _change(source, arguments, dialect)
    before, after = found.layers
    changed = abs(after - before)
    done = {"insert": f"{counted(changed, 'layer')} put in", "remove": f"{counted(changed, 'layer')} taken out"}
    numbers = counted(found.renumbered, "reference")
    done_so = f"{done.get(arguments.verb, 'moved')}, {numbers} renumbered; {counted(after, 'layer')}"
    return found.source, done_so, found.new


def _change(source: Source, arguments: Namespace, dialect: Dialect) -> Edited:
    if arguments.verb == "insert":
        return insert(source, arguments.after, _sections(arguments.lines), dialect)
    if arguments.verb == "remove":
        return remove(source, arguments.layers, dialect)
    return move(source, arguments.layers, arguments.after, dialect)


def _renamed(source: Source, arguments: Namespace) -> tuple[Source, str, Sequence[Diagnostic]]:
    found = rename(source, arguments.name, arguments.new, dialect_of(arguments))
    return found.source, f"the {found.kind} has its new name in {counted(found.places, 'place')}", found.new


def _sections(lines: Sequence[str]) -> str:
    """The text to put in: lines, or what a file holds."""
    text = "\n".join(lines)
    if re.search(r"^\s*\[", text, re.MULTILINE):
        return text
    if len(lines) > 1:
        raise UsageError("there is no section among the lines to put in", "begin with one: `'[dropout]'`")
    return standard_input().text if text == "-" else read_text(text, "a file of sections")


def _cause(arguments: Namespace) -> str:
    """What was asked for, in a word."""
    if arguments.verb == "remove":
        return f"without `{arguments.layers}`"
    if arguments.verb == "rename":
        return f"with `{arguments.new}` for `{arguments.name}`"
    return f"with `{arguments.layers}` behind `{arguments.after}`" if arguments.verb == "move" else "with what is put in"
