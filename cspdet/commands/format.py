"""Lay out cfg files alike, as most public ones are: `key=value`, one blank line between sections, no blanks at line ends.

  cspdet format X.cfg more/*.cfg      in place
  cspdet format --check *.cfg         say which would change, for a commit hook
  cspdet format --diff X.cfg          show what would change
  cspdet format - < X.cfg             from standard input to standard output

Comments and the order of lines stay, and so do encoding and line ends; no text means anything else afterwards, to any program.

Exit code: 0, or with --check and --diff 1 if a file would change; 1 if one is no text; 2 if one cannot be read.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from cspdet.commands.rewriting import print_diff, read_own, write_own
from cspdet.errors import CspdetError
from cspdet.rewrite.formatting import formatted
from cspdet.text import counted, printable


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="cfg file, or - for standard input")
    parser.add_argument("--check", action="store_true", help="write nothing, but name the files that would change")
    parser.add_argument("--diff", action="store_true", help="write nothing, but show what would change")


def run(arguments: Namespace) -> int:
    """Lay out every file."""
    looking = arguments.check or arguments.diff
    changed, worst = 0, 0
    for name in arguments.files:
        try:
            source = read_own(name)
            text = formatted(source)
            if not looking:
                write_own(name, source, text)
        except CspdetError as error:
            print(f"error: {error}", file=sys.stderr)
            worst = max(worst, error.exit_code)
            continue
        if text == source.text:
            continue
        changed += 1
        if arguments.diff:
            print_diff(source, text)
        elif name != "-" or looking:
            print(f"{printable(source.path)}: {'would change' if looking else 'changed'}")
    if looking or "-" not in arguments.files:
        print(f"{counted(changed, 'file')} {'would change' if looking else 'changed'}", file=sys.stderr)
    return max(worst, int(looking and changed > 0))
