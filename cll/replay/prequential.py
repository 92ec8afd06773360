"""Figures of rows that were scored as they came, each by the model in force then.

Prequential: every row is first predicted, and only then may it teach (Dawid 1984; Gama et al. 2013,
section 2). Rows that came before a model was in force are answered as the entity's last known label.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.config import components
from cll.config.project import Tree
from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled, point_in_time
from cll.pipeline.dataset.tables import Known
from cll.pipeline.evaluate.statistics import baselines, events
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.replay.log import NONE, Turn
from cll.types.arrays import Flags, Floats, Matrix
from cll.types.components import Metric
from cll.types.directions import Directions, sign
from cll.types.times import parse_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOSS = "log_loss"
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Answers:
    """A policy's answers on the same rows: probability, and whether it alerts."""

    p: Floats
    alert: Flags


@dataclass(frozen=True, eq=False)
class Stream:
    """All rows that came from the first tick on and have a label now, sorted by entity and time."""

    rows: pl.DataFrame  # LABELS
    X: Matrix
    tick: NDArray[np.int64]  # the number of the last tick before a row came
    unchanged: Floats  # what no-change says
    persists: Floats  # the probability that goes with it, by how often it was right so far


def stream(known: Known, tree: Tree, instants: Sequence[datetime]) -> Stream:
    """Take the rows that are scored between the ticks."""
    label = components.build("label", tree["label"])
    labels = label(known.signals, known.incidents, instants[-1])
    ticks = np.array([_us(instant) for instant in instants])
    tick = np.searchsorted(ticks, point_in_time.scored_at(known, tree), side="left") - 1
    mature = (labels["status"] == "mature").to_numpy()
    unchanged = np.full(len(mature), np.nan)
    unchanged[mature] = baselines.no_change(labels.filter(mature))
    came = mature & (tick >= 0) & (tick < len(ticks) - 1)
    names = tuple(n for n in known.features.columns if n not in {"entity", "time"})
    rows = labels.filter(came)
    y = rows["label"].to_numpy().astype(np.float64)
    X = known.features.filter(came).select(names).to_numpy(order="c")
    persists = _persists(labels.filter(mature), unchanged[mature], ticks)
    unchanged, tick = unchanged[came], tick[came]
    agrees = persists[tick]
    p = np.where(np.isnan(unchanged), 0.5, np.where(unchanged > 0, agrees, 1 - agrees))
    return Stream(rows, Matrix(X, y, names), tick, unchanged, p)


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta.resolution


def _persists(rows: pl.DataFrame, unchanged: Floats, ticks: NDArray[np.int64]) -> Floats:
    """Return at each tick how often a label was the last one known, among those known by then."""
    told = ~np.isnan(unchanged)
    known_at = rows["known_at"].dt.epoch("us").to_numpy()[told]
    right = (unchanged == rows["label"].to_numpy())[told]
    order = np.argsort(known_at, kind="stable")
    so_far = np.concatenate([[0], np.cumsum(right[order])])
    count = np.searchsorted(known_at[order], ticks, side="right")
    return (so_far[count] + 1.0) / (count + 2.0)  # Laplace's rule


def answers(
    came: Stream, policies: Mapping[str, Sequence[str]], model: Callable[[str], Predictor]
) -> dict[str, Answers]:
    """Answer each row by several policies; what two of them answer by one model is scored once."""
    found = {name: Answers(came.persists.copy(), came.unchanged > 0) for name in policies}
    ids = {name: np.array(in_force) for name, in_force in policies.items()}
    for model_id in sorted({one for in_force in policies.values() for one in in_force} - {NONE}):
        masks = {name: (each == model_id)[came.tick] for name, each in ids.items()}
        some = np.logical_or.reduce(list(masks.values()))
        if not some.any():
            continue
        predictor = model(model_id)
        rows = Matrix(came.X.X[some], came.X.y[some], came.X.names)
        p = np.full(len(some), np.nan)
        p[some] = predictor.probability(labelled.aligned(rows, predictor.names))
        for name, mask in masks.items():
            found[name].p[mask] = p[mask]
            found[name].alert[mask] = predictor.alert(p[mask])
    return found


