"""Commands that check a project or a change to it: gate, diff, verify, doctor."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cll.cli.options import ROOT, Json, command, examples, instant
from cll.types.errors import ConfigError

PANEL = "Check"

app = typer.Typer()
verify = typer.Typer(
    help="Test a promise of cll on this project's own data.",
    epilog=examples("cll verify leakage"),
    no_args_is_help=True,
)
app.add_typer(verify, name="verify", rich_help_panel=PANEL)


class FailOn(StrEnum):
    """Conditions under which `cll diff` exits with another code than 0."""

    REGRESSION = "regression"
    STALE = "stale"


@command(app, "cll gate", panel=PANEL)
def gate() -> None:
    """Show the gate's verdict on the candidate, also as exit code.

    The exit code is 0 for promote, 10 for reject and 11 for not enough evidence.

    The verdict is refused if the project has changed since it was written. The exit code is then 2,
    or that of the stage that failed.
    """
    from cll.pipeline.report import terminal  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(terminal.verdict(ROOT))


@command(app, "cll diff", "cll diff HEAD~3 --md", "cll diff --fail-on regression", panel=PANEL)
def diff(
    revision: Annotated[
        str | None,
        typer.Argument(
            metavar="REV",
            help="A git revision; REV... is the last commit shared with it.",
            show_default=False,
        ),
    ] = None,
    *,
    as_markdown: Annotated[
        bool, typer.Option("--md", help="Print Markdown, for a pull request.")
    ] = False,
    as_json: Json = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(help="regression: exit 10, or 11 without enough evidence. stale: exit 2."),
    ] = None,
) -> None:
    """Compare metrics, settings, data and verdict with a commit.

    Without REV it compares with the last commit shared with the default branch. On the default
    branch itself it compares with HEAD, or, if nothing has changed since, with the commit before.

    A regression is a metric of the gate that got worse by more than noise. `dvc pull` is not
    needed.
    """
    from cll.review import render, review  # noqa: PLC0415  each command imports what it uses

    if as_markdown and as_json:
        raise ConfigError("--md, --json: they exclude each other; leave one out.")
    comparison = review.review_revision(ROOT, revision)
    if as_json:
        typer.echo(review.as_json(comparison))
    elif as_markdown:
        typer.echo(render.markdown(comparison), nl=False)
    else:
        render.show(comparison)
    raise typer.Exit(review.exit_code(comparison, fail_on or ()))


@command(app, "cll doctor", "cll doctor --remote /mnt/dvc-storage", panel=PANEL)
def doctor(
    *,
    remote: Annotated[
        str | None,
        typer.Option(
            help="Make this URL or path DVC's default remote, if a probe file can be written and read back."
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="First repair files that can be made again.")
    ] = False,
) -> None:
    """Check that the project is ready to be shared, and print fixes.

    --repair does what each `cll tick` does first: it removes files that a kill or a bad disk left
    empty, cut off or stale, or restores them from git. It prints each file's name.
    """
    from cll.maintenance import doctor as examining  # noqa: PLC0415  each command imports what it uses
    from cll.release import remote as storage  # noqa: PLC0415  each command imports what it uses
    from cll.system import locks  # noqa: PLC0415  each command imports what it uses
    from cll.vcs import repair as vcs_repair  # noqa: PLC0415  each command imports what it uses

    if repair:
        with vcs_repair.only_one(ROOT):
            pass
    if remote is not None:
        with locks.only_one(ROOT):
            url = storage.set_up(ROOT, remote)
        typer.echo(
            f"ok  remote: {url}: a probe file was written and read back; commit .dvc/config."
        )
        return
    exit_code = 0
    for line, code in examining.examine(ROOT):
        typer.echo(line)
        exit_code = exit_code or code
    raise typer.Exit(exit_code)


@command(verify, "cll verify leakage --at 2026-01-15T00:00:00Z", name="leakage")
def verify_leakage(
    *,
    at: Annotated[
        str | None,
        typer.Option(help="The instant; by default the middle of the labelled rows."),
    ] = None,
) -> None:
    """Test whether anything looks ahead of an instant.

    It replaces everything known after the instant with random values. The features, labels and
    model before the instant must not change. It also names columns that give the label away.

    The exit code is 1 if something leaks.
    """
    from cll.verify import leakage  # noqa: PLC0415  each command imports what it uses

    moment = None if at is None else instant("--at", at)
    raise typer.Exit(leakage.check(ROOT, moment))


@command(verify, "cll verify gate --aa 1000", "cll verify gate --power", name="gate")
def verify_gate(
    *,
    aa: Annotated[
        int | None,
        typer.Option(min=100, help="Rounds of the A/A test; 500 unless only --power is given."),
    ] = None,
    power: Annotated[
        bool,
        typer.Option("--power", help="Print the smallest gain that these rows can show."),
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="The folder of a model to use in place of the champion.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Test how often the gate promotes a model that is not better.

    In each round of this A/A test, the scores of candidate and champion are swapped at random by
    block, so neither is better.

    The exit code is 1 if the gate promotes more often than its stated rate.
    """
    from cll.verify import gate_trial  # noqa: PLC0415  each command imports what it uses

    rounds = 500 if aa is None and not power else aa
    raise typer.Exit(gate_trial.check(ROOT, rounds, power=power, against=against, as_json=as_json))


@command(verify, "cll verify run", name="run")
def verify_run() -> None:
    """Train again with 1 and 2 threads, and compare byte for byte."""
    from cll.verify import reproduce  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(reproduce.rerun(ROOT))


@command(verify, "cll verify rebuild", name="rebuild")
def verify_rebuild() -> None:
    """Make signals and features again, and compare byte for byte."""
    from cll.verify import reproduce  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(reproduce.rebuild(ROOT))
