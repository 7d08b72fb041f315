"""Say how good a detector is: mean average precision, by Darknet's rules to the digit, or by those of PASCAL VOC or COCO.

  cspdet map X.data X.cfg X.weights                       as Darknet computes it
  cspdet detector map X.data X.cfg X.weights -iou_thresh .75 -points 101
  cspdet map X.data X.cfg X.weights --protocol coco --json map.json --plot curves.png --confusion matrix.png
  cspdet map X.data X.cfg X.weights --errors 20           draw the 20 images with the most mistakes
  cspdet map X.data --detections found.json               of a COCO result file, whoever wrote it

Files are told by their endings, so their order does not matter. A picture that cannot be read is left out, with a warning.
With `--json -`, standard output is JSON and nothing else; what is for people goes to the error stream.
"""

from __future__ import annotations

import re
import sys
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cspdet.commands.common import STANDARD_OUTPUT, dialect_of, network_files, read_cfg, warn, write_json
from cspdet.commands.loading import add_running, cfg_of, check_classes, load_detector, positive, share, sort_files
from cspdet.commands.progress import progress
from cspdet.errors import UsageError
from cspdet.files import check_unread, check_writable, make_folder, overwrites, real_path
from cspdet.preprocess import PROFILES
from cspdet.rules import examine
from cspdet.text import counted, printable

if TYPE_CHECKING:
    from cspdet.data.description import Description
    from cspdet.data.pictures import Picture
    from cspdet.evaluate import Collected, Report
    from cspdet.evaluate.protocols import Outcome
    from cspdet.graph import Graph


# A drawn picture: its place among the worst, and the name of the image.
_DRAWN = re.compile(r"[0-9]{3,}_.+\.jpg")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help=".data, cfg and weights files")
    add("--model", "-model", metavar="NAME", help="model to use: `cspdet models` lists them")
    add("--names", "-names", metavar="FILE", help="class names, in place of those of the .data file")
    add("--part", choices=["valid", "train"], default="valid", help="list of the .data file to use (default: valid)")
    add("--protocol", choices=["darknet", "voc", "coco"], default="darknet", help="whose rules count (default: darknet)")
    add(
        "--iou-thresh",
        "--iou_thresh",
        "-iou_thresh",
        dest="iou_threshold",
        type=share,
        default=0.5,
        metavar="T",
        help="overlap with an object that makes a detection right (default: .5); for coco, AP is from .50 to .95 anyway",
    )
    add(
        "--points",
        "-points",
        type=_points,
        metavar="N",
        help="recalls at which precision is averaged: 0 (the area below the curve; default), 11 (default for voc), 101",
    )
    add(
        "--thresh",
        "-thresh",
        "--conf",
        dest="threshold",
        type=share,
        default=0.25,
        metavar="T",
        help="confidence above which TP, FP and FN are counted (default: .25)",
    )
    add("--detections", metavar="FILE", help="COCO result file, in place of cfg and weights")
    add("--categories", choices=["coco", "1", "0"], help="how that file numbers classes (default: as its numbers suggest)")
    add("--json", metavar="FILE", help="write all figures as JSON; - is standard output")
    add("--confidence", action="store_true", help="say how much the choice of the images matters: a 95 %% interval of mAP")
    add("--plot", metavar="FILE.png", help="draw precision over recall")
    add("--confusion", metavar="FILE.png", help="draw which classes are taken for which")
    add("--errors", type=positive, metavar="N", help="draw the N images with the most mistakes")
    add("--errors-dir", "--out", dest="errors_dir", metavar="FOLDER", help="where they go (default: errors)")
    add("--like", choices=[*PROFILES], help="program whose preprocessing is used (default: that of the dialect)")
    add("--letterbox", "-letter_box", action="store_true", default=None, help="keep proportions (default: as the cfg says)")
    add("-dont_show", action="store_true", help="as Darknet has it; changes nothing")
    add("-ext_output", action="store_true", help="as Darknet has it; changes nothing")
    add_running(parser)


class _Files(NamedTuple):
    """The positional arguments, sorted out; without a cfg, there is a file of detections."""

    data: str
    cfg: str | None
    weights: str | None


