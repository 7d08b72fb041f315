"""Serve editors over the Language Server Protocol, on standard input and output.

Diagnostics while typing, help and shapes under the pointer, completion, jumps to what `layers=-4` or `@name` names, an outline.
It needs `pip install pygls`. docs/editors.md says how editors start it.
"""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace

from cspdet.cfg.dialect import DIALECTS
from cspdet.errors import UsageError


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--dialect", choices=[*DIALECTS], default="alexeyab", help="program that cfgs are made for")
    parser.add_argument("--notes", action="store_true", help="show notes, too")
    parser.add_argument("--tcp", type=int, metavar="PORT", help="listen on a port of this machine instead")


def run(arguments: Namespace) -> int:
    """Serve until the editor says otherwise."""
    try:
        from cspdet.language_server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise UsageError("the language server needs the package `pygls`, which is not installed", "pip install pygls") from None
    # Standard output belongs to the protocol, and the log is for whoever looks for a mistake in it.
    logging.getLogger("pygls").setLevel(logging.ERROR)
    server = serve(DIALECTS[arguments.dialect], notes=arguments.notes)
    if arguments.tcp is not None:
        server.start_tcp("127.0.0.1", arguments.tcp)
    else:
        server.start_io()
    return 0
