"""Prequential figures: each row is scored when it arrives, by the champion of that time.

Every row is first predicted, and only later used as a training row (Dawid 1984; Gama et al. 2013,
section 2). Before there is a champion, the prediction is the entity's last known label.
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
from cll.pipeline.dataset.tables import Tables
from cll.pipeline.evaluate.statistics import baselines, events
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.replay.log import NONE, TickRecord
from cll.types.arrays import Flags, Floats, Matrix
from cll.types.components import Metric
from cll.types.directions import Directions, sign
from cll.types.times import parse_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOSS = "log_loss"
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Predictions:
    """A policy's predictions for the rows of a stream."""

    p: Floats  # the probability of label 1
    alert: Flags


@dataclass(frozen=True, eq=False)
class Stream:
    """The labelled rows that arrived from the first tick on, sorted by entity and time."""

    rows: pl.DataFrame  # LABELS
    X: Matrix
    tick: NDArray[np.int64]  # index of the last tick before a row arrived
    unchanged: Floats  # the entity's last known label; NaN where it has none
    persists: Floats  # probability of label 1 by that label and by how often it was right so far


def build_stream(data: Tables, tree: Tree, instants: Sequence[datetime]) -> Stream:
    """Return the rows that arrived between the first and the last tick and have a mature label."""
    label = components.build("label", tree["label"])
    labels = label(data.signals, data.incidents, instants[-1])
    ticks = np.array([_us(instant) for instant in instants])
    tick = np.searchsorted(ticks, point_in_time.scored_at(data, tree), side="left") - 1
    mature = (labels["status"] == "mature").to_numpy()
    unchanged = np.full(len(mature), np.nan)
    unchanged[mature] = baselines.no_change(labels.filter(mature))
    arrived = mature & (tick >= 0) & (tick < len(ticks) - 1)
    names = tuple(n for n in data.features.columns if n not in {"entity", "time"})
    rows = labels.filter(arrived)
    y = rows["label"].to_numpy().astype(np.float64)
    X = data.features.filter(arrived).select(names).to_numpy(order="c")
    share_right = _share_right(labels.filter(mature), unchanged[mature], ticks)
    unchanged, tick = unchanged[arrived], tick[arrived]
    right = share_right[tick]
    p = np.where(np.isnan(unchanged), 0.5, np.where(unchanged > 0, right, 1 - right))
    return Stream(rows, Matrix(X, y, names), tick, unchanged, p)


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta.resolution


def _share_right(rows: pl.DataFrame, unchanged: Floats, ticks: NDArray[np.int64]) -> Floats:
    """Return, for each tick, the share of labels that equal the entity's last known label.

    Only labels that were known at the tick count. Laplace's rule keeps the share above 0 and
    below 1.
    """
    has_last = ~np.isnan(unchanged)
    known_at = rows["known_at"].dt.epoch("us").to_numpy()[has_last]
    right = (unchanged == rows["label"].to_numpy())[has_last]
    order = np.argsort(known_at, kind="stable")
    right_so_far = np.concatenate([[0], np.cumsum(right[order])])
    count = np.searchsorted(known_at[order], ticks, side="right")
    return (right_so_far[count] + 1.0) / (count + 2.0)


def predict(
    stream: Stream,
    champions: Mapping[str, Sequence[str]],
    load_model: Callable[[str], Predictor],
) -> dict[str, Predictions]:
    """Return each policy's predictions, given the model_id of its champion at each tick.

    A row that two policies score with the same model is scored once.
    """
    predictions = {
        name: Predictions(stream.persists.copy(), stream.unchanged > 0) for name in champions
    }
    ids = {name: np.array(by_tick) for name, by_tick in champions.items()}
    distinct = {model_id for by_tick in champions.values() for model_id in by_tick}
    for model_id in sorted(distinct - {NONE}):
        masks = {name: (by_tick == model_id)[stream.tick] for name, by_tick in ids.items()}
        scored = np.logical_or.reduce(list(masks.values()))
        if not scored.any():
            continue
        predictor = load_model(model_id)
        rows = Matrix(stream.X.X[scored], stream.X.y[scored], stream.X.names)
        p = np.full(len(scored), np.nan)
        p[scored] = predictor.probability(labelled.aligned(rows, predictor.names))
        for name, mask in masks.items():
            predictions[name].p[mask] = p[mask]
            predictions[name].alert[mask] = predictor.alert(p[mask])
    return predictions


