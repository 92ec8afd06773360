"""Step: compute metrics of candidate, champion and trivial baselines on the same held-out rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.pipeline.dataset import blocks
from cll.pipeline.evaluate.statistics import baselines, curves, data_facts, events, slices
from cll.pipeline.evaluate.statistics.bootstrap import Figures, as_frame, with_intervals
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.pipeline.evaluate.statistics.scored_holdout import Holdout, Predictions
from cll.types.arrays import Flags, Floats
from cll.types.components import Metric
from cll.types.errors import DataRefused, config_error
from cll.types.times import Duration

RANKING = ("roc_auc", "average_precision")
USUAL = ("accuracy", "balanced_accuracy", *RANKING, "precision", "recall", "f1")
BAYES_METRICS = ("roc_auc", "accuracy")


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of the intervals, and the metrics for baselines and slices."""

    block: Duration = timedelta(hours=6)
    replicates: Annotated[int, Ge(20)] = 300
    draws_seed: Annotated[int, Ge(0)] = 0
    baseline_metrics: tuple[str, ...] = USUAL
    paired: tuple[str, ...] = RANKING
    slice_metrics: tuple[str, ...] = RANKING
    slice_paired: tuple[str, ...] = ("roc_auc",)
    max_slices: Annotated[int, Ge(0)] = 20
    min_slice_positives: Annotated[int, Ge(1)] = 10
    alert_gap: Duration = timedelta(minutes=30)
    curve_points: Annotated[int, Ge(10)] = 500
    score_points: Annotated[int, Ge(10)] = 15_000

    def __post_init__(self) -> None:
        if self.block <= timedelta(0):
            raise config_error("evaluate.block", "0", "a block spans some time; write 6h.")
        if not set(self.paired) <= set(self.baseline_metrics):
            value = ", ".join(self.paired)
            raise config_error("evaluate.paired", value, "name them in baseline_metrics as well.")


@dataclass(frozen=True)
class Inputs:
    """Rows with predictions, and the incidents that they are evaluated on.

    `rows`: all mature labelled rows, sorted by entity and time: entity, time, label, known_at,
    incident, kind, chance, group (if there is one), the raw numeric `columns`, part ("train",
    "holdout" or "other"), and p_candidate and (if there is one) p_champion on holdout rows.
    """

    rows: pl.DataFrame
    incidents: pl.DataFrame  # INCIDENTS; `rows.incident` is a row number in it, from 0
    columns: Sequence[str]
    horizon: timedelta  # how far the label looks ahead; with 0 it is about the row's own time
    champion_saw: datetime | None = None  # the last instant that the champion's training knew of


@dataclass(frozen=True)
class Evaluation:
    """The content of metrics.json (numbers and strings only) and the frames for the plots."""

    metrics: dict[str, Any]
    curves: dict[str, pl.DataFrame]
    positive_blocks: int
    draws: pl.DataFrame  # the candidate's metrics in each bootstrap replicate


@dataclass(frozen=True, eq=False)
class Context:
    """Everything that is the same for all models evaluated on one holdout."""

    settings: EvaluateSettings
    mask: Flags  # the held-out rows
    holdout: Holdout
    baselines: Mapping[str, Mapping[str, float]]
    to_beat: Mapping[str, Figures]  # each baseline's paired metrics
    bayes: Mapping[str, float]  # metrics of the true probability, where a simulator gives it
    data: Mapping[str, Any]
    leakage: Mapping[str, Any]


def prepare(inputs: Inputs, metrics: Mapping[str, Metric], settings: EvaluateSettings) -> Context:
    """Compute everything that does not depend on a model's scores."""
    _refuse_unknown_metrics(metrics, settings)
    rows = inputs.rows
    holdout = hold_out(rows, metrics, settings)
    train = rows.filter(pl.col("part") == "train")
    predictions = baselines.predict(train, holdout.held, holdout.unchanged, inputs.columns)
    drawn = (settings.replicates, settings.draws_seed)
    return Context(
        settings=settings,
        mask=(rows["part"] == "holdout").to_numpy(),
        holdout=holdout,
        baselines={
            name: holdout.values(baseline.p, baseline.alert, settings.baseline_metrics)
            for name, baseline in predictions.items()
        },
        to_beat={
            name: holdout.figures(baseline.p, baseline.alert, settings.paired)
            for name, baseline in predictions.items()
        },
        bayes=_bayes(holdout),
        data=data_facts.counts(rows)
        | data_facts.count_blocks(holdout.y, holdout.block)
        | {"holdout_id": data_facts.holdout_id(holdout.held, holdout.block, *drawn)},
        leakage=data_facts.leakage(train, holdout.held, inputs.columns),
    )


