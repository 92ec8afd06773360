"""What the triggers say of the project as it is, and that in writing."""

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


def of(ws: Workspace) -> TriggerDecision:
    """Ask every trigger whether to train now; where nothing was trained yet, no data are read."""
    tree, world = load_tree(ws), load_world(ws)
    if "trigger" not in tree:
        raise ConfigError("resolved.yaml: names no trigger; run `cll compose`.")
    situation = Situation(world.as_of, pl.DataFrame, ())
    if trigger_input.trained(ws, world) is not None:
        situation = trigger_input.now(ws, tree, world)
    return ask.ask(components.build("trigger", tree["trigger"]), situation)


def write(ws: Workspace, answer: TriggerDecision) -> None:
    """Write reports/trigger.json: what was asked at which instant, and what each rule said."""
    world = load_world(ws)
    asked = {"as_of": format_instant(world.as_of), "champion": world.champion}
    disk.write_json(ws.reports / NAME, _FORM | asked | as_json(answer))


def as_json(answer: TriggerDecision) -> dict[str, Any]:
    """Return an answer for programs; numbers of six decimals."""
    return {"fires": answer.fires, "reasons": [_reason(one) for one in answer.reasons]}


def _reason(one: Reason) -> dict[str, Any]:
    told = dict(vars(one))
    for key in ("value", "bound", "false_alarms"):
        if isinstance(told[key], float):
            told[key] = round(told[key], 6) + 0.0 if math.isfinite(told[key]) else None
    return told


def line(one: Reason) -> str:
    """Say a reason in one line."""
    return f"{one.name}: {'train: ' if one.fires else ''}{one.says}"


def explained(answer: TriggerDecision) -> list[str]:
    """Say of each rule what it found, what would make it fire, and how often it does for nothing."""
    lines = []
    for one in answer.reasons:
        found = "" if one.value is None else f" {_number(one.value)}"
        found += "" if one.bound is None else f" (bound {_number(one.bound)})"
        rate = "not stated" if one.false_alarms is None else f"{_number(one.false_alarms)} a tick"
        lines.append(f"{'fires' if one.fires else 'quiet'}  {one.name}{found}: {one.says}")
        lines.append(f"       false alarms: {rate}")
    return [*lines, in_short(answer)]


def in_short(answer: TriggerDecision) -> str:
    """Say in one line whether to train, and what asks for it."""
    firing = [one.name for one in answer.reasons if one.fires]
    return f"train: {', '.join(firing)}" if answer.fires else "nothing asks for a training"


def _number(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else value
