"""Signals, features and incidents as they were known at a past instant."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.config import components
from cll.config.project import Tree
from cll.pipeline.dataset import tables
from cll.pipeline.dataset.tables import Tables
from cll.system.workspace import Workspace

_LAST: dict[str, Tables] = {}  # at most one value, by the digest of its inputs


def load(ws: Workspace) -> Tables:
    """Read all signals, features and incidents, or return those read last if they are unchanged."""
    key = tables.digest(ws)
    if key not in _LAST:
        _LAST.clear()  # free the last tables first: memory may not hold both
        _LAST[key] = tables.load(ws)
    return _LAST[key]


def at(data: Tables, instant: datetime) -> Tables:
    """Return the tables without rows and incidents that became known after `instant`.

    Features are taken from the whole history. A row's features never use a row that became known
    after it was scored, so they were the same at that instant.
    """
    data, rows = incidents_at(data, instant), data.signals["known_at"] <= instant
    if rows.all():
        return data
    return replace(data, signals=data.signals.filter(rows), features=data.features.filter(rows))


def incidents_at(data: Tables, instant: datetime) -> Tables:
    """Return the tables without incidents known after `instant`; one that ended later is open."""
    rows = data.incidents.filter(pl.col("known_at") <= instant)
    incidents = rows.with_columns(end=pl.when(pl.col("end") <= instant).then("end"))
    return replace(data, incidents=incidents)


def span(data: Tables, tree: Tree, as_of: datetime) -> tuple[datetime, datetime]:
    """Return the time the first row became known, and the last label, at most `as_of`."""
    label = components.build("label", tree["label"])
    last = label(data.signals, data.incidents, as_of)["known_at"].max()
    first: datetime = data.signals["known_at"].min()  # type: ignore[assignment]
    return first, min(last, as_of)


def scored_at(data: Tables, tree: Tree) -> NDArray[np.int64]:
    """Return when each row could be scored, in microseconds: it is known, its features complete."""
    feature_set = components.build("features", tree["features"])
    wait: timedelta = getattr(feature_set, "wait", timedelta(0))
    then = data.signals.select(pl.max_horizontal("known_at", pl.col("time") + wait))
    return then.to_series().dt.epoch("us").to_numpy().astype(np.int64)
