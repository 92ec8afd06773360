"""Step: fit a model on the past, and learn from a forward-chained pass how far to trust it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from annotated_types import Ge, Interval
from numpy.typing import NDArray

from cll import blocks, platt, threshold
from cll.judging.ranking import rank
from cll.roles import Estimator, Metric, Model, Report
from cll.threshold import Threshold
from cll.values import Duration, Flags, Floats, Matrix

UNGUIDED_ROUNDS = 100  # of boosting, where no held-out time can say when to stop
OPTIMISTIC = "Slightly optimistic: rounds, calibration and threshold were set on these rows."


@dataclass(frozen=True)
class Settings:
    folds: Annotated[int, Interval(ge=1, le=50)] = 4
    calibration: Literal["platt", "none"] = "platt"
    min_positive_blocks: Annotated[int, Ge(1)] = 50
    block: Duration = timedelta(hours=6)
    threshold: Threshold = field(default_factory=Threshold)


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


@dataclass(frozen=True)
class _Pass:
    """The forward-chained pass: each row's margin by a model that ended before it."""

    margin: Floats  # NaN where none was held out
    fold_rounds: tuple[int, ...]
    skipped: int  # folds in which an outcome was missing

    @property
    def rounds(self) -> int:
        """Return the median over the folds: one odd stretch of time does not move it."""
        return math.ceil(np.median(self.fold_rounds)) if self.fold_rounds else UNGUIDED_ROUNDS

    def spread(self, p: Floats) -> Floats:
        """Return `p`, which the rows held out have, for all rows; NaN for the others."""
        whole = np.full(len(self.margin), np.nan)
        if self.fold_rounds:
            whole[np.isfinite(self.margin)] = p
        return whole

    @property
    def notes(self) -> dict[str, Any]:
        return {
            "fold_rounds": list(self.fold_rounds),
            "folds_skipped": self.skipped,
            "out_of_fold_says": OPTIMISTIC if self.fold_rounds else "Nothing was held out.",
        }


@dataclass(frozen=True)
class _Trust:
    """How far the model's own log-odds can be believed, and what mends them."""

    kind: Literal["platt", "level", "none"]
    slope: float
    intercept: float
    says: str
    positive_blocks: int

    @property
    def notes(self) -> dict[str, Any]:
        return {
            "calibration": self.kind,
            "calibrated": self.kind == "platt",
            "positive_blocks": self.positive_blocks,
            "says": self.says,
        }


def train(
    rows: Matrix,
    keys: pl.DataFrame,
    estimator: Estimator,
    settings: Settings,
    embargo: timedelta,
    seed: int,
    *,
    metrics: Mapping[str, Metric] | None = None,
    report: Report | None = None,
) -> Trained:
    """Fit `estimator` on all `rows`, with rounds, calibration and threshold from held-out time.

    `keys` has each row's entity and time; `embargo` is how far a label looks ahead. The notes have
    the `metrics` of what was held out; `report` is told how each fold went.
    """
    stretches = _stretches(rows.y, keys, settings.folds, embargo)
    held = _forward(rows, stretches, estimator, seed, report)
    model = estimator(rows, seed, rounds=held.rounds or None)
    # Where nothing could be held out its own rows are better than a guess, and the notes say so.
    margin = held.margin if held.fold_rounds else model.margin(rows.X)
    seen = np.isfinite(margin)
    judged, y = keys.filter(pl.Series(seen)).select("entity", "time"), rows.y[seen]
    trust = _trust(margin[seen], y, judged, settings, held_out=bool(held.fold_rounds))
    p = platt.probability(margin[seen], trust.slope, trust.intercept)
    cut = threshold.choose(settings.threshold, p, y, judged)
    notes = {
        "rounds": model.rounds,
        **held.notes,
        **trust.notes,
        "threshold_rule": settings.threshold.rule,
        "out_of_fold": _figures(p, y, cut, metrics or {}) if held.fold_rounds else {},
    }
    return Trained(model, trust.slope, trust.intercept, cut, notes, held.spread(p))


