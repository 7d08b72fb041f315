"""Draw a network: layers as boxes, maps of one size in one column, what reads what as lines.

  cspdet graph X.cfg -o x.svg
  cspdet graph X.cfg -o x.png

Stretches that repeat are drawn once, in a frame that says how often. In a browser, a box says more under the pointer.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from cspdet.commands.common import add_dialect, add_size, check_out, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.diagram.draw import draw
from cspdet.diagram.svg import svg
from cspdet.files import check_ending, replacing, temporary

_FORMATS = (".svg", ".png", ".pdf")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cfg", metavar="CFG", help="cfg file or model name")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="file to write: .svg, .png or .pdf")
    add_size(parser)
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Write the picture."""
    check_ending(arguments.out, _FORMATS, "graphs")
    source = read_cfg(arguments.cfg, arguments)
    check_out(arguments.out, source)
    graph = graph_or_diagnostics(source, dialect_of(arguments), width=arguments.width, height=arguments.height)
    if graph is None:
        return 1
    picture = draw(graph, Path(source.path).stem)
    if Path(arguments.out).suffix.lower() == ".svg":
        with replacing(arguments.out) as file:
            file.write(svg(picture).encode())
    else:
        from cspdet.diagram.raster import write_picture

        with temporary(arguments.out) as beside:
            write_picture(picture, beside)
    print(f"saved: {arguments.out}")
    return 0
