"""The commands on what is in force: release, rollback, registry."""

from pathlib import Path
from typing import Annotated

import typer

from cll.errors import ConfigError

ROOT = Path()
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_BUMPS = ("major", "minor", "patch")

app = typer.Typer()
registry = typer.Typer(
    help="What was released: registry/ledger.jsonl and registry/models.", no_args_is_help=True
)


def register(main: typer.Typer) -> None:
    """Add these commands to the command line."""
    main.registered_commands += app.registered_commands
    main.add_typer(registry, name="registry")


@app.command()
def release(
    *,
    why: Annotated[str | None, typer.Option(help="A sentence for the ledger.")] = None,
    bump: Annotated[str, typer.Option(help="major, minor or patch.")] = "minor",
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Begin the ledger: the project's first release.")
    ] = False,
) -> None:
    """Release the candidate that the gate promotes: an entry of the ledger, and a commit.

    It counts from the next tick on. Exit 10 where the gate rejects it, 11 where it lacks evidence.
    """
    from cll import releasing  # noqa: PLC0415  each command imports what it uses

    if bump not in _BUMPS:
        raise ConfigError(f"--bump={bump}: write {', '.join(_BUMPS)}.")
    _, says = releasing.new(ROOT, why=why, bump=bump, bootstrap=bootstrap)  # type: ignore[arg-type]
    typer.echo(says)


@app.command()
def rollback(
    version: Annotated[
        str | None, typer.Argument(help="The version; else the one that it replaced.")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="A sentence for the ledger.")],
) -> None:
    """Put an earlier version in force again: an entry of the ledger, and a commit."""
    from cll import releasing  # noqa: PLC0415  each command imports what it uses

    _, says = releasing.back(ROOT, version, why=why)
    typer.echo(says)


@registry.command("list")
def registry_list(*, as_json: Json = False) -> None:
    """List releases and rollbacks, oldest first; a star marks what is in force."""
    from cll import versions  # noqa: PLC0415  each command imports what it uses

    versions.show_all(ROOT, as_json=as_json)


@registry.command("show")
def registry_show(version: Annotated[str, typer.Argument(help="A version or a model_id.")]) -> None:
    """Print what the ledger says of a version."""
    from cll import versions  # noqa: PLC0415  each command imports what it uses

    versions.show_one(ROOT, version)


@registry.command("at")
def registry_at(date: Annotated[str, typer.Argument(help="A date, or an instant.")]) -> None:
    """Say which version was in force at an instant of the world."""
    from cll import versions  # noqa: PLC0415  each command imports what it uses

    typer.echo(versions.at(ROOT, date))


@registry.command("verify")
def registry_verify() -> None:
    """Prove the chain, the commits, the verdicts and every model's files; exit 4 where one fails."""
    from cll import audit  # noqa: PLC0415  each command imports what it uses

    for line in audit.verify(ROOT):
        typer.echo(line)
