"""Say what pictures show, and how often that is right: for classifiers, networks without a detection head.

  cspdet classify X.cfg X.weights dog.jpg                     the five likeliest classes
  cspdet classifier predict X.data X.cfg X.weights dog.jpg    as Darknet has it; the names are those of the .data file
  cspdet classify X.data X.cfg X.weights --part valid         how often the right class is the first, and among the first five

Pictures are files, folders, patterns ('photos/**/*.jpg') and lists (.txt, or - for standard input). Files are told by their
endings, so their order does not matter; a file that `cspdet export` wrote takes the place of cfg and weights. The shorter side
of a picture is scaled to the network's width and the middle cut out, as AlexeyAB's Darknet does it; with `--like pjreddie`, the
whole picture is seen. With `--part`, the paths of the listed pictures tell their classes, as in training: `labels=` of the
.data file, or else `names=`, says what they are called there; those of `names=` are printed.
With `--json -`, standard output is JSON and nothing else; what is for people goes to the error stream.
"""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from cspdet.commands.common import STANDARD_OUTPUT, network_files, warn, write_json
from cspdet.commands.loading import add_running, cfg_of, load_detector, positive, sort_files
from cspdet.commands.progress import progress
from cspdet.errors import CspdetError, UsageError
from cspdet.files import check_unread, check_writable, real_path
from cspdet.preprocess import PROFILES
from cspdet.text import brief, printable

if TYPE_CHECKING:
    from cspdet.boxes import Floats
    from cspdet.classification import Classification, Classifier
    from cspdet.data.description import Description
    from cspdet.image import Exact
    from cspdet.sources import Source


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="cfg, weights, .data and .names files, and pictures")
    add("--model", "-model", metavar="NAME", help="model to use: `cspdet models` lists them")
    add("--names", "-names", metavar="FILE", help="class names, one per line")
    add("--part", choices=["valid", "train"], help="count how often it is right on this list of the .data file")
    add("--top", "-top", type=positive, metavar="N", help="how many classes are the first ones (default: as `top=` says, or 5)")
    add("--json", "-out", metavar="FILE", help="write JSON; - is standard output")
    add("--confusion", metavar="FILE.png", help="with --part: draw which classes are taken for which")
    add("--like", choices=[*PROFILES], help="program whose preprocessing is used (default: that of the dialect)")
    add("-dont_show", action="store_true", help="as Darknet has it; changes nothing")
    add_running(parser)


class _Files(NamedTuple):
    """The positional arguments, sorted out."""

    cfg: str
    weights: str | None
    data: Description | None
    pictures: list[str]


def run(arguments: Namespace) -> int:
    """Classify pictures, or count."""
    files = _sorted_out(arguments)
    if arguments.part is not None:
        return _measure(arguments, files)
    return _classify(arguments, files)


def _sorted_out(arguments: Namespace) -> _Files:
    """Which file is what, by its ending."""
    from cspdet.data.description import read_description

    found, pictures = sort_files(arguments.files)
    cfg = cfg_of(arguments, found, pictures)
    if cfg is None:
        what = f"weights without a cfg: `{found['weights']}`" if "weights" in found else "there is no network to ask"
        raise UsageError(what, "`cspdet classify X.cfg X.weights dog.jpg`")
    if found.get("cfg") and "weights" not in found:
        raise UsageError(f"a cfg without weights: `{found['cfg']}`", "name its weights file")
    arguments.names = arguments.names or found.get("names")
    if arguments.part is None:
        if arguments.confusion is not None:
            raise UsageError("`--confusion` counts, but nothing is to be counted", "add `--part valid`, and name a .data file")
        if not pictures and not sys.stdin.isatty():
            pictures = ["-"]
    else:
        if pictures:
            cure = f"leave it out: the pictures are those of the list `{arguments.part}` of the .data file"
            raise UsageError(f"both `--part` and `{pictures[0]}`", cure)
        if "data" not in found:
            raise UsageError("no .data file, which says where the pictures are", "name it")
    return _Files(cfg, found.get("weights"), read_description(found["data"]) if "data" in found else None, pictures)


def _classifier(arguments: Namespace, files: _Files) -> Classifier:
    """The network, with a name for each of its outputs, if there are names."""
    from cspdet.classification import OTHER_NAMES, class_count
    from cspdet.names import check_names, read_names

    file = arguments.names or (files.data and (files.data.names_file or files.data.labels_file))
    names = None if file is None else read_names(file)
    detector = load_detector(files.cfg, files.weights, names, arguments, heads=False)
    if names is not None and not detector.graph.heads:
        check_names(names, class_count(detector.graph), f"`{file}`", f"`{files.cfg}`", OTHER_NAMES)
    return detector.classifier(like=arguments.like or "")


def _top(arguments: Namespace, files: _Files) -> int:
    """How many classes are asked for."""
    said = files.data.written.get("top") if files.data else None
    if arguments.top is None and files.data and said is not None and files.data.top < 1:
        raise UsageError(
            f"`{files.data.path}` says `top = {brief(said)}`, which is no number of classes", "write 5, or `--top N`"
        )
    return int(arguments.top or (files.data and files.data.top) or 5)


