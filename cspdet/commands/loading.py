"""What commands that run a detector share: files told by their endings, values of options, and loading."""

from __future__ import annotations

import re
import sys
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cspdet.commands.common import add_dialect, add_size, settings_of
from cspdet.errors import UsageError
from cspdet.graph import Graph
from cspdet.layers.head import Head
from cspdet.paths import exists
from cspdet.text import counted, printable

if TYPE_CHECKING:
    from cspdet.data.description import Description
    from cspdet.detector import Detector

_KINDS = {
    ".cfg": "cfg",
    ".weights": "weights",
    ".backup": "weights",
    ".safetensors": "weights",
    ".data": "data",
    ".names": "names",
}


def share(text: str) -> float:
    """The value of an option from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"`{text}` is no number from 0 to 1")
    return value


def positive(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or not 0 < int(text[:9]) == int(text[-9:]):
        raise ArgumentTypeError(f"`{text}` is no number from 1 on")
    return int(text)


def _engine(text: str) -> str:
    from cspdet.engines import check_name

    check_name(text)
    return text


def add_running(parser: ArgumentParser) -> None:
    """The options that say how a detector is loaded and run."""
    from cspdet.engines import COMPILED, NAMES

    add = parser.add_argument
    add("--batch", type=positive, default=1, metavar="N", help="images at a time (default: 1)")
    add("--device", default="cpu", help="where the network runs: cpu, cuda, cuda:1, … (default: cpu)")
    add(
        "--engine",
        type=_engine,
        default="auto",
        metavar="NAME",
        help=f"what runs it: {', '.join(NAMES)}; auto is the fastest that is installed (default: auto)",
    )
    about = f"the same as `--engine {COMPILED}`: PyTorch's module through torch.compile, which takes half a minute first"
    add("--compile", action="store_true", help=about)
    add("-i", dest="gpu", type=_gpu, metavar="N", help="as Darknet has it: number of the GPU to use, if there is one")
    add_size(parser)
    add_dialect(parser)


def _gpu(text: str) -> int:
    """The number of a GPU."""
    if not text.isdecimal() or len(text) > 9:
        raise ArgumentTypeError(f"`{text}` is no number of a GPU (or is `-i{text}` misspelt?)")
    return int(text)


def sort_files(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Which file is the cfg, the weights, the data, the names, the exported network, by their endings; and all other words.

    Raises:
        UsageError: there are two of a kind.
    """
    from cspdet.export import is_exported

    found: dict[str, str] = {}
    others: list[str] = []
    for word in words:
        kind = _KINDS.get(Path(word).suffix.lower()) or ("weights" if _is_backbone(word) else None)
        if is_exported(word):
            kind = "exported"
        if kind is None:
            others.append(word)
        elif kind in found:
            raise UsageError(f"two {kind} files: `{found[kind]}` and `{word}`", "give one")
        else:
            found[kind] = word
    return found, others


def cfg_of(arguments: Namespace, found: dict[str, str], others: list[str]) -> str | None:
    """The cfg file, or the model that `--model` or the first of the other words names, which is taken from them.

    An exported network takes the place of both, and of the weights.

    Raises:
        UsageError: there are two of them.
    """
    from cspdet.models import known

    if "exported" in found:
        more = [arguments.model] if arguments.model else [found[kind] for kind in ("cfg", "weights") if kind in found]
        if more:
            message = f"both an exported network, `{found['exported']}`, and `{more[0]}`"
            raise UsageError(message, "give one: an exported network has its cfg and weights in it")
        return found["exported"]
    if arguments.model and "cfg" in found:
        raise UsageError(f"both a model, `{arguments.model}`, and a cfg file, `{found['cfg']}`", "give one")
    cfg: str | None = arguments.model or found.get("cfg")
    if cfg is None and others and not exists(others[0]) and others[0] in known():
        return others.pop(0)
    return cfg


def check_classes(graph: Graph, description: Description, cure: str) -> None:
    """See that heads and data have the same classes.

    Raises:
        UsageError: they do not; `cure` is its help.
    """
    for node in graph.heads:
        if isinstance(node.layer, Head) and node.layer.classes != description.classes:
            heads, data = (counted(number, "class", "classes") for number in (node.layer.classes, description.classes))
            where = f"{graph.source.path}:{node.place('classes').line}"
            raise UsageError(f"`{description.path}` has {data}, but the head in {where} has {heads}", cure)


def _is_backbone(word: str) -> bool:
    """Whether it is named as Darknet names partial weights: `yolov4.conv.137`."""
    return bool(re.search(r"\.(conv|convlast)\.[0-9]+$", word))


def load_detector(
    cfg: str, weights: str | None, names: str | Sequence[str] | None, arguments: Namespace, *, heads: bool = True
) -> Detector:
    """The detector; what it has to say is printed in a line each.

    Raises:
        UsageError: it has no head, unless it needs none, or no weights of the whole network: what it would find means
            nothing.
    """
    from cspdet.engines import COMPILED
    from cspdet.loading import load

    if arguments.compile and arguments.engine not in ("auto", "torch", COMPILED):
        raise UsageError(f"`--compile` is for PyTorch, not for `{arguments.engine}`", "leave one of the two out")
    device = arguments.device
    if arguments.gpu is not None and device == "cpu":
        import torch

        device = f"cuda:{arguments.gpu}" if torch.cuda.is_available() else "cpu"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detector = load(
            cfg,
            weights,
            names=names,
            width=arguments.width,
            height=arguments.height,
            device=device,
            engine=COMPILED if arguments.compile else arguments.engine,
            dialect=arguments.dialect,
            settings=settings_of(arguments),
        )
    for each in caught if detector.ends_before is None else ():
        print(printable(f"warning: {each.message}"), file=sys.stderr)
    if heads and not detector.graph.heads:
        detector.detect([])  # says so
    if not detector.trained:
        raise UsageError(
            f"there are no weights for `{cfg}`",
            "name a weights file, too; `cspdet models` says which models have weights of their own",
        )
    if detector.ends_before is not None:
        raise UsageError(
            f"`{weights}` is a backbone: it has no weights from layer {detector.ends_before} on",
            "use the weights of the whole network; backbones are for training",
        )
    if detector.graph.heads and not detector.names:
        print("no class names: give `--names FILE`, or put a `.names` file beside the cfg", file=sys.stderr)
    return detector
