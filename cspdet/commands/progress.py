"""A progress bar, where there is someone to see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cspdet.text import printable


@contextmanager
def progress(total: int | None, about: str, unit: str = "images") -> Iterator[Callable[[int], object]]:
    """A function that is called with the number of `unit` that are done; `total` is None where nobody knows it.

    Nothing is drawn unless there is a terminal to show it and more than a moment's work.
    """
    if not sys.stderr.isatty() or (total is not None and total < 2):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    # What is printed meanwhile is drawn above the bar, unless it goes into a file.
    above = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=above) as bar:
        task = bar.add_task(printable(about), total=total)
        yield lambda count: bar.advance(task, count)
