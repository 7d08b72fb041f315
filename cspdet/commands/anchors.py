"""Fit anchors to the boxes of a data set, as `darknet detector calc_anchors` does.

cspdet anchors X.data -num_of_clusters 9 -width 416 -height 416
cspdet anchors X.data --cfg X.cfg             for the cfg's size and number of anchors, compared with those it has
cspdet anchors X.data --cfg X.cfg --write     and put into the `anchors=` of all its heads

The same call gives the same anchors: starts are drawn by --seed, not by the clock.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from cspdet.cfg.dialect import Dialect
from cspdet.cfg.source import Source
from cspdet.commands.common import add_dialect, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.data.description import PARTS, Description, read_description
from cspdet.errors import UsageError
from cspdet.paths import is_file
from cspdet.rules import examine
from cspdet.text import counted

if TYPE_CHECKING:
    from cspdet.data.cfg_anchors import AnchorHead
    from cspdet.data.labels import Truth
    from cspdet.graph import Graph

# As many as any head could have.
_MOST = 1000
_LARGEST_SIDE = 65_536


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("data", metavar="X.data", help="file that names the lists of images")
    add("-num_of_clusters", "--num", dest="number", type=int, metavar="N", help="number of anchors")
    for name in ("width", "height"):
        add(f"-{name}", f"--{name}", type=int, metavar="PIXELS", help=f"{name} of the network's input")
    add("--cfg", metavar="CFG", help="take number and size from this cfg, and compare with its anchors")
    add("--write", action="store_true", help="put the anchors into the cfg, for the size it has; all else in it stays as it is")
    add("-show", "--show", action="store_true", help="show boxes and anchors in a window")
    add("--part", choices=PARTS, default="train", help="list whose boxes are fitted (default: train)")
    add("--seed", type=int, default=0, help="number that draws the starts (default: 0)")
    add("--json", action="store_true", help="print JSON")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Fit, compare, write."""
    from cspdet.data.anchors import anchor_text, fit, rate, rounded
    from cspdet.data.statistics import boxes_of

    _check(arguments)
    description = read_description(arguments.data)
    graph, heads = _cfg(arguments)
    if arguments.cfg and graph is None:
        return 1
    rows, left_out = boxes_of(description, arguments.part)
    if left_out:
        print(f"{counted(left_out, 'label')} left out; `cspdet data check {arguments.data}` says why", file=sys.stderr)
    number = arguments.number or len(heads[0].sizes)
    units = heads[0].units if heads else (float(arguments.width), float(arguments.height))
    sizes = fit(rows[:, 3:], number, seed=arguments.seed).sizes
    anchors = rounded(sizes * units, units[0])
    found = rate(rows[:, 3:], anchors / units)
    facts: dict[str, Any] = {
        "boxes": len(rows),
        "anchors": anchors.tolist(),
        "text": anchor_text(anchors),
        "average_iou": found.overlap,
        "boxes_per_anchor": found.counts.tolist(),
        "counters_per_class": _per_class(rows, description),
    }
    if heads:
        from cspdet.data.cfg_anchors import present

        facts |= {"cfg": arguments.cfg, "average_iou_of_cfg": rate(rows[:, 3:], present(heads)).overlap}
    _print(facts, arguments)
    if graph is not None:
        _write(arguments, graph, heads, sizes)
    if arguments.show:
        _show(rows, anchors / units)
    return 0


def _check(arguments: Namespace) -> None:
    """See that the call is complete, before anything is read."""
    for name, value, most in (
        ("-num_of_clusters", arguments.number, _MOST),
        ("-width", arguments.width, _LARGEST_SIDE),
        ("-height", arguments.height, _LARGEST_SIDE),
    ):
        if value is None and not arguments.cfg:
            cure = "as in `cspdet anchors X.data -num_of_clusters 9 -width 416 -height 416`, or give `--cfg X.cfg`"
            raise UsageError(f"`{name}` is missing", cure)
        if value is not None and not 1 <= value <= most:
            raise UsageError(f"`{name} {value}` is not possible", f"from 1 to {most:,} is")
    if arguments.seed < 0:
        raise UsageError(f"`--seed {arguments.seed}` is not possible", "use 0 or more")
    if arguments.write and not arguments.cfg:
        raise UsageError("there is no cfg to write to", "add `--cfg X.cfg`")
    if arguments.write and not is_file(arguments.cfg):
        raise UsageError(f"cannot write to `{arguments.cfg}`: it is no file", "copy the cfg, and name the copy")


