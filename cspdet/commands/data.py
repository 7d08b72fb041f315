"""Check annotated images, count them, convert them, cut the objects out.

cspdet data check X.data                   everything that is wrong with images and labels, and where
cspdet data check X.data --classify        the same of a classifier's images, whose paths tell their classes
cspdet data stats X.data -o X.png          how much there is of what, as a table and as a chart
cspdet data crop X.data -o crops           the objects, cut out, to train a classifier before the detector
cspdet data convert --from voc VOC2007/ImageSets/Main/trainval.txt --valid VOC2007/ImageSets/Main/test.txt -o voc.data
cspdet data convert --from coco instances_train2017.json --images images/train2017 -o coco.data
cspdet data convert --to coco X.data -o instances.json

Exit code of `check`: 0 if there are no errors and no warnings, 1 if there are, 2 if a file cannot be read. Converting writes
label files where Darknet looks for them, and X.names and the lists beside X.data. What it leaves out is counted, and its first
places are named. An image is left out if it has other proportions than annotated. Images that their EXIF data turn upright
count as annotated upright, unless the annotated size says otherwise.
"""

from __future__ import annotations

import json
import sys
import warnings
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable
from contextlib import ExitStack, suppress

from cspdet.cfg.diagnostic import count
from cspdet.commands.common import STANDARD_OUTPUT, warn
from cspdet.commands.loading import positive
from cspdet.commands.progress import progress
from cspdet.data.cropping import LEAST
from cspdet.data.description import PARTS, Description, read_description
from cspdet.errors import UsageError
from cspdet.text import counted, printable


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="check|stats|convert|crop")
    check = verbs.add_parser("check", help="everything that is wrong with images and labels, and where")
    stats = verbs.add_parser("stats", help="how much there is of what")
    for each in (check, stats):
        each.add_argument("data", metavar="X.data", help="file that names the lists of images")
        each.add_argument("--part", choices=PARTS, help="look at this list only (default: both)")
    check.add_argument(
        "--classify",
        action=BooleanOptionalAction,
        help="whether it is for classifiers (default: if it has `labels=` or `top=`, and no label files)",
    )
    check.add_argument("--notes", action="store_true", help="also print notes, which do not count as problems")
    check.add_argument("--json", action="store_true", help="print JSON, every finding on its own, notes included")
    stats.add_argument("-o", "--out", metavar="FILE", help="draw a chart: .png, .jpg, .svg or .pdf")
    stats.add_argument("--json", action="store_true", help="print JSON")
    about = "cut the objects out, to train a classifier, such as a backbone"
    limit = f"Objects of which less than {LEAST} pixels lie within the image, along either side, are left out."
    cut = verbs.add_parser("crop", help=about, description=f"{about}. {limit}")
    cut.add_argument("data", metavar="X.data", help="file that names the lists of images")
    cut.add_argument("-o", "--out", required=True, metavar="FOLDER", help="folder to make, with FOLDER/FOLDER.data in it")
    cut.add_argument("--side", type=positive, default=128, metavar="PIXELS", help="shorter side, at most (default: 128)")
    cut.add_argument("--background", action="store_true", help="also cut out a piece without objects, as a class of its own")
    cut.add_argument("--seed", type=int, default=0, metavar="N", help="what places of background are drawn by (default: 0)")
    _configure_convert(verbs.add_parser("convert", help="Pascal VOC's and COCO's annotations to Darknet's, and back to COCO's"))


def _configure_convert(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="voc: XML files, folders of them, or lists in ImageSets/Main; coco: instances files; with --to: X.data",
    )
    ways = parser.add_mutually_exclusive_group(required=True)
    ways.add_argument("--from", dest="origin", choices=("voc", "coco"), help="what the sources are")
    ways.add_argument("--to", dest="aim", choices=("coco",), help="what to make of X.data")
    add(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help="the .data file to write; with --to coco, the JSON file, - for standard output",
    )
    add("--valid", nargs="+", action="extend", metavar="SOURCE", help="sources of the images to validate with")
    add(
        "--images",
        nargs="+",
        action="extend",
        default=[],
        metavar="FOLDER",
        help="where the images are, if not beside the sources",
    )
    add("--names", metavar="FILE", help="the classes to keep, in this order, one name per line (default: all)")
    add("--difficult", action="store_true", help="voc: write the difficult objects of --valid to a list for `difficult=`")
    add("--force", action="store_true", help="overwrite files that are there with other content")
    add("--part", choices=PARTS, default="valid", help="with --to: the list to convert (default: valid)")


def run(arguments: Namespace) -> int:
    """Do what the verb says."""
    if arguments.verb == "convert":
        return _to_coco(arguments) if arguments.aim else _to_darknet(arguments)
    return {"check": _check, "stats": _stats, "crop": _crop}[arguments.verb](arguments)


def _check(arguments: Namespace) -> int:
    from cspdet.data.doctor import examine, summary
    from cspdet.data.finding import folded, show

    with ExitStack() as stack:

        def begin(images: int) -> Callable[[int], object]:
            return stack.enter_context(progress(images, "checking"))

        report = examine(arguments.data, (arguments.part,) if arguments.part else PARTS, begin, classify=arguments.classify)
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        shown = [each for each in report.findings if arguments.notes or each.severity != "note"]
        for group in folded(shown):
            print(show(group, sys.stdout.isatty()), end="\n\n")
        hidden = len(report.findings) - len(shown)
        more = f" ({counted(hidden, 'note')}: --notes)" if hidden else ""
        print(f"{printable(arguments.data)}: {count(shown) or 'no problems'}; {summary(report)}{more}")
    return int(any(each.severity != "note" for each in report.findings))


