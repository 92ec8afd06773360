"""Long work shows itself: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

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
