"""Long work shows itself: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
QUIET_VARIABLE = "CLL_QUIET"  # set by --quiet, so that child processes are quiet too
EVERY = 10.0  # seconds from line to line, where no person watches


def quiet() -> bool:
    """Tell whether progress and notes are unwanted."""
    return bool(os.environ.get(QUIET_VARIABLE))


def say(text: str) -> None:
    """Say one line that must be heard, also when quiet."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  the one place that speaks


def note(text: str) -> None:
    """Say one line about what is being done."""
    if not quiet():
        say(text)


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, and show how far it is."""
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
    """Show how many of `total` are done and how long the rest may take, as `Meter` is told.

    No thread draws it, so that who uses it can fork.
    """
    if quiet() or not sys.stderr.isatty():
        yield Meter(None, total, done)
        return
    from rich import progress as rich  # noqa: PLC0415  only where a person watches
    from rich.console import Console  # noqa: PLC0415  only where a person watches

    columns = (rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    console = Console(stderr=True)
    with rich.Progress(label, *columns, console=console, auto_refresh=False, transient=True) as bar:
        bar.add_task(label, total=total, completed=done)
        yield Meter(bar, total, done)


class Meter:
    """What `meter` yields: one line for each that is done, and a bar where a person watches."""

    def __init__(self, bar: Any, total: int, done: int) -> None:
        self._bar, self._done, self._total = bar, done, total

    def done(self, line: str) -> None:
        """Count one more, and say what became of it."""
        self._done += 1
        told = f"[{self._done}/{self._total}] {line}"
        if self._bar is None:
            note(told)
            return
        self._bar.console.print(told, markup=False, highlight=False, soft_wrap=True)
        self._bar.advance(self._bar.task_ids[0])
        self._bar.refresh()

    def tick(self) -> None:
        """Let the clock be seen to go on."""
        if self._bar is not None:
            self._bar.refresh()


def _bar(items: Iterable[Item], label: str, total: int | None) -> Iterable[Item]:
    from rich.console import Console  # noqa: PLC0415  only where a person watches
    from rich.progress import track  # noqa: PLC0415  only where a person watches

    return track(items, label, total=total, console=Console(stderr=True), transient=True)


def _lines(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    said = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            say(f"{label}: {count}" + (f" of {total}" if total is not None else ""))