def in_force(turns: Sequence[Turn]) -> dict[str, list[str]]:
    """Return what was in force from each tick on, and what other policies would have had.

    first: the first release, kept for good. newest: each candidate from the next tick on, whatever
    the gate said.
    """
    first = next((turn.candidate for turn in turns if turn.released), NONE)
    kept, newest, latest = [], [], NONE
    for turn in turns:
        kept.append(NONE if turn.champion == NONE else first)
        newest.append(latest)
        latest = turn.candidate or latest
    return {"policy": [turn.champion for turn in turns], "first": kept, "newest": newest}


def figures(
    came: Stream, given: Answers, metrics: Mapping[str, Metric], mask: Flags | None = None
) -> dict[str, float]:
    """Compute each metric that is defined on the rows (of `mask`)."""
    part = np.ones(len(given.p), np.bool_) if mask is None else mask
    rows, _ = rank(came.X.y[part], given.p[part], given.alert[part], came.unchanged[part])
    even = np.ones(int(part.sum()))
    found = {name: float(metric(rows, even)) for name, metric in metrics.items()}
    return {name: round(v, _DIGITS) for name, v in found.items() if math.isfinite(v)}


def regret(
    own: Mapping[str, float],
    others: Mapping[str, Mapping[str, float]],
    metric: str,
    directions: Directions,
) -> dict[str, Any]:
    """Say by how much the best policy in hindsight, of those that were tried, did better."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys((metric, _LOSS)):
        tried = {policy: told[name] for policy, told in others.items() if name in told}
        if name in own and tried:
            worth = {policy: sign(directions[name]) * value for policy, value in tried.items()}
            best = max(worth, key=lambda policy: worth[policy])
            lost = max(0.0, worth[best] - sign(directions[name]) * own[name])
            found[name] = {"value": round(lost, _DIGITS), "best": best if lost else "policy"}
    return found


def over_time(
    came: Stream,
    given: Answers,
    metrics: Mapping[str, Metric],
    turns: Sequence[Turn],
    window: timedelta,
) -> pl.DataFrame:
    """Return a row a window of time: rows, positives, metrics, trainings and releases in it."""
    begin, length = _us(parse_instant(turns[0].as_of)), window // timedelta.resolution
    number = (came.rows["time"].dt.epoch("us").to_numpy() - begin) // length
    ticks = np.array([(_us(parse_instant(turn.as_of)) - begin) // length for turn in turns])
    trained = np.array([turn.trained for turn in turns])
    released = np.array([turn.released for turn in turns])
    lines = []
    for one in np.unique(number):
        mask, then = number == one, ticks == one
        lines.append(
            {
                "from": came.rows["time"].filter(pl.Series(mask)).min(),
                "rows": int(mask.sum()),
                "positives": int(came.X.y[mask].sum()),
                "trainings": int(trained[then].sum()),
                "releases": int(released[then].sum()),
                **dict.fromkeys(metrics),
                **figures(came, given, metrics, mask),
            }
        )
    return pl.DataFrame(lines, infer_schema_length=None)


def of_events(came: Stream, given: Answers, known: Known, tree: Tree) -> dict[str, float]:
    """Count incidents caught, how early, and false alarms."""
    label = components.build("label", tree["label"])
    gap = components.build("evaluate", tree["evaluate"]).alert_gap
    held = pl.Series(np.ones(came.rows.height, np.bool_))
    rows = came.rows.select("entity", "time", "label", "incident").with_columns(
        held=held, alert=pl.Series(given.alert)
    )
    found = events.figures(rows, known.incidents, label.horizon, gap)
    return {name: round(float(value), _DIGITS) for name, value in found.items()}