def evaluate(inputs: Inputs, thresholds: Mapping[str, float], context: Context) -> Evaluation:
    """Evaluate each model of `thresholds` ("candidate", perhaps "champion") and the baselines.

    `context` has to be prepared from the same rows; their scores do not matter for it.
    """
    settings = context.settings
    holdout, scored = context.holdout, inputs.rows.filter(context.mask)
    predictions = {name: predict(scored, name, bound) for name, bound in thresholds.items()}
    figures_of = {name: holdout.figures(*own) for name, own in predictions.items()}
    candidate, (p, alert) = figures_of["candidate"], predictions["candidate"]
    tree: dict[str, Any] = {name: with_intervals(figures) for name, figures in figures_of.items()}
    if "champion" in figures_of:
        tree["difference"] = with_intervals(candidate - figures_of["champion"])
    tree["baseline"] = context.baselines
    tree["over"] = {name: with_intervals(candidate - n) for name, n in context.to_beat.items()}
    tree["bayes"] = context.bayes
    tree["gap"] = {name: best - candidate.values[name] for name, best in context.bayes.items()}
    tree["events"] = _events(inputs, context.mask, alert, settings)
    tree |= _slices(holdout, predictions, settings)
    tree["data"] = context.data
    overlap = data_facts.champion_overlap(holdout.held, inputs.champion_saw)
    tree["leakage"] = {**context.leakage, **overlap}
    return Evaluation(
        tidy(tree),
        _curves(holdout, p, alert, settings),
        context.data["positive_blocks"],
        as_frame(candidate),
    )


def _refuse_unknown_metrics(metrics: Mapping[str, Metric], settings: EvaluateSettings) -> None:
    for key in ("baseline_metrics", "slice_metrics", "slice_paired"):
        for name in getattr(settings, key):
            if name not in metrics:
                way_out = f"not a metric that is chosen; there are: {', '.join(metrics)}."
                raise config_error(f"evaluate.{key}", name, way_out)


def hold_out(
    rows: pl.DataFrame, metrics: Mapping[str, Metric], settings: EvaluateSettings
) -> Holdout:
    """Return the held-out rows, with or without scores; refuse an empty holdout."""
    mask = (rows["part"] == "holdout").to_numpy()
    if not mask.any():
        raise DataRefused(
            f"None of the {len(mask)} labelled rows is held out, so no model can be evaluated; "
            "change split, or wait until more labels are known."
        )
    held = rows.filter(mask)
    y = held["label"].to_numpy().astype(np.float64)
    unchanged, block = baselines.no_change(rows)[mask], blocks.number(held, settings.block)
    return Holdout(held, y, unchanged, block, metrics, settings.replicates, settings.draws_seed)


def predict(scored: pl.DataFrame, name: str, threshold: float) -> Predictions:
    """Return a model's probabilities and alerts; refuse probabilities outside 0 to 1."""
    p = scored[f"p_{name}"].cast(pl.Float64).to_numpy()
    outside = int((~((p >= 0) & (p <= 1))).sum())
    if outside:
        raise DataRefused(
            f"p_{name} is not within 0 and 1 on {outside} held-out rows; train it again."
        )
    return p, p >= threshold


def _bayes(holdout: Holdout) -> dict[str, float]:
    """Return the metrics of the true probability, where a simulator gives it for every row."""
    if holdout.held["chance"].null_count():
        return {}
    chance = holdout.held["chance"].to_numpy()
    names = [name for name in BAYES_METRICS if name in holdout.metrics]
    return holdout.values(chance, chance >= baselines.EVEN, names)


def _events(
    inputs: Inputs, held: Flags, alert: Flags, settings: EvaluateSettings
) -> dict[str, float]:
    alerts = np.zeros(len(held), np.bool_)
    alerts[held] = alert
    rows = inputs.rows.select(
        "entity", "time", "label", "incident", held=pl.Series(held), alert=pl.Series(alerts)
    )
    return events.figures(rows, inputs.incidents, inputs.horizon, settings.alert_gap)


def _slices(
    holdout: Holdout, predictions: Mapping[str, Predictions], settings: EvaluateSettings
) -> dict[str, Any]:
    """Return the metrics of each model on each slice, and the paired differences to the champion."""
    tree: dict[str, Any] = {"slices": {}, "champion_slices": {}, "slice_difference": {}}
    keys = {"candidate": "slices", "champion": "champion_slices"}
    for name, mask in slices.parts(holdout.held, settings.max_slices, settings.min_slice_positives):
        positives, part = int(holdout.y[mask].sum()), holdout.part(mask)
        parts = {model: (p[mask], alert[mask]) for model, (p, alert) in predictions.items()}
        for model, own_part in parts.items():
            values = part.values(*own_part, settings.slice_metrics)
            tree[keys[model]][name] = {"positives": positives, **values}
        if "champion" in parts:
            own, other = (part.figures(*parts[m], settings.slice_paired) for m in keys)
            tree["slice_difference"][name] = with_intervals(own - other)
    return tree


def _curves(
    holdout: Holdout, p: Floats, alert: Flags, settings: EvaluateSettings
) -> dict[str, pl.DataFrame]:
    rows, _ = rank(holdout.y, p, alert, holdout.unchanged)
    probability = pl.Series("probability", p).round(curves.DIGITS)
    scored = holdout.held.select("entity", "time", "label", "incident", "kind", probability)
    return {
        "roc": curves.roc(rows, settings.curve_points),
        "pr": curves.precision_recall(rows, settings.curve_points),
        "calibration": curves.calibration(rows),
        "scores": curves.scores(scored, settings.score_points),
    }


def tidy(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree rounded to six decimals, without undefined values: DVC can flatten it then."""
    defined: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if inner := tidy(value):
                defined[key] = inner
        elif isinstance(value, float):
            if math.isfinite(value):
                defined[key] = round(value, curves.DIGITS) + 0.0  # no -0.0
        else:
            defined[key] = value
    return defined
