"""Which of several records of one entity and instant is kept: the same in whatever order they come."""

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
_EVERY = 31  # a prime: of rows in which entities take turns, so many turns show all of them
_MOST = 2**63 - 1
_FOREVER = 2**62  # microseconds: the end of what is still open


@dataclass(frozen=True)
class Settled:
    """Admitted rows: kept + quarantine + duplicate + pending."""

    kept: pl.DataFrame  # sorted, without `file` and `row`
    quarantine: pl.DataFrame  # REJECTS
    duplicate: int
    pending: int = 0  # not known yet


def sort(rows: pl.DataFrame) -> pl.DataFrame:
    """Put signals in the order in which they are kept, with entities as an Enum of their names."""
    return _sort(rows, _SIGNAL)


def _sort(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Sort by an entity and an instant, which are told; equals stay in their order.

    Numbers take the place of names, in order of these: they are compared and moved in no time.
    """
    entity = _numbered(rows["entity"])
    rows = rows.with_columns(entity).rechunk()  # in pieces it takes five times as long
    if rows.is_empty():
        return rows
    number, instant = entity.to_physical().to_numpy(), rows[key[1]].to_physical().to_numpy()
    first, last = int(instant.min()), int(instant.max())
    if (int(number.max()) + 1) * (last - first + 1) + abs(last) <= _MOST:
        # As one number, since NumPy finds the runs that are sorted already, and merges them.
        place = np.multiply(number, last - first + 1, dtype=np.int64)
        place += instant
        if (place[1:] >= place[:-1]).all():
            return rows
        order = np.argsort(place, kind="stable")
    else:
        order = np.lexsort((instant, number))
    return rows[pl.Series(order, dtype=pl.get_index_type())]


def _numbered(entity: pl.Series) -> pl.Series:
    """Return names as an Enum of them, in their order."""
    few = entity.gather_every(_EVERY).unique().sort()
    if (told := entity.cast(pl.Enum(few), strict=False)).null_count() == 0:
        return told
    return entity.cast(pl.Enum(entity.unique().sort()))


def _names(numbered: pl.Series) -> pl.Series:
    """Return an Enum as text; a cast would write out each name as often as it stands there."""
    names = pl.Series(numbered.name, numbered.dtype.categories)  # type: ignore[attr-defined]
    return names.gather(numbered.to_physical())


def repeats(rows: pl.DataFrame) -> bool:
    """Tell whether an entity and time stand twice in signals that `sort` has put in order."""
    number, instant = (rows[name].to_physical().to_numpy() for name in _SIGNAL)
    return bool(((number[1:] == number[:-1]) & (instant[1:] == instant[:-1])).any())


def distinct(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Drop what says again, in all of its columns, what a row of the same file before it says.

    `settle` does so, too, but for all files together. What is not known yet stays, since it waits.
    """
    first = rows.select(pl.struct(pl.exclude("row")).is_first_distinct()).to_series()
    kept = first | (rows["known_at"] > as_of)
    return rows[kept.arg_true()]  # a filter would hold on to memory for all of them


def settle(rows: pl.DataFrame, columns: Columns, as_of: datetime) -> Settled:
    """Keep one row for an entity and time, of those that are known.

    The same record again, whenever known, is a duplicate, and so is one without the outcome that
    its repetition tells. Another record of the same entity and time is a conflict: the earliest
    known is kept, ties fall to the smaller values, the others are quarantined.
    """
    values = [*columns.numeric, *columns.truth, *([GROUP] if columns.group else [])]
    late = OUTCOME if columns.outcome else None
    known = _known(rows, as_of)
    settled = _settle("signals", known, _Rule(_SIGNAL, values, values, late))
    return replace(settled, pending=rows.height - known.height)


def settle_incidents(rows: pl.DataFrame, as_of: datetime) -> Settled:
    """Keep one row for an entity and start, as `settle` does; one with an end closes an open one.

    An end later than `as_of` isn't known yet, so that incident is still open.
    """
    known = _known(rows, as_of)
    told = known.with_columns(end=pl.when(pl.col("end") <= as_of).then("end"))
    settled = _settle("incidents", told, _Rule(_INCIDENT, [], ["kind"], "end"))
    return replace(settled, pending=rows.height - known.height)


def _known(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    known = rows["known_at"] <= as_of
    return rows if known.sum() == rows.height else rows.filter(known)


@dataclass(frozen=True)
class _Rule:
    """How to tell repetitions: `late` is what a later record may still tell."""

    key: list[str]
    same: list[str]  # besides the key: equal in records of which one may tell more
    values: list[str]  # besides the key and `late`: equal in repetitions
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
    """Tell of each row, of rows sorted by `key`, whether it has the key of the row before."""
    again = pl.lit(value=True)
    for name in key:
        again &= pl.col(name) == pl.col(name).shift()
    return again.fill_null(value=False)


def _distinct(rows: pl.DataFrame, rule: _Rule) -> pl.DataFrame:
    """Drop repetitions; what is left of a key is in the order in which it was known."""
    told_at = OUTCOME_KNOWN_AT if rule.late == OUTCOME else "known_at"
    rows = rows.with_columns(told_at=told_at)
    alike = [*rule.key, *rule.same]
    rows = rows.with_columns(pl.col("known_at").min().over(alike))
    compared = [*rule.values]
    if rule.late is not None:
        told = pl.col(rule.late).is_not_null()
        rows = rows.filter(told | ~told.any().over(alike))
        compared = [rule.late, *compared]
    order = [*rule.key, "known_at", "told_at", *compared, *_PLACE]
    rows = rows.sort(order, nulls_last=True)
    return rows.unique([*rule.key, *compared], keep="first", maintain_order=True).drop("told_at")


def merge(incidents: pl.DataFrame) -> pl.DataFrame:
    """Join an entity's incidents that overlap or touch; an open end wins.

    Kind and `known_at` are those of the earliest.
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
    return rows.select(
        pl.lit(table).alias("table"),
        "file",
        "row",
        pl.lit(name).alias("field"),
        pl.col(name).cast(pl.String).str.slice(0, VALUE_WIDTH).alias("value"),
        reason.alias("reason"),
    )
