"""Commands that run, compare and adopt experiments: run, replay, leaderboard, adopt and others."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cll.cli import completion
from cll.cli.options import ROOT, Json, command

PANEL = "Experiment"

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Overrides of the config: GROUP=CHOICE takes a file of conf/ (`cll conf` lists them), "
        "GROUP.KEY=VALUE sets a value.",
        show_default=False,
        autocompletion=completion.overrides,
    ),
]
Multirun = Annotated[
    bool,
    typer.Option("--multirun", "-m", help="Run all combinations of KEY=A,B and KEY=range(0,5)."),
]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Continue the interrupted job or sweep in this folder."),
]
Cfg = Annotated[
    str | None,
    typer.Option(
        metavar="job|hydra|all",
        help="Print the config and run nothing; also with --resolve or --package KEY.",
    ),
]
Info = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Print how Hydra composes the config, and run nothing: all, config, defaults, "
        "defaults-tree or plugins.",
    ),
]

app = typer.Typer()


class ForHydra(TyperCommand):
    """A command whose arguments go to Hydra as written, options included.

    The options of the function serve the help and the completion.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_read_here = ctx.resilient_parsing or not {"-h", "--help"}.isdisjoint(args)
        return super().parse_args(ctx, args if is_read_here else ["--", *args])


@command(
    app,
    "cll run estimator=logistic estimator.C=0.1",
    "cll run -m estimator=logistic,lightgbm 'seed=range(0,5)'",
    "cll run --cfg job",
    panel=PANEL,
    cls=ForHydra,
)
def run(
    arguments: Arguments = None,
    *,
    multirun: Multirun = False,
    resume: Resume = None,
    cfg: Cfg = None,
    info: Info = None,
) -> None:
    """Run one experiment, or several with -m, outside of `dvc repro`.

    Each job has a folder of its own below outputs/ or multirun/; the project's own results stay as
    they are. A sweep (-m) ends with a leaderboard.

    All arguments go to Hydra, which has more options: see `cll run --hydra-help`.
    """
    from cll.experiment import run as running  # noqa: PLC0415  each command imports what it uses

    del multirun, resume, cfg, info  # the arguments hold them, too
    raise typer.Exit(running.main(ROOT, arguments or []))


@command(
    app,
    "cll replay -m trigger=never,weekly,drift",
    "cll replay update=window",
    panel=PANEL,
    cls=ForHydra,
)
def replay(
    arguments: Arguments = None,
    *,
    multirun: Multirun = False,
    resume: Resume = None,
    cfg: Cfg = None,
    info: Info = None,
) -> None:
    """Run the loop over past data, to compare policies.

    It shows how well new rows were predicted, which models were trained and released, and the cost.

    A sweep (-m) ends with a table, and a chart of quality against cost.
    """
    from cll.experiment import run as running  # noqa: PLC0415  each command imports what it uses
    from cll.replay import compare  # noqa: PLC0415  each command imports what it uses
    from cll.replay import job as replay_job  # noqa: PLC0415  each command imports what it uses

    del multirun, resume, cfg, info  # the arguments hold them, too
    kind = running.Kind(replay_job.run, compare.show, compare.compare, resumes=True)
    raise typer.Exit(running.main(ROOT, arguments or [], kind))


@command(app, "cll leaderboard multirun/2026-01-31/10-00-00", panel=PANEL)
def leaderboard(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a sweep, or a folder that holds several runs.")
    ],
) -> None:
    """Compare the jobs of a sweep, best first.

    For experiments it also shows which of the best differ by more than noise.
    """
    from cll.experiment import leaderboard as board  # noqa: PLC0415  each command imports what it uses
    from cll.replay import compare  # noqa: PLC0415  each command imports what it uses
    from cll.system import links  # noqa: PLC0415  each command imports what it uses

    links.refuse_on_way(ROOT, folder)
    (compare.compare if compare.contains_replays(folder) else board.show)(folder)


@command(app, "cll adopt multirun/2026-01-31/10-00-00/7", panel=PANEL)
def adopt(
    job: Annotated[Path, typer.Argument(help="The folder of one job of `cll run`.")],
) -> None:
    """Write a job's choices and values into params.yaml.

    `dvc repro` then gives the job's figures. Only lines that differ from conf/ and the experiment
    are written; other lines and comments of params.yaml stay.

    A job that params.yaml cannot reproduce is refused.
    """
    from cll.experiment import adopt as adopting  # noqa: PLC0415  each command imports what it uses

    for line in adopting.adopt(ROOT, job):
        typer.echo(line)
    typer.echo("Next: dvc repro")


@command(app, "cll conf", "cll conf estimator", "cll conf --json", panel=PANEL)
def conf(
    group: Annotated[
        str | None,
        typer.Argument(
            help="A group of conf/; by default all.",
            show_default=False,
            autocompletion=completion.groups,
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """List the groups of conf/, or the choices of one group.

    A star marks the current choice: that of params.yaml, the experiment or conf/config.yaml.
    """
    from cll.experiment import choices  # noqa: PLC0415  each command imports what it uses

    groups = choices.read(ROOT, group)
    if as_json:
        typer.echo(json.dumps(choices.as_json(groups), indent=2))
        return
    lines = choices.details(groups[group]) if group else choices.overview(groups)
    typer.echo("\n".join(lines))


@command(app, "cll compose --check", panel=PANEL)
def compose(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 if resolved.yaml is stale.")
    ] = False,
) -> None:
    """Write resolved.yaml, from conf/ and params.yaml."""
    from cll.pipeline import stages  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    stages.compose(workspace.Workspace(ROOT), check=check)


@command(app, "cll show", "cll show outputs/2026-01-31/10-00-00", panel=PANEL)
def show(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a run; by default the project.")
    ] = ROOT,
) -> None:
    """Show metrics, verdict, and the paths of model and report."""
    from cll.pipeline.report import terminal  # noqa: PLC0415  each command imports what it uses

    terminal.show(folder)
