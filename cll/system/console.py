"""Terminal output: a console of fixed width, and paths relative to the current folder."""

import sys
from pathlib import Path

from rich.console import Console

WIDTH = 200  # characters in a line, where the output is not a terminal


def near(path: Path) -> Path:
    """Return a path below the current folder relative to it, and any other path unchanged."""
    return (
        path.resolve().relative_to(Path.cwd())
        if path.resolve().is_relative_to(Path.cwd())
        else path
    )


def own_console() -> Console:
    # A pipe or file has no width. Lines are long there, since a wrapped sentence is hard to search.
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
