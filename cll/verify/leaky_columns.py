"""Columns that give the answer away: each is found by what no honest column does."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from cll.pipeline.evaluate.statistics import baselines, data_facts
from cll.types.arrays import Flags, Floats

TOO_GOOD = 0.99  # ROC AUC of a single column
_EPOCHS = (1, 10**3, 10**6, 10**9)  # s, ms, us, ns
_NEAR = timedelta(days=366)  # around the data: numbers in there are times
_MOSTLY, _NEARLY_ALL = 0.5, 0.99


def enough(rows: pl.DataFrame) -> bool:
    """Tell whether both classes have rows enough for a column to say anything."""
    positives = int((rows["label"] == 1).sum())
    return min(positives, rows.height - positives) >= data_facts.ENOUGH


def found(rows: pl.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each such column, and why; `rows` are mature: time, label, and the columns.

    One that tells the time of a row that failed, or that is there only where a row failed, was
    written after the fact, however well it orders the rows.
    """
    areas = baselines.column_areas(rows, columns)
    times = rows["time"].dt.epoch("us").to_numpy() / 1e6
    failed = (rows["label"] == 1).to_numpy()
    for name in columns:
        if areas.get(name, 0.0) >= TOO_GOOD:
            yield name, f"alone has a ROC AUC of {areas[name]:.4g}"
        if (share := _later(_numbers(rows[name]), times, failed)) > _MOSTLY:
            yield name, f"is a time after the row's own, for {share:.0%} of the positive rows"
        if count := _only_positive(_numbers(rows[name]), failed):
            yield name, f"is there for {count:,} positive rows, and for no negative one"


def _later(values: Floats, times: Floats, failed: Flags) -> float:
    """Return the share of positive rows for which a column is a time after the row's own."""
    there = np.isfinite(values)
    typical = float(np.median(values[there])) if there.any() else 0.0
    low, high = times.min() - _NEAR.total_seconds(), times.max() + _NEAR.total_seconds()
    for scale in _EPOCHS:
        if low <= typical / scale <= high:
            seconds = values[there] / scale
            positive = failed[there]
            is_time = np.mean((seconds >= low) & (seconds <= high)) >= _NEARLY_ALL
            later = seconds[positive] > times[there][positive]
            return float(later.mean()) if is_time and positive.any() else 0.0
    return 0.0


def _only_positive(values: Floats, failed: Flags) -> int:
    there = ~np.isnan(values)
    count = int((there & failed).sum())
    return count if count == there.sum() and count >= data_facts.ENOUGH else 0


def _numbers(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
