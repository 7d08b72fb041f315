"""Draw how much each layer computes: one bar for each, the highest marked; two networks side by side, to one scale.

  cspdet plot X.cfg
  cspdet plot old.cfg new.cfg -o bars.svg --width 416 --height 416

This is figure 7 of the CSPNet paper, whose computational bottleneck is the highest bar.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from cspdet.analysis.bars import check_plot, plot_bars
from cspdet.commands.common import add_dialect, add_size, check_out, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.errors import UsageError


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cfg", metavar="CFG", nargs="+", help="one or two cfg files or model names")
    parser.add_argument(
        "-o", "--out", default="bars.png", metavar="FILE", help="file to write: .png, .svg, .pdf or .jpg (default: bars.png)"
    )
    add_size(parser)
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Write the chart."""
    if len(arguments.cfg) > 2:
        raise UsageError(f"{len(arguments.cfg)} cfgs were given", "one or two fit into a chart")
    check_plot(arguments.out)
    graphs, names = [], []
    for name in arguments.cfg:
        source = read_cfg(name, arguments)
        check_out(arguments.out, source)
        graph = graph_or_diagnostics(source, dialect_of(arguments), width=arguments.width, height=arguments.height)
        if graph is None:
            return 1
        graphs.append(graph)
        names.append(f"{Path(source.path).stem}, {graph.input}")
    plot_bars(arguments.out, graphs, names)
    print(f"saved: {arguments.out}")
    return 0
