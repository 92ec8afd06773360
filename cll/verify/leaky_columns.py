"""Find columns that contain the label or were written after the failure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from cll.pipeline.evaluate.statistics import baselines, data_facts
from cll.types.arrays import Flags, Floats

TOO_GOOD = 0.99  # ROC AUC of a single column
_EPOCHS = (1, 10**3, 10**6, 10**9)  # s, ms, us, ns
_NEAR = timedelta(days=366)  # a number within this distance of the data counts as a time
_MOSTLY, _NEARLY_ALL = 0.5, 0.99


def has_enough_rows(rows: pl.DataFrame) -> bool:
    """Return whether both classes have enough rows for this search."""
    positives = int((rows["label"] == 1).sum())
    return min(positives, rows.height - positives) >= data_facts.ENOUGH


def find(rows: pl.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each leaky column, and why; `rows` are mature and hold time, label and the columns.

    A column leaks if it alone ranks the rows almost perfectly. It also leaks if it holds times
    after the rows' own, or has values in positive rows only: both are written after a failure.
    """
    areas = baselines.column_areas(rows, columns)
    times = rows["time"].dt.epoch("us").to_numpy() / 1e6
    positive = (rows["label"] == 1).to_numpy()
    for name in columns:
        if areas.get(name, 0.0) >= TOO_GOOD:
            yield name, f"alone has a ROC AUC of {areas[name]:.4g}"
        if (share := _share_later(_numbers(rows[name]), times, positive)) > _MOSTLY:
            yield name, f"is a time after the row's own time in {share:.0%} of the positive rows"
        if count := _only_positive(_numbers(rows[name]), positive):
            yield name, f"has a value in {count:,} positive rows, and in no negative row"


def _share_later(values: Floats, times: Floats, positive: Flags) -> float:
    """Return the share of positive rows in which a column is a time after the row's own time.

    The unit of the column is guessed from its median. Returns 0 where it does not hold times.
    """
    present = np.isfinite(values)
    typical = float(np.median(values[present])) if present.any() else 0.0
    low, high = times.min() - _NEAR.total_seconds(), times.max() + _NEAR.total_seconds()
    for scale in _EPOCHS:
        if low <= typical / scale <= high:
            seconds = values[present] / scale
            rows = positive[present]
            is_time = np.mean((seconds >= low) & (seconds <= high)) >= _NEARLY_ALL
            later = seconds[rows] > times[present][rows]
            return float(later.mean()) if is_time and rows.any() else 0.0
    return 0.0


def _only_positive(values: Floats, positive: Flags) -> int:
    """Return how many positive rows have a value.

    0 if a negative row has one, or if the rows are few.
    """
    present = ~np.isnan(values)
    count = int((present & positive).sum())
    return count if count == present.sum() and count >= data_facts.ENOUGH else 0


def _numbers(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
