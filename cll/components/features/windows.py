"""What each row is against its entity's own past and against its peers at that time."""

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
from cll.pipeline.featurize.windows.known_rows import Sight, View, Watch
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
    """The raw columns, and of each its lags, event-time windows and standing among peers.

    Of the columns that are `past_only` a row shows what the entity's row before it holds. A row
    that became known after another was scored takes no part in that one's features.
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
            found = ", ".join(self.surprise.peers)
            raise config_error("features.surprise.peers", found, "features.peers is null; set it.")

    @property
    def lookback(self) -> timedelta:
        fleet = self.peers.reach + self._compared_reach if self.peers else timedelta(0)
        return max(self._own_reach, fleet, self.past_outcomes.lookback)

    @property
    def reads_incidents(self) -> bool:
        return self.since_incident

    @property
    def wait(self) -> timedelta:
        """How long after its time a row is scored that is known by then."""
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
        """How far back before a row that is compared its values reach."""
        compared = self.surprise.windows if self.surprise and self.surprise.peers else ()
        return max((timedelta(0), *compared)) + self._shift

    @property
    def _shift(self) -> timedelta:
        return self.max_age if self.past_only else timedelta(0)

    def halves(self) -> tuple["Windows", "Windows | None"]:
        """Return what needs an entity's own rows only, and what needs all entities of a time."""
        own, among = self.surprise, self.surprise
        if own and among:
            own = replace(own, peers=()) if own.statistics or own.summary else None
            among = replace(among, statistics=(), summary=None) if among.peers else None
        half = replace(self, delay=self.wait, peers=None, surprise=own)
        if not self.peers or not (self.peers.statistics or among):
            return half, None
        bare = replace(self, value=False, windows=(), lags=(), change=False, missing=False)
        return half, replace(
            bare, surprise=among, since_incident=False, past_outcomes=PastOutcomes()
        )

    def __call__(
        self, signals: pl.DataFrame, columns: Sequence[str], incidents: pl.DataFrame
    ) -> pl.DataFrame:
        rows = rolling.number(signals)
        sight = known_rows.sight(signals, rows, self.delay, self.wait)
        raw = inputs.chosen(signals, columns, self.columns, self.past_only)
        raw = inputs.log1p(raw) if self.transform == "log1p" else raw
        values = self._shown(raw, rows)
        found: dict[str, Features] = {}
        _keep(self._own(rows, values), found)
        _keep(self._among_peers(signals, sight, raw, values), found)
        _keep(self._from_history(signals, rows, incidents), found)
        known_rows.mend(found, sight, self._own_reach, partial(self._anew, raw))
        if self.past_outcomes.asked:
            told = partial(
                entity_history.anew, *entity_history.outcomes(signals), self.past_outcomes
            )
            known_rows.mend(found, sight, self.past_outcomes.lookback, told)
        return signals.select("entity", "time", *(_column(*one) for one in found.items()))

    def _shown(self, raw: Mapping[str, Floats], rows: Rows) -> dict[str, Floats]:
        return inputs.shown(raw, rows, self.past_only, rolling.microseconds(self.max_age))

    def _seen(self, raw: Mapping[str, Floats], view: View) -> dict[str, Floats]:
        return self._shown({name: x[view.copied] for name, x in raw.items()}, view.rows)

    def _own(self, rows: Rows, values: dict[str, Floats]) -> Named:
        """Yield what needs the entity's own rows only."""
        if self.value:
            yield from values.items()
        age = rolling.microseconds(self.max_age)
        before = {steps: rows.lag(steps, age) for steps in {*self.lags, *([1] * self.change)}}
        for name, x in values.items():
            if self.missing:
                yield f"{name}_missing", (~np.isfinite(x)).astype(np.float64)
            for steps in self.lags:
                row, there = before[steps]
                yield f"{name}_lag_{steps}", np.where(there, x[row], np.nan)
            if self.change:
                row, there = before[1]
                yield f"{name}_change", np.where(there, x - x[row], np.nan)
        asked = [*self.rolling, *self.past, *(["missing"] * self.missing)]
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            begun = [
                (name, width, moments.begin(pool, rows, x, span, asked, np.float32))
                for width in self.windows
                for span in (rolling.microseconds(width),)
                for name, x in values.items()
            ]
            for name, width, found in begun:
                end = format_duration(width)
                yield from (
                    (f"{name}_{what}_{end}", y) for what, y in zip(asked, found(), strict=True)
                )

    def _among_peers(
        self,
        signals: pl.DataFrame,
        sight: Sight,
        raw: Mapping[str, Floats],
        values: Mapping[str, Floats],
    ) -> Named:
        among, unusual = self.peers, self.surprise
        if among:
            watch = Watch(sight, self._shift, lambda view: list(self._seen(raw, view).values()))
            yield from peers.compared(signals, values, among, among.statistics, watch)
        if unusual is None:
            return
        scores = surprise.scores(sight.rows, values, unusual)
        sizes = surprise.sizes(scores)
        yield from surprise.named(scores, sizes, unusual)
        if among:

            def anew(view: View) -> list[Floats]:
                scores = surprise.scores(view.rows, self._seen(raw, view), unusual)
                return list(surprise.sizes(scores).values())

            watch = Watch(sight, self._compared_reach, anew)
            yield from peers.compared(signals, sizes, among, unusual.peers, watch)
        age = rolling.microseconds(self.max_age)
        yield from surprise.summarized(sight.rows, scores, unusual, age)

    def _anew(self, raw: Mapping[str, Floats], view: View) -> Named:
        """Yield what needs the entity's own rows only, of copies."""
        values = self._seen(raw, view)
        yield from self._own(view.rows, values)
        if self.surprise:
            scores = surprise.scores(view.rows, values, self.surprise)
            yield from surprise.named(scores, surprise.sizes(scores), self.surprise)
            age = rolling.microseconds(self.max_age)
            yield from surprise.summarized(view.rows, scores, self.surprise, age)

    def _from_history(self, signals: pl.DataFrame, rows: Rows, incidents: pl.DataFrame) -> Named:
        if self.since_incident:
            yield "hours_since_incident", entity_history.hours_since_incident(signals, incidents)
        if self.past_outcomes.asked:
            yield from entity_history.named(
                rows, *entity_history.outcomes(signals), self.past_outcomes
            )


def _column(name: str, values: Features) -> pl.Series:
    """Take the values as they lie in memory, where Polars would copy an array of NumPy's."""
    laid = pa.py_buffer(np.ascontiguousarray(values))
    return pl.Series(name, pa.Array.from_buffers(pa.float32(), len(values), [None, laid]))


def _keep(named: Named, found: dict[str, Features]) -> None:
    """Store features; what float32 can't hold is missing."""
    for name, values in named:
        if name in found:
            raise inputs.named_twice(name)
        with np.errstate(over="ignore"):
            found[name] = values.astype(np.float32, copy=False)
        beyond = np.isinf(found[name])
        if beyond.any():
            found[name][beyond] = np.nan
