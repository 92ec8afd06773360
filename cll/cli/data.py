"""The commands that look after the data: ingest, its schema, quarantine, labels, proofs, and room."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cll.types.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ROOT = Path()

app = typer.Typer()
verify = typer.Typer(help="Prove a promise on this project's own data.", no_args_is_help=True)
schema = typer.Typer(
    help="What the data are known to look like: registry/schema.yaml.", no_args_is_help=True
)


def register(main: typer.Typer) -> None:
    """Add these commands to the command line."""
    main.registered_commands += app.registered_commands
    main.add_typer(schema, name="schema")
    main.add_typer(verify, name="verify")


@app.command()
def ingest(
    *,
    accept: Annotated[
        list[str] | None, typer.Option(help="Take this file, rewritten or gone, as it is now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the ingested data up to date; print records in, kept, quarantined, duplicate, pending.

    Also where files of the source changed outside of data/raw, which `dvc repro` does not notice.
    """
    from cll.maintenance import refresh  # noqa: PLC0415  each command imports what it uses
    from cll.pipeline.report import terminal  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses
    from cll.vcs import repair as vcs_repair  # noqa: PLC0415  each command imports what it uses

    with vcs_repair.only_one(ROOT):
        for line in refresh.accept(workspace.Workspace(ROOT), accept or []):
            typer.echo(line, err=True)
        _bring_up_to_date(silent=as_json)
    typer.echo(terminal.counts(ROOT, as_json=as_json))


@app.command()
def labels(*, as_json: Json = False) -> None:
    """Count the labels as of now: mature, pending (not known yet), censored (never known)."""
    from cll.maintenance import labels as counting  # noqa: PLC0415  each command imports what it uses

    counting.show(ROOT, as_json=as_json)


@app.command()
def quarantine(
    *,
    reason: Annotated[str | None, typer.Option(help="Only reasons with this text.")] = None,
    file: Annotated[str | None, typer.Option(help="Only files of this name or pattern.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the records there as published, to be mended.")
    ] = None,
    mended: Annotated[
        Path | None, typer.Option(help="Read what was mended there, beside the source's files.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what was put into quarantine by reason and file; export it; read it again, mended."""
    from cll.maintenance import quarantine as bad  # noqa: PLC0415  each command imports what it uses
    from cll.maintenance import repair as maintenance_repair  # noqa: PLC0415  each command imports what it uses
    from cll.vcs import repair as vcs_repair  # noqa: PLC0415  each command imports what it uses

    if sum(bool(asked) for asked in (export, mended, reason or file or as_json)) > 1:
        raise ConfigError("--export, --mended: each stands alone; leave the other options out.")
    if export is not None:
        typer.echo("\n".join(bad.export(ROOT, export)))
    elif mended is not None:
        with vcs_repair.only_one(ROOT):
            for line in maintenance_repair.take(
                ROOT, mended, lambda: _bring_up_to_date(silent=True)
            ):
                typer.echo(line)
    else:
        bad.show(ROOT, reason, file, as_json=as_json)


@app.command()
def gc(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Free it without asking.")] = False,
    keep_days: Annotated[int, typer.Option(min=0, help="Age up to which runs' folders stay.")] = 30,
) -> None:
    """Say what no commit in reach needs and how much that is, and free it where that is wanted.

    Runs of `cll run` go by age, kept data and pieces where the project's own are not made of them,
    DVC's cache where no branch, tag, remote or experiment has it. registry/ is left alone.
    """
    from cll.maintenance import garbage  # noqa: PLC0415  each command imports what it uses

    def ask(question: str) -> bool:
        return sys.stdin.isatty() and typer.confirm(question)

    garbage.collect(ROOT, yes=yes, keep_days=keep_days, ask=ask)


@verify.command("leakage")
def verify_leakage(
    *,
    at: Annotated[
        str | None, typer.Option(help="The instant; else the middle of the labelled rows.")
    ] = None,
) -> None:
    """Make all that was known after an instant wild: features, labels, model before it stay.

    Also names columns that give the answer away. Exit 1 where something leaks.
    """
    from cll.types import times  # noqa: PLC0415  each command imports what it uses
    from cll.verify import leakage  # noqa: PLC0415  each command imports what it uses

    try:
        instant = None if at is None else times.parse_instant(at)
    except ValueError as error:
        raise ConfigError(f"--at: {error}") from None
    raise typer.Exit(leakage.check(ROOT, instant))


@verify.command("gate")
def verify_gate(
    *,
    aa: Annotated[
        int | None,
        typer.Option(min=100, help="Swap scores so often; 500 where nothing else is asked."),
    ] = None,
    power: Annotated[
        bool, typer.Option("--power", help="Say which gain could be seen with these rows.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="A model's folder, in place of the champion in force.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Swap candidate's and champion's scores at random by block, and count who is promoted.

    Neither is better then. Exit 1 where the gate promotes more often than it states.
    """
    from cll.verify import gate_trial  # noqa: PLC0415  each command imports what it uses

    rounds = 500 if aa is None and not power else aa
    raise typer.Exit(gate_trial.check(ROOT, rounds, power=power, against=against, as_json=as_json))


def _bring_up_to_date(*, silent: bool) -> None:
    """Ingest, also where files of the source changed that DVC does not look at."""
    from cll.maintenance import refresh  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    _repro("ingest", silent=silent)
    if refresh.is_behind(workspace.Workspace(ROOT)):
        _repro("ingest", "--force", "--single-item", silent=silent)


@verify.command("run")
def verify_run() -> None:
    """Train again in an empty folder, with 1 and 2 threads, and compare byte for byte."""
    from cll.verify import reproduce as proof  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(proof.rerun(ROOT))


@verify.command("rebuild")
def verify_rebuild() -> None:
    """Make signals and features again from the source alone, and compare byte for byte."""
    from cll.verify import reproduce as proof  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(proof.rebuild(ROOT))


@schema.command("show")
def schema_show() -> None:
    """Show the committed schema of the source that is chosen."""
    from cll.maintenance import schema as maintenance_schema  # noqa: PLC0415  each command imports what it uses

    maintenance_schema.show(ROOT)


@schema.command("diff")
def schema_diff() -> None:
    """Show what the data now have that the schema has not; exit 3 where ingest refuses it."""
    from cll.maintenance import schema as maintenance_schema  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(maintenance_schema.diff(ROOT))


@schema.command("accept")
def schema_accept() -> None:
    """Learn the schema again from what is there, also from what was refused; then commit it."""
    from cll.maintenance import schema as maintenance_schema  # noqa: PLC0415  each command imports what it uses

    maintenance_schema.accept(ROOT)


def _repro(*words: str, silent: bool) -> None:
    """Let DVC bring one stage up to date, or end as that stage did."""
    from cll.vcs import repro  # noqa: PLC0415  each command imports what it uses

    if failure := repro.run(ROOT, *words, silent=silent):
        raise typer.Exit(failure.exit_code)
