"""Cut rows that are sorted by time into intervals of the form (since, until]."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cll.types.tables import INSTANT
from cll.types.times import format_instant
from cll.types.triggers import Situation

NO_MODEL = "There is no champion yet."


@dataclass(frozen=True)
class Stretch:
    since: datetime  # exclusive
    until: datetime  # inclusive


def cut(rows: pl.DataFrame, stretches: Sequence[Stretch]) -> list[pl.DataFrame]:
    """Return the rows of each interval, found by binary search and not copied."""
    ends = [instant for stretch in stretches for instant in (stretch.since, stretch.until)]
    at = rows["time"].search_sorted(pl.Series(ends, dtype=INSTANT), side="right").to_list()
    return [rows[start:stop] for start, stop in zip(at[::2], at[1::2], strict=True)]


def before(until: datetime, width: timedelta, count: int, floor: datetime) -> list[Stretch]:
    """Return up to `count` adjacent intervals that end at `until` and start at `floor` or later.

    The oldest interval is first.

    >>> day = datetime(2026, 1, 5)
    >>> [part.since.day for part in before(day, timedelta(days=1), 3, datetime(2026, 1, 3))]
    [3, 4]
    """
    whole = min(max((until - floor) // width, 0), count)
    return [Stretch(until - (i + 1) * width, until - i * width) for i in reversed(range(whole))]


def after(since: datetime, width: timedelta, count: int, ceiling: datetime) -> list[Stretch]:
    """Return up to `count` adjacent intervals from `since` to `ceiling` at most, oldest first."""
    whole = min(max((ceiling - since) // width, 0), count)
    return [Stretch(since + i * width, since + (i + 1) * width) for i in range(whole)]


def labelled_until(rows: pl.DataFrame, as_of: datetime, width: timedelta, share: float) -> datetime:
    """Return the instant up to which labels are known.

    Up to `share` of the rows in the newest `width` may still lack their label, so that a few very
    late labels do not delay the trigger.
    """
    newest = cut(rows, [Stretch(as_of - width, as_of)])[0].height
    immature = rows["time"].filter(rows["status"] == "immature")
    allowed = int(share * newest)
    if len(immature) <= allowed:
        return as_of
    until: datetime = immature[allowed]
    return until - timedelta.resolution


def waiting(situation: Situation, rest: timedelta) -> str | None:
    """Return the reason why a rule about the champion can't be evaluated now, or None."""
    if situation.champion == "none" or situation.champion_trained_until is None:
        return NO_MODEL
    if situation.trained is not None and situation.as_of - situation.trained < rest:
        trained, until = format_instant(situation.trained), format_instant(situation.trained + rest)
        return f"The last training was at {trained}; this rule rests until {until}."
    if situation.champion_trained_until > situation.as_of:
        newest, as_of = (
            format_instant(situation.champion_trained_until),
            format_instant(situation.as_of),
        )
        return f"The champion was trained on rows up to {newest}, and as_of is {as_of}."
    return None
