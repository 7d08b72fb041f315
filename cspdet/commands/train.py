"""Train a network: from scratch, or from the weights of another training.

  cspdet train X.data X.cfg                             from scratch
  cspdet train X.data X.cfg yolov4.conv.137 -map        from a backbone, evaluated on the `valid` images as it goes
  cspdet train X.data X.cfg --resume                    go on where it was interrupted
  torchrun --nproc-per-node 2 -m cspdet train X.data X.cfg

The recipe is [net] of the cfg. Weights go into the folder `backup` of the .data file: X_last.weights every 100 steps,
X_best.weights after every evaluation that was the best so far, X_final.weights at the end, X_1000.weights and so on; beside
them X.checkpoint, chart_X.png and log_X.csv. Files are told by their endings, so their order does not matter.
"""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspdet.commands.common import add_dialect, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.commands.loading import check_classes, positive, sort_files
from cspdet.cores import usable_cores
from cspdet.errors import CspdetError, UsageError
from cspdet.files import make_folder, real_path
from cspdet.graph import Graph
from cspdet.paths import is_file, is_folder
from cspdet.text import counted, printable

if TYPE_CHECKING:
    from cspdet.data.description import Description
    from cspdet.data.pictures import Picture
    from cspdet.network import Network
    from cspdet.train.processes import Team
    from cspdet.train.trainer import Score, Trainer


