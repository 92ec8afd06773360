"""Ask the triggers about the project, and record their answers in reports/trigger.json."""

import math
from typing import Any

import polars as pl

from cll.config import components
from cll.config.project import load_tree, load_world
from cll.loop import ask, trigger_input
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError
from cll.types.times import format_instant
from cll.types.triggers import Reason, Situation, TriggerDecision

NAME = "trigger.json"
_FORM = {"form": "trigger", "version": 1}


def ask_triggers(ws: Workspace) -> TriggerDecision:
    """Return the triggers' answer for the project now; no data are read before the first training."""
    tree, world = load_tree(ws), load_world(ws)
    if "trigger" not in tree:
        raise ConfigError("resolved.yaml: names no trigger; run `cll compose`.")
    situation = Situation(world.as_of, pl.DataFrame, ())
    if trigger_input.trained(ws, world) is not None:
        situation = trigger_input.now(ws, tree, world)
    return ask.ask(components.build("trigger", tree["trigger"]), situation)


def write(ws: Workspace, answer: TriggerDecision) -> None:
    """Write reports/trigger.json: the `as_of`, the champion, and the reason of each rule."""
    world = load_world(ws)
    state = {"as_of": format_instant(world.as_of), "champion": world.champion}
    disk.write_json(ws.reports / NAME, _FORM | state | as_json(answer))


def as_json(answer: TriggerDecision) -> dict[str, Any]:
    """Return the answer as JSON values; numbers have six decimals, and one that is not finite is null."""
    return {"fires": answer.fires, "reasons": [_reason(reason) for reason in answer.reasons]}


def _reason(reason: Reason) -> dict[str, Any]:
    fields = dict(vars(reason))
    for key in ("value", "bound", "false_alarms"):
        if isinstance(fields[key], float):
            fields[key] = round(fields[key], 6) + 0.0 if math.isfinite(fields[key]) else None
    return fields


def line(reason: Reason) -> str:
    """Return a reason as one line."""
    return f"{reason.name}: {'train: ' if reason.fires else ''}{reason.says}"


def explained(answer: TriggerDecision) -> list[str]:
    """Return lines with the value, the bound and the false-alarm rate of each rule."""
    lines = []
    for reason in answer.reasons:
        figures = "" if reason.value is None else f" {_number(reason.value)}"
        figures += "" if reason.bound is None else f" (bound {_number(reason.bound)})"
        alarms = reason.false_alarms
        rate = "not stated" if alarms is None else f"{_number(alarms)} a tick"
        state = "fires" if reason.fires else "quiet"
        lines.append(f"{state}  {reason.name}{figures}: {reason.says}")
        lines.append(f"       false alarms: {rate}")
    return [*lines, in_short(answer)]


def in_short(answer: TriggerDecision) -> str:
    """Return one line: whether to train, and the rules that fire."""
    firing = [reason.name for reason in answer.reasons if reason.fires]
    return f"train: {', '.join(firing)}" if answer.fires else "nothing asks for a training"


def _number(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else value
