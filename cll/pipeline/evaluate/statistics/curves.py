"""Curves for the report's plots, thinned to a fixed number of points without randomness."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.evaluate.statistics.ranking import equal_bins, sweep
from cll.types.arrays import Floats, Scored

CALIBRATION_BINS = 15
DIGITS = 6


def roc(rows: Scored, points: int) -> pl.DataFrame:
    """Return FPR and TPR at each threshold, from (0, 0) to (1, 1).

    Empty if all rows have one class.
    """
    positives, everything = sweep(rows, np.ones(len(rows.p)))
    negatives = everything - positives
    if not len(positives) or positives[-1] <= 0 or negatives[-1] <= 0:
        return pl.DataFrame(schema={"fpr": pl.Float64, "tpr": pl.Float64})
    kept = spread(len(positives), points)
    fpr, tpr = negatives[kept] / negatives[-1], positives[kept] / positives[-1]
    return _frame(fpr=np.append(0.0, fpr), tpr=np.append(0.0, tpr))


def precision_recall(rows: Scored, points: int) -> pl.DataFrame:
    """Return recall and precision at each threshold; empty without a positive row."""
    positives, everything = sweep(rows, np.ones(len(rows.p)))
    if not len(positives) or positives[-1] <= 0:
        return pl.DataFrame(schema={"recall": pl.Float64, "precision": pl.Float64})
    # While the recall is constant the precision only falls, so the first row of each step is enough.
    steps = np.flatnonzero(np.diff(positives, prepend=0.0) > 0)
    kept = steps[spread(len(steps), points)]
    return _frame(
        recall=positives[kept] / positives[-1], precision=positives[kept] / everything[kept]
    )


def calibration(rows: Scored) -> pl.DataFrame:
    """Return mean probability and observed frequency in bins of equally many rows."""
    starts = equal_bins(rows.p, CALIBRATION_BINS)
    if not len(starts):
        schema = {"mean_probability": pl.Float64, "observed": pl.Float64, "rows": pl.Int64}
        return pl.DataFrame(schema=schema)
    counts = np.diff(np.append(starts, len(rows.p)))
    frame = _frame(
        mean_probability=np.add.reduceat(rows.p, starts) / counts,
        observed=np.add.reduceat(rows.y, starts) / counts,
    )
    return frame.with_columns(rows=pl.Series(counts)).reverse()


def scores(held: pl.DataFrame, points: int) -> pl.DataFrame:
    """Return all rows of the entities that failed most, as many entities as fit into `points`.

    Entities are kept whole, since a line through every tenth row would miss alarms in between. Only
    where the first entity alone has more rows is it thinned evenly.
    """
    ranked = (
        held.group_by("entity", maintain_order=True)
        .agg(
            failures=pl.col("incident").drop_nulls().n_unique(),
            positives=(pl.col("label") == 1).sum(),
            rows=pl.len(),
        )
        .sort("failures", "positives", "entity", descending=[True, True, False])
    )
    fits = (pl.col("rows").cum_sum() <= points) | (pl.int_range(pl.len()) == 0)
    chosen = ranked.filter(fits).select("entity")
    kept = held.join(chosen, on="entity", how="semi").sort("entity", "time")
    return kept[spread(kept.height, points)]


def spread(count: int, points: int) -> NDArray[np.int64]:
    """Return at most `points` of `count` positions, evenly spaced, with the first and the last.

    >>> spread(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if count <= points:
        return np.arange(count)
    return np.unique(np.round(np.linspace(0, count - 1, points)).astype(np.int64))


def _frame(**columns: Floats) -> pl.DataFrame:
    return pl.DataFrame({name: np.round(values, DIGITS) for name, values in columns.items()})
