"""Long work shows itself: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import os
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
QUIET_VARIABLE = "CLL_QUIET"  # set by --quiet, so that child processes are quiet too


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
    if quiet() or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # noqa: PLC0415  only where a person watches
    from rich.progress import track as rich_track  # noqa: PLC0415  only where a person watches

    yield from rich_track(items, label, total=total, console=Console(stderr=True), transient=True)
