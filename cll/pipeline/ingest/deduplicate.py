"""Deduplicate records: of several with one entity and time, keep one and quarantine conflicts.

The result does not depend on the order in which records come.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from cll.types.tables import (
    GROUP,
    INCIDENTS,
    INSTANT,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    VALUE_WIDTH,
    Columns,
)

_SIGNAL = ["entity", "time"]
_INCIDENT = ["entity", "start"]
_PLACE = ["file", "row"]
INCIDENT_ROWS: dict[str, Any] = {**INCIDENTS, "file": pl.String, "row": pl.Int64}
_EVERY = 31  # sample step; a prime, so that a sample of rows with rotating entities has them all
_MOST = 2**63 - 1
_FOREVER = 2**62  # microseconds: the end of an open incident


@dataclass(frozen=True)
class Settled:
    """Admitted rows: kept + quarantine + duplicate + pending."""

    kept: pl.DataFrame  # sorted, without `file` and `row`
    quarantine: pl.DataFrame  # REJECTS
    duplicate: int
    pending: int = 0  # number of rows that are not known yet


def sort(rows: pl.DataFrame) -> pl.DataFrame:
    """Return signals sorted by entity and time, with entities as a sorted Enum."""
    return _sort(rows, _SIGNAL)


def _sort(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return rows sorted by entity and instant, without nulls in either; ties keep their order.

    Entities are compared by their codes in a sorted Enum, which is faster than comparing text.
    """
    entity = _numbered(rows["entity"])
    rows = rows.with_columns(entity).rechunk()  # sorting several chunks takes five times as long
    if rows.is_empty():
        return rows
    number, instant = entity.to_physical().to_numpy(), rows[key[1]].to_physical().to_numpy()
    first, last = int(instant.min()), int(instant.max())
    if (int(number.max()) + 1) * (last - first + 1) + abs(last) <= _MOST:
        # One integer key: NumPy's stable sort is fast on runs that are sorted already.
        place = np.multiply(number, last - first + 1, dtype=np.int64)
        place += instant
        if (place[1:] >= place[:-1]).all():
            return rows
        order = np.argsort(place, kind="stable")
    else:
        order = np.lexsort((instant, number))
    return rows[pl.Series(order, dtype=pl.get_index_type())]


def _numbered(entity: pl.Series) -> pl.Series:
    """Return names as an Enum whose categories are sorted."""
    few = entity.gather_every(_EVERY).unique().sort()
    if (names := entity.cast(pl.Enum(few), strict=False)).null_count() == 0:
        return names
    return entity.cast(pl.Enum(entity.unique().sort()))


def _names(numbered: pl.Series) -> pl.Series:
    """Return an Enum as text; unlike a cast, this does not copy each repeated name."""
    names = pl.Series(numbered.name, numbered.dtype.categories)  # type: ignore[attr-defined]
    return names.gather(numbered.to_physical())


def repeats(rows: pl.DataFrame) -> bool:
    """Return whether sorted signals have two rows of one entity and time."""
    number, instant = (rows[name].to_physical().to_numpy() for name in _SIGNAL)
    return bool(((number[1:] == number[:-1]) & (instant[1:] == instant[:-1])).any())


