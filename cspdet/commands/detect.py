"""Find objects in images, videos and streams.

  cspdet detect dog.jpg                               the default model
  cspdet detect --model yolov4 photos/                a named model, all images of a folder
  cspdet detect X.cfg X.weights dog.jpg clip.mp4      any cfg and weights
  cspdet detector test X.data X.cfg X.weights dog.jpg -thresh .3 -out found.json

Sources are images, folders, patterns ('photos/**/*.jpg'), lists (.txt, or - for standard input), video files, camera
numbers, and addresses (rtsp, http). Files are told by their endings, so their order does not matter. Of one image, the
annotated picture is written to predictions.jpg, of several into the folder predictions/, of a video to predictions.mp4;
--save says otherwise.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import NamedTuple

from cspdet.commands.common import network_files
from cspdet.commands.job import SWALLOWED, Job
from cspdet.commands.loading import add_running, cfg_of, load_detector, share, sort_files
from cspdet.errors import UsageError
from cspdet.preprocess import PROFILES
from cspdet.sources import expand
from cspdet.targets import Wanted, plan


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="cfg, weights, .data and .names files, and sources")
    add("--model", "-model", metavar="NAME", help="model to use: `cspdet models` lists them")
    add("--names", "-names", metavar="FILE", help="class names, one per line")
    add("--thresh", "-thresh", "--conf", type=share, default=0.25, metavar="T", help="least confidence (default: .25)")
    add(
        "--nms",
        "-nms",
        "--iou",
        type=share,
        default=0.45,
        metavar="T",
        help="overlap from which the weaker box is dropped (default: .45)",
    )
    add(
        "--classes",
        nargs="+",
        metavar="CLASS",
        help="only these classes, by name or number; separated by blanks or commas",
    )
    add(
        "--like",
        choices=[*PROFILES],
        help="program whose preprocessing is used (default: that of the dialect)",
    )
    add("--letterbox", "-letter_box", action="store_true", default=None, help="keep the proportions of images")
    add(
        "--save",
        "-out_filename",
        metavar="PATH",
        help="where annotated images or videos go: a file, or a folder for several",
    )
    add("--no-save", action="store_true", help="write no annotated images")
    add("--out", "-out", "--json", metavar="FILE", help="write Darknet's JSON")
    add("--coco", metavar="FILE", help="write COCO's JSON")
    add("--csv", metavar="FILE", help="write CSV")
    add("--labels", metavar="FOLDER", help="write a YOLO label file for each image")
    add(
        "--save-labels",
        "-save_labels",
        action="store_true",
        help="write label files beside the images, as Darknet does",
    )
    add("--show", action="store_true", help="show the results in a window; q ends")
    add("--quiet", action="store_true", help="print no objects")
    add("-c", dest="camera", type=_number, metavar="N", help="camera to look through")
    add("-ext_output", action="store_true", help="as Darknet has it; changes nothing: places are always printed")
    add("-dont_show", action="store_true", help="as Darknet has it; changes nothing: only --show shows")
    add_running(parser)


# What other programs keep networks in.
_FOREIGN = frozenset((".pt", ".pth", ".ckpt", ".pb", ".tflite", ".engine", ".caffemodel", ".h5", ".keras", ".mlmodel"))


class _Files(NamedTuple):
    """The positional arguments, sorted out."""

    cfg: str
    weights: str | None
    names: str | tuple[str, ...] | None
    sources: list[str]


def run(arguments: Namespace) -> int:
    """Find objects in every source."""
    # The decoder behind OpenCV would report every damaged block of a video on the error stream.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if arguments.show and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
        # OpenCV would end the process.
        raise UsageError("there is no display to show anything on", "leave out `--show`")
    if arguments.no_save and arguments.save is not None:
        raise UsageError(f"both `--no-save` and `--save {arguments.save}`", "leave one of the two out")
    files = _sorted_out(arguments)
    sources = [*expand(files.sources)]
    if not sources:
        swallowed = any(Path(word).suffix for word in arguments.classes or ())
        raise UsageError("there is nothing to look at", SWALLOWED if swallowed else "name an image: `cspdet detect dog.jpg`")
    endless = [source for source in sources if source.kind == "stream"]
    if endless and len(sources) > 1:
        raise UsageError(f"`{endless[0].name}` has no end, so nothing else can be looked at with it", "name it alone")
    wanted = Wanted(
        not arguments.no_save,
        arguments.save,
        arguments.labels,
        arguments.save_labels,
        tuple(path for path in (arguments.out, arguments.coco, arguments.csv) if path is not None),
    )
    reads = [*arguments.files, *network_files(files.cfg), *([arguments.names] if arguments.names else [])]
    targets = plan(sources, wanted, reads)
    detector = load_detector(files.cfg, files.weights, files.names, arguments)
    return Job(arguments, [*zip(sources, targets, strict=True)], detector).run()


def _number(text: str) -> int:
    """The number of a camera, which are counted from 0."""
    if not text.isdecimal() or len(text) > 9:
        raise ArgumentTypeError(f"`{text}` is no number of a camera: they are counted from 0 (or is `-c{text}` misspelt?)")
    return int(text)


def _sorted_out(arguments: Namespace) -> _Files:
    """Which file is what, by its ending."""
    from cspdet.models import DEFAULT
    from cspdet.names import names_of_data

    found, sources = sort_files(arguments.files)
    cfg = cfg_of(arguments, found, sources)
    for word in sources:
        _check_source(word, found.get("exported"))
    if cfg is None and "weights" in found:
        raise UsageError(f"weights without a cfg: `{found['weights']}`", "name the cfg they were made with, or `--model NAME`")
    if found.get("cfg") and "weights" not in found:
        raise UsageError(
            f"a cfg without weights: `{found['cfg']}`",
            "name its weights file; `cspdet check` and `cspdet summary` need none",
        )
    if arguments.camera is not None:
        sources.append(str(arguments.camera))
    if not sources and not sys.stdin.isatty():
        sources = ["-"]
    names: str | tuple[str, ...] | None = arguments.names or found.get("names")
    if names is None and "data" in found:
        names = names_of_data(found["data"])
    return _Files(cfg or DEFAULT, found.get("weights"), names, sources)


def _check_source(word: str, exported: str | None) -> None:
    """See that it is no network's file, which would be taken for a picture."""
    from cspdet.export import FORMATS, belongs_to

    if "://" in word:
        return
    whole, ending = belongs_to(word), Path(word).suffix
    if whole is not None:
        message = f"`{word}` is neither a picture nor a network: weights beside an exported network end in `{ending}`"
        read = exported is not None and whole == Path(exported)
        raise UsageError(
            message, f"{'leave it out: it is read with' if read else 'name the file that it goes with:'} `{whole}`"
        )
    if ending.lower() in _FOREIGN:
        cure = f"name a cfg and its weights, a model, or a file that `cspdet export` wrote: {', '.join(FORMATS)}"
        raise UsageError(f"`{word}` is a network of another program, which is not read here", cure)
