"""Each row's margin by a model that ended before it: a chain of fits, or one that steps on by the day."""

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
from cll.types.components import Counted, Estimator, GoesOn, Model, Report

OPTIMISTIC = "Slightly optimistic: rounds, calibration and threshold were set on these rows."
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Pass:
    """What was held out, and by how much looking."""

    margin: Floats  # NaN where none was held out
    fold_rounds: tuple[int, ...]
    skipped: int  # folds in which an outcome was missing
    row_visits: int  # how often the fits looked at a row

    @property
    def seen(self) -> Flags:
        return np.isfinite(self.margin)

    @property
    def rounds(self) -> int | None:
        """Return the median over the folds: one odd stretch of time does not move it."""
        return math.ceil(np.median(self.fold_rounds)) if self.fold_rounds else None

    def spread(self, p: Floats) -> Floats:
        """Return `p`, which the rows held out have, for all rows; NaN for the others."""
        whole = np.full(len(self.margin), np.nan)
        if self.seen.any():
            whole[self.seen] = p
        return whole

    @property
    def notes(self) -> dict[str, Any]:
        return {
            "fold_rounds": list(self.fold_rounds),
            "folds_skipped": self.skipped,
            "out_of_fold_says": OPTIMISTIC if self.seen.any() else "Nothing was held out.",
        }


@dataclass(frozen=True, eq=False)
class Course:
    """The rows, and all that is the same for each fit on some of them."""

    rows: Matrix
    keys: pl.DataFrame  # entity and time of each
    embargo: timedelta
    seed: int
    report: Report | None = None
    since: datetime | None = None  # rows up to then are not held out


def fitted(course: Course, estimator: Estimator, folds: int, unguided: int) -> tuple[Pass, Model]:
    """Hold out stretch after stretch, then fit on all rows with the rounds that this found."""
    held = _chain(course, estimator, folds)
    rounds = unguided if held.rounds is None else held.rounds
    model = estimator(course.rows, course.seed, rounds=rounds or None)
    visits = held.row_visits + len(course.rows.y) * _passes(model)
    return replace(held, row_visits=visits), model


def _chain(course: Course, estimator: Estimator, folds: int) -> Pass:
    rows, stretches = course.rows, _stretches(course, folds)
    margin, rounds, skipped, visits = np.full(len(rows.y), np.nan), [], 0, 0
    for number, (past, held_out) in enumerate(stretches):
        if min(len(np.unique(rows.y[part])) for part in (past, held_out)) < 2:  # noqa: PLR2004  classes
            skipped += 1
            continue
        fold = estimator(_rows(rows, past), course.seed, valid=_rows(rows, held_out))
        margin[held_out] = fold.margin(rows.X[held_out])
        rounds.append(fold.rounds)
        visits += int(past.sum()) * _passes(fold)
        _tell(course.report, number, margin, rows.y)
    return Pass(margin, tuple(rounds), skipped, visits)


def daily(course: Course, estimator: GoesOn, base: Model) -> tuple[Pass, Model]:
    """Step on from `base` a UTC day at a time; each day is scored before it teaches.

    Rows up to `since` are new, but their labels tell of what `base` knew: they teach and don't judge.
    """
    rows, model, visits = course.rows, base, 0
    times, margin = course.keys["time"].dt.epoch("us").to_numpy(), np.full(len(rows.y), np.nan)
    saw, look_ahead = _since(course), max(course.embargo // timedelta(microseconds=1) - 1, 0)
    for number, day in enumerate(np.unique(times // DAY_US)):
        part = times // DAY_US == day
        new = part & (times > saw)
        margin[new] = model.margin(rows.X[new])
        model = estimator.step(model, _rows(rows, part), course.seed)
        visits += int(part.sum()) * _passes(model)
        saw = max(saw, float(times[part].max()) + look_ahead)
        _tell(course.report, number, margin, rows.y)
    return Pass(margin, (), 0, visits), model


def _passes(model: Model) -> int:
    return model.passes if isinstance(model, Counted) else 1


def _tell(report: Report | None, number: int, margin: Floats, y: Floats) -> None:
    so_far = np.isfinite(margin)
    if report is not None and so_far.any():
        report(number, platt.loss(margin[so_far], y[so_far]))


def _stretches(course: Course, folds: int) -> Iterator[tuple[Flags, Flags]]:
    """Yield (past, held out) masks; the rarer outcome is spread evenly over the stretches.

    Stretches of equal rows would leave many without a failure, and to skip those would teach the
    calibration too high a share of failures.
    """
    y, times = course.rows.y, _clock(course.keys)
    told_apart = _told_apart(course.keys)
    margin_us = course.embargo // timedelta(microseconds=1) if told_apart else 0
    new = times > _since(course)
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
        # A label at s looks ahead to s + embargo, which has to be over when the stretch starts.
        yield times < start - margin_us, held_out


def _told_apart(keys: pl.DataFrame) -> bool:
    return keys["time"].n_unique() > 1


def _clock(keys: pl.DataFrame) -> NDArray[np.int64]:
    """Return microseconds, or the rows' order where all have one time: independent rows."""
    if not _told_apart(keys):
        return np.arange(keys.height)
    return keys["time"].dt.epoch("us").to_numpy().astype(np.int64)


def _since(course: Course) -> float:
    """Return microseconds; they are whole numbers, exact up to the year 2255."""
    if course.since is None:
        return -np.inf
    return float(pl.Series([course.since]).dt.epoch("us")[0])


def _rows(rows: Matrix, part: Flags) -> Matrix:
    return replace(rows, X=rows.X[part], y=rows.y[part])