def distinct(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Drop each row that repeats an earlier row of the same file in all columns.

    `settle` does this across files. Rows that are not known yet are kept, since they are pending.
    """
    first = rows.select(pl.struct(pl.exclude("row")).is_first_distinct()).to_series()
    kept = first | (rows["known_at"] > as_of)
    return rows[kept.arg_true()]  # a filter would keep the memory of all rows


def settle(rows: pl.DataFrame, columns: Columns, as_of: datetime) -> Settled:
    """Keep one row for each entity and time, of the rows known by `as_of`.

    Rows with equal values are duplicates, even if they became known at different times. A row
    without an outcome is a duplicate of an equal row that has one. Rows with different values conflict: the earliest known
    is kept (at a tie, the one with the smaller values), and the others are quarantined.
    """
    values = [*columns.numeric, *columns.truth, *([GROUP] if columns.group else [])]
    late = OUTCOME if columns.outcome else None
    known_rows = _known_rows(rows, as_of)
    settled = _settle("signals", known_rows, _Rule(_SIGNAL, values, values, late))
    return replace(settled, pending=rows.height - known_rows.height)


def settle_incidents(rows: pl.DataFrame, as_of: datetime) -> Settled:
    """Keep one row for each entity and start, as `settle` does; an end closes an open incident.

    An end later than `as_of` is not known yet, so that the incident is still open.
    """
    known_rows = _known_rows(rows, as_of)
    ended = known_rows.with_columns(end=pl.when(pl.col("end") <= as_of).then("end"))
    settled = _settle("incidents", ended, _Rule(_INCIDENT, [], ["kind"], "end"))
    return replace(settled, pending=rows.height - known_rows.height)


def _known_rows(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    is_known = rows["known_at"] <= as_of
    return rows if is_known.sum() == rows.height else rows.filter(is_known)


@dataclass(frozen=True)
class _Rule:
    """The columns that decide whether two rows are duplicates; `late` may be filled later."""

    key: list[str]
    same: list[str]  # columns that, with the key, are equal in rows that may differ only in `late`
    values: list[str]  # columns that, with the key and `late`, are equal in duplicates
    late: str | None


def _settle(table: str, rows: pl.DataFrame, rule: _Rule) -> Settled:
    rows = _sort(rows, rule.key)
    rows = rows.with_columns(_names(rows["entity"]).set_sorted())
    again = _again(rule.key)
    repeated = rows.select(again | again.shift(-1, fill_value=False)).to_series()
    if not repeated.any():
        return Settled(rows.drop(_PLACE), pl.DataFrame(schema=REJECTS), 0)
    several = rows.filter(repeated)
    distinct = _distinct(several, rule)
    winner = distinct.select(pl.struct(rule.key).is_first_distinct()).to_series()
    against = pl.format(
        "conflicts with {}:{}, known earlier", *(pl.col(n).first().over(rule.key) for n in _PLACE)
    )
    lost = distinct.with_columns(against=against).filter(~winner)
    kept = pl.concat([rows.filter(~repeated), distinct.filter(winner)]).sort(rule.key)
    return Settled(
        kept.drop(_PLACE),
        rejects(table, lost, rule.key[-1], pl.col("against")),
        several.height - distinct.height,
    )


def _again(key: Sequence[str]) -> pl.Expr:
    """Return whether a row has the key of the row before it, for rows sorted by `key`."""
    again = pl.lit(value=True)
    for name in key:
        again &= pl.col(name) == pl.col(name).shift()
    return again.fill_null(value=False)


def _distinct(rows: pl.DataFrame, rule: _Rule) -> pl.DataFrame:
    """Drop duplicates; the remaining rows of each key are in the order they became known."""
    told_at = OUTCOME_KNOWN_AT if rule.late == OUTCOME else "known_at"
    rows = rows.with_columns(told_at=told_at)
    alike = [*rule.key, *rule.same]
    rows = rows.with_columns(pl.col("known_at").min().over(alike))
    compared = [*rule.values]
    if rule.late is not None:
        has_late = pl.col(rule.late).is_not_null()
        rows = rows.filter(has_late | ~has_late.any().over(alike))
        compared = [rule.late, *compared]
    order = [*rule.key, "known_at", "told_at", *compared, *_PLACE]
    rows = rows.sort(order, nulls_last=True)
    return rows.unique([*rule.key, *compared], keep="first", maintain_order=True).drop("told_at")


def merge(incidents: pl.DataFrame) -> pl.DataFrame:
    """Merge an entity's incidents that overlap or touch; an open end stays open.

    Kind and `known_at` are those of the earliest incident.
    """
    rows = incidents.sort([*_INCIDENT, "end"], nulls_last=True)
    until = pl.col("end").dt.epoch("us").fill_null(_FOREVER).cum_max().over("entity")
    fresh = pl.col("start").dt.epoch("us") > pl.col("until").shift().over("entity")
    merged = (
        rows.with_columns(until=until)
        .with_columns(number=fresh.fill_null(value=True).cum_sum())
        .group_by("number", maintain_order=True)
        .agg(pl.first("entity", "start", "known_at", "kind"), pl.max("until"))
    )
    end = pl.when(pl.col("until") < _FOREVER).then(pl.col("until")).cast(INSTANT)
    return merged.with_columns(end=end).select(list(INCIDENTS))


def rejects(table: str, rows: pl.DataFrame, name: str, reason: pl.Expr) -> pl.DataFrame:
    """Return rows as REJECTS: the bad field is `name`, its value is cut to VALUE_WIDTH."""
    return rows.select(
        pl.lit(table).alias("table"),
        "file",
        "row",
        pl.lit(name).alias("field"),
        pl.col(name).cast(pl.String).str.slice(0, VALUE_WIDTH).alias("value"),
        reason.alias("reason"),
    )
