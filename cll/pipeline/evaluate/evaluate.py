"""Step: judge the candidate, the champion and trivial baselines on the same held-out rows."""

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
from cll.pipeline.evaluate.statistics.scored_holdout import Answer, Court
from cll.types.arrays import Flags, Floats
from cll.types.components import Metric
from cll.types.errors import DataRefused, config_error
from cll.types.times import Duration

RANKING = ("roc_auc", "average_precision")
USUAL = ("accuracy", "balanced_accuracy", *RANKING, "precision", "recall", "f1")
BAYES_METRICS = ("roc_auc", "accuracy")


@dataclass(frozen=True)
class Settings:
    """How figures are made sure of, and which go beside the main ones."""

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
            found = ", ".join(self.paired)
            raise config_error("evaluate.paired", found, "name them in baseline_metrics as well.")


@dataclass(frozen=True)
class Evidence:
    """What there is to judge on.

    `rows`: all mature labelled rows, sorted by entity and time: entity, time, label, known_at,
    incident, kind, chance, group (if there is one), the raw numeric `columns`, part ("train",
    "holdout" or "other"), and p_candidate and (if there is one) p_champion on holdout rows.
    """

    rows: pl.DataFrame
    incidents: pl.DataFrame  # values.INCIDENTS, which `rows.incident` numbers from 0
    columns: Sequence[str]
    horizon: timedelta  # how far the label looks ahead; 0 asks whether it is failing
    champion_saw: datetime | None = None  # its training knew of what happened until then


@dataclass(frozen=True)
class Evaluation:
    """The figures for metrics.json (numbers and strings only) and the frames for the plots."""

    metrics: dict[str, Any]
    curves: dict[str, pl.DataFrame]
    positive_blocks: int
    draws: pl.DataFrame  # the candidate's figures in each replicate


@dataclass(frozen=True, eq=False)
class Ground:
    """What is the same for all models that are judged on one holdout."""

    settings: Settings
    mask: Flags  # the rows that are held out
    court: Court
    baselines: Mapping[str, Mapping[str, float]]
    to_beat: Mapping[str, Figures]  # each baseline's paired metrics
    bayes: Mapping[str, float]  # of the true probability, where it is known
    data: Mapping[str, Any]
    leakage: Mapping[str, Any]


def prepare(evidence: Evidence, metrics: Mapping[str, Metric], settings: Settings) -> Ground:
    """Work out what no model's scores move."""
    _refuse_unknown(metrics, settings)
    rows = evidence.rows
    court = open_court(rows, metrics, settings)
    train = rows.filter(pl.col("part") == "train")
    answers = baselines.answers(train, court.held, court.unchanged, evidence.columns)
    drawn = (settings.replicates, settings.draws_seed)
    return Ground(
        settings=settings,
        mask=(rows["part"] == "holdout").to_numpy(),
        court=court,
        baselines={
            name: court.values(said.p, said.alert, settings.baseline_metrics)
            for name, said in answers.items()
        },
        to_beat={
            name: court.figures(said.p, said.alert, settings.paired)
            for name, said in answers.items()
        },
        bayes=_bayes(court),
        data=data_facts.counts(rows)
        | data_facts.evidence(court.y, court.block)
        | {"holdout_id": data_facts.holdout_id(court.held, court.block, *drawn)},
        leakage=data_facts.leakage(train, court.held, evidence.columns),
    )


def evaluate(evidence: Evidence, thresholds: Mapping[str, float], ground: Ground) -> Evaluation:
    """Judge each model of `thresholds` ("candidate", perhaps "champion") and the baselines.

    `ground` was prepared of the same rows, whatever they are scored with.
    """
    settings = ground.settings
    court, scored = ground.court, evidence.rows.filter(ground.mask)
    answers = {name: answer(scored, name, bound) for name, bound in thresholds.items()}
    models = {name: court.figures(*answer) for name, answer in answers.items()}
    candidate, (p, alert) = models["candidate"], answers["candidate"]
    tree: dict[str, Any] = {name: with_intervals(found) for name, found in models.items()}
    if "champion" in models:
        tree["difference"] = with_intervals(candidate - models["champion"])
    tree["baseline"] = ground.baselines
    tree["over"] = {name: with_intervals(candidate - n) for name, n in ground.to_beat.items()}
    tree["bayes"] = ground.bayes
    tree["gap"] = {name: best - candidate.values[name] for name, best in ground.bayes.items()}
    tree["events"] = _events(evidence, ground.mask, alert, settings)
    tree |= _slices(court, answers, settings)
    tree["data"] = ground.data
    tree["leakage"] = {**ground.leakage, **data_facts.seen(court.held, evidence.champion_saw)}
    return Evaluation(
        tidy(tree),
        _curves(court, p, alert, settings),
        ground.data["positive_blocks"],
        as_frame(candidate),
    )


