"""Networks as files for other programs. The format is told by the file's ending.

Adding a format is one file here and one line in `FORMATS`. The file has

- `write(model, path)`, which writes a `Model`,
- `RUNNERS`, by package: what runs such a file, the one that must first,
- `open_file(path)`, which gives a `File`: its notes, what runs it, and what goes in and comes out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from cspdet.errors import UsageError
from cspdet.export.checking import check
from cspdet.export.ends import Ends, check_ends
from cspdet.export.model import Model, Options
from cspdet.export.notes import Noted, read_notes
from cspdet.export.states import read_states, remembering
from cspdet.files import check_ending, temporary
from cspdet.missing import no_such_file
from cspdet.paths import is_file, is_folder


class Format(NamedTuple):
    """What a format is, its module here, the package that writes it, and the endings of files that go with the first."""

    about: str
    module: str
    package: str
    more: tuple[str, ...] = ()
    # What `Options` it has no form for.
    outputs: tuple[str, ...] = ("raw", "boxes")
    lacks: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    ".onnx": Format("ONNX", "onnx", "onnx", outputs=("raw", "boxes", "nms")),
    ".xml": Format("OpenVINO's own", "openvino", "openvino", (".bin",)),
    ".pt2": Format("a program of torch.export", "torch", "torch", lacks=("dynamic_size", "half")),
}


def format_of(path: str | Path) -> Format:
    """The format of a file that could be written.

    Raises:
        UsageError: it cannot be written, its ending is unknown, or the format's package is not installed.
    """
    check_ending(path, [*FORMATS], "exported networks")
    return _installed(FORMATS[Path(path).suffix.lower()], Path(path))


def check_options(path: str | Path, options: Options) -> None:
    """See that a file's format has a form for the options.

    Raises:
        UsageError: it has none.
    """
    kind = FORMATS[Path(path).suffix.lower()]
    if options.outputs not in kind.outputs:
        others = [ending for ending, each in FORMATS.items() if options.outputs in each.outputs]
        message = f"`{path}` cannot be written with `--outputs {options.outputs}`"
        raise UsageError(message, f"write a file that ends in {' or '.join(others)}")
    for name in kind.lacks:
        if getattr(options, name):
            others = [ending for ending, each in FORMATS.items() if name not in each.lacks]
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"`{path}` cannot be written with `{flag}`", f"write a file that ends in {' or '.join(others)}")


def write(model: Model, path: str | Path, *, checked: bool = True, say: Callable[[str], None] = print) -> None:
    """Write a network to a file, and run that against the original; nothing is left where it computes something else.

    Raises:
        UsageError: the file cannot be written.
        ExportError: it does not compute what the network computes.
    """
    kind = format_of(path)
    check_options(path, model.options)
    module = import_module(f"cspdet.export.{kind.module}")
    with ExitStack() as stack:
        beside = stack.enter_context(temporary(path))
        others = []
        for ending in kind.more:
            target = stack.enter_context(temporary(Path(os.path.realpath(path)).with_suffix(ending)))
            others.append((beside.with_suffix(ending), target))
            stack.callback(beside.with_suffix(ending).unlink, missing_ok=True)
        module.write(model, beside)
        if checked:
            for line in check(model, beside, module.RUNNERS):
                say(line)
        for written, target in others:
            written.replace(target)


class Opened(NamedTuple):
    """An exported file: its notes, the name of what runs it, (N, C, H, W) → its outputs by name, and the sides of both.

    Its states are kept from one run to the next.
    """

    notes: Mapping[str, str]
    engine: str
    run: Callable[[Any], Mapping[str, Any]]
    inputs: Ends
    outputs: Ends


def open_file(path: str | Path) -> Opened:
    """The file of an exported network.

    Raises:
        UsageError: it is missing, a directory or closed to us, or what runs it is not installed.
        ExportError: it is damaged, or not made by cspdet.
    """
    if is_folder(path):
        raise UsageError(f"`{path}` is a directory, not an exported network", f"name a file in it: `{Path(path) / 'X.onnx'}`")
    if not is_file(path):
        raise no_such_file(path)
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None
    kind = FORMATS[Path(path).suffix.lower()]
    module = import_module(f"cspdet.export.{kind.module}")
    package = next(iter(module.RUNNERS))
    _installed(kind._replace(package=package), Path(path))
    file = module.open_file(Path(path))
    states = read_states(path, file.notes)
    return Opened(file.notes, package, remembering(file.run, states), file.inputs, file.outputs)


def open_network(path: str | Path, *, width: int | None = None, height: int | None = None) -> tuple[Opened, Noted]:
    """A file that `cspdet export` wrote, and what its notes say; in another size, where that is free.

    Raises:
        UsageError: it is missing, what runs it is not installed, or it does not have that size.
        ExportError: it is damaged, another program's, or its notes are not those of its network.
    """
    opened = open_file(path)
    noted = read_notes(path, opened.notes, opened.inputs.get("images", ()), width=width, height=height)
    check_ends(path, noted, opened.inputs, opened.outputs)
    return opened, noted


def is_exported(path: str | Path) -> bool:
    """Whether a file is an exported network, by its ending."""
    return Path(path).suffix.lower() in FORMATS


def belongs_to(path: str | Path) -> Path | None:
    """The exported file whose part a file is, by its ending; None where it is no part of one."""
    endings = {more: ending for ending, kind in FORMATS.items() for more in kind.more}
    ending = endings.get(Path(path).suffix.lower())
    return Path(path).with_suffix(ending) if ending else None


def files_of(path: str | Path) -> list[Path]:
    """An exported file, and those that belong to it."""
    return [Path(path), *(Path(path).with_suffix(ending) for ending in FORMATS[Path(path).suffix.lower()].more)]


def _installed(kind: Format, path: Path) -> Format:
    if find_spec(kind.package) is None:
        message = f"`{path}` needs the package `{kind.package}`, which is not installed"
        raise UsageError(message, f"pip install {kind.package}")
    return kind
