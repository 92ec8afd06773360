"""Profile of one day of signals: counts, groups and quantiles, stored with the partition."""

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median_low
from typing import Any

import numpy as np
import polars as pl

from cll.types.arrays import Floats
from cll.types.tables import GROUP, OUTCOME, Columns, span

DIGITS = 9  # significant digits that are stored
GROUPS = 50  # a day with more groups stores none
TAIL = 0.01  # share of the values below q01, and above q99
# The suffix of a group's member: agent-001, web7, cart-5d8f9c7b6-x2x1z, db-0.
_MEMBER = r"(?:[-_.:/ ][0-9a-f]{8,10}[-_][a-z0-9]{5}|[-_.:/ #]*[0-9]+)$"


def profile(rows: pl.DataFrame, columns: Columns) -> dict[str, Any]:
    """Return the profile of one day as JSON-able values; the order of the rows does not matter.

    `from` and `until` are the hours of day (0 to 24) of the first and the last row. A quantile is
    always one of the values: the lower of two. `scale` is the median absolute value of the nonzero
    values, so that a column that is mostly 0 has a scale too.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> frame = pl.DataFrame({"entity": ["a1", "a2"], "time": [noon, noon], "cpu": [0.5, None]})
    >>> described = profile(frame, Columns(numeric=("cpu",)))
    >>> described["rows"], described["groups"], described["from"], described["columns"]["cpu"]["median"]
    (2, {'a': 2}, 12.0, 0.5)
    """
    members = _members(rows, [GROUP] if columns.group else [])
    first, last = span(rows["time"])
    described: dict[str, Any] = {
        "rows": rows.height,
        "entities": members["entity"].n_unique(),
        "groups": _groups(members, columns),
        "from": _hour(first),
        "until": _hour(last),
        "columns": {name: _column(rows[name]) for name in columns.numeric},
    }
    if columns.outcome:
        outcome = rows[OUTCOME].drop_nulls()
        described["outcome"] = {"told": outcome.len(), "positive": int(outcome.sum())}
    return described


def merged(profiles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the profile of a day from the profiles of its parts, which share no entity.

    Counts and extremes are exact; a quantile is the median of the parts' quantiles.
    """
    if len(profiles) == 1:
        return dict(profiles[0])
    groups: dict[str, int] = {}
    for part in profiles:
        for name, count in part["groups"].items():
            groups[name] = groups.get(name, 0) + count
    described: dict[str, Any] = {
        name: sum(p[name] for p in profiles) for name in ("rows", "entities")
    }
    described |= {
        "groups": groups if len(groups) <= GROUPS and all(p["groups"] for p in profiles) else {},
        "from": min(part["from"] for part in profiles),
        "until": max(part["until"] for part in profiles),
        "columns": {
            name: _merged_column([part["columns"][name] for part in profiles])
            for name in profiles[0]["columns"]
        },
    }
    if "outcome" in profiles[0]:
        described["outcome"] = {
            n: sum(p["outcome"][n] for p in profiles) for n in ("told", "positive")
        }
    return described


def _merged_column(columns: Sequence[Mapping[str, float]]) -> dict[str, float | int]:
    filled = [part for part in columns if "median" in part]
    described: dict[str, float | int] = {"nulls": sum(int(part["nulls"]) for part in columns)}
    for name in filled[0] if filled else ():
        pick = {"low": min, "high": max}.get(name, median_low)
        if name != "nulls":
            described[name] = pick([part[name] for part in filled])
    return described


def _members(rows: pl.DataFrame, group: list[str]) -> pl.DataFrame:
    if not group and rows["entity"].is_sorted():
        entities = rows["entity"].rle().struct.field("value").alias("entity")
        return entities.cast(pl.String).to_frame()
    keys = rows.select("entity", *group)
    # Rows of an entity are adjacent, so keeping only changes leaves few rows to compare as text.
    changes = [keys[name].ne_missing(keys[name].shift()) for name in keys.columns]
    changed = keys.filter(functools.reduce(operator.or_, changes))
    return changed.with_columns(pl.col("entity").cast(pl.String)).unique()


def _groups(members: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
    """Count the entities of each group; without a group column, names without suffix are groups."""
    named = members[GROUP] if columns.group else members["entity"].str.replace(_MEMBER, "")
    named = named.alias("name").drop_nulls()
    counted = named.filter(named != "").value_counts().sort("name")
    return {} if counted.height > GROUPS else dict(counted.rows())


def _column(values: pl.Series) -> dict[str, float | int]:
    present = values.drop_nulls().to_numpy()
    described: dict[str, float | int] = {"nulls": values.null_count()}
    if len(present):
        described |= {name: _rounded(value) for name, value in _quantiles(present).items()}
        sizes = np.abs(present[present != 0]) if described["low"] <= 0 else None
        described["scale"] = described["median"] if sizes is None else _rounded(_middle(sizes))
    return described


def _quantiles(values: Floats) -> dict[str, float]:
    """Return the quantiles by partial sorts, which take less than half the time of a full sort."""
    parted, last = values.copy(), len(values) - 1
    middle, tail = last // 2, math.floor(last * TAIL)
    parted.partition(middle)
    parted[:middle].partition(min(tail, max(middle - 1, 0)))
    parted[middle:].partition(last - tail - middle)
    return {
        "low": parted[: tail + 1].min(),
        "q01": parted[tail],
        "median": parted[middle],
        "q99": parted[last - tail],
        "high": parted[last - tail :].max(),
    }


def _middle(sizes: Floats) -> float:
    middle = (len(sizes) - 1) // 2
    return float(np.partition(sizes, middle)[middle]) if len(sizes) else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _hour(instant: datetime) -> float:
    return round(instant.hour + instant.minute / 60 + instant.second / 3600, 2)
