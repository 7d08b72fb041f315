"""Processes that decode JPEGs, where there are many: finding where blocks start keeps Python's interpreter to itself.

Helpers are told what to decode through pipes, and know nothing else, so that they may end at any point. They are programs of
their own (`python -m cspdet.jpeg.helpers`), not copies of this process, in which other threads compute.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from cspdet.cores import usable_cores
from cspdet.jpeg import decode
from cspdet.pipeline import most_readers

# To start helpers takes .2 s. Where the network is fast, half as many bytes of JPEGs make up for it; where it is slow, helpers
# save nothing, but the start is little then.
_WORTHWHILE = 2**23
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")

# What a helper is sent before the data: its length; and what comes back before the pixels: height and width, or zeros for what
# is no baseline JPEG, or damaged.
_REQUEST, _REPLY = struct.Struct("<Q"), struct.Struct("<QQ")


def worthwhile(paths: Iterable[str | Path]) -> int:
    """How many helpers pay when these files are decoded."""
    if usable_cores() < 2 or not sys.executable:
        return 0
    size = 0
    for path in paths:
        if str(path).lower().endswith(_SUFFIXES):
            with suppress(OSError, ValueError):
                size += Path(path).stat().st_size
            if size >= _WORTHWHILE:
                return most_readers()
    return 0


@contextmanager
def helped(paths: Sequence[str | Path], exact: bool) -> Iterator[Helpers | bool]:
    """What decodes the JPEGs among these files to the bit, with as many helpers as pay; False if nothing is wanted."""
    if not exact:
        yield False
        return
    with Helpers(worthwhile(paths)) as helpers:
        yield helpers


class Helpers:
    """So many processes, to be called as `cspdet.jpeg.decode` is, from several threads; they end with the context.

    What they cannot do, or do not live to finish, is done here.
    """

    def __init__(self, count: int) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        # Those that have nothing to do; None where one is missing.
        self._idle: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        self._count = count

    def __enter__(self) -> Helpers:
        # Modules are found where they were found here, and nowhere else.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
        for _ in range(self._count):
            with suppress(OSError):
                process = subprocess.Popen(  # noqa: S603 - it is ours
                    [sys.executable, "-P", "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    # Ctrl-C is for us; each system has its own way to say so.
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
                self.processes.append(process)
                self._idle.put(process)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            with suppress(OSError), process:
                pass

    def __call__(self, data: bytes, name: str) -> NDArray[np.uint8] | None:
        """What `decode` gives and raises."""
        if not self.processes:
            return decode(data, name)
        process = self._idle.get()
        try:
            pixels = None if process is None else _ask(process, data)
        except (OSError, EOFError, MemoryError):
            process = pixels = None
        finally:
            self._idle.put(process)
        return decode(data, name) if pixels is None else pixels


def _ask(process: subprocess.Popen[bytes], data: bytes) -> NDArray[np.uint8] | None:
    """Have a helper decode; None if it cannot."""
    requests, replies = cast(BinaryIO, process.stdin), cast(BufferedReader, process.stdout)
    requests.write(_REQUEST.pack(len(data)) + data)
    requests.flush()
    head = replies.read(_REPLY.size)
    if len(head) < _REPLY.size:
        raise EOFError
    height, width = _REPLY.unpack(head)
    if not height:
        return None
    pixels = np.empty((height, width, 3), np.uint8)
    if replies.readinto(pixels.data.cast("B")) < pixels.nbytes:
        raise EOFError
    return pixels


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """What a helper does, until nobody asks any more."""
    while len(head := requests.read(_REQUEST.size)) == _REQUEST.size:
        data = requests.read(*_REQUEST.unpack(head))
        try:
            pixels = decode(data, "")
        except Exception:  # whoever asked will meet it, too, and can say more
            pixels = None
        if pixels is None:
            replies.write(_REPLY.pack(0, 0))
        else:
            replies.write(_REPLY.pack(*pixels.shape[:2]))
            replies.write(pixels.data)
        replies.flush()


def main() -> None:
    """Serve whoever started us."""
    import cv2

    cv2.setNumThreads(1)
    # Whatever else is printed goes elsewhere.
    with suppress(OSError), os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
