"""The command line: each command is a few lines around a function that lives elsewhere."""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cll.cli import data as cli_data
from cll.cli import loop, release, review
from cll.system import links
from cll.system.progress import QUIET_VARIABLE
from cll.types.errors import CllError, from_os_error
from cll.vcs import merge_conflict

app = typer.Typer(
    name="cll",
    help="Keep a failure predictor fresh: experiments from config, releases from evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ROOT = Path()
_ASKS = {"--help", "-h", "-sc"}  # for help or completion, which a project in any state has


@app.callback()
def options(
    *,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no notes.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Take the options that every command has."""
    if quiet:
        os.environ[QUIET_VARIABLE] = "1"
    if debug:
        os.environ["CLL_DEBUG"] = "1"


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context) -> None:
    """Run one experiment in one process: cll run [KEY=VALUE ...].

    GROUP=CHOICE takes a file of conf/, GROUP.KEY=VALUE sets a value.

    -m runs each of KEY=A,B beside each other, and ends with a leaderboard. --resume DIR goes on
    with a sweep that was broken off. --cfg job prints the config.

    eval "$(cll run -sc install=bash)" completes keys and choices.
    """
    from cll.experiment import run as running  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(running.main(ROOT, context.args))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def replay(context: typer.Context) -> None:
    """Turn the loop over history, to choose a policy before it costs: cll replay [KEY=VALUE ...].

    Says how well rows were predicted as they came, what was trained and released, at which cost.

    -m trigger=never,weekly,drift compares policies: a table, and a chart of quality against cost.
    --resume DIR goes on with what was broken off.
    """
    from cll.experiment import run as running  # noqa: PLC0415  each command imports what it uses
    from cll.replay import compare  # noqa: PLC0415  each command imports what it uses
    from cll.replay import job as replay_job  # noqa: PLC0415

    kind = running.Kind(replay_job.run, compare.show, compare.compare, resumes=True)
    raise typer.Exit(running.main(ROOT, context.args, kind))


@app.command()
def leaderboard(
    folder: Annotated[Path, typer.Argument(help="A sweep's folder, or one of several runs.")],
) -> None:
    """Show how jobs compare, best first; of experiments also which differ by more than noise."""
    from cll.experiment import leaderboard as board  # noqa: PLC0415  each command imports what it uses
    from cll.replay import compare  # noqa: PLC0415  each command imports what it uses

    links.refuse_on_way(ROOT, folder)
    (compare.compare if compare.contains_replays(folder) else board.show)(folder)


@app.command()
def adopt(
    job: Annotated[Path, typer.Argument(help="The folder of one job of `cll run`.")],
) -> None:
    """Write what a job ran with into params.yaml, so that `dvc repro` gives its figures.

    params.yaml then says what deviates from conf/ and the experiment; its other lines, comments
    and what is set for other choices stay. A job that params.yaml can't say is refused.
    """
    from cll.experiment import adopt as adopting  # noqa: PLC0415  each command imports what it uses

    for line in adopting.adopt(ROOT, job):
        typer.echo(line)
    typer.echo("Next: dvc repro")


@app.command()
def compose(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 when it is stale.")
    ] = False,
) -> None:
    """Compose conf/ and params.yaml into resolved.yaml."""
    from cll.pipeline import stages  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    stages.compose(workspace.Workspace(ROOT), check=check)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="A run's folder.")] = ROOT) -> None:
    """Show the metrics, the verdict, and where the model and the report lie."""
    from cll.pipeline.report import terminal  # noqa: PLC0415  each command imports what it uses

    terminal.show(folder)


@app.command()
def gate() -> None:
    """Say the verdict on the candidate; exit 0 promote, 10 reject, 11 not enough evidence.

    A verdict that is not the one of the project as it stands is refused: exit 2, or the code of
    the stage that failed.
    """
    from cll.pipeline.report import terminal  # noqa: PLC0415  each command imports what it uses

    raise typer.Exit(terminal.verdict(ROOT))


@app.command()
def predict(
    data: Annotated[Path, typer.Argument(help="A file or folder like the source's.")],
    out: Annotated[Path, typer.Option(help="Where to write: .parquet or .csv.")],
    model: Annotated[
        str, typer.Option(help="candidate, champion, or a model's folder.")
    ] = "candidate",
) -> None:
    """Score files with a model: the same reading and the same features as in training."""
    from cll.serving import predict_files  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    counts = predict_files.score(workspace.Workspace(ROOT), data, out, model)
    typer.echo(f"{out}: {predict_files.told(counts)}")


@app.command()
def export(
    out: Annotated[Path, typer.Option("--onnx", help="Where to write the ONNX model.")],
    model: Annotated[
        str, typer.Option(help="candidate, champion, or a model's folder.")
    ] = "candidate",
) -> None:
    """Write a model in another form (needs the extra "onnx")."""
    from cll.serving import predict_files  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    predict_files.export_onnx(workspace.Workspace(ROOT), out, model)
    typer.echo(f"{out}: written.")


review.register(app)
loop.register(app)
cli_data.register(app)
release.register(app)


def main() -> NoReturn:
    """Run the command line; a refusal is one line on stderr and an exit code of its own."""
    given = sys.argv[1:]
    anywhere = [word for word in given if word in {"--quiet", "--debug"}]
    words = anywhere + [word for word in given if word not in anywhere]
    if words[:1] == ["-sc"]:  # what Hydra's completion script calls
        words = ["run", *words]
    try:
        if words and not _ASKS & set(words):
            links.refuse(ROOT)
            merge_conflict.refuse(ROOT)
        app(words)
    except (CllError, OSError) as error:
        if os.environ.get("CLL_DEBUG"):
            traceback.print_exc()
        refused = error if isinstance(error, CllError) else from_os_error(error)
        typer.echo(f"cll: {refused}", err=True)
        sys.exit(refused.exit_code)
    sys.exit(0)
