"""Step: fit a model; set rounds, calibration and threshold on rows held out in time."""

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
from cll.pipeline.train.calibrate import BaseCalibration, FittedCalibration, ScoredRows, calibrate
from cll.pipeline.train.forward_chaining import FoldInputs, OutOfFold
from cll.pipeline.train.threshold import Threshold
from cll.types.arrays import Floats, Matrix
from cll.types.components import Estimator, FittedModel, Metric, Report, WarmStartEstimator
from cll.types.times import Duration

# Boosting rounds without held-out rows for early stopping: of a new model, and added to a base.
UNGUIDED_ROUNDS, UNGUIDED_MORE = 100, 10


@dataclass(frozen=True)
class TrainSettings:
    folds: Annotated[int, Interval(ge=1, le=50)] = 4
    calibration: Literal["platt", "none"] = "platt"
    min_positive_blocks: Annotated[int, Ge(1)] = 50
    block: Duration = timedelta(hours=6)
    threshold: Threshold = field(default_factory=Threshold)


@dataclass(frozen=True)
class Start:
    """The model that a fit continues from, with an estimator that can do so."""

    model: FittedModel
    estimator: WarmStartEstimator
    calibration: BaseCalibration
    since: datetime  # the last instant that the model's training knew of
    daily: bool = False  # whether the fit takes one step per UTC day


@dataclass(frozen=True)
class Trained:
    """A model with its calibration and threshold, and its out-of-fold probabilities.

    Metrics on the out-of-fold rows are slightly optimistic, since rounds, calibration and threshold
    were set on them. Only the holdout is used to evaluate the model.
    """

    model: FittedModel
    slope: float
    intercept: float
    threshold: float
    notes: Mapping[str, Any]  # ready for JSON
    out_of_fold: (
        Floats  # calibrated probability of each training row, NaN where it was not held out
    )
    row_visits: int  # rows read by all fits together, counting each pass


def train(
    rows: Matrix,
    keys: pl.DataFrame,
    estimator: Estimator,
    settings: TrainSettings,
    embargo: timedelta,
    seed: int,
    *,
    start: Start | None = None,
    metrics: Mapping[str, Metric] | None = None,
    report: Report | None = None,
) -> Trained:
    """Fit `estimator` on all `rows`, with rounds, calibration and threshold from held-out rows.

    `keys` has each row's entity and time; `embargo` is how far a label looks ahead. With `start`,
    the fit continues from its model, and only rows that are new to it are held out. The notes have
    the `metrics` of the held-out rows; `report` is called after each fold, or day.
    """
    inputs = FoldInputs(rows, keys, embargo, seed, report, start.since if start else None)
    held, model = _fit(inputs, estimator, settings.folds, start)
    # Where nothing could be held out, the training rows are used; the notes say so.
    margin = held.margin if held.scored.any() else model.margin(rows.X)
    scored = np.isfinite(margin)
    scored_keys = keys.filter(pl.Series(scored)).select("entity", "time")
    scored_rows = ScoredRows(
        margin[scored], rows.y[scored], scored_keys, held_out=bool(held.scored.any())
    )
    decision = _decide(scored_rows, settings, start.calibration if start else None)
    notes = {
        "rounds": model.rounds,
        **held.notes,
        **decision.calibration.notes,
        "threshold_rule": decision.rule,
        "row_visits": held.row_visits,
        "out_of_fold": {},
    }
    if held.scored.any():
        notes["out_of_fold"] = _out_of_fold_metrics(
            decision.p, scored_rows.y, decision.threshold, metrics or {}
        )
    return Trained(
        *(model, decision.calibration.slope, decision.calibration.intercept, decision.threshold),
        notes=notes,
        out_of_fold=held.spread(decision.p),
        row_visits=held.row_visits,
    )


@dataclass(frozen=True)
class _Decision:
    """Calibration and threshold, and the probabilities of the rows that they were set on."""

    calibration: FittedCalibration
    threshold: float
    rule: str  # the rule that set the threshold
    p: Floats


def _decide(
    scored_rows: ScoredRows, settings: TrainSettings, base: BaseCalibration | None
) -> _Decision:
    """Calibrate and choose the threshold; with too few new failures, keep the base's threshold."""
    needed = settings.min_positive_blocks
    fitted = calibrate(scored_rows, settings.calibration, needed, settings.block, base)
    p = platt.probability(scored_rows.margin, fitted.slope, fitted.intercept)
    too_few = not scored_rows.held_out or fitted.positive_blocks < needed
    if base is not None and (too_few or fitted.kind == "kept"):
        return _Decision(fitted, base.threshold, "that set the one before", p)
    chosen = threshold.choose(settings.threshold, p, scored_rows.y, scored_rows.keys)
    return _Decision(fitted, chosen, settings.threshold.rule, p)


def _fit(
    inputs: FoldInputs, estimator: Estimator, folds: int, start: Start | None
) -> tuple[OutOfFold, FittedModel]:
    if start is None:
        return forward_chaining.fit_in_folds(inputs, estimator, folds, UNGUIDED_ROUNDS)
    if start.daily:
        return forward_chaining.fit_by_day(inputs, start.estimator, start.model)
    warm = partial(start.estimator.warm, start.model)
    rounds = start.model.rounds
    return forward_chaining.fit_in_folds(
        inputs, warm, folds, rounds + UNGUIDED_MORE if rounds else 0
    )


def _out_of_fold_metrics(
    p: Floats, y: Floats, alert_from: float, metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """Return the metrics of the held-out rows, on which rounds, calibration and threshold were set.

    Metrics that are not defined are left out, such as those that need an entity's previous label.
    """
    rows, _ = rank(y, p, p >= alert_from, np.full(len(y), np.nan))
    even = np.ones(len(y))
    values = {name: float(metric(rows, even)) for name, metric in metrics.items()}
    figures = {name: round(value, 6) for name, value in values.items() if math.isfinite(value)}
    return {"rows": float(len(y)), "positives": float(y.sum()), **figures}
