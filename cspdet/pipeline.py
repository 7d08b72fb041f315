"""Reading, computing and writing at the same time.

What runs where: a few threads read (decode and scale pictures), several items ahead; one thread works (runs the network) on one
group of items after the other; whoever iterates writes, draws and prints, in the thread it is in, which for the command line is
the main one, so that Ctrl-C and windows reach it. NumPy, OpenCV and the engines leave the interpreter to the others while they
compute.

Groups come out in the order in which they go in, and never more than `ahead` of them exist at a time, counting the one that was
handed out last. Threads that are too fast wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from cspdet.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

# How many items are on their way, besides two groups and what threads are reading.
_AHEAD = 2


def most_readers() -> int:
    """How many threads read at most: as many as there are cores, within reason."""
    return max(2, min(usable_cores(), 8))


def pipelined(
    reads: Iterable[Callable[[], Item]],
    work: Callable[[list[Item]], Result],
    *,
    batch: int = 1,
    readers: int | None = None,
    ahead: int | None = None,
) -> Generator[tuple[list[Item], Result], None, None]:
    """Read items, work on groups of them, and give each group with what became of it, in order.

    What any of the functions raises comes out here, in its turn: what stands before it is given first. Closing the iterator, as
    `contextlib.closing` does, ends all threads; what they are at is finished, nothing new is begun.

    Args:
        reads: a function for each item, which gives it; called in several threads, begun in order.
        work: what is done with a group; called in one thread, in order.
        batch: items in a group; the last one may have fewer.
        readers: threads that read; with 1, items are read one after the other. By default one for each core, 2 to 8.
        ahead: groups that may exist at a time, at least 1; by default a few more than two.
    """
    readers = readers or most_readers()
    limit = ahead or 2 + -(-(readers + _AHEAD) // batch)
    # Only such queues are used from the caller's thread: Ctrl-C may come at any point, and Python's own locks and futures may
    # be left locked by it.
    permits: SimpleQueue[bool] = SimpleQueue()
    done: SimpleQueue[tuple[list[Item], Result] | BaseException | None] = SimpleQueue()

    def drive() -> None:
        waiting: deque[list[Future[Item]]] = deque()
        left, more = iter(reads), True
        with ThreadPoolExecutor(readers, "reading") as reading:
            try:
                while True:
                    while (more and not waiting) or not permits.empty():
                        if not permits.get():
                            return
                        if group := [reading.submit(read) for read in islice(left, batch)]:
                            waiting.append(group)
                        more = bool(group)
                    if not waiting:
                        done.put(None)
                        return
                    items = [each.result() for each in waiting.popleft()]
                    done.put((items, work(items)))
                    del items
            except BaseException as error:  # the caller raises it
                done.put(error)
            finally:
                reading.shutdown(cancel_futures=True)

    thread = Thread(target=drive, name="working")
    thread.start()
    try:
        for _ in range(limit):
            permits.put(True)
        while (found := done.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found
            permits.put(True)
    finally:
        permits.put(False)
        thread.join()
