"""What an entity's own past tells at an instant: outcomes and incidents that were known by then."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.pipeline.featurize.windows import inputs
from cll.pipeline.featurize.windows.known_rows import View
from cll.pipeline.featurize.windows.rolling import HOUR, Rows, microseconds
from cll.types.arrays import Floats, Integers
from cll.types.errors import config_error
from cll.types.tables import INCIDENTS, OUTCOME, OUTCOME_KNOWN_AT
from cll.types.times import Duration, format_duration


@dataclass(frozen=True)
class PastOutcomes:
    """The entity's own earlier outcomes, in the order in which they became known.

    They count if known by the row's own time: what is told while it waits to be scored does not.
    """

    lags: tuple[Annotated[int, Ge(1)], ...] = ()
    windows: tuple[Duration, ...] = ()
    delay: Duration = timedelta(0)
    max_delay: Duration = timedelta(days=1)
    reach: Duration = timedelta(days=7)

    def __post_init__(self) -> None:
        if min(self.windows, default=timedelta(1)) <= timedelta(0):
            way = "a window is longer; write 30m."
            raise config_error("features.past_outcomes.windows", 0, way)
        if self.delay > self.max_delay:
            key, found = "features.past_outcomes.delay", format_duration(self.delay)
            way = "longer than max_delay, so none counts; raise max_delay."
            raise config_error(key, found, way)

    @property
    def asked(self) -> bool:
        return bool(self.lags or self.windows)

    @property
    def lookback(self) -> timedelta:
        reaches = [*self.windows, *([self.reach] if self.lags else [])]
        return max(reaches) + self.max_delay if reaches else timedelta(0)


@dataclass(frozen=True)
class Told:
    """Outcomes in the order in which each entity's became known."""

    rows: Rows  # those that ask
    entity: Integers
    at: Integers  # microseconds since 1970: when it became known
    outcome: Floats

    @cached_property
    def _key(self) -> tuple[Integers, Integers]:
        instants = np.unique(self.at)
        return instants, self.entity * (len(instants) + 1) + np.searchsorted(instants, self.at)

    def _before(self, ago: int) -> Integers:
        """Count the outcomes told up to `ago` before each row's time, and of earlier entities."""
        instants, key = self._key
        bound = np.searchsorted(instants, self.rows.time - ago, side="right")
        return np.searchsorted(key, self.rows.entity * (len(instants) + 1) + bound)

    def lag(self, steps: int, reach: int) -> Floats:
        """Return the outcome told `steps` ago, counting from 1, if that was within `reach`."""
        row = self._before(0) - steps
        there = row >= self._before(reach)
        return np.where(there, np.append(self.outcome, np.nan)[np.where(there, row, -1)], np.nan)

    def mean(self, width: int) -> Floats:
        """Return the mean of the outcomes told in the `width` up to each row; exact for 0 and 1."""
        low, stop = self._before(width), self._before(0)
        total = np.append(0.0, np.cumsum(self.outcome))
        count = stop - low
        return np.where(count > 0, (total[stop] - total[low]) / np.maximum(count, 1), np.nan)


def told(rows: Rows, outcome: Floats, known: Integers, delay: int, max_delay: int) -> Told:
    """Order outcomes by when they are known: `delay` after `known`, and never at their own time.

    Those told later than `max_delay` are left out, so that no feature reaches further back.
    """
    at = np.maximum(known + delay, rows.time + 1)
    used = np.flatnonzero(np.isfinite(outcome) & (at - rows.time <= max_delay))
    order = used[np.lexsort((rows.time[used], at[used], rows.entity[used]))]
    return Told(rows, rows.entity[order], at[order], outcome[order])


def outcomes(signals: pl.DataFrame) -> tuple[Floats, Integers]:
    """Return each row's outcome, and since when it is known."""
    if OUTCOME not in signals.columns:
        says = "the source has no outcome; map one, or write []."
        raise config_error("features.past_outcomes", "set", says)
    known = signals["time"]
    if OUTCOME_KNOWN_AT in signals.columns:
        known = signals[OUTCOME_KNOWN_AT].fill_null(known)
    return inputs.numbers(signals[OUTCOME]), known.dt.epoch("us").to_numpy()


def named(
    rows: Rows, outcome: Floats, known: Integers, settings: PastOutcomes
) -> Iterator[tuple[str, Floats]]:
    """Yield the features that `settings` ask for."""
    heard = told(
        rows, outcome, known, microseconds(settings.delay), microseconds(settings.max_delay)
    )
    for steps in settings.lags:
        yield f"outcome_lag_{steps}", heard.lag(steps, microseconds(settings.reach))
    for width in settings.windows:
        yield f"outcome_mean_{format_duration(width)}", heard.mean(microseconds(width))


def anew(
    outcome: Floats, known: Integers, settings: PastOutcomes, view: View
) -> Iterator[tuple[str, Floats]]:
    """Yield the features of copies."""
    yield from named(view.rows, outcome[view.copied], known[view.copied], settings)


def hours_since_incident(signals: pl.DataFrame, incidents: pl.DataFrame) -> Floats:
    """Return the hours since the entity's latest incident began, of those known by the row's time."""
    known = (
        incidents.select(list(INCIDENTS))
        .with_columns(pl.max_horizontal("known_at", "start").alias("at"))
        .sort("entity", "at", "start")
        .with_columns(pl.col("start").cum_max().over("entity"))
        .select("entity", "at", "start")
    )
    asked = signals.select("entity", "time").with_row_index("row").sort("time", "row")
    found = asked.join_asof(
        known.sort("at", "start"),
        left_on="time",
        right_on="at",
        by="entity",
        check_sortedness=False,
    ).sort("row")
    since = (found["time"] - found["start"]).dt.total_microseconds()
    return since.cast(pl.Float64).fill_null(float("nan")).to_numpy() / HOUR
