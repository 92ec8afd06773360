"""The command that looks after a change: what it does to the figures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cll.types.errors import ConfigError

ROOT = Path()
app = typer.Typer()


class FailOn(StrEnum):
    """What makes `cll diff` exit with another code than 0."""

    REGRESSION = "regression"
    STALE = "stale"


def register(main: typer.Typer) -> None:
    """Add these commands to the command line."""
    main.registered_commands += app.registered_commands


@app.command()
def diff(
    revision: Annotated[
        str | None,
        typer.Argument(metavar="[REV]", help="REV... is the last commit shared with it."),
    ] = None,
    *,
    as_markdown: Annotated[
        bool, typer.Option("--md", help="Print Markdown, for a pull request.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(help="regression: exit 10, or 11 if it can't be told. stale: exit 2."),
    ] = None,
) -> None:
    """Compare the working tree with what git holds at a revision: figures, settings, data, verdict.

    REV: unless named, the last commit shared with the default branch. On that branch itself HEAD,
    or, where nothing was changed since, the commit before.

    A metric of the gate that got worse by more than noise is a regression. Needs no `dvc pull`.
    """
    from cll.review import render, review  # noqa: PLC0415  each command imports what it uses

    if as_markdown and as_json:
        raise ConfigError("--md, --json: each stands alone; leave one out.")
    found = review.review_revision(ROOT, revision)
    if as_json:
        typer.echo(review.as_json(found))
    elif as_markdown:
        typer.echo(render.markdown(found), nl=False)
    else:
        render.show(found)
    raise typer.Exit(review.exit_code(found, fail_on or ()))
