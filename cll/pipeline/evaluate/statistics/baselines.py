"""Trivial baselines that a model has to beat, fitted on the training rows only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cll.pipeline.evaluate.statistics.ranking import precision_area, rank, roc_area, sweep, tie_ends
from cll.types.arrays import Flags, Floats, Scored

EVEN = 0.5  # baselines with a probability raise an alert at this probability or above


@dataclass(frozen=True)
class BaselinePredictions:
    """One baseline's scores and alerts; `p` is a probability, or a column that ranks the rows."""

    p: Floats
    alert: Flags


@dataclass(frozen=True)
class OneColumn:
    """Alert where `sign` times the column is at or above `threshold`; a missing value ranks last."""

    column: str
    sign: int
    threshold: float

    def __call__(self, rows: pl.DataFrame) -> BaselinePredictions:
        p = _signed(rows, self.column, self.sign)
        return BaselinePredictions(p, p >= self.threshold)


def predict(
    train: pl.DataFrame, held: pl.DataFrame, unchanged: Floats, columns: Sequence[str]
) -> dict[str, BaselinePredictions]:
    """Return each baseline's scores and alerts for `held`; `unchanged` holds those of no-change.

    `one_column` is left out where no column separates the classes of the training rows.
    """
    if not train.height:
        return {}
    share = float(train["label"].to_numpy().mean())
    constant = np.full(held.height, share)
    repeated = np.where(np.isnan(unchanged), share, unchanged)
    predictions = {
        "prior": BaselinePredictions(constant, constant >= EVEN),
        "no_change": BaselinePredictions(repeated, repeated >= EVEN),
    }
    column = one_column(train, columns)
    return predictions if column is None else {**predictions, "one_column": column(held)}


def no_change(rows: pl.DataFrame) -> Floats:
    """Return for each row the entity's newest label known at its time; NaN where there is none.

    `rows`: entity, time, label, known_at, sorted by entity and time. A label counts from its
    `known_at`, as for the model, and never for its own row.
    """
    after = pl.col("time") + pl.duration(microseconds=1)
    newest = pl.col("time") == pl.col("time").cum_max().over("entity")
    label = pl.when(newest).then("label").cast(pl.Float64)
    labels = (
        rows.select("entity", "time", "label", usable=pl.max_horizontal("known_at", after))
        .sort("usable", maintain_order=True)
        .select("entity", "usable", newest_label=label.forward_fill().over("entity"))
    )
    ordered = rows.select("entity", "time")
    predictions = ordered.join_asof(
        labels, left_on="time", right_on="usable", by="entity", check_sortedness=False
    )
    return predictions["newest_label"].fill_null(float("nan")).to_numpy().copy()


def one_column(train: pl.DataFrame, columns: Sequence[str]) -> OneColumn | None:
    """Return the best column and direction by average precision, with the threshold of best F1.

    Of equal columns the first is chosen; None where no column has a defined score.
    """
    best, best_area = None, float("-inf")
    for column in columns:
        for sign, rows in zip((1, -1), _ranked(train, column), strict=True):
            area = precision_area(rows, np.ones(train.height))
            if area > best_area:  # False for NaN, where all rows have one class
                best, best_area = OneColumn(column, sign, _best_threshold(rows)), area
    return best


def column_areas(train: pl.DataFrame, columns: Sequence[str]) -> Mapping[str, float]:
    """Return each column's highest ROC AUC on the training rows.

    Each column is ranked upwards and downwards, with missing values first and last. So a column that
    is missing whenever something fails is noticed, too.
    """
    weight, areas = np.ones(train.height), {}
    for column in columns:
        up, down = (roc_area(rows, weight) for rows in _ranked(train, column))
        if not np.isnan(up):  # NaN where all rows have one class
            areas[column] = max(up, 1 - up, down, 1 - down)
    return areas


def _best_threshold(rows: Scored) -> float:
    positives, everything = sweep(rows, np.ones(len(rows.p)))
    best = np.argmax(positives / (everything + positives[-1]))  # F1 is twice this
    return float(rows.p[tie_ends(rows.p)[best]])


def _ranked(train: pl.DataFrame, column: str) -> tuple[Scored, Scored]:
    """Return the rows ranked by a column, and by its negative."""
    p, y = _signed(train, column, 1), train["label"].to_numpy().astype(np.float64)
    no_alert, no_label = np.zeros(len(p), np.bool_), np.full(len(p), np.nan)
    up, _ = rank(y, p, no_alert, no_label)
    if np.isinf(train[column].cast(pl.Float64).to_numpy()).any():  # ranks like a missing value
        return up, rank(y, _signed(train, column, -1), no_alert, no_label)[0]
    # Reverse the ranking and keep missing values last: a second sort would double the time.
    labels = np.count_nonzero(up.p > -np.inf)
    p = np.append(-up.p[:labels][::-1], up.p[labels:])
    return up, Scored(np.append(up.y[:labels][::-1], up.y[labels:]), p, no_alert, no_label)


def _signed(rows: pl.DataFrame, column: str, sign: int) -> Floats:
    values = sign * rows[column].cast(pl.Float64).to_numpy()
    return np.where(np.isnan(values), -np.inf, values)
