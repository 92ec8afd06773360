"""A model by one update: from the rows that may teach and the model in force, as far as it is needed."""

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
from cll.pipeline.train.calibrate import Before
from cll.pipeline.train.fit import Start, Trained
from cll.types.arrays import Flags, Keep
from cll.types.components import Estimator, GoesOn, Metric, Report, Update
from cll.types.errors import ConfigError, DataRefused
from cll.types.updates import Lesson

AFRESH = "choose update=full once"


@dataclass(frozen=True, eq=False)
class Means:
    """What a model is made with, whatever the update; `champion` is the model in force."""

    rows: Dataset
    asked: Mapping[str, Any]  # the config of label and features
    estimator: Estimator
    settings: step.Settings
    metrics: Mapping[str, Metric]
    seed: int
    keep: Keep | None = None
    champion: Predictor | None = None


@dataclass(frozen=True, eq=False)
class Learnt:
    """A model, and the rows that taught it: none, and no `trained`, where the champion stays."""

    predictor: Predictor
    taught: Flags
    trained: Trained | None
    base: Predictor | None = None  # that it goes on from
    matrix_sha256: str = ""  # of the rows that taught

    @property
    def row_visits(self) -> int:
        return self.trained.row_visits if self.trained else 0


def learn(update: Update, may_teach: Flags, means: Means, report: Report | None = None) -> Learnt:
    """Teach what `update` says, of the rows of `may_teach`."""
    champion = means.champion if update.reads_champion else None
    lesson = _lesson(update, may_teach, means, champion)
    if champion is not None and lesson.goes_on and not lesson.rows.any():
        return Learnt(champion, lesson.rows, None)
    base = champion if lesson.goes_on else None
    start = None if base is None else _start(base, lesson, means)
    matrix = replace(means.rows.matrix(lesson.rows), keep=means.keep)
    with threadpool_limits(1, user_api="blas"):
        trained = step.train(
            *(matrix, means.rows.rows.filter(pl.Series(lesson.rows)), means.estimator),
            *(means.settings, means.rows.embargo, means.seed),
            start=start,
            metrics=means.metrics,
            report=report,
        )
    predictor = Predictor(
        trained.model, matrix.names, trained.slope, trained.intercept, trained.threshold
    )
    return Learnt(predictor, lesson.rows, trained, base, matrix.sha256)


def _lesson(update: Update, may_teach: Flags, means: Means, champion: Predictor | None) -> Lesson:
    """Ask the update, which sees the rows that may teach alone; answer for all rows."""
    since = None
    if champion is not None:  # its newest row: what it knew of later ones is but their labels' past
        since = labelled.learnt_until(champion.meta["lineage"], timedelta(0))
    times = means.rows.rows["time"].filter(pl.Series(may_teach))
    said = update(times, since)
    rows = np.zeros(len(may_teach), np.bool_)
    rows[may_teach] = said.rows
    return replace(said, rows=rows)


def _start(base: Predictor, lesson: Lesson, means: Means) -> Start:
    """Refuse to go on from what predicts something else, or may have met the rows that judge."""
    estimator = means.estimator
    if not isinstance(estimator, GoesOn):
        name = _name(estimator)
        raise ConfigError(f"estimator={name}: can't go on from a model; choose update=full.")
    _refuse_other(base, means)
    since = labelled.learnt_until(base.meta["lineage"], means.rows.embargo)
    held = means.rows.rows["time"].filter(pl.Series(means.rows.split.holdout))
    if (held <= since).any():
        raise DataRefused(
            f"The champion learnt until {base.meta['lineage']['train_until']}, and held-out rows are"
            f" as old: they can't judge what goes on from it; choose split=time, or {AFRESH}."
        )
    before = Before(
        base.slope, base.intercept, base.threshold, bool(base.meta["train"].get("calibrated"))
    )
    return Start(base.model, estimator, before, since, lesson.daily)


def _refuse_other(base: Predictor, means: Means) -> None:
    """Refuse a base of another kind, of other features, or that answers another question."""
    kind = _name(means.estimator)
    if base.model_type != kind:
        raise DataRefused(
            f"The champion is of estimator={base.model_type}, from which {kind} can't go on; {AFRESH}."
        )
    has, reads = set(means.rows.names), set(base.names)
    for one, says in ((reads - has, "lack"), (has - reads, "have and it does not read")):
        if one:
            raise DataRefused(
                f"The champion's features are others: {min(one)} is what these {says}; {AFRESH}."
            )
    if base.names != means.rows.names:
        raise DataRefused(f"The champion reads its features in another order; {AFRESH}.")
    made_with = base.meta["lineage"].get("config", {})
    for group in ("label", "features"):
        if made_with.get(group) != means.asked[group]:
            raise DataRefused(f"The champion was made with another {group} config; {AFRESH}.")


def _name(estimator: Estimator) -> str:
    return type(estimator).__module__.rpartition(".")[2]
