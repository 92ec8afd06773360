"""Step: fit a model on the past, and learn from rows held out in time how far to trust it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from annotated_types import Ge, Interval

from cll.model import platt
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.pipeline.train import forward_chaining, threshold
from cll.pipeline.train.calibrate import Before, Judged, Trust, trust
from cll.pipeline.train.forward_chaining import Course, Pass
from cll.pipeline.train.threshold import Threshold
from cll.types.arrays import Floats, Matrix
from cll.types.components import Estimator, GoesOn, Metric, Model, Report
from cll.types.times import Duration

# Rounds of boosting where no held-out time can say when to stop: afresh, and on top of a model's own.
UNGUIDED_ROUNDS, UNGUIDED_MORE = 100, 10


@dataclass(frozen=True)
class Settings:
    folds: Annotated[int, Interval(ge=1, le=50)] = 4
    calibration: Literal["platt", "none"] = "platt"
    min_positive_blocks: Annotated[int, Ge(1)] = 50
    block: Duration = timedelta(hours=6)
    threshold: Threshold = field(default_factory=Threshold)


@dataclass(frozen=True)
class Start:
    """The model that a fit goes on from, with an estimator that can."""

    model: Model
    estimator: GoesOn
    before: Before
    since: datetime  # it knew nothing of what came later
    daily: bool = False  # in steps of a day


@dataclass(frozen=True)
class Trained:
    """A model, and what was learnt of it on rows that it had not seen.

    What its notes say of those rows is slightly optimistic: rounds, calibration and threshold were
    set on them. The holdout alone judges.
    """

    model: Model
    slope: float
    intercept: float
    threshold: float
    notes: Mapping[str, Any]  # ready for JSON
    out_of_fold: Floats  # calibrated probability of each training row, NaN where none was held out
    row_visits: int  # how often all its fits looked at a row


def train(
    rows: Matrix,
    keys: pl.DataFrame,
    estimator: Estimator,
    settings: Settings,
    embargo: timedelta,
    seed: int,
    *,
    start: Start | None = None,
    metrics: Mapping[str, Metric] | None = None,
    report: Report | None = None,
) -> Trained:
    """Fit `estimator` on all `rows`, with rounds, calibration and threshold from held-out time.

    `keys` has each row's entity and time; `embargo` is how far a label looks ahead. With `start`,
    the fit goes on from there, and what its model knew is not held out. The notes have the
    `metrics` of what was held out; `report` is told how each fold, or day, went.
    """
    course = Course(rows, keys, embargo, seed, report, start.since if start else None)
    held, model = _taught(course, estimator, settings.folds, start)
    # Where nothing could be held out its own rows are better than a guess, and the notes say so.
    margin = held.margin if held.seen.any() else model.margin(rows.X)
    seen = np.isfinite(margin)
    judged = keys.filter(pl.Series(seen)).select("entity", "time")
    evidence = Judged(margin[seen], rows.y[seen], judged, held_out=bool(held.seen.any()))
    found = _answer(evidence, settings, start.before if start else None)
    notes = {
        "rounds": model.rounds,
        **held.notes,
        **found.trust.notes,
        "threshold_rule": found.rule,
        "row_visits": held.row_visits,
        "out_of_fold": {},
    }
    if held.seen.any():
        notes["out_of_fold"] = _figures(found.p, evidence.y, found.threshold, metrics or {})
    return Trained(
        *(model, found.trust.slope, found.trust.intercept, found.threshold),
        notes=notes,
        out_of_fold=held.spread(found.p),
        row_visits=held.row_visits,
    )


@dataclass(frozen=True)
class _Answer:
    """How log-odds become an answer, and the probabilities of the rows that told it."""

    trust: Trust
    threshold: float
    rule: str  # that set the threshold
    p: Floats


def _answer(evidence: Judged, settings: Settings, before: Before | None) -> _Answer:
    """Calibrate, and choose the threshold; where newer failures are few, it stays the base's."""
    needed = settings.min_positive_blocks
    found = trust(evidence, settings.calibration, needed, settings.block, before)
    p = platt.probability(evidence.margin, found.slope, found.intercept)
    few = not evidence.held_out or found.positive_blocks < needed
    if before is not None and (few or found.kind == "kept"):
        return _Answer(found, before.threshold, "that set the one before", p)
    chosen = threshold.choose(settings.threshold, p, evidence.y, evidence.keys)
    return _Answer(found, chosen, settings.threshold.rule, p)


def _taught(
    course: Course, estimator: Estimator, folds: int, start: Start | None
) -> tuple[Pass, Model]:
    if start is None:
        return forward_chaining.fitted(course, estimator, folds, UNGUIDED_ROUNDS)
    if start.daily:
        return forward_chaining.daily(course, start.estimator, start.model)
    warm = partial(start.estimator.warm, start.model)
    rounds = start.model.rounds
    return forward_chaining.fitted(course, warm, folds, rounds + UNGUIDED_MORE if rounds else 0)


def _figures(p: Floats, y: Floats, cut: float, metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Return what the pass measured, on the rows that set rounds, calibration and threshold.

    What is not defined there is left out: what an entity's last label said is not known here.
    """
    rows, _ = rank(y, p, p >= cut, np.full(len(y), np.nan))
    even = np.ones(len(y))
    found = {name: float(metric(rows, even)) for name, metric in metrics.items()}
    figures = {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}
    return {"rows": float(len(y)), "positives": float(y.sum()), **figures}
