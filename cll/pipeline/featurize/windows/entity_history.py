"""Features from an entity's own earlier outcomes and incidents, as known at the row's time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.pipeline.featurize.windows import inputs
from cll.pipeline.featurize.windows.known_rows import VisibleCopies
from cll.pipeline.featurize.windows.rolling import HOUR, Rows, microseconds
from cll.types.arrays import Floats, Integers
from cll.types.errors import config_error
from cll.types.tables import INCIDENTS, OUTCOME, OUTCOME_KNOWN_AT
from cll.types.times import Duration, format_duration


@dataclass(frozen=True)
class PastOutcomes:
    """Settings for features of the entity's earlier outcomes, in the order they became known.

    Only outcomes known by the row's own time count. One that becomes known later, while the row
    waits to be scored, does not.
    """

    lags: tuple[Annotated[int, Ge(1)], ...] = ()
    windows: tuple[Duration, ...] = ()
    delay: Duration = timedelta(0)
    max_delay: Duration = timedelta(days=1)
    reach: Duration = timedelta(days=7)

    def __post_init__(self) -> None:
        if min(self.windows, default=timedelta(1)) <= timedelta(0):
            way_out = "a window is longer; write 30m."
            raise config_error("features.past_outcomes.windows", 0, way_out)
        if self.delay > self.max_delay:
            key, value = "features.past_outcomes.delay", format_duration(self.delay)
            way_out = "longer than max_delay, so no outcome counts; raise max_delay."
            raise config_error(key, value, way_out)

    @property
    def any(self) -> bool:
        """Return whether these settings yield a feature."""
        return bool(self.lags or self.windows)

    @property
    def lookback(self) -> timedelta:
        reaches = [*self.windows, *([self.reach] if self.lags else [])]
        return max(reaches) + self.max_delay if reaches else timedelta(0)


@dataclass(frozen=True)
class KnownOutcomes:
    """Outcomes sorted by entity and by the time they became known."""

    rows: Rows  # the rows whose features are computed
    entity: Integers
    at: Integers  # when the outcome became known, in microseconds since 1970
    outcome: Floats

    @cached_property
    def _key(self) -> tuple[Integers, Integers]:
        instants = np.unique(self.at)
        return instants, self.entity * (len(instants) + 1) + np.searchsorted(instants, self.at)

    def _count_before(self, ago: int) -> Integers:
        """Return how many outcomes were known `ago` before each row, counting earlier entities too."""
        instants, key = self._key
        bound = np.searchsorted(instants, self.rows.time - ago, side="right")
        return np.searchsorted(key, self.rows.entity * (len(instants) + 1) + bound)

    def lag(self, steps: int, reach: int) -> Floats:
        """Return the `steps`-th newest known outcome, from 1; NaN if known longer than `reach` ago."""
        row = self._count_before(0) - steps
        within = row >= self._count_before(reach)
        return np.where(within, np.append(self.outcome, np.nan)[np.where(within, row, -1)], np.nan)

    def mean(self, width: int) -> Floats:
        """Return the mean of outcomes that became known within `width` before each row.

        Sums of 0 and 1 are exact, so the difference of two running sums is exact too.
        """
        low, stop = self._count_before(width), self._count_before(0)
        total = np.append(0.0, np.cumsum(self.outcome))
        count = stop - low
        return np.where(count > 0, (total[stop] - total[low]) / np.maximum(count, 1), np.nan)


def order_by_known(
    rows: Rows, outcome: Floats, known_at: Integers, delay: int, max_delay: int
) -> KnownOutcomes:
    """Return outcomes sorted by when they are known: `delay` after `known_at`, never at their own time.

    Outcomes known later than `max_delay` after their row are left out; this bounds the lookback.
    """
    at = np.maximum(known_at + delay, rows.time + 1)
    used = np.flatnonzero(np.isfinite(outcome) & (at - rows.time <= max_delay))
    order = used[np.lexsort((rows.time[used], at[used], rows.entity[used]))]
    return KnownOutcomes(rows, rows.entity[order], at[order], outcome[order])


def outcomes(signals: pl.DataFrame) -> tuple[Floats, Integers]:
    """Return each row's outcome, and the time it became known in microseconds."""
    if OUTCOME not in signals.columns:
        way_out = "the source has no outcome; map one, or write []."
        raise config_error("features.past_outcomes", "set", way_out)
    known_at = signals["time"]
    if OUTCOME_KNOWN_AT in signals.columns:
        known_at = signals[OUTCOME_KNOWN_AT].fill_null(known_at)
    return inputs.numbers(signals[OUTCOME]), known_at.dt.epoch("us").to_numpy()


def features(
    rows: Rows, outcome: Floats, known_at: Integers, settings: PastOutcomes
) -> Iterator[tuple[str, Floats]]:
    """Yield the features named in `settings`."""
    known_outcomes = order_by_known(
        rows, outcome, known_at, microseconds(settings.delay), microseconds(settings.max_delay)
    )
    for steps in settings.lags:
        yield f"outcome_lag_{steps}", known_outcomes.lag(steps, microseconds(settings.reach))
    for width in settings.windows:
        yield f"outcome_mean_{format_duration(width)}", known_outcomes.mean(microseconds(width))


def features_of_copies(
    outcome: Floats, known_at: Integers, settings: PastOutcomes, view: VisibleCopies
) -> Iterator[tuple[str, Floats]]:
    """Yield the features of copied rows; used where a late row is hidden."""
    yield from features(view.rows, outcome[view.copied], known_at[view.copied], settings)


def hours_since_incident(signals: pl.DataFrame, incidents: pl.DataFrame) -> Floats:
    """Return the hours since the start of the entity's latest incident known by the row's time."""
    known_incidents = (
        incidents.select(list(INCIDENTS))
        .with_columns(pl.max_horizontal("known_at", "start").alias("at"))
        .sort("entity", "at", "start")
        .with_columns(pl.col("start").cum_max().over("entity"))
        .select("entity", "at", "start")
    )
    ordered = signals.select("entity", "time").with_row_index("row").sort("time", "row")
    joined = ordered.join_asof(
        known_incidents.sort("at", "start"),
        left_on="time",
        right_on="at",
        by="entity",
        check_sortedness=False,
    ).sort("row")
    since = (joined["time"] - joined["start"]).dt.total_microseconds()
    return since.cast(pl.Float64).fill_null(float("nan")).to_numpy() / HOUR