def _refuse_unknown(metrics: Mapping[str, Metric], settings: Settings) -> None:
    for key in ("baseline_metrics", "slice_metrics", "slice_paired"):
        for name in getattr(settings, key):
            if name not in metrics:
                way_out = f"not a metric that is chosen; there are: {', '.join(metrics)}."
                raise config_error(f"evaluate.{key}", name, way_out)


def open_court(rows: pl.DataFrame, metrics: Mapping[str, Metric], settings: Settings) -> Court:
    """Take the rows that are held out, which may be scored already."""
    mask = (rows["part"] == "holdout").to_numpy()
    if not mask.any():
        raise DataRefused(
            f"None of the {len(mask)} labelled rows is held out, so nothing can be judged; "
            "see split, or wait until more labels are known."
        )
    held = rows.filter(mask)
    y = held["label"].to_numpy().astype(np.float64)
    unchanged, block = baselines.no_change(rows)[mask], blocks.number(held, settings.block)
    return Court(held, y, unchanged, block, metrics, settings.replicates, settings.draws_seed)


def answer(scored: pl.DataFrame, name: str, threshold: float) -> Answer:
    """Return a model's probabilities and alerts."""
    p = scored[f"p_{name}"].cast(pl.Float64).to_numpy()
    bad = int((~((p >= 0) & (p <= 1))).sum())
    if bad:
        raise DataRefused(f"p_{name} is not within 0 and 1 on {bad} held-out rows; train it again.")
    return p, p >= threshold


def _bayes(court: Court) -> dict[str, float]:
    """Score the true probability, where a simulator tells it of every held-out row."""
    if court.held["chance"].null_count():
        return {}
    chance = court.held["chance"].to_numpy()
    names = [name for name in BAYES_METRICS if name in court.metrics]
    return court.values(chance, chance >= baselines.EVEN, names)


def _events(evidence: Evidence, held: Flags, alert: Flags, settings: Settings) -> dict[str, float]:
    alerts = np.zeros(len(held), np.bool_)
    alerts[held] = alert
    rows = evidence.rows.select(
        "entity", "time", "label", "incident", held=pl.Series(held), alert=pl.Series(alerts)
    )
    return events.figures(rows, evidence.incidents, evidence.horizon, settings.alert_gap)


def _slices(court: Court, answers: Mapping[str, Answer], settings: Settings) -> dict[str, Any]:
    """Judge each model on each slice, and the candidate against the champion, draw by draw."""
    tree: dict[str, Any] = {"slices": {}, "champion_slices": {}, "slice_difference": {}}
    keys = {"candidate": "slices", "champion": "champion_slices"}
    for name, mask in slices.parts(court.held, settings.max_slices, settings.min_slice_positives):
        positives, part = int(court.y[mask].sum()), court.part(mask)
        parts = {model: (p[mask], alert[mask]) for model, (p, alert) in answers.items()}
        for model, answer in parts.items():
            values = part.values(*answer, settings.slice_metrics)
            tree[keys[model]][name] = {"positives": positives, **values}
        if "champion" in parts:
            own, other = (
                part.figures(*parts[model], settings.slice_paired)
                for model in ("candidate", "champion")
            )
            tree["slice_difference"][name] = with_intervals(own - other)
    return tree


def _curves(court: Court, p: Floats, alert: Flags, settings: Settings) -> dict[str, pl.DataFrame]:
    rows, _ = rank(court.y, p, alert, court.unchanged)
    probability = pl.Series("probability", p).round(curves.DIGITS)
    scored = court.held.select("entity", "time", "label", "incident", "kind", probability)
    points = settings.curve_points
    return {
        "roc": curves.roc(rows, points),
        "pr": curves.precision_recall(rows, points),
        "calibration": curves.calibration(rows),
        "scores": curves.scores(scored, settings.score_points),
    }


def tidy(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Round to six decimals, and leave out what is not defined, so that DVC can flatten it."""
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if inner := tidy(value):
                kept[key] = inner
        elif isinstance(value, float):
            if math.isfinite(value):
                kept[key] = round(value, curves.DIGITS) + 0.0  # no -0.0
        else:
            kept[key] = value
    return kept
