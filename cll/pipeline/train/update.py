"""Train a model with one update strategy, from training rows and, where it continues one, the champion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled
from cll.pipeline.dataset.labelled import Dataset
from cll.pipeline.train import fit as step
from cll.pipeline.train.calibrate import BaseCalibration
from cll.pipeline.train.fit import Start, Trained
from cll.types.arrays import FileCache, Flags
from cll.types.components import Estimator, Metric, Report, Update, WarmStartEstimator
from cll.types.errors import ConfigError, DataRefused
from cll.types.updates import TrainingPlan

AFRESH = "choose update=full once"


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """Rows, settings and champion that any update strategy trains with."""

    rows: Dataset
    config: Mapping[str, Any]  # config of label and features
    estimator: Estimator
    settings: step.TrainSettings
    metrics: Mapping[str, Metric]
    seed: int
    keep: FileCache | None = None
    champion: Predictor | None = None


@dataclass(frozen=True, eq=False)
class UpdateResult:
    """A model and its training rows; no rows and no `trained` where the champion is kept."""

    predictor: Predictor
    training_rows: Flags
    trained: Trained | None
    base: Predictor | None = None  # the model that it continues from
    matrix_sha256: str = ""  # digest of the training rows

    @property
    def row_visits(self) -> int:
        return self.trained.row_visits if self.trained else 0


def apply(
    update: Update, candidates: Flags, inputs: TrainingInputs, report: Report | None = None
) -> UpdateResult:
    """Train with `update` on those rows of the mask `candidates` that it chooses."""
    champion = inputs.champion if update.reads_champion else None
    plan = _plan(update, candidates, inputs, champion)
    if champion is not None and plan.continues_champion and not plan.rows.any():
        return UpdateResult(champion, plan.rows, None)
    base = champion if plan.continues_champion else None
    start = None if base is None else _start(base, plan, inputs)
    matrix = replace(inputs.rows.matrix(plan.rows), file_cache=inputs.keep)
    with threadpool_limits(1, user_api="blas"):
        trained = step.train(
            *(matrix, inputs.rows.rows.filter(pl.Series(plan.rows)), inputs.estimator),
            *(inputs.settings, inputs.rows.embargo, inputs.seed),
            start=start,
            metrics=inputs.metrics,
            report=report,
        )
    predictor = Predictor(
        trained.model, matrix.names, trained.slope, trained.intercept, trained.threshold
    )
    return UpdateResult(predictor, plan.rows, trained, base, matrix.sha256)


def _plan(
    update: Update, candidates: Flags, inputs: TrainingInputs, champion: Predictor | None
) -> TrainingPlan:
    """Return the update's plan with a mask over all rows; it chooses among `candidates` only."""
    since = None
    if champion is not None:  # time of its newest row, without the horizon of that row's label
        since = labelled.trained_until(champion.meta["lineage"], timedelta(0))
    times = inputs.rows.rows["time"].filter(pl.Series(candidates))
    plan_of_candidates = update(times, since)
    rows = np.zeros(len(candidates), np.bool_)
    rows[candidates] = plan_of_candidates.rows
    return replace(plan_of_candidates, rows=rows)


def _start(base: Predictor, plan: TrainingPlan, inputs: TrainingInputs) -> Start:
    """Return the start of a fit that continues from `base`.

    Refuse a base that predicts something else, or whose training may have known held-out rows.
    """
    estimator = inputs.estimator
    if not isinstance(estimator, WarmStartEstimator):
        name = _name(estimator)
        raise ConfigError(f"estimator={name}: can't continue from a model; choose update=full.")
    _refuse_other(base, inputs)
    since = labelled.trained_until(base.meta["lineage"], inputs.rows.embargo)
    holdout_times = inputs.rows.rows["time"].filter(pl.Series(inputs.rows.split.holdout))
    if (holdout_times <= since).any():
        raise DataRefused(
            f"The champion was trained on rows until {base.meta['lineage']['train_until']}, and"
            " some held-out rows are as old: they can't judge a model that continues from it;"
            f" choose split=time, or {AFRESH}."
        )
    calibration = BaseCalibration(
        base.slope, base.intercept, base.threshold, bool(base.meta["train"].get("calibrated"))
    )
    return Start(base.model, estimator, calibration, since, plan.daily)


def _refuse_other(base: Predictor, inputs: TrainingInputs) -> None:
    """Refuse a base of another estimator, with other features, or with another label."""
    kind = _name(inputs.estimator)
    if base.model_type != kind:
        raise DataRefused(
            f"The champion is of estimator={base.model_type}, and {kind} can't continue from it;"
            f" {AFRESH}."
        )
    has, reads = set(inputs.rows.names), set(base.names)
    if missing := reads - has:
        raise DataRefused(
            f"The champion reads {min(missing)}, which these features lack; {AFRESH}."
        )
    if unread := has - reads:
        raise DataRefused(
            f"These features include {min(unread)}, which the champion does not read; {AFRESH}."
        )
    if base.names != inputs.rows.names:
        raise DataRefused(f"The champion reads its features in another order; {AFRESH}.")
    trained_with = base.meta["lineage"].get("config", {})
    for group in ("label", "features"):
        if trained_with.get(group) != inputs.config[group]:
            raise DataRefused(f"The champion was trained with another {group} config; {AFRESH}.")


def _name(estimator: Estimator) -> str:
    return type(estimator).__module__.rpartition(".")[2]
