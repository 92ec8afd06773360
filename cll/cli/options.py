"""Options, arguments and help texts that several commands share."""

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from typer.core import TyperCommand

from cll.types.errors import ConfigError

ROOT = Path()  # every command works on the project in the current folder
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Push = Annotated[
    bool, typer.Option("--push", help="Also run `git push`, after DVC has pushed the model.")
]


Function = TypeVar("Function", bound=Callable[..., None])


def command(
    app: typer.Typer,
    *lines: str,
    panel: str | None = None,
    name: str | None = None,
    cls: type[TyperCommand] | None = None,
) -> Callable[[Function], Function]:
    """Register a function as a command of `app`: its docstring is the help, `lines` are examples.

    `panel` is the heading under which `cll --help` lists the command.
    """

    def register(function: Function) -> Function:
        app.command(
            name,
            help=_unwrapped(inspect.getdoc(function) or ""),
            epilog=examples(*lines),
            rich_help_panel=panel,
            cls=cls,
        )(function)
        return function

    return register


def examples(*lines: str) -> str:
    """Return the text that ends a command's help, with one example a line."""
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph, since the terminal's width decides where lines end."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def instant(option: str, text: str) -> datetime:
    """Parse an option's instant; an error names the option."""
    from cll.types import times  # noqa: PLC0415  each command imports what it uses

    try:
        return times.parse_instant(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def duration(option: str, text: str) -> timedelta:
    """Parse an option's duration; an error names the option."""
    from cll.types import times  # noqa: PLC0415  each command imports what it uses

    try:
        return times.parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
