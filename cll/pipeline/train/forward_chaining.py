"""Out-of-fold margins by forward chaining: each row is scored by a model fitted on earlier rows only."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.model import platt
from cll.types.arrays import Flags, Floats, Matrix
from cll.types.components import CountsPasses, Estimator, FittedModel, Report, WarmStartEstimator

OPTIMISTIC = "Slightly optimistic: rounds, calibration and threshold were set on these rows."
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold margins (log-odds) of the training rows, and the cost of computing them."""

    margin: Floats  # NaN where the row was not held out
    fold_rounds: tuple[int, ...]
    skipped: int  # folds without rows of both classes
    row_visits: int  # rows read by the fits, counting each pass

    @property
    def scored(self) -> Flags:
        return np.isfinite(self.margin)

    @property
    def rounds(self) -> int | None:
        """Return the median of the folds' rounds, which one unusual fold does not move."""
        return math.ceil(np.median(self.fold_rounds)) if self.fold_rounds else None

    def spread(self, p: Floats) -> Floats:
        """Return the held-out rows' `p` for all training rows; NaN for rows not held out."""
        whole = np.full(len(self.margin), np.nan)
        if self.scored.any():
            whole[self.scored] = p
        return whole

    @property
    def notes(self) -> dict[str, Any]:
        return {
            "fold_rounds": list(self.fold_rounds),
            "folds_skipped": self.skipped,
            "out_of_fold_says": OPTIMISTIC if self.scored.any() else "Nothing was held out.",
        }


@dataclass(frozen=True, eq=False)
class FoldInputs:
    """The training rows, and the settings that all folds share."""

    rows: Matrix
    keys: pl.DataFrame  # entity and time of each row
    embargo: timedelta
    seed: int
    report: Report | None = None
    since: datetime | None = None  # rows up to this time are not held out


def fit_in_folds(
    inputs: FoldInputs, estimator: Estimator, folds: int, unguided: int
) -> tuple[OutOfFold, FittedModel]:
    """Fit and score fold by fold, then fit on all rows with the median rounds of the folds.

    `unguided` is the number of rounds where no fold could be scored.
    """
    held = _chain(inputs, estimator, folds)
    rounds = unguided if held.rounds is None else held.rounds
    model = estimator(inputs.rows, inputs.seed, rounds=rounds or None)
    visits = held.row_visits + len(inputs.rows.y) * _passes(model)
    return replace(held, row_visits=visits), model


def _chain(inputs: FoldInputs, estimator: Estimator, folds: int) -> OutOfFold:
    rows, stretches = inputs.rows, _stretches(inputs, folds)
    margin, rounds, skipped, visits = np.full(len(rows.y), np.nan), [], 0, 0
    for number, (past, held_out) in enumerate(stretches):
        if min(len(np.unique(rows.y[part])) for part in (past, held_out)) < 2:  # noqa: PLR2004  classes
            skipped += 1
            continue
        fold = estimator(_rows(rows, past), inputs.seed, valid=_rows(rows, held_out))
        margin[held_out] = fold.margin(rows.X[held_out])
        rounds.append(fold.rounds)
        visits += int(past.sum()) * _passes(fold)
        _report(inputs.report, number, margin, rows.y)
    return OutOfFold(margin, tuple(rounds), skipped, visits)


def fit_by_day(
    inputs: FoldInputs, estimator: WarmStartEstimator, base: FittedModel
) -> tuple[OutOfFold, FittedModel]:
    """Update `base` one UTC day at a time; each day is scored before the model is fitted on it.

    Rows up to `since` are fitted but not scored: `base` may have been trained on their labels.
    """
    rows, model, visits = inputs.rows, base, 0
    times, margin = inputs.keys["time"].dt.epoch("us").to_numpy(), np.full(len(rows.y), np.nan)
    known_until, look_ahead = (
        _since(inputs),
        max(inputs.embargo // timedelta(microseconds=1) - 1, 0),
    )
    for number, day in enumerate(np.unique(times // DAY_US)):
        part = times // DAY_US == day
        new = part & (times > known_until)
        margin[new] = model.margin(rows.X[new])
        model = estimator.step(model, _rows(rows, part), inputs.seed)
        visits += int(part.sum()) * _passes(model)
        known_until = max(known_until, float(times[part].max()) + look_ahead)
        _report(inputs.report, number, margin, rows.y)
    return OutOfFold(margin, (), 0, visits), model


def _passes(model: FittedModel) -> int:
    return model.passes if isinstance(model, CountsPasses) else 1


def _report(report: Report | None, number: int, margin: Floats, y: Floats) -> None:
    so_far = np.isfinite(margin)
    if report is not None and so_far.any():
        report(number, platt.loss(margin[so_far], y[so_far]))


def _stretches(inputs: FoldInputs, folds: int) -> Iterator[tuple[Flags, Flags]]:
    """Yield masks (earlier, held out) of each fold; folds have equal numbers of the rarer class.

    Folds of equally many rows would often have no failure. Skipping them would leave the
    calibration with too high a share of failures.
    """
    y, times = inputs.rows.y, _clock(inputs.keys)
    have_times = _have_times(inputs.keys)
    margin_us = inputs.embargo // timedelta(microseconds=1) if have_times else 0
    new = times > _since(inputs)
    if not new.any():
        return
    order = np.argsort(times, kind="stable")
    order = order[new[order]]
    rare = 1.0 if y[new].mean() <= 0.5 else 0.0  # noqa: PLR2004  half of the rows
    so_far = np.cumsum(y[order] == rare)
    wanted = so_far[-1] * np.arange(1, folds + 1) / (folds + 1)
    reached = times[order][np.searchsorted(so_far, wanted)]
    instants = np.unique(times[new])  # rows of one instant stay together, whatever their order
    after = np.searchsorted(instants, reached, side="right")
    starts = instants[np.minimum(after, len(instants) - 1)]
    ends = [*starts[1:], times.max() + 1]
    for start, end in zip(starts, ends, strict=True):
        held_out = (times >= start) & (times < end)
        # A label at s looks ahead to s + embargo, which has to be over when the fold starts.
        yield times < start - margin_us, held_out


def _have_times(keys: pl.DataFrame) -> bool:
    return keys["time"].n_unique() > 1


def _clock(keys: pl.DataFrame) -> NDArray[np.int64]:
    """Return times in microseconds, or row numbers where all times are equal: independent rows."""
    if not _have_times(keys):
        return np.arange(keys.height)
    return keys["time"].dt.epoch("us").to_numpy().astype(np.int64)


def _since(inputs: FoldInputs) -> float:
    """Return `since` in microseconds, or minus infinity; a float is exact up to the year 2255."""
    if inputs.since is None:
        return -np.inf
    return float(pl.Series([inputs.since]).dt.epoch("us")[0])


def _rows(rows: Matrix, part: Flags) -> Matrix:
    return replace(rows, X=rows.X[part], y=rows.y[part])
