"""Step: turn signals into features, the same for training and for serving.

What a feature set may see is cut to its lookback first, so that a partition's features are the
same bytes however much more history lies at hand.
"""

from datetime import datetime

import polars as pl

from cll.types.components import FeatureSet
from cll.types.errors import DataRefused, config_error
from cll.types.tables import GROUP, OUTCOME, OUTCOME_KNOWN_AT, SIGNAL_KEYS, TRUTH_PREFIX, Columns


def featurize(
    signals: pl.DataFrame,
    feature_set: FeatureSet,
    columns: Columns,
    incidents: pl.DataFrame,
    since: datetime,
) -> pl.DataFrame:
    """Return the features of the rows from `since` on, sorted by entity and time.

    `signals` holds those rows, and what the feature set's lookback needs before them.
    """
    refuse_labels(feature_set, columns)
    usable = [name for name in columns.numeric if not _is_label(name, columns)]
    shown = [*SIGNAL_KEYS, *usable, OUTCOME, OUTCOME_KNOWN_AT, GROUP]
    signals = _reached(signals, since - feature_set.lookback).select(
        name for name in shown if name in signals.columns
    )
    if not _in_order(signals["entity"], signals["time"]):
        signals = signals.sort("entity", "time", maintain_order=True)
    features = feature_set(signals, usable, incidents)
    _refuse_other_rows(features, signals)
    return features.filter(pl.col("time") >= since)


def _reached(signals: pl.DataFrame, first: datetime) -> pl.DataFrame:
    """Take the rows from `first` on; where that is all, without a copy."""
    earliest = signals["time"].min()
    if earliest is None or earliest >= first:  # type: ignore[operator]
        return signals
    return signals.filter(pl.col("time") >= first)


def _in_order(entity: pl.Series, time: pl.Series) -> bool:
    """Say whether rows are sorted already, in a quarter of the time that sorting them takes."""
    same, on = entity == entity.shift(1), time >= time.shift(1)
    return bool(((entity > entity.shift(1)) | (same & on)).all())


def refuse_labels(feature_set: FeatureSet, columns: Columns) -> None:
    """Refuse a feature set that names a label column; the rest of its names it checks itself."""
    for name in getattr(feature_set, "columns", None) or ():
        if _is_label(name, columns):
            says = "is a label: it is what the model has to find out; remove it."
            raise config_error("features.columns", repr(name), says)


def _is_label(name: str, columns: Columns) -> bool:
    told = (OUTCOME, OUTCOME_KNOWN_AT, *columns.refused, *columns.truth)
    return name in told or name.startswith(TRUTH_PREFIX)


def _refuse_other_rows(features: pl.DataFrame, seen: pl.DataFrame) -> None:
    keys = ["entity", "time"]
    if features.columns[:2] != keys or not features.select(keys).equals(seen.select(keys)):
        raise DataRefused(
            f"features: {features.height} rows came back for {seen.height} signals, or others; "
            "a feature set returns entity, time and features of each row, in their order."
        )
    for name, kind in features.schema.items():
        if name not in keys and kind != pl.Float32:
            raise DataRefused(f"features.{name}: found {kind}; a feature is Float32, cast it.")