def run(arguments: Namespace) -> int:
    """Look at all pictures, judge, write."""
    from cspdet.data.description import read_description
    from cspdet.data.pictures import read_list
    from cspdet.evaluate import difficult_labels, judge
    from cspdet.evaluate.judge import check_arguments, rules_of

    files = _sorted_out(arguments)
    check_arguments(arguments.protocol, arguments.iou_threshold, arguments.threshold, arguments.points)
    if arguments.confidence and arguments.protocol == "coco":
        raise UsageError("`--confidence` is for Darknet's and VOC's rules", "leave out `--protocol coco`")
    description = read_description(files.data)
    pictures = read_list(description.list_of(arguments.part))
    difficult = {}
    if description.difficult and arguments.part == "valid":
        difficult = difficult_labels(description.difficult, pictures)
    reads = [*arguments.files, *(network_files(files.cfg) if files.cfg else ()), arguments.names, arguments.detections]
    reads += [description.list_of(arguments.part), description.names_file, description.difficult, *difficult.values()]
    _check_outputs(arguments, [*reads, *(path for each in pictures for path in (each.path, each.labels))])
    seen, names = _collect(arguments, files, description, pictures, difficult)
    outcome = rules_of(arguments.protocol)(seen, len(names), arguments.iou_threshold, arguments.threshold)
    report = judge(
        seen,
        names,
        protocol=arguments.protocol,
        iou_threshold=arguments.iou_threshold,
        threshold=arguments.threshold,
        points=arguments.points,
        outcome=outcome,
    )
    if arguments.confidence:
        report = replace(report, interval=_interval(arguments, seen, names))
    for_people = sys.stderr if arguments.json in STANDARD_OUTPUT else sys.stdout
    written: list[str] = []
    # A disk that is full must not cost the figures, for which the network has run.
    try:
        if write_json(arguments.json, report.to_json()):
            written.append(arguments.json)
    finally:
        print(report, file=for_people)
    try:
        _draw(arguments, report, seen, outcome, pictures, written)
    finally:
        if written:
            print(printable(f"saved: {', '.join(written)}"), file=for_people)
    return 0


def _points(text: str) -> int:
    """A number of recalls: 0, or from 2 on."""
    if not text.isdecimal() or len(text) > 6 or int(text) == 1:
        raise ArgumentTypeError(f"`{text}` is no number of points: 0, or from 2 on, such as 11 and 101")
    return int(text)


def _sorted_out(arguments: Namespace) -> _Files:
    """Which file is what, by its ending."""
    found, others = sort_files(arguments.files)
    cfg = cfg_of(arguments, found, others)
    if others:
        raise UsageError(
            f"`{others[0]}` is no .data, cfg or weights file",
            "images are named in the list that `valid=` of the .data file names",
        )
    if "names" in found:
        arguments.names = arguments.names or found["names"]
    if "data" not in found:
        raise UsageError("no .data file, which says where the images are", "`cspdet map X.data X.cfg X.weights`")
    if arguments.detections is not None:
        given = cfg or found.get("weights")
        if given:
            raise UsageError(f"both a file of detections, `{arguments.detections}`, and a detector, `{given}`", "give one")
        return _Files(found["data"], None, None)
    if arguments.categories is not None:
        raise UsageError("`--categories` is about a file of detections, but there is none", "add `--detections FILE`")
    if cfg is None:
        what = f"weights without a cfg: `{found['weights']}`" if "weights" in found else "nothing to evaluate"
        raise UsageError(what, "`cspdet map X.data X.cfg X.weights`, or `--detections FILE`")
    if "cfg" in found and "weights" not in found:
        raise UsageError(f"a cfg without weights: `{found['cfg']}`", "name its weights file")
    return _Files(found["data"], cfg, found.get("weights"))


def _interval(arguments: Namespace, seen: Collected, names: Sequence[str]) -> tuple[float, float]:
    from cspdet.evaluate.confidence import confidence_interval

    protocol, iou_threshold, points = arguments.protocol, arguments.iou_threshold, arguments.points
    return confidence_interval(seen, names, protocol=protocol, iou_threshold=iou_threshold, points=points)


def _check_outputs(arguments: Namespace, reads: Sequence[str | Path | None]) -> None:
    """See that everything asked for can be made, before the work."""
    from cspdet.evaluate.plots import check_plot

    places = [None if arguments.json in STANDARD_OUTPUT else arguments.json, arguments.plot, arguments.confusion]
    written: set[str] = set()
    for place in places:
        if place is None:
            continue
        check_writable(place)
        check_unread(place, reads)
        if real_path(place) in written:
            raise UsageError(f"`{place}` would be written twice", "name two files")
        written.add(real_path(place))
    for place in (arguments.plot, arguments.confusion):
        if place is not None:
            check_plot(place)
    if arguments.errors_dir is not None and not arguments.errors:
        raise UsageError("`--errors-dir` says where, but nothing says how many images", "add `--errors N`")
    if arguments.errors:
        arguments.errors_dir = arguments.errors_dir or "errors"
        make_folder(Path(arguments.errors_dir))
        check_writable(Path(arguments.errors_dir) / "1.jpg")


