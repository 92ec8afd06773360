"""Commands of the loop: tick, loop, status, trigger."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from cll.cli.options import ROOT, Json, command, duration, instant
from cll.types.errors import ConfigError

PANEL = "Loop"


class Mode(StrEnum):
    """Values of release.mode: where a tick commits and releases."""

    AUTO = "auto"
    BRANCH = "branch"
    NEVER = "never"


ModeOption = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="auto: commit and release on this branch. branch: do so on the branch tick. never: do "
        "neither. By default release.mode of params.yaml.",
    ),
]

app = typer.Typer()


@command(app, "cll tick --mode auto", "cll tick --as-of 2026-01-31T00:00:00Z", panel=PANEL)
def tick(
    *,
    as_of: Annotated[
        str | None,
        typer.Option(help="The new as_of; by default the last whole hour."),
    ] = None,
    future: Annotated[
        bool, typer.Option("--future", help="Allow an --as-of later than now, for simulated data.")
    ] = False,
    mode: ModeOption = None,
) -> None:
    """Run one turn of the loop: new data, triggers, training.

    A tick moves as_of forward and ingests new data. It trains if a trigger fires. Depending on
    --mode it then releases the model if the gate promotes it, and commits.

    If a stage fails, world.yaml stays as it was and the exit code is that of the stage. --as-of can
    also move as_of back.
    """
    from cll.loop import tick as ticking  # noqa: PLC0415  each command imports what it uses
    from cll.review import render  # noqa: PLC0415  each command imports what it uses

    moment = None if as_of is None else instant("--as-of", as_of)
    outcome = ticking.tick(ROOT, moment, mode.value if mode else None, future=future)
    render.show(outcome.review)
    for line in outcome.lines:
        typer.echo(line)


@command(app, "cll loop --mode auto", "cll loop --every 15m", panel=PANEL)
def loop(
    *,
    every: Annotated[
        str, typer.Option(help="The interval between ticks; they start at whole multiples of it.")
    ] = "1h",
    retry: Annotated[
        str,
        typer.Option(help="The wait after a failure; it doubles each time, up to --every."),
    ] = "1m",
    mode: ModeOption = None,
) -> None:
    """Run a tick each hour, or at another interval, until stopped.

    SIGTERM or Ctrl-C stops it with exit code 0. A tick that fails is reported and tried again.

    Only one loop runs in a project. Other commands work between its ticks; `cll status` shows its
    state.
    """
    from cll.loop import daemon  # noqa: PLC0415  each command imports what it uses
    from cll.loop import tick as ticking  # noqa: PLC0415  each command imports what it uses
    from cll.system import progress, workspace  # noqa: PLC0415  each command imports what it uses

    interval, wait = duration("--every", every), duration("--retry", retry)
    if not interval or not wait:
        raise ConfigError("--every, --retry: 0 is not an interval; write 1h.")
    chosen = ticking.settings(workspace.Workspace(ROOT), mode.value if mode else None).mode
    effects = {
        "never": "it commits and releases nothing",
        "auto": "it commits and releases on this branch",
        "branch": "it commits and releases on the branch tick",
    }
    progress.say(f"loop: every {every}; release.mode is {chosen}: {effects[chosen]}.")
    daemon.run(daemon.LoopSettings(ROOT, interval, wait, mode.value if mode else None))


@command(app, "cll status", "cll status --json", panel=PANEL)
def status(*, as_json: Json = False) -> None:
    """Show the champion, the last tick, new files, triggers and loop.

    It only reads, and works while a tick runs.
    """
    from cll.loop import status as loop_status  # noqa: PLC0415  each command imports what it uses

    state = loop_status.read(ROOT)
    typer.echo(json.dumps(state, indent=2) if as_json else "\n".join(loop_status.lines(state)))


@command(app, "cll trigger --explain", panel=PANEL)
def trigger(
    *,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show each rule, its numbers and its false alarm rate."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show whether the triggers would train now.

    They are evaluated on the data as last ingested.
    """
    from cll.loop import trigger_report  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    report = trigger_report.ask_triggers(workspace.Workspace(ROOT, read_only=True))
    if as_json:
        typer.echo(json.dumps(trigger_report.as_json(report), indent=2))
        return
    lines = trigger_report.explained(report) if explain else [trigger_report.in_short(report)]
    typer.echo("\n".join(lines))