def _forward(
    rows: Matrix,
    stretches: Iterable[tuple[Flags, Flags]],
    estimator: Estimator,
    seed: int,
    report: Report | None,
) -> _Pass:
    margin, rounds, skipped = np.full(len(rows.y), np.nan), [], 0
    for number, (past, held_out) in enumerate(stretches):
        if min(len(np.unique(rows.y[part])) for part in (past, held_out)) < 2:  # noqa: PLR2004  classes
            skipped += 1
            continue
        fold = estimator(_rows(rows, past), seed, valid=_rows(rows, held_out))
        margin[held_out] = fold.margin(rows.X[held_out])
        rounds.append(fold.rounds)
        if report is not None:
            so_far = np.isfinite(margin)
            report(number, platt.loss(margin[so_far], rows.y[so_far]))
    return _Pass(margin, tuple(rounds), skipped)


def _stretches(
    y: Floats, keys: pl.DataFrame, folds: int, embargo: timedelta
) -> Iterator[tuple[Flags, Flags]]:
    """Yield (past, held out) masks; the rarer outcome is spread evenly over the stretches.

    Stretches of equal rows would leave many without a failure, and to skip those would teach the
    calibration too high a share of failures.
    """
    times = _clock(keys)
    margin_us = embargo // timedelta(microseconds=1) if _told_apart(keys) else 0
    order = np.argsort(times, kind="stable")
    rare = 1.0 if y.mean() <= 0.5 else 0.0  # noqa: PLR2004  half of the rows
    so_far = np.cumsum(y[order] == rare)
    wanted = so_far[-1] * np.arange(1, folds + 1) / (folds + 1)
    reached = times[order][np.searchsorted(so_far, wanted)]
    instants = np.unique(times)  # rows of one instant stay together, whatever their order
    after = np.searchsorted(instants, reached, side="right")
    starts = instants[np.minimum(after, len(instants) - 1)]
    ends = [*starts[1:], times.max() + 1]
    for start, end in zip(starts, ends, strict=True):
        held_out = (times >= start) & (times < end)
        # A label at s looks ahead to s + embargo, which has to be over when the stretch starts.
        yield times < start - margin_us, held_out


def _told_apart(keys: pl.DataFrame) -> bool:
    return keys["time"].n_unique() > 1


def _clock(keys: pl.DataFrame) -> NDArray[np.int64]:
    """Return microseconds, or the rows' order where all have one time: independent rows."""
    if not _told_apart(keys):
        return np.arange(keys.height)
    return keys["time"].dt.epoch("us").to_numpy().astype(np.int64)


def _rows(rows: Matrix, part: Flags) -> Matrix:
    return replace(rows, X=rows.X[part], y=rows.y[part])


def _positive_blocks(keys: pl.DataFrame, y: Floats, block: timedelta) -> int:
    """Count the blocks that hold a positive; independent rows are each a block."""
    if not _told_apart(keys):
        return int(y.sum())
    return len(np.unique(blocks.number(keys, block)[y == 1]))


def _trust(
    margin: Floats, y: Floats, keys: pl.DataFrame, settings: Settings, *, held_out: bool
) -> _Trust:
    """Calibrate as far as the evidence goes.

    Too few positives can't tell a slope, but the level they can: without it the weight an
    estimator gives to positives would stand in every probability.
    """
    found, needed = _positive_blocks(keys, y, settings.block), settings.min_positive_blocks
    if settings.calibration == "none":
        says = "Probabilities are not calibrated: train.calibration=none."
        return _Trust("none", 1.0, 0.0, says, found)
    if held_out and found >= needed:
        slope, intercept = platt.fit(margin, y)
        if slope > 0:
            says = f"Probabilities are calibrated on {found} positive blocks held out."
            return _Trust("platt", slope, intercept, says, found)
        why = "where held out, a higher score does not fail more often."
    elif held_out:
        why = f"{found} positive blocks, where {needed} are needed."
    else:
        why = (
            "no stretch of time with both outcomes could be held out; the threshold is optimistic."
        )
    says = f"Probabilities are not calibrated, only their level is set: {why}"
    return _Trust("level", 1.0, platt.fit_intercept(margin, y), says, found)


def _figures(p: Floats, y: Floats, cut: float, metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Return what the pass measured, on the rows that set rounds, calibration and threshold.

    What is not defined there is left out: what an entity's last label said is not known here.
    """
    rows, _ = rank(y, p, p >= cut, np.full(len(y), np.nan))
    even = np.ones(len(y))
    found = {name: float(metric(rows, even)) for name, metric in metrics.items()}
    figures = {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}
    return {"rows": float(len(y)), "positives": float(y.sum()), **figures}
