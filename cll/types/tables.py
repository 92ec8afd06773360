"""Columns of the frames that pass between steps."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

# A signal is one row of telemetry, or one run with its outcome. Behind these come the numeric
# columns (Float64), and of the optional ones those that the source has: OUTCOME, OUTCOME_KNOWN_AT,
# GROUP, and truth columns.
SIGNAL_KEYS = {"entity": pl.String, "time": INSTANT, "known_at": INSTANT}
OUTCOME = "outcome"  # Float64: 1 failed, 0 did not, null unknown
OUTCOME_KNOWN_AT = "outcome_known_at"  # INSTANT: when the outcome could have been known
GROUP = "group"  # String: the entity's group, for slices
TRUTH_PREFIX = "truth_"  # Float64: a simulator's true probability, by label: truth_outcome, ...

# end null: still failing; kind null: unknown.
INCIDENTS = {
    "entity": pl.String,
    "start": INSTANT,
    "end": INSTANT,
    "known_at": INSTANT,
    "kind": pl.String,
}

# The fault of a record and its place. `row` counts from 1 (a line in JSONL and CSV).
REJECTS = {
    "table": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "field": pl.String,
    "value": pl.String,
    "reason": pl.String,
}
VALUE_WIDTH = 80  # characters of an offending value that are kept

# The label of each signal row, in the rows' order. `incident` is the row number, from 0, of the
# incident that a positive row belongs to, in the incidents frame.
LABELS = {
    "entity": pl.String,
    "time": INSTANT,
    "label": pl.Int8,  # null unless status is "mature"
    "status": pl.String,  # mature | immature | running | uncovered | untold
    "known_at": INSTANT,  # when this label is known
    "incident": pl.Int32,
    "kind": pl.String,
    "chance": pl.Float64,  # the true probability, where a simulator knows it
}


@dataclass(frozen=True)
class Columns:
    """The columns of a source's signals besides SIGNAL_KEYS."""

    numeric: tuple[str, ...]  # may become features
    outcome: bool = False  # whether OUTCOME (and OUTCOME_KNOWN_AT) exist, which are never features
    group: bool = False
    truth: tuple[str, ...] = ()  # columns with TRUTH_PREFIX, which are never features
    refused: tuple[str, ...] = ()  # label columns named by the config, which are never features


def span(instants: pl.Series) -> tuple[datetime, datetime]:
    """Return the first and the last instant of a non-empty series."""
    return cast("datetime", instants.min()), cast("datetime", instants.max())


def is_finite(values: pl.Series) -> bool:
    """Return whether all non-null floats are finite.

    The sum is checked, since one value that is not finite makes the sum so. A sum of finite values
    that overflows gives False; the caller then has to look at each value.
    """
    return math.isfinite(values.sum())
