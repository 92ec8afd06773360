"""The terminal: its width, and paths as a person there would type them."""

import sys
from pathlib import Path

from rich.console import Console

WIDTH = 200  # characters of a line where no terminal says


def near(path: Path) -> Path:
    """Write a path as seen from the current folder, if it lies below."""
    return (
        path.resolve().relative_to(Path.cwd())
        if path.resolve().is_relative_to(Path.cwd())
        else path
    )


def own_console() -> Console:
    # A pipe or file has no width, and a sentence cut in two can't be searched for.
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
