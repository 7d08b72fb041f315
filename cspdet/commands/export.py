"""Write a network for other programs, and see that it computes there what it computes here.

  cspdet export X.cfg X.weights X.onnx                    ONNX: the raw outputs, for batches of any size
  cspdet export cspdet-nano nano.onnx --outputs boxes     decoded boxes and scores
  cspdet export cspdet-nano nano.onnx --outputs nms       … and what non-maximum suppression leaves of them
  cspdet export X.cfg X.weights X.xml                     OpenVINO
  cspdet export X.cfg X.weights X.pt2                     torch.export

The file is run again, on random images in batches of 1 and 2, and the largest difference in each output is printed; a file
that computes something else is not kept. `cspdet detect X.onnx dog.jpg` finds objects with it.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from cspdet.commands.common import add_dialect, add_size
from cspdet.commands.loading import cfg_of, load_detector, share, sort_files
from cspdet.errors import UsageError
from cspdet.files import overwrites, real_path
from cspdet.preprocess import PROFILES
from cspdet.program.states import dimensions_of, names_of
from cspdet.text import printable

if TYPE_CHECKING:
    from cspdet.export.model import Model


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    from cspdet.export.model import OUTPUTS

    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="cfg and weights, or a model's name; the file to write; maybe a .names file")
    add("--model", metavar="NAME", help="model to use: `cspdet models` lists them")
    add("--names", metavar="FILE", help="class names, one per line")
    about = "; ".join(f"{name}: {what}" for name, what in OUTPUTS.items())
    add("--outputs", choices=[*OUTPUTS], default="raw", help=f"{about} (default: raw)")
    add("--dynamic-size", action="store_true", help="leave height and width free, besides the batch")
    add("--half", action="store_true", help="weights of 16 bits; inputs and outputs stay at 32")
    add("--thresh", type=share, metavar="T", help="`nms`: least score (default: .25)")
    add("--nms", type=share, metavar="T", help="`nms`: overlap from which the weaker box is dropped (default: .45)")
    add("--like", choices=[*PROFILES], help="preprocessing that the file names (default: that of the dialect)")
    add("--no-check", action="store_true", help="do not run the file")
    add_size(parser)
    add_dialect(parser)
    # The network is only read.
    parser.set_defaults(device="cpu", gpu=None, engine="", compile=False)


def run(arguments: Namespace) -> int:
    """Write the file."""
    from cspdet import __version__
    from cspdet.export import FORMATS, check_options, format_of, write
    from cspdet.export.model import Options, make_model
    from cspdet.export.notes import make_notes

    found, others = sort_files(arguments.files)
    target = found.pop("exported", None)
    cfg = cfg_of(arguments, found, others)
    if others and cfg is None and len(others) > 1 - (target is not None):
        raise UsageError(f"`{others[0]}` is neither a cfg file nor the name of a model", "`cspdet models` lists the models")
    if target is None:
        if not others:
            raise UsageError("no file to write is named", f"end its name in {', '.join(FORMATS)}")
        target = others.pop()
    format_of(target)
    if others or "data" in found:
        raise UsageError(f"what is `{(others or [found['data']])[0]}`?", "`cspdet export X.cfg X.weights X.onnx`")
    if cfg is None:
        raise UsageError("no network is named", "`cspdet export X.cfg X.weights X.onnx`, or a model's name")
    if found.get("cfg") and "weights" not in found:
        raise UsageError(f"a cfg without weights: `{cfg}`", "name its weights file")
    if real_path(target) in {real_path(path) for path in found.values()}:
        raise overwrites(target)
    limits = {"threshold": arguments.thresh, "nms": arguments.nms}
    for flag, value in zip(("--thresh", "--nms"), limits.values(), strict=True):
        if value is not None and arguments.outputs != "nms":
            message = f"`{flag}` has no effect with `--outputs {arguments.outputs}`: the file suppresses no boxes"
            raise UsageError(message, f"leave it out, or add `--outputs nms`; `cspdet detect` has a `{flag}` of its own")
    options = Options(arguments.outputs, arguments.dynamic_size, arguments.half)
    options = options._replace(**{name: value for name, value in limits.items() if value is not None})
    check_options(target, options)
    detector = load_detector(cfg, found.get("weights"), arguments.names or found.get("names"), arguments, heads=False)
    like = arguments.like or ("pjreddie" if detector.graph.dialect.letterbox else "alexeyab")
    notes = make_notes(detector.graph, detector.names, like, options, __version__)
    model = make_model(detector.graph, detector.arrays, notes, options)
    write(model, target, checked=not arguments.no_check, say=lambda line: print(printable(line)))
    print(printable(f"{target}: {describe(model)}"))
    return 0


def describe(model: Model) -> str:
    """What goes in and out, in words."""
    channels, *sides = map(str, model.program.input)
    if model.options.dynamic_size:
        sides = ["height", "width"]
    given = [f"images ({', '.join(['batch', channels, *sides])})"]
    names = [*(("detections",) if model.options.outputs == "nms" else ()), *model.names]
    for (before, after), dimensions in zip(names_of(model.program), dimensions_of(model.program), strict=True):
        given.append(f"{before} ({', '.join(['batch', *map(str, dimensions)])})")
        names.append(after)
    return f"{', '.join(given)} → {', '.join(names)}"
