"""Features that compare each row with its entity's own past, and with its peers at that time."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from annotated_types import Ge

from cll.pipeline.featurize.windows import (
    entity_history,
    inputs,
    known_rows,
    moments,
    peers,
    rolling,
    surprise,
)
from cll.pipeline.featurize.windows.entity_history import PastOutcomes
from cll.pipeline.featurize.windows.known_rows import Visibility, VisibleColumns, VisibleCopies
from cll.pipeline.featurize.windows.peers import Peers
from cll.pipeline.featurize.windows.rolling import Rows
from cll.pipeline.featurize.windows.surprise import Surprise
from cll.types.arrays import Features, Floats
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration

Count = Annotated[int, Ge(1)]
Named = Iterator[tuple[str, Floats | Features]]
Statistic = Literal["mean", "std", "min", "max", "slope"]
Against = Literal["z", "ratio", "change"]


@dataclass(frozen=True)
class Windows:
    """Raw columns with their lags, event-time windows, and comparison with peers.

    For a `past_only` column, the entity's previous row gives the value. A row's features never use
    a row that became known after it was scored.
    """

    columns: tuple[str, ...] | None = None
    past_only: tuple[str, ...] = ()
    delay: Duration = timedelta(0)
    transform: Literal["none", "log1p"] = "none"
    value: bool = True
    windows: tuple[Duration, ...] = (timedelta(minutes=30), timedelta(hours=3))
    rolling: tuple[Statistic, ...] = ("mean", "std", "min", "max", "slope")
    past: tuple[Against, ...] = ("z", "ratio", "change")
    lags: tuple[Count, ...] = (1, 2, 3)
    change: bool = True
    max_age: Duration = timedelta(minutes=30)
    missing: bool = True
    surprise: Surprise | None = None
    peers: Peers | None = field(default_factory=Peers)
    since_incident: bool = False
    past_outcomes: PastOutcomes = field(default_factory=PastOutcomes)

    def __post_init__(self) -> None:
        if min(self.windows, default=timedelta(1)) <= timedelta(0):
            raise config_error("features.windows", 0, "a window is longer; write 30m.")
        if self.surprise and self.surprise.peers and self.peers is None:
            value = ", ".join(self.surprise.peers)
            raise config_error("features.surprise.peers", value, "features.peers is null; set it.")

    @property
    def lookback(self) -> timedelta:
        fleet = self.peers.reach + self._compared_reach if self.peers else timedelta(0)
        return max(self._own_reach, fleet, self.past_outcomes.lookback)

    @property
    def reads_incidents(self) -> bool:
        return self.since_incident

    @property
    def wait(self) -> timedelta:
        """Return how long after its time a row is scored, if it is known by then."""
        return self.delay + (self.peers.delay if self.peers else timedelta(0))

    @property
    def _own_reach(self) -> timedelta:
        lag = self.max_age if self.lags or self.change else timedelta(0)
        reach = max(timedelta(0), lag, *self.windows)
        if self.surprise:
            later = self.max_age if self.surprise.lags else timedelta(0)
            reach = max(reach, max(self.surprise.windows) + later)
        return reach + self._shift

    @property
    def _compared_reach(self) -> timedelta:
        """Return the lookback of the values that are compared with peers."""
        compared = self.surprise.windows if self.surprise and self.surprise.peers else ()
        return max((timedelta(0), *compared)) + self._shift

    @property
    def _shift(self) -> timedelta:
        return self.max_age if self.past_only else timedelta(0)

    def halves(self) -> tuple["Windows", "Windows | None"]:
        """Return a feature set that needs an entity's own rows only, and one that compares entities.

        The second is None where no feature compares entities.
        """
        own, compared = self.surprise, self.surprise
        if own and compared:
            own = replace(own, peers=()) if own.statistics or own.summary else None
            compared = replace(compared, statistics=(), summary=None) if compared.peers else None
        half = replace(self, delay=self.wait, peers=None, surprise=own)
        if not self.peers or not (self.peers.statistics or compared):
            return half, None
        bare = replace(self, value=False, windows=(), lags=(), change=False, missing=False)
        return half, replace(
            bare, surprise=compared, since_incident=False, past_outcomes=PastOutcomes()
        )

    def __call__(
        self, signals: pl.DataFrame, columns: Sequence[str], incidents: pl.DataFrame
    ) -> pl.DataFrame:
        rows = rolling.number(signals)
        visibility = known_rows.visibility(signals, rows, self.delay, self.wait)
        raw = inputs.chosen(signals, columns, self.columns, self.past_only)
        raw = inputs.log1p(raw) if self.transform == "log1p" else raw
        values = self._with_past_only(raw, rows)
        features: dict[str, Features] = {}
        _store(self._own(rows, values), features)
        _store(self._among_peers(signals, visibility, raw, values), features)
        _store(self._from_history(signals, rows, incidents), features)
        again = partial(self._features_again, raw)
        known_rows.recompute(features, visibility, self._own_reach, again)
        if self.past_outcomes.any:
            outcomes_again = partial(
                entity_history.features_of_copies,
                *entity_history.outcomes(signals),
                self.past_outcomes,
            )
            lookback = self.past_outcomes.lookback
            known_rows.recompute(features, visibility, lookback, outcomes_again)
        return signals.select(
            "entity", "time", *(_column(*feature) for feature in features.items())
        )

    def _with_past_only(self, raw: Mapping[str, Floats], rows: Rows) -> dict[str, Floats]:
        return inputs.with_past_only(raw, rows, self.past_only, rolling.microseconds(self.max_age))

    def _copied_values(self, raw: Mapping[str, Floats], view: VisibleCopies) -> dict[str, Floats]:
        return self._with_past_only({name: x[view.copied] for name, x in raw.items()}, view.rows)

    def _own(self, rows: Rows, values: dict[str, Floats]) -> Named:
        """Yield the features that need the entity's own rows only."""
        if self.value:
            yield from values.items()
        age = rolling.microseconds(self.max_age)
        lagged = {steps: rows.lag(steps, age) for steps in {*self.lags, *([1] * self.change)}}
        for name, x in values.items():
            if self.missing:
                yield f"{name}_missing", (~np.isfinite(x)).astype(np.float64)
            for steps in self.lags:
                row, is_recent = lagged[steps]
                yield f"{name}_lag_{steps}", np.where(is_recent, x[row], np.nan)
            if self.change:
                row, is_recent = lagged[1]
                yield f"{name}_change", np.where(is_recent, x - x[row], np.nan)
        statistics = [*self.rolling, *self.past, *(["missing"] * self.missing)]
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            started = [
                (name, width, moments.begin(pool, rows, x, span, statistics, np.float32))
                for width in self.windows
                for span in (rolling.microseconds(width),)
                for name, x in values.items()
            ]
            for name, width, wait_for in started:
                end = format_duration(width)
                yield from (
                    (f"{name}_{statistic}_{end}", y)
                    for statistic, y in zip(statistics, wait_for(), strict=True)
                )

    def _among_peers(
        self,
        signals: pl.DataFrame,
        visibility: Visibility,
        raw: Mapping[str, Floats],
        values: Mapping[str, Floats],
    ) -> Named:
        """Yield the features that compare entities, and all features computed from the surprise."""
        settings, unusual = self.peers, self.surprise
        if settings:

            def values_again(view: VisibleCopies) -> list[Floats]:
                return list(self._copied_values(raw, view).values())

            visible = VisibleColumns(visibility, self._shift, values_again)
            yield from peers.features(signals, values, settings, settings.statistics, visible)
        if unusual is None:
            return
        scores = surprise.scores(visibility.rows, values, unusual)
        sizes = surprise.sizes(scores)
        yield from surprise.features(scores, sizes, unusual)
        if settings:

            def sizes_again(view: VisibleCopies) -> list[Floats]:
                scores = surprise.scores(view.rows, self._copied_values(raw, view), unusual)
                return list(surprise.sizes(scores).values())

            visible = VisibleColumns(visibility, self._compared_reach, sizes_again)
            yield from peers.features(signals, sizes, settings, unusual.peers, visible)
        age = rolling.microseconds(self.max_age)
        yield from surprise.summary_features(visibility.rows, scores, unusual, age)

    def _features_again(self, raw: Mapping[str, Floats], view: VisibleCopies) -> Named:
        """Yield the features that need the entity's own rows only, for copied rows."""
        values = self._copied_values(raw, view)
        yield from self._own(view.rows, values)
        if self.surprise:
            scores = surprise.scores(view.rows, values, self.surprise)
            yield from surprise.features(scores, surprise.sizes(scores), self.surprise)
            age = rolling.microseconds(self.max_age)
            yield from surprise.summary_features(view.rows, scores, self.surprise, age)

    def _from_history(self, signals: pl.DataFrame, rows: Rows, incidents: pl.DataFrame) -> Named:
        if self.since_incident:
            yield "hours_since_incident", entity_history.hours_since_incident(signals, incidents)
        if self.past_outcomes.any:
            yield from entity_history.features(
                rows, *entity_history.outcomes(signals), self.past_outcomes
            )


def _column(name: str, values: Features) -> pl.Series:
    """Return a series that shares the array's memory; Polars alone would copy a NumPy array."""
    laid = pa.py_buffer(np.ascontiguousarray(values))
    return pl.Series(name, pa.Array.from_buffers(pa.float32(), len(values), [None, laid]))


def _store(named: Named, features: dict[str, Features]) -> None:
    """Store features as float32; values outside its range become NaN."""
    for name, values in named:
        if name in features:
            raise inputs.duplicate_name_error(name)
        with np.errstate(over="ignore"):
            features[name] = values.astype(np.float32, copy=False)
        beyond = np.isinf(features[name])
        if beyond.any():
            features[name][beyond] = np.nan