def _cfg(arguments: Namespace) -> tuple[Graph | None, tuple[AnchorHead, ...]]:
    """The network and its heads, if a cfg is given that has no errors."""
    if not arguments.cfg:
        return None, ()
    from cspdet.data.cfg_anchors import anchor_heads
    from cspdet.files import check_writable

    if arguments.write:
        check_writable(arguments.cfg)
    source, dialect = read_cfg(arguments.cfg, arguments), dialect_of(arguments)
    graph = graph_or_diagnostics(source, dialect, width=arguments.width, height=arguments.height)
    if arguments.write and graph:
        _check_size(graph, source.set({}), dialect)
    return graph, anchor_heads(graph) if graph else ()


def _check_size(graph: Graph, source: Source, dialect: Dialect) -> None:
    """See that the anchors are for the size that stands in the cfg, as it is what will be read with them."""
    own = examine(source, dialect)[0]
    if own and own.input != graph.input:
        fact = f"its input is {own.input}, which anchors for {graph.input} do not suit"
        raise UsageError(f"cannot write to `{source.path}`: {fact}", "change its size first, or leave out `--write`")


def _per_class(rows: Truth, description: Description) -> list[int]:
    import numpy as np

    counts: list[int] = np.bincount(rows[:, 0].astype(int), minlength=description.classes).tolist()
    return counts


def _print(facts: dict[str, Any], arguments: Namespace) -> None:
    if arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    print(f"{counted(facts['boxes'], 'box', 'boxes')} of `{arguments.part}`")
    print(f"counters_per_class = {', '.join(map(str, facts['counters_per_class']))}")
    print(f"boxes per anchor = {', '.join(map(str, facts['boxes_per_anchor']))}")
    print(f"avg IoU = {100 * facts['average_iou']:.2f} %")
    if "cfg" in facts:
        print(f"avg IoU with the anchors of {arguments.cfg} = {100 * facts['average_iou_of_cfg']:.2f} %")
    print(f"anchors = {facts['text']}")


def _write(arguments: Namespace, graph: Graph, heads: tuple[AnchorHead, ...], sizes: Any) -> None:
    """Put the anchors into the cfg, if asked for, and warn of masks that they do not suit."""
    from cspdet.data.cfg_anchors import rewritten, unsuited
    from cspdet.files import replacing

    if arguments.write:
        data = graph.source.encode(rewritten(graph, heads, sizes))
        with replacing(arguments.cfg) as file:
            file.write(data)
        print(f"{arguments.cfg}: anchors of {counted(len(heads), 'head')} replaced", file=sys.stderr)
    doubt = unsuited(heads, sizes) if len(sizes) == len(heads[0].sizes) else ""
    if doubt:
        print(f"warning: by Darknet's rule of thumb, these anchors do not suit the masks: {doubt}", file=sys.stderr)
        print(
            "  help: move them to other heads in `mask`, and change `filters` before each; or keep them as they are",
            file=sys.stderr,
        )


def _show(rows: Any, anchors: Any) -> None:
    """Boxes as points and anchors as frames, all from one corner."""
    import os

    import cv2
    import numpy as np

    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
        raise UsageError("there is no display to show anything on", "leave out `-show`")
    side = 700
    canvas = np.full((side, side, 3), 255, np.uint8)
    for width, height in (rows[:, 3:] * (side - 1)).astype(int).tolist():
        cv2.circle(canvas, (width, height), 1, (200, 130, 60), -1)
    for width, height in (anchors * (side - 1)).astype(int).tolist():
        cv2.rectangle(canvas, (0, 0), (width, height), (30, 30, 30), 1, cv2.LINE_AA)
    try:
        cv2.imshow("anchors", canvas)
        cv2.waitKey(0)
    except cv2.error:
        raise UsageError("this OpenCV cannot open windows", "install `opencv-python` instead of its headless twin") from None