def _stats(arguments: Namespace) -> int:
    from cspdet.data.statistics import collect, facts, table

    if arguments.out:
        from cspdet.data.chart import check_chart

        check_chart(arguments.out)
    description = read_description(arguments.data)
    if arguments.out:
        _refuse_to_overwrite(arguments.out, description)
    parts = collect(description, (arguments.part,) if arguments.part else ())
    if arguments.json:
        print(json.dumps(facts(description, parts), indent=2, ensure_ascii=False))
    else:
        print(table(description, parts))
    left_out = sum(part.left_out for part in parts)
    if left_out:
        print(f"{counted(left_out, 'label')} left out; `cspdet data check {arguments.data}` says why", file=sys.stderr)
    if arguments.out:
        from cspdet.data.chart import write_chart

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write_chart(arguments.out, description, parts)
        for message in dict.fromkeys(str(each.message) for each in caught):
            warn(message)
        print(f"saved: {printable(arguments.out)}", file=sys.stderr)
    return 0


def _refuse_to_overwrite(out: str, description: Description) -> None:
    """See that a file to be written is none of the data set's own, whichever list names it."""
    from cspdet.data.pictures import read_list
    from cspdet.files import overwrites, real_path
    from cspdet.paths import exists

    if not exists(out):
        return
    files = [description.path, description.names_file]
    with suppress(UsageError):
        files.append(description.labels_file)
    for listed in (description.train, description.valid, description.difficult):
        if listed:
            files.append(listed)
            with suppress(UsageError):  # reading it will say, if it is needed
                files += (file for each in read_list(listed, images=False) for file in (each.path, each.labels))
    if real_path(out) in {real_path(each) for each in files if each}:
        raise overwrites(out)


def _crop(arguments: Namespace) -> int:
    from cspdet.data.cropping import crop
    from cspdet.data.pictures import read_list

    if arguments.seed < 0:
        raise UsageError(f"`--seed {arguments.seed}` is not possible", "use 0 or more")
    description = read_description(arguments.data)
    parts = [part for part in PARTS if description.written.get(part)] or PARTS[:1]  # without any, reading says how to add it
    total = sum(len(read_list(description.list_of(part))) for part in parts)
    options = {"side": arguments.side, "background": arguments.background, "seed": arguments.seed}
    with progress(total, "cutting") as advance:
        counts, remarks = crop(description, parts, arguments.out, **options, advance=advance, warn=warn)
    for part, found in counts.items():
        each = ", ".join(f"{name} {number:,}" for name, number in found.items())
        print(printable(f"{part}: {counted(sum(found.values()), 'picture')} ({each})"))
    for line in remarks.lines():
        print(line)
    print(f"saved: {printable(arguments.out)}")
    return 0


def _to_darknet(arguments: Namespace) -> int:
    from cspdet.data.coco import read_coco
    from cspdet.data.conversion import plan
    from cspdet.data.voc import read_voc
    from cspdet.names import read_names
    from cspdet.paths import is_folder

    if arguments.difficult and arguments.origin != "voc":
        raise UsageError("COCO's annotations have no difficult objects", "leave out `--difficult`")
    for folder in arguments.images:
        if not is_folder(folder):
            raise UsageError(f"`--images {folder}`: there is no such folder", "name the folder with the images")
    names = read_names(arguments.names) if arguments.names else ()
    read = read_voc if arguments.origin == "voc" else read_coco
    sources = {"train": arguments.sources, "valid": arguments.valid}
    parts = {part: read(given, arguments.images) for part, given in sources.items() if given}
    reads = [*arguments.sources, *(arguments.valid or ()), *([arguments.names] if arguments.names else ())]
    planned = plan(parts, arguments.out, names, difficult=arguments.difficult, force=arguments.force, reads=reads)
    with progress(len(planned.files), "writing", "files") as advance:
        planned.write(advance)
    for part, (images, objects) in planned.counts.items():
        print(f"{part}: {counted(images, 'image')}, {counted(objects, 'object')}")
    for line in planned.remarks.lines():
        print(line)
    print(f"saved: {printable(arguments.out)}")
    return 0


def _to_coco(arguments: Namespace) -> int:
    from cspdet.data.coco import coco_instances
    from cspdet.files import check_writable, is_special
    from cspdet.outputs import write_text
    from cspdet.paths import exists

    for name, given in (("--valid", arguments.valid), ("--images", arguments.images), ("--names", arguments.names)):
        if given:
            raise UsageError(f"`{name}` has no meaning with `--to coco`", "leave it out")
    if len(arguments.sources) > 1:
        raise UsageError(f"{len(arguments.sources)} sources, but `--to coco` takes one", "name one .data file")
    description = read_description(arguments.sources[0])
    to_stdout = arguments.out in STANDARD_OUTPUT
    if not to_stdout:
        _refuse_to_overwrite(arguments.out, description)
        if exists(arguments.out) and not is_special(arguments.out) and not arguments.force:
            raise UsageError(f"`{arguments.out}` is there already", "`--force` overwrites it")
        check_writable(arguments.out)
    found, remarks = coco_instances(description, arguments.part)
    if to_stdout:
        print(json.dumps(found))
    else:
        write_text(arguments.out, json.dumps(found) + "\n")
    counts = f"{counted(len(found['images']), 'image')}, {counted(len(found['annotations']), 'object')}"
    for line in (counts, *remarks.lines(), *([] if to_stdout else [f"saved: {printable(arguments.out)}"])):
        print(line, file=sys.stderr if to_stdout else sys.stdout)
    return 0
