"""Progress messages on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
QUIET_VARIABLE = "CLL_QUIET"  # set by --quiet, so that child processes are quiet too
EVERY = 10.0  # seconds between lines, where stderr is not a terminal


def quiet() -> bool:
    """Return whether `--quiet` was given."""
    return bool(os.environ.get(QUIET_VARIABLE))


def say(text: str) -> None:
    """Print one line, also when quiet."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  the one place that speaks


def note(text: str) -> None:
    """Print one line, unless quiet."""
    if not quiet():
        say(text)


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, and show the progress."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if quiet():
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, label, total)
    else:
        yield from _lines(items, label, total)


@contextmanager
def meter(label: str, total: int, done: int = 0) -> Iterator["Meter"]:
    """Yield a Meter that shows how many of `total` items are done, and the time left.

    It draws without a thread, so that the caller can fork.
    """
    if quiet() or not sys.stderr.isatty():
        yield Meter(None, total, done)
        return
    from rich import progress as rich  # noqa: PLC0415  only on a terminal
    from rich.console import Console  # noqa: PLC0415  only on a terminal

    columns = (rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    console = Console(stderr=True)
    with rich.Progress(label, *columns, console=console, auto_refresh=False, transient=True) as bar:
        bar.add_task(label, total=total, completed=done)
        yield Meter(bar, total, done)


class Meter:
    """Counter of finished items: prints a line for each, and a bar on a terminal."""

    def __init__(self, bar: Any, total: int, done: int) -> None:
        self._bar, self._done, self._total = bar, done, total

    def done(self, line: str) -> None:
        """Count one more item, and print a line about it."""
        self._done += 1
        numbered = f"[{self._done}/{self._total}] {line}"
        if self._bar is None:
            note(numbered)
            return
        self._bar.console.print(numbered, markup=False, highlight=False, soft_wrap=True)
        self._bar.advance(self._bar.task_ids[0])
        self._bar.refresh()

    def tick(self) -> None:
        """Redraw the bar, so that its clock advances."""
        if self._bar is not None:
            self._bar.refresh()


def _bar(items: Iterable[Item], label: str, total: int | None) -> Iterable[Item]:
    from rich.console import Console  # noqa: PLC0415  only on a terminal
    from rich.progress import track  # noqa: PLC0415  only on a terminal

    return track(items, label, total=total, console=Console(stderr=True), transient=True)


def _lines(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    printed = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        if time.monotonic() - printed >= EVERY:
            printed = time.monotonic()
            say(f"{label}: {count}" + (f" of {total}" if total is not None else ""))
