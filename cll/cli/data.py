"""Commands that read, check and clean up the data: ingest, labels, quarantine, schema, gc."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cll.cli.options import ROOT, Json, command, examples
from cll.types.errors import ConfigError

PANEL = "Data"

app = typer.Typer()
schema = typer.Typer(
    help="Show or accept the schema of the data: registry/schema.yaml.",
    epilog=examples("cll schema diff"),
    no_args_is_help=True,
)
app.add_typer(schema, name="schema", rich_help_panel=PANEL)


@command(app, "cll ingest", "cll ingest --accept telemetry/2026-01.csv", panel=PANEL)
def ingest(
    *,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Accept a file that was rewritten or deleted, as it is now."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read new data, and count the records.

    It prints records in = kept + quarantined + duplicate + pending.

    It also reads files of the source outside of data/raw, whose changes `dvc repro` does not
    notice.
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


@command(app, "cll labels", panel=PANEL)
def labels(*, as_json: Json = False) -> None:
    """Count the labels: mature, pending and censored.

    A pending label is not known yet at as_of; a censored label will never be known.
    """
    from cll.maintenance import labels as counting  # noqa: PLC0415  each command imports what it uses

    counting.show(ROOT, as_json=as_json)


@command(
    app,
    'cll quarantine --file "*.csv"',
    "cll quarantine --export corrections",
    "cll quarantine --mended corrections",
    panel=PANEL,
)
def quarantine(
    *,
    reason: Annotated[
        str | None, typer.Option(help="List only records whose reason contains this text.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="List only records of files with this name or pattern.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the records to this folder, as published, to be corrected."),
    ] = None,
    mended: Annotated[
        Path | None,
        typer.Option(help="Read the corrected records of this folder, in addition to the source."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the quarantined records, export or correct them.

    The list is by reason and file. To correct records, export them, edit the files, and read them
    again with --mended.
    """
    from cll.maintenance import quarantine as quarantined  # noqa: PLC0415  each command imports what it uses
    from cll.maintenance import repair  # noqa: PLC0415  each command imports what it uses
    from cll.vcs import repair as vcs_repair  # noqa: PLC0415  each command imports what it uses

    if sum(map(bool, (export, mended, reason or file or as_json))) > 1:
        raise ConfigError("--export, --mended: each excludes all other options; leave them out.")
    if export is not None:
        typer.echo("\n".join(quarantined.export(ROOT, export)))
    elif mended is not None:
        with vcs_repair.only_one(ROOT):
            for line in repair.take(ROOT, mended, lambda: _bring_up_to_date(silent=True)):
                typer.echo(line)
    else:
        quarantined.show(ROOT, reason, file, as_json=as_json)


@command(app, "cll gc", "cll gc --yes --keep-days 7", panel=PANEL)
def gc(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Keep the folders of runs up to this age.")
    ] = 30,
) -> None:
    """List files that nothing needs any more; --yes deletes them.

    These are the folders of old runs, cached data that the project does not use, and files in DVC's
    cache that no branch, tag, remote or experiment needs. registry/ is never touched.
    """
    from cll.maintenance import garbage  # noqa: PLC0415  each command imports what it uses

    def ask(question: str) -> bool:
        return sys.stdin.isatty() and typer.confirm(question)

    garbage.collect(ROOT, yes=yes, keep_days=keep_days, ask=ask)


@command(schema, "cll schema show", name="show")
def schema_show() -> None:
    """Show the committed schema of the chosen source."""
    from cll.maintenance import schema as maintenance_schema  # noqa: PLC0415  each command imports what it uses

    maintenance_schema.show(ROOT)


@command(schema, "cll schema diff", name="diff")
def schema_diff() -> None:
    """Show how the data differ from the committed schema.

    The exit code is 3 if ingest refuses the data.
    """
    from cll.maintenance import schema as maintenance_schema  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(maintenance_schema.diff(ROOT))


@command(schema, "cll schema accept", name="accept")
def schema_accept() -> None:
    """Write a new schema from the data as they are now.

    The data include records that the old schema refused. Commit registry/schema.yaml afterwards.
    """
    from cll.maintenance import schema as maintenance_schema  # noqa: PLC0415  each command imports what it uses

    maintenance_schema.accept(ROOT)


def _bring_up_to_date(*, silent: bool) -> None:
    """Run the stage ingest; run it again if files have changed that DVC does not watch."""
    from cll.maintenance import refresh  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    _repro("ingest", silent=silent)
    if refresh.is_behind(workspace.Workspace(ROOT)):
        _repro("ingest", "--force", "--single-item", silent=silent)


def _repro(*words: str, silent: bool) -> None:
    """Run `dvc repro`; if a stage fails, exit with its exit code."""
    from cll.vcs import repro  # noqa: PLC0415  each command imports what it uses

    if failure := repro.run(ROOT, *words, silent=silent):
        raise typer.Exit(failure.exit_code)
