"""Named pipes, and what to do where nobody writes into one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cspdet.errors import UsageError

# How long somebody may take to write into a pipe, in seconds.
_PATIENCE = 10


def is_pipe(path: str | Path) -> bool:
    """Whether it is a pipe: one that `mkfifo` made, or a shell."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116 - as in `paths`
    except (OSError, ValueError):
        return False


@contextmanager
def open_pipe(path: str | Path) -> Iterator[IO[bytes]]:
    """A pipe to read from, once somebody writes into it, or means to.

    An ordinary `open` waits for that for ever, and in a thread, no signal ends it.

    Raises:
        UsageError: nobody does, for ten seconds.
        OSError: it cannot be opened.
    """
    from select import POLLIN, poll

    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        watched = poll()
        watched.register(handle, POLLIN)
        if not watched.poll(1000 * _PATIENCE):
            with suppress(BlockingIOError):  # somebody has opened it
                os.read(handle, 1)
                raise UsageError(
                    f"`{path}` is a pipe, and nobody has written into it for {_PATIENCE} seconds",
                    "start what writes into it first",
                )
        os.set_blocking(handle, True)
        yield file
