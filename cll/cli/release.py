"""The commands on what is in force: release, rollback, registry; and doctor."""

from pathlib import Path
from typing import Annotated

import typer

from cll.types.errors import ConfigError

ROOT = Path()
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Push = Annotated[
    bool, typer.Option("--push", help="Also `git push`, once DVC has pushed the model.")
]
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
    push: Push = False,
) -> None:
    """Release the candidate that the gate promotes: an entry of the ledger, and a commit.

    It counts from the next tick on. Exit 10 where the gate rejects it, 11 where it lacks evidence.
    Where DVC has a default remote, the model and all that the stages made are pushed there.
    """
    from cll.release import actions, publish  # noqa: PLC0415  each command imports what it uses

    if bump not in _BUMPS:
        raise ConfigError(f"--bump={bump}: write {', '.join(_BUMPS)}.")
    publish.refuse_unready(ROOT, push=push)
    entry, says = actions.new(ROOT, why=why, bump=bump, bootstrap=bootstrap)  # type: ignore[arg-type]
    typer.echo(says)
    for line in publish.share(ROOT, entry, push=push):
        typer.echo(line)


@app.command()
def rollback(
    version: Annotated[
        str | None, typer.Argument(help="The version; else the one that it replaced.")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="A sentence for the ledger.")],
    push: Push = False,
) -> None:
    """Put an earlier version in force again: an entry of the ledger, and a commit."""
    from cll.release import actions, publish  # noqa: PLC0415  each command imports what it uses

    publish.refuse_unready(ROOT, push=push)
    entry, says = actions.back(ROOT, version, why=why)
    typer.echo(says)
    for line in publish.share(ROOT, entry, push=push):
        typer.echo(line)


@app.command()
def doctor(
    *,
    remote: Annotated[
        str | None, typer.Option(help="Make this URL or path DVC's default remote, if it works.")
    ] = None,
    mend: Annotated[
        bool, typer.Option("--repair", help="First repair files that can be made again.")
    ] = False,
) -> None:
    """Look at what the project needs before others can rely on it; say what to do.

    --repair does what each `cll tick` does first: it removes, or takes from git, what a kill or a
    disk left empty, cut off or stale, so that DVC goes on. Each file is named.
    """
    from cll.maintenance import doctor as examining  # noqa: PLC0415  each command imports what it uses
    from cll.release import remote as storing  # noqa: PLC0415  each command imports what it uses
    from cll.system import (  # noqa: PLC0415
        locks,
    )
    from cll.vcs import repair  # noqa: PLC0415  each command imports what it uses

    if mend:
        with repair.only_one(ROOT):
            pass
    if remote is not None:
        with locks.only_one(ROOT):
            where = storing.set_up(ROOT, remote)
        typer.echo(f"ok  remote: {where}: a probe went there and back; commit .dvc/config.")
        return
    code = 0
    for line, found in examining.examine(ROOT):
        typer.echo(line)
        code = code or found
    raise typer.Exit(code)


@registry.command("list")
def registry_list(*, as_json: Json = False) -> None:
    """List releases and rollbacks, oldest first; a star marks what is in force."""
    from cll.release import versions  # noqa: PLC0415  each command imports what it uses

    versions.show_all(ROOT, as_json=as_json)


@registry.command("show")
def registry_show(version: Annotated[str, typer.Argument(help="A version or a model_id.")]) -> None:
    """Print what the ledger says of a version."""
    from cll.release import versions  # noqa: PLC0415  each command imports what it uses

    versions.show_one(ROOT, version)


@registry.command("at")
def registry_at(date: Annotated[str, typer.Argument(help="A date, or an instant.")]) -> None:
    """Say which version was in force at an instant of the world."""
    from cll.release import versions  # noqa: PLC0415  each command imports what it uses

    typer.echo(versions.at(ROOT, date))


@registry.command("verify")
def registry_verify() -> None:
    """Prove the chain, the commits, the verdicts and every model's files; exit 4 where one fails."""
    from cll.release import audit  # noqa: PLC0415  each command imports what it uses

    for line in audit.verify(ROOT):
        typer.echo(line)


@registry.command("push")
def registry_push() -> None:
    """Push what is in force: the model and what the stages made by DVC, the branch by git."""
    from cll.release import publish  # noqa: PLC0415  each command imports what it uses

    for line in publish.in_force(ROOT):
        typer.echo(line)


@registry.command("sync")
def registry_sync() -> None:
    """Make the mirror that `mirror` names say what the ledger says."""
    from cll.release import mirror  # noqa: PLC0415  each command imports what it uses
    from cll.system import (  # noqa: PLC0415
        locks,
    )

    with locks.only_one(ROOT):
        lines = mirror.sync(ROOT)
    for line in lines or ["The mirror says what the ledger says."]:
        typer.echo(line)
