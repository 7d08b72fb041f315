"""The command line: name → command module, of which only the one asked for is imported."""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cspdet.errors import CspdetError, UsageError
from cspdet.text import nearest

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

# Adding a command is one file in `commands/` and one line here. A module has `configure(parser)` and `run(arguments) ->
# exit code`.
COMMANDS: dict[str, str] = {
    "detect": "find objects in images, videos and streams",
    "train": "train a network on labelled images",
    "classify": "say what pictures show, and how often that is right",
    "map": "say how good a detector is: mean average precision",
    "bench": "measure how fast a network runs, by every engine",
    "check": "say what is wrong with cfg files, and where; cure it",
    "explain": "explain the code of a diagnostic",
    "diff": "say in what two networks differ",
    "format": "lay out cfg files alike",
    "edit": "put layers in, take them out, move and rename them",
    "expand": "write a cfg as plain Darknet text",
    "lsp": "serve editors: diagnostics, help, completion (language server)",
    "scale": "make a network deeper or wider",
    "summary": "print a network's layer table, its BFLOPs and parameters",
    "plot": "draw how much each layer computes",
    "graph": "draw a network",
    "layers": "document the sections of a cfg and their options",
    "models": "list the models that can be named",
    "weights": "look into weights files, convert them, cut them",
    "data": "check annotated images, count them, convert them, cut the objects out",
    "anchors": "fit anchors to the boxes of a data set",
    "export": "write a network for other programs: ONNX, OpenVINO, torch.export",
    "trace": "write what every layer puts out",
    "compare": "name the first layer in which two traces differ",
}

# What fingers know from Darknet and ultralytics.
_ALIASES = {"predict": "detect", "test": "detect", "demo": "detect", "val": "map", "calc_anchors": "anchors"}
_WITH_VERBS = ("weights", "data", "edit")
# Options that others have for files which are told by their endings here.
_TOLD_BY_ENDING = ("--weights", "--cfg", "--data", "--source")
_WITHOUT_OPTION = "name the file without an option: it is told by its ending"
_DARKNET_GROUPS = ("detector", "darknet", "yolo")
# What follows `darknet classifier`.
_DARKNETS_CLASSIFIER = {"predict": ("classify",), "valid": ("classify", "--part", "valid"), "train": ("train",)}

# Seconds within which two interruptions are one.
_AT_ONCE = 0.5

_USAGE = "usage: cspdet COMMAND …"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code: 0 good, 1 something is wrong with an input, 2 the call is wrong, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Threads that wait for each other should not spin: where others use the cores too, that takes several times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 - as long as we live
    while len(words) > 1 and words[0] in _DARKNET_GROUPS:
        words.pop(0)  # `darknet detector test X.data X.cfg X.weights IMG`
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a file's name may hold what the terminal's encoding does not
    try:
        with _terminable():
            code = _obey(words)
            sys.stdout.flush()
            return code
    except CspdetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except _Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _give_up_output()  # whoever read it has gone
        return 0
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.filename is None and not _takes_output():
            print(f"error: cannot write to standard output: {reason}", file=sys.stderr)
            _give_up_output()
            return UsageError.exit_code
        # A disk that fills up, a file that changes while it is read: the system says it well enough.
        name = f"`{error.filename}`: " if error.filename else ""
        print(f"error: {name}{reason}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        # PyTorch has no type of its own for it on the CPU.
        if isinstance(error, RuntimeError) and not re.search("allocate memory|out of memory", str(error)):
            raise
        print("error: there is not enough memory\n  help: use a smaller network, image or batch", file=sys.stderr)
        return 1


class _Terminated(KeyboardInterrupt):
    """A polite kill: what has begun is cleaned up as after Ctrl-C."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM end the command as Ctrl-C does, so that no half-written file stays behind.

    Of two SIGINTs at once, as `timeout` sends them, the second would end the clean-up after the first, and leave threads that
    compute beyond the end of the interpreter.
    """
    interrupted = -math.inf

    def end(_number: int, _frame: object) -> None:
        raise _Terminated

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal interrupted
        before, interrupted = interrupted, time.monotonic()
        if interrupted - before > _AT_ONCE:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only that one may say what signals do
        yield
        return
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _takes_output() -> bool:
    """Whether standard output can be written; the error of one that cannot does not say whose it is."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def _give_up_output() -> None:
    """Say nothing more on standard output, also not when Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _obey(words: list[str]) -> int:
    """Do what the command line says."""
    if words[:1] == ["classifier"]:
        if len(words) < 2 or words[1] not in _DARKNETS_CLASSIFIER:
            given = (
                f"there is no `classifier {words[1]}`" if len(words) > 1 else "`classifier` is followed by what is to be done"
            )
            raise UsageError(given, "one of: " + ", ".join(f"`classifier {verb}`" for verb in _DARKNETS_CLASSIFIER))
        words[:2] = _DARKNETS_CLASSIFIER[words[1]]
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from cspdet import __version__

        print(f"cspdet {__version__}")
        return 0
    name = _ALIASES.get(words[0], words[0])
    return _run(name, words[1:]) if name in COMMANDS else _unknown(words[0])


def _run(name: str, words: list[str]) -> int:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter, _SubParsersAction

    class Parser(ArgumentParser):
        def error(self, message: str) -> NoReturn:
            word = message.removeprefix("unrecognized arguments: ").split(" ")[0]
            # What a verb does not know, the parser above it says.
            verbs = next((each.choices for each in self._actions if isinstance(each, _SubParsersAction)), {})
            asked = verbs.get(words[0], self) if words else self
            near = None if word == message.split(" ")[0] else nearest(word, asked._option_string_actions)
            cure = f"did you mean `{near}`?" if near else f"see `{asked.prog} --help`"
            raise UsageError(message, _WITHOUT_OPTION if word.partition("=")[0] in _TOLD_BY_ENDING else cure)

        def print_help(self, file: SupportsWrite[str] | None = None) -> None:
            print(self.format_help(), end="", file=file)  # argparse would not mind that it cannot be written
            sys.stdout.flush()

    command = import_module(f"cspdet.commands.{name}")
    parser = Parser(
        f"cspdet {name}", description=command.__doc__, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )
    command.configure(parser)
    # Files may stand before, between and behind the options; a command with verbs has another parser for each.
    parse = parser.parse_args if name in _WITH_VERBS else parser.parse_intermixed_args
    return int(command.run(parse(words)))


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join([_USAGE, "", *lines, "", "`cspdet COMMAND --help` says more about each."])


def _unknown(word: str) -> int:

    near = nearest(word, COMMANDS)
    cure = f"did you mean `cspdet {near}`?" if near else "`cspdet --help` lists the commands"
    if "." in word:
        cure = f"to find objects in it: `cspdet detect {word}`"
    print(f"error: there is no command `{word}`\n  help: {cure}", file=sys.stderr)
    return 2
