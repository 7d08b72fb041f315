"""Reading ahead: order, bounds, exceptions from each stage, and the end of all threads."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import repeat
from threading import Event, Lock, active_count, current_thread, main_thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.pipeline import pipelined


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:
    before = active_count()
    yield
    until = time.monotonic() + 2  # an interrupt may come while a thread starts, which then ends by itself
    while active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert active_count() == before


def numbers(count: int, pause: Callable[[int], float] = lambda _: 0) -> Iterator[Callable[[], int]]:
    def read(number: int) -> int:
        time.sleep(pause(number))
        return number

    return (partial(read, number) for number in range(count))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 30), st.integers(1, 9), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 5)))
def test_order(count: int, batch: int, readers: int, ahead: int | None) -> None:
    """Items come out as they go in, also where later ones are read sooner."""
    reads = numbers(count, lambda number: 0.002 * (number % 3 == 0))
    found = [*pipelined(reads, sum, batch=batch, readers=readers, ahead=ahead)]
    assert [each for group, _ in found for each in group] == [*range(count)]
    assert all(len(group) == batch for group, _ in found[:-1])
    assert [total for _, total in found] == [sum(group) for group, _ in found]


@pytest.mark.parametrize(
    ("batch", "ahead", "most"), [(1, None, 6), (4, None, 12), (32, None, 96), (1, 1, 1), (1, 2, 2), (3, 2, 6)]
)
def test_never_more_than_so_many(batch: int, ahead: int | None, most: int) -> None:
    """With a slow writer, all others get as far ahead as they may, and no further."""
    lock, alive, largest = Lock(), 0, 0

    def read() -> int:
        nonlocal alive, largest
        with lock:
            alive += 1
            largest = max(largest, alive)
        return 1

    groups = 0
    for group, _ in pipelined([read] * 10 * most, len, batch=batch, ahead=ahead):
        groups += 1
        if groups < 6:
            time.sleep(0.02)
        with lock:
            alive -= len(group)
    assert groups == -(-10 * most // batch)
    assert most - batch < largest <= most


def test_who_does_what() -> None:
    """Several threads read, one works, and we write."""
    readers, workers = set(), set()

    def read() -> None:
        time.sleep(0.002)
        readers.add(current_thread())

    def work(_: list[None]) -> None:
        workers.add(current_thread())

    assert len([*pipelined([read] * 20, work, readers=2)]) == 20
    assert (len(readers), len(workers)) == (2, 1)
    assert not readers & workers
    assert main_thread() not in readers | workers


def test_stages_overlap() -> None:
    """Three stages of 10 ms each take less than two thirds of the time that they take one after the other."""
    started = time.perf_counter()
    for _ in pipelined([partial(time.sleep, 0.01)] * 30, lambda _: time.sleep(0.01), readers=1):
        time.sleep(0.01)
    assert 0.3 < time.perf_counter() - started < 0.6


def test_one_reader_reads_one_after_the_other() -> None:
    """As a video's frames must be; who reads beyond the end learns so each time."""
    frames = iter(range(7))
    seen = []
    with closing(pipelined(repeat(lambda: next(frames, None)), tuple, readers=1)) as groups:
        for (frame,), _ in groups:
            if frame is None:
                break
            seen.append(frame)
    assert seen == [*range(7)]


class SomethingError(Exception):
    pass


@pytest.mark.parametrize("stage", ["read", "work", "write"])
@pytest.mark.parametrize("batch", [1, 3])
def test_exceptions_come_in_their_turn(stage: str, batch: int) -> None:
    done = []

    def read(number: int) -> int:
        if stage == "read" and number == 6:
            raise SomethingError
        return number

    def work(group: list[int]) -> int:
        if stage == "work" and 6 in group:
            raise SomethingError
        return 0

    def write() -> None:
        with closing(pipelined((partial(read, number) for number in range(100)), work, batch=batch)) as groups:
            for group, _ in groups:
                if stage == "write" and 6 in group:
                    raise SomethingError
                done.extend(group)

    with pytest.raises(SomethingError):
        write()
    assert done == [*range(6)]


def test_leaving_early_begins_nothing_new() -> None:
    begun = []
    with closing(pipelined((partial(begun.append, number) for number in range(1000)), len, readers=2)) as groups:
        for number, _ in enumerate(groups):
            if number == 3:
                break
    count = len(begun)
    assert count <= 10
    time.sleep(0.02)
    assert len(begun) == count


def test_an_iterator_that_is_never_begun_starts_nothing() -> None:
    pipelined([lambda: 1 / 0], len).close()


@pytest.mark.parametrize("stage", ["read", "work"])
def test_interrupting(stage: str) -> None:
    """Ctrl-C reaches whoever waits, and ends all threads, also those that wait for each other."""
    begun = Event()

    def slow(*_: object) -> None:
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.05)

    quick: Callable[..., None] = lambda *_: None  # noqa: E731
    started = time.perf_counter()
    with (
        pytest.raises(KeyboardInterrupt),
        closing(pipelined(repeat(slow if stage == "read" else quick, 1000), slow if stage == "work" else quick)) as groups,
    ):
        for _ in groups:
            pass
    assert time.perf_counter() - started < 5