def champions_by_policy(records: Sequence[TickRecord]) -> dict[str, list[str]]:
    """Return the model_id of the champion at each tick, for the replayed policy and two others.

    first: the first released model is never replaced. newest: each candidate is the champion from
    the next tick on, whatever the gate's answer.
    """
    first_release = next((record.candidate for record in records if record.released), NONE)
    first, newest, latest = [], [], NONE
    for record in records:
        first.append(NONE if record.champion == NONE else first_release)
        newest.append(latest)
        latest = record.candidate or latest
    return {
        "policy": [record.champion for record in records],
        "first": first,
        "newest": newest,
    }


def figures(
    stream: Stream,
    predictions: Predictions,
    metrics: Mapping[str, Metric],
    mask: Flags | None = None,
) -> dict[str, float]:
    """Return each metric on the rows in `mask`, by default on all; undefined ones are left out."""
    part = np.ones(len(predictions.p), np.bool_) if mask is None else mask
    rows, _ = rank(
        stream.X.y[part], predictions.p[part], predictions.alert[part], stream.unchanged[part]
    )
    weights = np.ones(int(part.sum()))
    values = {name: float(metric(rows, weights)) for name, metric in metrics.items()}
    return {name: round(v, _DIGITS) for name, v in values.items() if math.isfinite(v)}


def regret(
    own: Mapping[str, float],
    others: Mapping[str, Mapping[str, float]],
    metric: str,
    directions: Directions,
) -> dict[str, Any]:
    """Return how much better the best of the other policies was, in `metric` and in log loss.

    `best` names that policy. It is "policy" and the value is 0 where no other was better.
    """
    regrets: dict[str, Any] = {}
    for name in dict.fromkeys((metric, _LOSS)):
        factor = sign(directions[name])
        by_policy = {policy: values[name] for policy, values in others.items() if name in values}
        if name in own and by_policy:
            best = max(by_policy, key=lambda policy: factor * by_policy[policy])
            lost = max(0.0, factor * (by_policy[best] - own[name]))
            regrets[name] = {"value": round(lost, _DIGITS), "best": best if lost else "policy"}
    return regrets


def over_time(
    stream: Stream,
    predictions: Predictions,
    metrics: Mapping[str, Metric],
    records: Sequence[TickRecord],
    window: timedelta,
) -> pl.DataFrame:
    """Return one row per time window: rows, positives, trainings, releases and each metric."""
    begin, length = _us(parse_instant(records[0].as_of)), window // timedelta.resolution
    window_of_row = (stream.rows["time"].dt.epoch("us").to_numpy() - begin) // length
    window_of_tick = np.array(
        [(_us(parse_instant(record.as_of)) - begin) // length for record in records]
    )
    trained = np.array([record.trained for record in records])
    released = np.array([record.released for record in records])
    lines = []
    for number in np.unique(window_of_row):
        mask, ticks = window_of_row == number, window_of_tick == number
        lines.append(
            {
                "from": stream.rows["time"].filter(pl.Series(mask)).min(),
                "rows": int(mask.sum()),
                "positives": int(stream.X.y[mask].sum()),
                "trainings": int(trained[ticks].sum()),
                "releases": int(released[ticks].sum()),
                **dict.fromkeys(metrics),
                **figures(stream, predictions, metrics, mask),
            }
        )
    return pl.DataFrame(lines, infer_schema_length=None)


def event_figures(
    stream: Stream, predictions: Predictions, data: Tables, tree: Tree
) -> dict[str, float]:
    """Return how many incidents were caught, how early, and how many alarms were false."""
    label = components.build("label", tree["label"])
    gap = components.build("evaluate", tree["evaluate"]).alert_gap
    held = pl.Series(np.ones(stream.rows.height, np.bool_))  # all rows count
    rows = stream.rows.select("entity", "time", "label", "incident").with_columns(
        held=held, alert=pl.Series(predictions.alert)
    )
    counts = events.figures(rows, data.incidents, label.horizon, gap)
    return {name: round(float(value), _DIGITS) for name, value in counts.items()}
