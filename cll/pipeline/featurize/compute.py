"""Step: compute features from signals, the same way for training and for serving.

Signals are cut to the feature set's lookback first. So a partition's features are the same bytes
however much earlier history is passed in.
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

    `signals` holds those rows, and the earlier rows within the feature set's lookback.
    """
    refuse_labels(feature_set, columns)
    usable = [name for name in columns.numeric if not _is_label(name, columns)]
    wanted = [*SIGNAL_KEYS, *usable, OUTCOME, OUTCOME_KNOWN_AT, GROUP]
    signals = _within_lookback(signals, since - feature_set.lookback).select(
        name for name in wanted if name in signals.columns
    )
    if not _in_order(signals["entity"], signals["time"]):
        signals = signals.sort("entity", "time", maintain_order=True)
    features = feature_set(signals, usable, incidents)
    _refuse_other_rows(features, signals)
    return features.filter(pl.col("time") >= since)


def _within_lookback(signals: pl.DataFrame, first: datetime) -> pl.DataFrame:
    """Return the rows from `first` on; without a copy where those are all rows."""
    earliest = signals["time"].min()
    if earliest is None or earliest >= first:  # type: ignore[operator]
        return signals
    return signals.filter(pl.col("time") >= first)


def _in_order(entity: pl.Series, time: pl.Series) -> bool:
    """Return whether rows are sorted by entity and time; this check is four times as fast as a sort."""
    same_entity, in_time = entity == entity.shift(1), time >= time.shift(1)
    return bool(((entity > entity.shift(1)) | (same_entity & in_time)).all())


def refuse_labels(feature_set: FeatureSet, columns: Columns) -> None:
    """Refuse a feature set that names a label column.

    The feature set itself checks all other names.
    """
    for name in getattr(feature_set, "columns", None) or ():
        if _is_label(name, columns):
            way_out = "is a label, which the model has to predict; remove it."
            raise config_error("features.columns", repr(name), way_out)


def _is_label(name: str, columns: Columns) -> bool:
    label_names = (OUTCOME, OUTCOME_KNOWN_AT, *columns.refused, *columns.truth)
    return name in label_names or name.startswith(TRUTH_PREFIX)


def _refuse_other_rows(features: pl.DataFrame, signals: pl.DataFrame) -> None:
    keys = ["entity", "time"]
    if features.columns[:2] != keys or not features.select(keys).equals(signals.select(keys)):
        raise DataRefused(
            f"features: the feature set returned {features.height} rows for {signals.height}"
            " signals, or rows of other entities and times; it has to return entity, time and"
            " features of each row, in order."
        )
    for name, kind in features.schema.items():
        if name not in keys and kind != pl.Float32:
            raise DataRefused(f"features.{name}: found {kind}; cast it to Float32.")
