"""The commands of the loop: tick, loop, status, trigger."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cll.types.errors import ConfigError

ROOT = Path()
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
app = typer.Typer()


class Mode(StrEnum):
    """What becomes of a tick."""

    AUTO = "auto"
    BRANCH = "branch"
    NEVER = "never"


ModeOption = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="auto: commit and release; branch: so on the branch tick; never. Else release.mode.",
    ),
]


def register(main: typer.Typer) -> None:
    """Add these commands to the command line."""
    main.registered_commands += app.registered_commands


@app.command()
def tick(
    *,
    as_of: Annotated[
        str | None,
        typer.Option(help="The instant up to which the world is known; else the last whole hour."),
    ] = None,
    future: Annotated[
        bool, typer.Option("--future", help="Allow an --as-of later than now, for simulated data.")
    ] = False,
    mode: ModeOption = None,
) -> None:
    """Move as_of forward, take in what is new, train if a trigger says so, and say what changed.

    By release.mode what the gate promotes is then released, or else what is new committed. Where a
    stage fails, world.yaml is as it was, and the exit code is the stage's. Only --as-of moves it
    back, to what was known then.
    """
    from cll.loop import tick as ticking  # noqa: PLC0415  each command imports what it uses
    from cll.review import render  # noqa: PLC0415  each command imports what it uses

    instant = None if as_of is None else _parsed("--as-of", "parse_instant", as_of)
    told = ticking.tick(ROOT, instant, mode.value if mode else None, future=future)
    render.show(told.review)
    for line in told.lines:
        typer.echo(line)


@app.command()
def loop(
    *,
    every: Annotated[str, typer.Option(help="The interval, like 1h: at whole multiples.")] = "1h",
    retry: Annotated[
        str, typer.Option(help="The wait after a failure; doubled each time, up to --every.")
    ] = "1m",
    mode: ModeOption = None,
) -> None:
    """Tick at each whole hour, or other interval, until SIGTERM or Ctrl-C, which end it with 0.

    A tick that fails is told, and tried again after a while. One loop runs in a project; between
    its ticks all other commands work. `cll status` says what it does.
    """
    from cll.loop import daemon as looping  # noqa: PLC0415  each command imports what it uses
    from cll.loop import tick as ticking  # noqa: PLC0415  each command imports what it uses
    from cll.system import progress, workspace  # noqa: PLC0415  each command imports what it uses

    interval = _parsed("--every", "parse_duration", every)
    first = _parsed("--retry", "parse_duration", retry)
    if not interval or not first:
        raise ConfigError("--every, --retry: 0 is no interval; write 1h.")
    chosen = ticking.settings(workspace.Workspace(ROOT), mode.value if mode else None)
    what = {"never": "nothing is committed or released", "auto": "on this branch"}
    says = what.get(chosen.mode, "on the branch tick")
    progress.say(f"loop: every {every}; release.mode is {chosen.mode}: {says}.")
    looping.run(looping.Loop(ROOT, interval, first, mode.value if mode else None))


@app.command()
def status(*, as_json: Json = False) -> None:
    """Say what is in force, the last tick, what waits, what the triggers think, and the loop.

    Reads only, and works while a tick runs.
    """
    from cll.loop import status as state  # noqa: PLC0415  each command imports what it uses

    told = state.of(ROOT)
    typer.echo(json.dumps(told, indent=2) if as_json else "\n".join(state.lines(told)))


@app.command()
def trigger(
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="Each rule, its numbers, its false alarms.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask the triggers whether to train now, of the data as last ingested."""
    from cll.loop import trigger_report  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    answer = trigger_report.of(workspace.Workspace(ROOT, read_only=True))
    if as_json:
        typer.echo(json.dumps(trigger_report.as_json(answer), indent=2))
        return
    lines = trigger_report.explained(answer) if explain else [trigger_report.in_short(answer)]
    typer.echo("\n".join(lines))


def _parsed(option: str, reading: str, text: str) -> Any:
    """Read an instant or a duration, or refuse the option by name."""
    from cll.types import times  # noqa: PLC0415  each command imports what it uses

    try:
        return getattr(times, reading)(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
