"""Write a cfg as plain Darknet text, with names, variables, blocks and includes worked out.

  cspdet expand X.cfg                         to standard output
  cspdet expand X.cfg -o plain.cfg --set width=0.5
  cspdet expand X.cfg --strict hank-ai        without what hank-ai's Darknet refuses

A file that is plain already comes out as it is, byte for byte.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from cspdet.cfg.diagnostic import count
from cspdet.cfg.dialect import DIALECTS
from cspdet.commands.common import add_dialect, check_out, dialect_of, graph_or_diagnostics, print_diagnostics, read_cfg
from cspdet.files import replacing
from cspdet.plain import plain_problems, plain_text, strict_text
from cspdet.text import printable


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("cfg", metavar="CFG", help="cfg file or model name; - for standard input")
    add("-o", "--out", default="-", metavar="FILE", help="file to write (default: standard output)")
    strict = [dialect.name for dialect in DIALECTS.values() if dialect.strict]
    add("--strict", choices=strict, help="drop or rewrite what this program refuses, and say so")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Write the text."""
    source = read_cfg(arguments.cfg, arguments)
    check_out(arguments.out, source)
    graph = graph_or_diagnostics(source, dialect_of(arguments))
    if graph is None:
        return 1
    if arguments.strict:
        text, remarks, errors = strict_text(graph, DIALECTS[arguments.strict])
    else:
        text, remarks, errors = plain_text(graph), (), plain_problems(graph)
    if errors:
        print_diagnostics(errors, sys.stderr)
        print(f"{printable(source.path)}: {count(errors)}; nothing is written", file=sys.stderr)
        return 1
    for each in remarks:
        print(printable(f"note: {each.span}: {each.text}"), file=sys.stderr)
    data = source.encode_plain(text)
    if arguments.out == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return 0
    with replacing(arguments.out) as file:
        file.write(data)
    return 0