_LARGEST = 2**31 - 1
# Workers that are started unless another number is asked for.
_MOST_WORKERS = 8


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("data", metavar="X.data", help="names the images, the class names and the folder for weights")
    add("cfg", metavar="X.cfg", help="cfg file or model name")
    add("weights", nargs="?", metavar="WEIGHTS", help="weights to start from; whole, or a backbone such as yolov4.conv.137")
    add("--clear", "-clear", action="store_true", help="count steps from 0, whatever the weights say")
    add("--map", "-map", action="store_true", help="evaluate on the `valid` images as training goes")
    add("--resume", "-resume", action="store_true", help="go on from the checkpoint")
    add("--backup", metavar="FOLDER", help="where weights go (default: `backup` of the .data file)")
    add("--seed", type=_count, default=0, metavar="N", help="where all random numbers come from (default: 0)")
    add("--workers", type=_count, metavar="N", help="processes that prepare images (default: as many as cores, 8 at most)")
    add("--device", default="", help="where to compute: cpu, cuda, cuda:1, … (default: a GPU if there is one)")
    add("--precision", choices=("float32", "bfloat16"), help="of the network (default: bfloat16 on GPUs)")
    add("--compile", action="store_true", help="compile the network with torch.compile")
    add("--save-every", type=positive, default=100, metavar="STEPS", help="steps between checkpoints (default: 100)")
    add("--keep-every", type=_count, default=1000, metavar="STEPS", help="steps between weights that stay (default: 1000)")
    add("--map-every", type=positive, metavar="STEPS", help="steps between evaluations (default: as Darknet, 4 passes)")
    add("--tensorboard", action="store_true", help="also write TensorBoard's files, into the folder for weights")
    add("-gpus", dest="gpus", metavar="0,1", help="as Darknet has it; several GPUs are used by `torchrun`")
    add("-i", dest="gpu", type=int, metavar="N", help="as Darknet has it: number of the GPU to use")
    add("-dont_show", action="store_true", help="as Darknet has it; changes nothing: no window is opened")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Train."""
    from cspdet.train.processes import joined

    _sort(arguments)
    _check_options(arguments)
    _say_without_gpu(arguments)
    with joined(_device(arguments)) as team:
        graph = _graph(arguments, team)
        return 1 if graph is None else _train(arguments, graph, team)


def _graph(arguments: Namespace, team: Team) -> Graph | None:
    """The network; None after its errors were printed, which one process does for all."""
    source = read_cfg(arguments.cfg, arguments)
    with nullcontext() if team.leads else redirect_stderr(StringIO()):
        return graph_or_diagnostics(source, dialect_of(arguments))


def _train(arguments: Namespace, graph: Graph, team: Team) -> int:
    from cspdet.data.description import read_description
    from cspdet.data.pictures import read_list
    from cspdet.network import usable_device
    from cspdet.train.processes import device_of
    from cspdet.train.tasks import Classifying, Detecting, Task
    from cspdet.train.trainer import Settings, Trainer

    data = read_description(arguments.data)
    pictures = read_list(data.list_of("train"))
    if graph.heads:
        cure = f"set `classes={data.classes}` there, and `filters` before it; `cspdet check` says how many"
        check_classes(graph, data, cure)
        _check_labels(pictures, data)
    else:
        _check_paths(pictures, graph, data)
    device = usable_device(str(device_of(_device(arguments), team)))
    name = Path(arguments.cfg).stem
    settings = Settings(
        _backup(arguments, data, name),
        name,
        arguments.seed,
        _workers(arguments.workers),
        str(device),
        None if arguments.precision is None else arguments.precision == "bfloat16",
        arguments.compile,
        arguments.save_every,
        arguments.keep_every,
        arguments.map_every or 0,
    )
    task: Task
    if graph.heads:
        task = Detecting(graph, pictures, arguments.seed)
    else:
        task = Classifying(graph, pictures, data.labels, arguments.seed)
    network, seen = _network(arguments, graph)
    score = _score(data, graph, team) if arguments.map else None
    trainer = Trainer(graph, network, task, settings, team, seen=0 if arguments.clear else seen, score=score)
    if arguments.resume:
        trainer.resume()
    elif not (arguments.clear or arguments.weights) and team.agree(is_file(trainer.backup.checkpoint)):
        cure = "`--resume` goes on from it, weights or `-clear` start again in its place, `--backup FOLDER` in another"
        raise UsageError(f"`{trainer.backup.checkpoint}` is there: this training was begun, and may be finished", cure)
    if team.leads:
        make_folder(settings.backup)
        trainer.backup.check()
    return _run(trainer, team, tensorboard=arguments.tensorboard)


def _run(trainer: Trainer, team: Team, *, tensorboard: bool) -> int:
    from cspdet.commands.view import View
    from cspdet.train.log import Log

    settings = trainer.settings
    if team.leads:
        _say_idle(trainer.graph)
        trainer.log = Log(trainer.backup.log, trainer.iteration)
    with ExitStack() as stack:
        view = stack.enter_context(View(trainer, visible=team.leads))
        watchers = [view.show]
        if tensorboard and team.leads:
            from cspdet.train.board import Board

            board = stack.enter_context(closing(Board(settings.backup / f"tensorboard_{settings.name}")))
            watchers.append(board.add)
        stopped = stack.enter_context(_interruptible())
        ended = trainer.run(lambda row: [watch(row) for watch in watchers], stopped)
    if team.leads:
        kind = "final" if ended else "last"
        print(printable(f"saved: {trainer.backup.weights(kind)}"))
        if not ended:
            print(f"interrupted after step {trainer.iteration:,}: `--resume` goes on from here", file=sys.stderr)
    return 0 if ended else 130


# -- what is given ----------------------------------------------------------------------------------------------------


def _sort(arguments: Namespace) -> None:
    """Put each file where its kind stands, as far as endings tell; the others stay in their order.

    Raises:
        UsageError: there are two of a kind, or one is missing.
    """
    kinds = ("data", "cfg", "weights")
    words = [word for kind in kinds if (word := getattr(arguments, kind))]
    found, _ = sort_files(words)
    others = [word for word in words if word not in [found.get(kind) for kind in kinds]]
    for kind in kinds:
        setattr(arguments, kind, found.get(kind) or (others.pop(0) if others else None))
    for kind, name in (("data", ".data"), ("cfg", "cfg")):
        if not getattr(arguments, kind):
            raise UsageError(f"there is no {name} file in `{' '.join(words)}`", "as in `cspdet train X.data X.cfg X.weights`")


def _check_options(arguments: Namespace) -> None:
    """See that no option goes without effect because of another.

    Raises:
        UsageError: one does.
    """
    if arguments.map_every and not arguments.map:
        raise UsageError("`--map-every` has no effect without `-map`", "add `-map`")
    if arguments.resume and (arguments.weights or arguments.clear):
        other = f"`{arguments.weights}`" if arguments.weights else "`-clear`"
        raise UsageError(f"`--resume` goes on from the checkpoint, so that {other} has no effect", "leave one of them out")


def _say_without_gpu(arguments: Namespace) -> None:
    """A word where `-gpus` or `-i` changes nothing."""
    import torch

    given = f"-gpus {arguments.gpus}" if arguments.gpus else "" if arguments.gpu is None else f"-i {arguments.gpu}"
    if not given or not _first():
        return
    if arguments.device:
        print(f"note: `{given}` has no effect: `--device {arguments.device}` says where to compute", file=sys.stderr)
    elif not torch.cuda.is_available():
        print(f"note: `{given}` has no effect: PyTorch finds no GPU, and the CPU computes", file=sys.stderr)


def _backup(arguments: Namespace, data: Description, name: str) -> Path:
    """The folder for weights. Of two that `backup` of the .data file may mean, `--resume` wants the one with the checkpoint.

    Raises:
        UsageError: both have a checkpoint, or neither.
    """
    if arguments.backup:
        return Path(arguments.backup)
    chosen = data.backup
    beside = data.path.parent / (data.written.get("backup") or "backup")
    if real_path(chosen) == real_path(beside) or not is_folder(beside):
        return chosen
    both = f"`{chosen}` of the working directory and `{beside}`, beside the .data file,"
    begun = [folder for folder in (chosen, beside) if is_file(folder / f"{name}.checkpoint")]
    if arguments.resume and len(begun) != 1:
        has = "each have" if begun else "are there, but neither has"
        raise UsageError(f"{both} {has} `{name}.checkpoint`", "say which by `--backup FOLDER`, or start without `--resume`")
    if arguments.resume:
        return begun[0]
    if _first():
        print(printable(f"note: {both} are there: weights go into the first; `--backup` names another"), file=sys.stderr)
    return chosen


def _check_labels(pictures: Sequence[Picture], data: Description) -> None:
    """See that there is anything to learn; ends at the first object.

    Raises:
        UsageError: no image has an object of a class that training could use.
    """
    from cspdet.data.labels import read_labels
    from cspdet.train.augment import valid

    files = beyond = unusable = 0
    for picture in pictures:
        labels = read_labels(picture.labels)
        files += is_file(picture.labels)
        if valid(labels.rows, data.classes).any():
            return
        unusable += len(labels.rows)
        beyond += sum(not 0 <= number < data.classes for number in labels.rows[:, 0])
    first = pictures[0]
    if not files:
        message = f"none of the {counted(len(pictures), 'image')} has a label file, such as `{first.labels}`"
        raise UsageError(message, "labels lie beside the images, or in `labels/` where the images are in `images/`")
    reason = "no label file has an object"
    if unusable:
        reason = f"all {counted(unusable, 'object')} have classes that `{data.path}` does not have, no size, or lie outside"
    if unusable and beyond == unusable:
        reason = f"all {counted(beyond, 'object')} have classes that `{data.path}` does not have"
    raise UsageError(f"{reason}: there is nothing to train on", f"run `cspdet data check {data.path}`")


def _check_paths(pictures: Sequence[Picture], graph: Graph, data: Description) -> None:
    """See that a classifier has anything to learn; ends at the first image whose path tells a class.

    Raises:
        UsageError: no path does.
    """
    from cspdet.data.classes import class_of

    names, word = data.labels, ""
    for picture in pictures:
        try:
            class_of(picture, names)
        except CspdetError as error:
            word = word or error.message
        else:
            return
    message = f"no path of {counted(len(pictures), 'image')} tells a class, as a classifier needs it; the first: {word}"
    cure = f"`cspdet data check --classify {data.path}` lists them; to find objects, `{graph.source.path}` needs a head"
    raise UsageError(message, f"{cure} such as `[yolo]`")


def _workers(asked: int | None) -> int:
    """Processes that prepare images for this one."""
    cores = usable_cores()
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if asked is None:
        return max(1, min(_MOST_WORKERS, cores // beside))
    if asked * beside > cores and _first():
        there = counted(asked * beside, "worker")
        print(f"warning: {there} for {counted(cores, 'core')}: they will wait for each other", file=sys.stderr)
    return asked


def _first() -> bool:
    """Whether this is the process of a team that speaks."""
    return os.environ.get("RANK", "0") == "0"


def _device(arguments: Namespace) -> str:
    import torch

    if arguments.device:
        return str(arguments.device)
    if not torch.cuda.is_available():
        return "cpu"
    gpus = [each for each in (arguments.gpus or "").split(",") if each.strip()]
    if len(gpus) > 1 and "WORLD_SIZE" not in os.environ:
        words = f"`torchrun --nproc-per-node {len(gpus)} -m cspdet train …`"
        raise UsageError(f"`-gpus {arguments.gpus}` asks for {len(gpus)} GPUs in one process", f"start {words}")
    if len(gpus) > 1:
        return "cuda:" + ",".join(each.strip() for each in gpus)
    number = gpus[0].strip() if gpus else arguments.gpu
    return "cuda" if number is None else f"cuda:{number}"


def _network(arguments: Namespace, graph: Graph) -> tuple[Network, int]:
    """The network with the weights to start from, and the images that they have seen."""
    from cspdet.network import Network
    from cspdet.weights.codec import layout
    from cspdet.weights.reader import read_any

    if not arguments.weights:
        return Network(graph, seed=arguments.seed), 0
    loaded = read_any(arguments.weights, graph)
    network = Network(graph, empty=True)
    # A copy: the file is mapped, and training writes into its arrays.
    network.load_arrays({key: value.copy() for key, value in loaded.arrays.items()})
    network.initialise({slot.key for slot in layout(graph, "all")} - {*loaded.arrays}, arguments.seed)
    if loaded.doubt and _first():
        print(f"warning: {loaded.doubt}", file=sys.stderr)
    if loaded.ends_before is not None and _first():
        print(f"{printable(arguments.weights)}: weights of the layers before {loaded.ends_before}; the others start anew")
    return network, loaded.header.seen


def _score(data: Description, graph: Graph, team: Team) -> Score:
    """How good a network is on the `valid` images."""
    from cspdet.data.pictures import read_list
    from cspdet.train.score import ClassScorer, Scorer

    pictures = read_list(data.list_of("valid"))
    if graph.heads:
        _check_labels(pictures, data)
    else:
        _check_paths(pictures, graph, data)
    return Scorer(pictures, data.names, team) if graph.heads else ClassScorer(pictures, data.labels, team)


def _say_idle(graph: Graph) -> None:
    """Options that do nothing here are named, each with its reason."""
    from cspdet.train.inert import idle

    for each in idle(graph):
        print(
            printable(f"note: {each.place}: `{each.option}` of `[{each.section}]` does nothing here: {each.reason}"),
            file=sys.stderr,
        )


# -- the way it ends --------------------------------------------------------------------------------------------------


@contextmanager
def _interruptible() -> Iterator[Any]:
    """Ctrl-C or a polite kill ends the training after the present step, with a checkpoint; the second one, at once."""
    asked: list[int] = []
    before = {}

    def ask(number: int, _frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nending after this step; once more ends at once", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _count(text: str) -> int:
    """A number of things, 0 included."""
    if not text.isdecimal() or int(text[:12]) > _LARGEST or len(text) > 12:
        raise ArgumentTypeError(f"`{text}` is not a number from 0 to {_LARGEST:,}")
    return int(text)
