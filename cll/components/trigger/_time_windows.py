"""Stretches of time in rows that are sorted by it: a stretch is what came after `since` up to `until`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cll.types.tables import INSTANT
from cll.types.times import format_instant
from cll.types.triggers import Situation

NO_MODEL = "No model is in force."


@dataclass(frozen=True)
class Stretch:
    since: datetime  # not in it
    until: datetime  # in it


def cut(rows: pl.DataFrame, stretches: Sequence[Stretch]) -> list[pl.DataFrame]:
    """Take the rows of each stretch by binary search, without a copy."""
    ends = [instant for one in stretches for instant in (one.since, one.until)]
    at = rows["time"].search_sorted(pl.Series(ends, dtype=INSTANT), side="right").to_list()
    return [rows[start:stop] for start, stop in zip(at[::2], at[1::2], strict=True)]


def before(until: datetime, width: timedelta, count: int, floor: datetime) -> list[Stretch]:
    """Return at most `count` stretches that end at `until`, none from before `floor`, oldest first.

    >>> day = datetime(2026, 1, 5)
    >>> [one.since.day for one in before(day, timedelta(days=1), 3, datetime(2026, 1, 3))]
    [3, 4]
    """
    whole = min(max((until - floor) // width, 0), count)
    return [Stretch(until - (i + 1) * width, until - i * width) for i in reversed(range(whole))]


def after(since: datetime, width: timedelta, count: int, ceiling: datetime) -> list[Stretch]:
    """Return at most `count` stretches from `since` on, none from behind `ceiling`, oldest first."""
    whole = min(max((ceiling - since) // width, 0), count)
    return [Stretch(since + i * width, since + (i + 1) * width) for i in range(whole)]


def labelled_until(rows: pl.DataFrame, as_of: datetime, width: timedelta, share: float) -> datetime:
    """Return until when labels are known, but for `share` of the rows of a stretch of `width`.

    So a few labels that come very late hold up nothing.
    """
    newest = cut(rows, [Stretch(as_of - width, as_of)])[0].height
    waiting = rows["time"].filter(rows["status"] == "immature")
    forgiven = int(share * newest)
    if len(waiting) <= forgiven:
        return as_of
    until: datetime = waiting[forgiven]
    return until - timedelta.resolution


def waiting(situation: Situation, rest: timedelta) -> str | None:
    """Say why the model in force is not to be asked about; None where it is."""
    if situation.champion == "none" or situation.champion_trained_until is None:
        return NO_MODEL
    if situation.trained is not None and situation.as_of - situation.trained < rest:
        trained, again = format_instant(situation.trained), format_instant(situation.trained + rest)
        return f"The last training was at {trained}; this rule rests until {again}."
    if situation.champion_trained_until > situation.as_of:
        learnt, as_of = (
            format_instant(situation.champion_trained_until),
            format_instant(situation.as_of),
        )
        return f"The model in force learnt from rows up to {learnt}, and as_of is {as_of}."
    return None
