"""Commands that change or show what is released: release, rollback, registry."""

from typing import Annotated

import typer

from cll.cli.options import ROOT, Json, Push, command, examples
from cll.types.errors import ConfigError

PANEL = "Release"
_BUMPS = ("major", "minor", "patch")

app = typer.Typer()
registry = typer.Typer(
    help="List, check and share the released models.",
    epilog=examples("cll registry list"),
    no_args_is_help=True,
)
app.add_typer(registry, name="registry", rich_help_panel=PANEL)


@command(
    app,
    'cll release --why "trained on March"',
    'cll release --bootstrap --why "first model"',
    panel=PANEL,
)
def release(
    *,
    why: Annotated[str | None, typer.Option(help="A sentence for the ledger.")] = None,
    bump: Annotated[
        str, typer.Option(help="The part of the version to raise: major, minor or patch.")
    ] = "minor",
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Begin the ledger with the first release.")
    ] = False,
    push: Push = False,
) -> None:
    """Release the candidate that the gate promotes, in a commit.

    The commit adds an entry to the ledger. The release takes effect with the next tick. If DVC has
    a default remote, the model and everything that the stages made are pushed to it.

    The exit code is 10 if the gate rejects the candidate, and 11 without enough evidence.
    """
    from cll.release import actions, publish  # noqa: PLC0415  each command imports what it uses

    if bump not in _BUMPS:
        raise ConfigError(f"--bump={bump}: write {', '.join(_BUMPS)}.")
    publish.refuse_unready(ROOT, push=push)
    entry, message = actions.new(ROOT, why=why, bump=bump, bootstrap=bootstrap)  # type: ignore[arg-type]
    typer.echo(message)
    for line in publish.share(ROOT, entry, push=push):
        typer.echo(line)


@command(app, 'cll rollback v1.1.0 --why "too many false alarms"', panel=PANEL)
def rollback(
    version: Annotated[
        str | None,
        typer.Argument(help="The version; by default the one before the champion."),
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="A sentence for the ledger.")],
    push: Push = False,
) -> None:
    """Make an earlier version the champion again, in a commit.

    The commit adds an entry to the ledger. The rollback takes effect with the next tick.
    """
    from cll.release import actions, publish  # noqa: PLC0415  each command imports what it uses

    publish.refuse_unready(ROOT, push=push)
    entry, message = actions.back(ROOT, version, why=why)
    typer.echo(message)
    for line in publish.share(ROOT, entry, push=push):
        typer.echo(line)


@command(registry, "cll registry list --json", name="list")
def registry_list(*, as_json: Json = False) -> None:
    """List releases and rollbacks, oldest first.

    A star marks the champion.
    """
    from cll.release import versions  # noqa: PLC0415  each command imports what it uses

    versions.show_all(ROOT, as_json=as_json)


@command(registry, "cll registry show v1.0.0", name="show")
def registry_show(
    version: Annotated[str, typer.Argument(help="A version or a model_id.")],
) -> None:
    """Print the ledger's entries for a version."""
    from cll.release import versions  # noqa: PLC0415  each command imports what it uses

    versions.show_one(ROOT, version)


@command(registry, "cll registry at 2026-01-31", name="at")
def registry_at(date: Annotated[str, typer.Argument(help="A date, or an instant.")]) -> None:
    """Print the version that was the champion at an instant.

    The instant is compared with as_of, not with the time of the commit.
    """
    from cll.release import versions  # noqa: PLC0415  each command imports what it uses

    typer.echo(versions.at(ROOT, date))


@command(registry, "cll registry verify", name="verify")
def registry_verify() -> None:
    """Check the ledger and the files of every released model.

    It checks the chain of entries, the commits, the verdicts and each model's files. The exit code
    is 4 if one of them fails.
    """
    from cll.release import audit  # noqa: PLC0415  each command imports what it uses

    for line in audit.verify(ROOT):
        typer.echo(line)


@command(registry, "cll registry push", name="push")
def registry_push() -> None:
    """Push the champion and the stages' outputs to the remotes.

    DVC pushes the model and the outputs; git pushes the branch.
    """
    from cll.release import publish  # noqa: PLC0415  each command imports what it uses

    for line in publish.in_force(ROOT):
        typer.echo(line)


@command(registry, "cll registry sync", name="sync")
def registry_sync() -> None:
    """Update the mirror chosen by `mirror` from the ledger."""
    from cll.release import mirror  # noqa: PLC0415  each command imports what it uses
    from cll.system import locks  # noqa: PLC0415  each command imports what it uses

    with locks.only_one(ROOT):
        lines = mirror.sync(ROOT)
    for line in lines or ["The mirror says what the ledger says."]:
        typer.echo(line)