def _collect(
    arguments: Namespace, files: _Files, description: Description, pictures: list[Picture], difficult: dict[int, Path]
) -> tuple[Collected, tuple[str, ...]]:
    """What was found and what is there, and the names of the classes."""
    from cspdet.evaluate import collect
    from cspdet.evaluate.collect import finder
    from cspdet.evaluate.results import collect_results, read_results
    from cspdet.export import is_exported
    from cspdet.jpeg.helpers import helped

    names = _names(arguments, description)
    if files.cfg is None:
        names = names or tuple(map(str, range(description.classes)))
        results = read_results(arguments.detections, pictures, names, arguments.categories)
        if arguments.categories is None:
            how = "as COCO does" if results.categories == "coco" else f"from {results.categories} on"
            print(printable(f"`{arguments.detections}` numbers classes {how}; --categories says otherwise"), file=sys.stderr)
        with progress(len(pictures), "evaluating") as advance:
            return collect_results(results, pictures, difficult=difficult, advance=advance, warn=warn), names
    # What else is wrong with the cfg, loading it will say. An exported network is no text.
    graph = None if is_exported(files.cfg) else examine(read_cfg(files.cfg, arguments), dialect_of(arguments))[0]
    if graph is not None:
        _check_network(graph, description)
    detector = load_detector(files.cfg, files.weights, names or None, arguments)
    if graph is None:
        _check_network(detector.graph, description)
    asked = finder(detector, like=arguments.like or "", letterbox=arguments.letterbox)
    names = asked.names
    with (
        progress(len(pictures), "evaluating") as advance,
        helped([each.path for each in pictures], asked.exact) as exact,
    ):
        seen = collect(
            detector,
            pictures,
            names,
            difficult=difficult,
            batch=arguments.batch,
            like=arguments.like or "",
            letterbox=arguments.letterbox,
            exact=exact,
            advance=advance,
            warn=warn,
        )
    return seen, names


def _check_network(graph: Graph, description: Description) -> None:
    """See that it is a detector, and of the classes of the data."""
    if not graph.heads:
        fact = f"`{graph.source.path}` has no detection head: it ends in `[{graph.nodes[-1].name}]`"
        cure = f"a classifier is measured by `cspdet classify {description.path} X.cfg X.weights --part valid`"
        raise UsageError(fact, cure)
    check_classes(graph, description, "name the .data file of the classes that the weights were trained on")


def _names(arguments: Namespace, description: Description) -> tuple[str, ...]:
    """The classes' names, as many as the data has classes; none if nobody says."""
    from cspdet.names import read_names

    if arguments.names is None:
        return description.names
    names = read_names(arguments.names)
    if len(names) != description.classes:
        there, wanted = counted(len(names), "name"), counted(description.classes, "class", "classes")
        raise UsageError(f"`{arguments.names}` has {there}, `{description.path}` {wanted}", "use the names of these classes")
    return names


def _draw(
    arguments: Namespace, report: Report, seen: Collected, outcome: Outcome, pictures: list[Picture], written: list[str]
) -> None:
    """Draw what is asked for; `written` gets a word about each file."""
    from cspdet.evaluate.confusion import confusion
    from cspdet.evaluate.plots import plot_confusion, plot_precision

    names = [each.name for each in report.classes]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if arguments.plot is not None:
            plot_precision(report, arguments.plot)
            written.append(arguments.plot)
        if arguments.confusion is not None:
            matrix = confusion(seen, len(names), report.iou_threshold, report.threshold)
            title = f"Confidence above {report.threshold:g}, IoU above {report.iou_threshold:g}"
            plot_confusion(matrix, names, arguments.confusion, title)
            written.append(arguments.confusion)
    for message in dict.fromkeys(str(each.message) for each in caught):
        warn(message)
    if arguments.errors:
        count = _draw_errors(arguments, seen, outcome, names, pictures)
        written.append(f"{counted(count, 'image')} with mistakes in {arguments.errors_dir}")


def _draw_errors(arguments: Namespace, seen: Collected, outcome: Outcome, names: list[str], pictures: list[Picture]) -> int:
    """Draw the mistakes in the worst images; gives how many there are."""
    from cspdet.evaluate.worst import draw_mistakes, worst
    from cspdet.image import read_image, write_image

    folder, of = Path(arguments.errors_dir), {each.line: each.path for each in pictures}
    chosen = worst(seen, outcome, arguments.errors)
    # Always so wide: another call, for more or fewer, gives a place the same number.
    targets = [folder / f"{place:03}_{of[each.image].stem}.jpg" for place, each in enumerate(chosen, 1)]
    reads = {*map(real_path, of.values())}
    for target in targets:
        if real_path(target) in reads:
            raise overwrites(target)
    for target, each in zip(targets, chosen, strict=True):
        path = of[each.image]
        write_image(target, draw_mistakes(read_image(path), each, seen, names, path.name))
    older = [each for each in folder.iterdir() if _DRAWN.fullmatch(each.name) and each not in targets]
    if older:
        them = counted(len(older), "picture of an earlier call stays", "pictures of earlier calls stay")
        warn(f"{them} in {folder}, such as `{min(older).name}`")
    return len(chosen)
