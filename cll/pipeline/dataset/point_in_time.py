"""What was known at a past instant, out of what is known now."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.config import components
from cll.config.project import Tree
from cll.pipeline.dataset import tables
from cll.pipeline.dataset.tables import Known
from cll.system.workspace import Workspace

_LAST: dict[str, Known] = {}  # one at most, by what it follows from


def load(ws: Workspace) -> Known:
    """Read all signals, features and incidents, or return what this process read last."""
    follows_from = tables.made_of(ws)
    if follows_from not in _LAST:
        _LAST.clear()  # before the next one is there: memory for both may lack
        _LAST[follows_from] = tables.known(ws)
    return _LAST[follows_from]


def at(known: Known, instant: datetime) -> Known:
    """Leave out what became known later.

    Features are those of the whole history: a row's own look at nothing that was known after it
    could be scored, so they were the same then.
    """
    known, rows = incidents_at(known, instant), known.signals["known_at"] <= instant
    if rows.all():
        return known
    return replace(known, signals=known.signals.filter(rows), features=known.features.filter(rows))


def incidents_at(known: Known, instant: datetime) -> Known:
    """Leave out incidents that became known later; one that ended later is open still."""
    rows = known.incidents.filter(pl.col("known_at") <= instant)
    told = rows.with_columns(end=pl.when(pl.col("end") <= instant).then("end"))
    return replace(known, incidents=told)


def span(known: Known, tree: Tree, as_of: datetime) -> tuple[datetime, datetime]:
    """Return when the first row was known, and the last label, `as_of` at the latest."""
    label = components.build("label", tree["label"])
    last = label(known.signals, known.incidents, as_of)["known_at"].max()
    first: datetime = known.signals["known_at"].min()  # type: ignore[assignment]
    return first, min(last, as_of)


def scored_at(known: Known, tree: Tree) -> NDArray[np.int64]:
    """Return when each row could be scored, in microseconds: known, and its features complete."""
    feature_set = components.build("features", tree["features"])
    wait: timedelta = getattr(feature_set, "wait", timedelta(0))
    then = known.signals.select(pl.max_horizontal("known_at", pl.col("time") + wait))
    return then.to_series().dt.epoch("us").to_numpy().astype(np.int64)