def _check_outputs(arguments: Namespace, files: _Files, reads: Sequence[str | Path | None]) -> None:
    """See that everything asked for can be written, before the work."""
    places = [None if arguments.json in STANDARD_OUTPUT else arguments.json, arguments.confusion]
    for place in places:
        if place is not None:
            check_writable(place)
            check_unread(place, [*arguments.files, *network_files(files.cfg), arguments.names, *reads])
    if all(places) and len({*map(real_path, places)}) < len(places):
        raise UsageError(f"`{places[0]}` would be written twice", "name two files")


# -- what pictures show -------------------------------------------------------------------------------------------------


def _classify(arguments: Namespace, files: _Files) -> int:
    """Print what each picture shows."""
    from cspdet.sources import expand

    sources = [*expand(files.pictures)]
    if not sources:
        raise UsageError("there is nothing to look at", "name a picture, or count with `--part valid`")
    moving = next((each.name for each in sources if not each.still), None)
    if moving is not None:
        raise UsageError(f"`{moving}` is no picture", "`cspdet detect` looks at videos and cameras, and needs a detector")
    _check_outputs(arguments, files, [each.name for each in sources])
    top = _top(arguments, files)
    classifier = _classifier(arguments, files)
    for_people = sys.stderr if arguments.json in STANDARD_OUTPUT else sys.stdout
    results: list[dict[str, Any]] = []
    failures = 0
    for source, found in _look(arguments, sources, classifier):
        if isinstance(found, CspdetError):
            if len(sources) == 1:
                raise found
            print(f"error: {found}", file=sys.stderr)
            failures += 1
            continue
        _say(source.name, found, top, for_people, shares=classifier.probabilities)
        results.append({"filename": source.name, "classes": found.to_dicts(top)})
    if write_json(arguments.json, results):
        print(printable(f"saved: {arguments.json}"), file=for_people)
    if failures:
        print(f"{failures} of {len(sources)} pictures could not be read", file=sys.stderr)
    return 1 if failures else 0


def _look(arguments: Namespace, sources: Sequence[Source], classifier: Classifier) -> Any:
    """Each picture with what it shows, or with why it cannot be read; others are read meanwhile."""
    from cspdet.jpeg.helpers import helped
    from cspdet.pipeline import pipelined

    def infer(looks: list[Floats | CspdetError]) -> list[Classification]:
        good = [each for each in looks if not isinstance(each, CspdetError)]
        return classifier.found(classifier.infer(good)) if good else []

    with progress(len(sources), "classifying") as advance, helped([each.name for each in sources], classifier.exact) as exact:
        reads = (partial(_read, source, exact, classifier) for source in sources)
        waiting = iter(sources)
        with closing(pipelined(reads, infer, batch=arguments.batch)) as groups:
            for looks, found in groups:
                results = iter(found)
                for look in looks:
                    yield next(waiting), look if isinstance(look, CspdetError) else next(results)
                advance(len(looks))


def _read(source: Source, exact: Exact, classifier: Classifier) -> Floats | CspdetError:
    from cspdet.sources import read

    try:
        return classifier.prepare(read(source, exact=exact))
    except CspdetError as error:
        return error


def _say(name: str, found: Classification, top: int, stream: IO[str], *, shares: bool) -> None:
    print(printable(name), file=stream)
    for guess in found.top(top):
        print(
            printable(f"{100 * guess.score:7.2f} %  {guess.name}" if shares else f"{guess.score:9.4f}  {guess.name}"),
            file=stream,
        )


# -- how often that is right --------------------------------------------------------------------------------------------


def _measure(arguments: Namespace, files: _Files) -> int:
    """Count on a list of the .data file."""
    from cspdet.data.pictures import read_list
    from cspdet.evaluate import judge_classes, look_at_classes
    from cspdet.evaluate.plots import check_plot, plot_confusion
    from cspdet.jpeg.helpers import helped

    data = files.data
    assert data is not None
    if arguments.confusion is not None:
        check_plot(arguments.confusion)
    pictures, labels = read_list(data.list_of(arguments.part)), data.labels
    reads = [data.list_of(arguments.part), data.names_file, data.labels_file, *(each.path for each in pictures)]
    _check_outputs(arguments, files, reads)
    top = _top(arguments, files)
    classifier = _classifier(arguments, files)
    with (
        progress(len(pictures), "evaluating") as advance,
        helped([each.path for each in pictures], classifier.exact) as exact,
    ):
        seen = look_at_classes(classifier, pictures, labels, batch=arguments.batch, exact=exact, advance=advance, warn=warn)
    accuracy = judge_classes([seen], classifier.names or labels, top)
    for_people = sys.stderr if arguments.json in STANDARD_OUTPUT else sys.stdout
    print(accuracy, file=for_people)
    if write_json(arguments.json, accuracy.to_json()):
        print(printable(f"saved: {arguments.json}"), file=for_people)
    if arguments.confusion is not None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            title = f"{100 * accuracy.top_1:.1f} % of {accuracy.pictures:,} pictures"
            plot_confusion(accuracy.matrix, classifier.names or labels, arguments.confusion, title)
        for message in dict.fromkeys(str(each.message) for each in caught):
            warn(message)
        print(printable(f"saved: {arguments.confusion}"), file=for_people)
    return 0
