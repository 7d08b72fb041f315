"""What several commands share."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator
from typing import IO

from cspdet.cfg.diagnostic import Diagnostic, count, render
from cspdet.cfg.dialect import DIALECTS, Dialect
from cspdet.cfg.included import files_of
from cspdet.cfg.source import LARGEST, Source
from cspdet.errors import UsageError
from cspdet.files import check_unread, check_writable
from cspdet.graph import Graph
from cspdet.models import find
from cspdet.rules import examine
from cspdet.text import printable

# What stands for standard output, where a file to be written is named.
STANDARD_OUTPUT = ("-", "/dev/stdout")


def warn(message: str) -> None:
    """Say on the error stream what goes on, but not as it should."""
    print(printable(f"warning: {message}"), file=sys.stderr)


def write_json(place: str | None, value: object) -> bool:
    """Write JSON to a file or standard output, or nowhere; whether a file was written.

    Raises:
        UsageError: it cannot be.
    """
    import json

    from cspdet.outputs import write_text

    if place is None:
        return False
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if place in STANDARD_OUTPUT:
        print(text)
        return False
    write_text(place, text + "\n")
    return True


def add_dialect(parser: ArgumentParser) -> None:
    """The options that say how a cfg is read: `--dialect` and `--set`."""
    parser.add_argument(
        "--dialect",
        choices=[*DIALECTS],
        default="alexeyab",
        help="program that the cfg and its weights were made for (default: alexeyab)",
    )
    about = "value of a variable, in place of what the cfg's `[define]` says; may be given several times"
    add_settings(parser, "--set", "settings", about)


def add_settings(parser: ArgumentParser, flag: str, name: str, about: str) -> None:
    """An option that gives variables values; `name` is what the arguments call it."""
    parser.add_argument(flag, dest=name, action="append", default=[], type=_setting, metavar="NAME=VALUE", help=about)


def add_size(parser: ArgumentParser) -> None:
    """The `--width` and `--height` options."""
    for name in ("width", "height"):
        parser.add_argument(
            f"--{name}", type=int, metavar="PIXELS", help=f"{name} of the network's input, in place of the cfg's"
        )


def dialect_of(arguments: Namespace) -> Dialect:
    """The dialect asked for."""
    return DIALECTS[arguments.dialect]


def settings_of(arguments: Namespace) -> dict[str, str]:
    """The variables that `--set` gives values to."""
    return dict(arguments.settings)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise ArgumentTypeError(f"`{text}` is not `NAME=VALUE`")
    return name.strip(), "".join(value.split())


def read_cfg(name: str, arguments: Namespace) -> Source:
    """The cfg file of that path, the model of that name, or standard input for `-`, with the variables set.

    Raises:
        UsageError: there is none.
    """
    source = standard_input() if name == "-" else Source.read(find(name).cfg)
    return source.set(settings_of(arguments))


def network_files(name: str) -> list[str]:
    """The files that a network of that name is read from: a cfg and what it includes, or an exported file and its parts.

    Raises:
        UsageError: there is no such cfg file and no such model.
    """
    from cspdet import export

    if export.is_exported(name):
        return [str(each) for each in export.files_of(name)]
    return files_of(Source.read(find(name).cfg))


def check_out(out: str, source: Source) -> None:
    """See that a text that is made of a cfg could be written, and would not take the place of what it is made of.

    Raises:
        UsageError: it cannot, or it would.
    """
    if out == "-":
        return
    check_writable(out)
    check_unread(out, files_of(source))


def standard_input() -> Source:
    """The cfg that comes in by standard input.

    Raises:
        UsageError: it is far too large.
    """
    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UsageError(f"more than {LARGEST:,} bytes came in, so it is not a cfg", "is it another kind of file?")
    return Source.decode("<stdin>", data)


def graph_or_diagnostics(source: Source, dialect: Dialect, **size: int | None) -> Graph | None:
    """The graph, after a word about its warnings on the error stream; None after its errors were printed there."""
    graph, diagnostics = examine(source, dialect, **size)
    if graph is None:
        print_diagnostics([each for each in diagnostics if each.severity != "note"], sys.stderr)
        print(f"{printable(source.path)}: {count(diagnostics)}", file=sys.stderr)
        return None
    warnings = [each for each in diagnostics if each.severity == "warning"]
    if warnings:
        name = printable(source.path)
        print(f"{name}: {count(warnings)}; `cspdet check {name}` shows them", file=sys.stderr)
    return graph


def totals(before: Graph, after: Graph) -> Iterator[str]:
    """A line for each of the numbers of layers, operations and parameters in which two networks differ."""
    for what, old, new, form in (
        ("layers", len(before.nodes), len(after.nodes), ",d"),
        ("BFLOPs", before.operations / 1e9, after.operations / 1e9, ",.3f"),
        ("parameters", before.parameters, after.parameters, ",d"),
    ):
        if old != new:
            share = f" ({100 * (new / old - 1):+.1f} %)" if old else ""
            yield f"{what:11} {old:{form}} → {new:{form}}{share}"


def print_diagnostics(diagnostics: Iterable[Diagnostic], stream: IO[str]) -> None:
    """Print diagnostics. Of those that say the same of several places, the first is shown whole."""
    color = stream.isatty()
    alike: dict[tuple[str, str, str], list[Diagnostic]] = {}
    for each in diagnostics:
        alike.setdefault((each.severity, each.code, each.message), []).append(each)
    for first, *others in alike.values():
        print(render(first, color), file=stream)
        if others:
            # Of what stands in a block, once for all its uses.
            lines = [*dict.fromkeys(str(other.label.span.line) for other in others)]
            shown = ", ".join(lines[:8]) + (", …" if len(lines) > 8 else "")
            print(f"   … and {len(others)} more like it, in line{'s' if len(lines) > 1 else ''} {shown}", file=stream)
        print(file=stream)
