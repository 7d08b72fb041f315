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

from cspdet.commands.common import add_dialect, add_size, network_files
from cspdet.commands.loading import cfg_of, load_detector, share, sort_files
from cspdet.errors import UsageError
from cspdet.files import check_unread
from cspdet.preprocess import PROFILES
from cspdet.text import printable


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
    from cspdet.export import FORMATS, check_options, format_of
    from cspdet.export.model import make_options

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
    check_unread(target, [*network_files(cfg), *found.values(), arguments.names])
    how = {name: getattr(arguments, name) for name in ("dynamic_size", "half", "nms")} | {"threshold": arguments.thresh}
    check_options(target, make_options(arguments.outputs, **how))
    detector = load_detector(cfg, found.get("weights"), arguments.names or found.get("names"), arguments, heads=False)
    detector.export(
        target,
        outputs=arguments.outputs,
        **how,
        like=arguments.like or "",
        check=not arguments.no_check,
        say=lambda line: print(printable(line)),
    )
    return 0
