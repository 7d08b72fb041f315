"""Scale a network in depth and width, as YOLOv7 makes its larger models from smaller ones, and write it as plain Darknet text.

  cspdet scale yolov7.cfg --depth 1.5 -o yolov7-deeper.cfg      the rest is widened by what the blocks grow, here 1.25
  cspdet scale yolov4-csp.cfg --depth 1.25 --width 1.25
  cspdet scale yolov4-tiny --width 0.5

Depth counts what repeats: groups of convolutions whose outputs a [route] joins, blocks that a [shortcut] closes, and groups of
convolutions on one side of a cross stage partial block. docs/scaling.md says more.
"""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from fractions import Fraction

from cspdet.commands.common import add_dialect, check_out, dialect_of, graph_or_diagnostics, read_cfg, totals
from cspdet.errors import UsageError
from cspdet.files import replacing
from cspdet.graph import Graph
from cspdet.scaling.compound import LEAST, MOST, Scaled, scaled
from cspdet.text import counted, printable

_STAGES = {
    "concatenation": ("chain with joined outputs", "chains with joined outputs"),
    "residual": ("residual stage", "residual stages"),
    "chain": ("cross stage chain", "cross stage chains"),
}
_UNITS = {"concatenation": "groups", "residual": "blocks", "chain": "groups"}


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("cfg", metavar="CFG", help="cfg file or model name; - for standard input")
    add("--depth", type=_factor, metavar="FACTOR", help="factor on the number of layers in blocks")
    add("--width", type=_factor, metavar="FACTOR", help="factor on the number of channels; by default, what the depth asks for")
    add("-o", "--out", default="-", metavar="FILE", help="file to write (default: standard output)")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Write the scaled network."""
    if arguments.depth is None and arguments.width is None:
        raise UsageError("there is nothing to scale by", "give `--depth`, `--width` or both")
    source = read_cfg(arguments.cfg, arguments)
    check_out(arguments.out, source)
    graph = graph_or_diagnostics(source, dialect_of(arguments))
    if graph is None:
        return 1
    result = scaled(graph, arguments.depth, arguments.width)
    data = source.encode_plain(result.text)
    if arguments.out == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    else:
        with replacing(arguments.out) as file:
            file.write(data)
    stream = sys.stderr if arguments.out == "-" else sys.stdout
    for line in _report(graph, result):
        print(line, file=stream)
    if arguments.out != "-":
        print(f"saved: {printable(arguments.out)}")
    return 0


def _report(graph: Graph, result: Scaled) -> Iterator[str]:
    """What was scaled, and what it came to."""
    found: dict[tuple[tuple[str, str], str], int] = {}
    for stage, count in result.stages.items():
        units = (
            f"{stage.count + stage.before} → {count + stage.before} {_UNITS[stage.kind]} of {counted(stage.length, 'layer')}"
        )
        found[_STAGES[stage.kind], units] = found.get((_STAGES[stage.kind], units), 0) + 1
    yield from (f"{counted(number, *what)}: {units}" for (what, units), number in found.items())
    yield f"width × {float(result.width):.6g}"
    yield from totals(graph, result.graph)


def _factor(text: str) -> Fraction:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not LEAST <= number <= MOST:
        raise ArgumentTypeError(f"`{text}` is no factor; a number from {LEAST:g} to {MOST:g} is possible")
    return Fraction(text)
