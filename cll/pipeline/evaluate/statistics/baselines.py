"""What a model has to beat: answers that cost nothing, found on the training rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cll.pipeline.evaluate.statistics.ranking import precision_area, rank, roc_area, sweep, tie_ends
from cll.types.arrays import Flags, Floats, Scored

EVEN = 0.5  # a constant or a repeated label raises an alert from here up


@dataclass(frozen=True)
class Answer:
    """One baseline's answers: `p` orders the rows (a probability or a column), `alert` decides."""

    p: Floats
    alert: Flags


@dataclass(frozen=True)
class OneColumn:
    """Alert where `sign` times the column is at or above `threshold`; a missing value ranks last."""

    column: str
    sign: int
    threshold: float

    def __call__(self, rows: pl.DataFrame) -> Answer:
        p = _signed(rows, self.column, self.sign)
        return Answer(p, p >= self.threshold)


def answers(
    train: pl.DataFrame, held: pl.DataFrame, unchanged: Floats, columns: Sequence[str]
) -> dict[str, Answer]:
    """Answer for the rows of `held`; `unchanged` is what no-change says of them.

    `one_column` is left out where no column tells the training rows apart.
    """
    if not train.height:
        return {}
    share = float(train["label"].to_numpy().mean())
    constant = np.full(held.height, share)
    repeated = np.where(np.isnan(unchanged), share, unchanged)
    found = {
        "prior": Answer(constant, constant >= EVEN),
        "no_change": Answer(repeated, repeated >= EVEN),
    }
    column = one_column(train, columns)
    return found if column is None else {**found, "one_column": column(held)}


def no_change(rows: pl.DataFrame) -> Floats:
    """Say of each row the entity's newest label known at its time; NaN where there is none.

    `rows`: entity, time, label, known_at, sorted by entity and time. Labels come late here just as
    they do for the model, and no row knows its own.
    """
    after = pl.col("time") + pl.duration(microseconds=1)
    newest = pl.col("time") == pl.col("time").cum_max().over("entity")
    label = pl.when(newest).then("label").cast(pl.Float64)
    known = (
        rows.select("entity", "time", "label", usable=pl.max_horizontal("known_at", after))
        .sort("usable", maintain_order=True)
        .select("entity", "usable", said=label.forward_fill().over("entity"))
    )
    asked = rows.select("entity", "time")
    found = asked.join_asof(
        known, left_on="time", right_on="usable", by="entity", check_sortedness=False
    )
    return found["said"].fill_null(float("nan")).to_numpy().copy()


def one_column(train: pl.DataFrame, columns: Sequence[str]) -> OneColumn | None:
    """Choose column and direction by average precision, and the threshold by F1; ties go first."""
    best, best_area = None, float("-inf")
    for column in columns:
        for sign, rows in zip((1, -1), _ranked(train, column), strict=True):
            area = precision_area(rows, np.ones(train.height))
            if area > best_area:  # never so for NaN: one class only
                best, best_area = OneColumn(column, sign, _best_threshold(rows)), area
    return best


def column_areas(train: pl.DataFrame, columns: Sequence[str]) -> Mapping[str, float]:
    """Return each column's ROC AUC on the training rows, read the way that makes it highest.

    Up or down, missing values first or last: a column that is missing when things fail is found.
    """
    weight, areas = np.ones(train.height), {}
    for column in columns:
        up, down = (roc_area(rows, weight) for rows in _ranked(train, column))
        if not np.isnan(up):  # never so with one class only
            areas[column] = max(up, 1 - up, down, 1 - down)
    return areas


def _best_threshold(rows: Scored) -> float:
    positives, everything = sweep(rows, np.ones(len(rows.p)))
    best = np.argmax(positives / (everything + positives[-1]))  # F1 is twice this
    return float(rows.p[tie_ends(rows.p)[best]])


def _ranked(train: pl.DataFrame, column: str) -> tuple[Scored, Scored]:
    """Rank the rows by a column, and by what is against it."""
    p, y = _signed(train, column, 1), train["label"].to_numpy().astype(np.float64)
    silent, nothing = np.zeros(len(p), np.bool_), np.full(len(p), np.nan)
    up, _ = rank(y, p, silent, nothing)
    if np.isinf(train[column].cast(pl.Float64).to_numpy()).any():  # which ranks as missing does
        return up, rank(y, _signed(train, column, -1), silent, nothing)[0]
    # Turned round, with what is missing still behind: to sort once more would take as long again.
    known = np.count_nonzero(up.p > -np.inf)
    p = np.append(-up.p[:known][::-1], up.p[known:])
    return up, Scored(np.append(up.y[:known][::-1], up.y[known:]), p, silent, nothing)


def _signed(rows: pl.DataFrame, column: str, sign: int) -> Floats:
    values = sign * rows[column].cast(pl.Float64).to_numpy()
    return np.where(np.isnan(values), -np.inf, values)
