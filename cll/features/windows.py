"""What each row is against its entity's own past and against its peers at that time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge

from cll import history, moments, peers, rolling
from cll.moments import Window
from cll.rolling import Rows
from cll.values import (
    GROUP,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    Duration,
    Features,
    Floats,
    config_error,
    format_duration,
)

_PART = 65_536  # rows that are worked at once: their arrays fit a processor's cache
_LEAST_PAST = 3  # values without which a z-score says nothing

Count = Annotated[int, Ge(1)]
Named = Iterator[tuple[str, Floats]]
Statistic = Literal["mean", "std", "min", "max", "slope"]
Against = Literal["z", "ratio", "change"]


@dataclass(frozen=True)
class Peers:
    """Comparison with the other entities' latest values at the row's time."""

    statistics: tuple[Literal["rank", "ratio"], ...] = ("rank", "ratio")
    within: Literal["all", "group"] = "all"
    grid: Duration = timedelta(0)
    max_age: Duration = timedelta(minutes=5)
    least: Count = 2


@dataclass(frozen=True)
class PastOutcomes:
    """The entity's own earlier outcomes, in the order in which they became known."""

    lags: tuple[Count, ...] = ()
    windows: tuple[Duration, ...] = ()
    delay: Duration = timedelta(0)
    max_delay: Duration = timedelta(days=1)
    reach: Duration = timedelta(days=7)

    @property
    def lookback(self) -> timedelta:
        reaches = [*self.windows, *([self.reach] if self.lags else [])]
        return max(reaches) + self.max_delay if reaches else timedelta(0)


@dataclass(frozen=True)
class Windows:
    """The raw columns, and of each its lags, event-time windows and standing among peers."""

    columns: tuple[str, ...] | None = None
    windows: tuple[Duration, ...] = (timedelta(minutes=30), timedelta(hours=3))
    rolling: tuple[Statistic, ...] = ("mean", "std", "min", "max", "slope")
    past: tuple[Against, ...] = ("z", "ratio", "change")
    lags: tuple[Count, ...] = (1, 2, 3)
    change: bool = True
    max_age: Duration = timedelta(minutes=30)
    missing: bool = True
    peers: Peers | None = field(default_factory=Peers)
    since_incident: bool = False
    past_outcomes: PastOutcomes = field(default_factory=PastOutcomes)

    def __post_init__(self) -> None:
        past = self.past_outcomes
        for key, spans in (("", self.windows), ("past_outcomes.", past.windows)):
            if min(spans, default=timedelta(1)) <= timedelta(0):
                raise config_error(f"features.{key}windows", 0, "a window is longer; write 30m.")
        if past.delay > past.max_delay:
            key, found = "features.past_outcomes.delay", format_duration(past.delay)
            raise config_error(
                key, found, "longer than max_delay, so none counts; raise max_delay."
            )

    @property
    def lookback(self) -> timedelta:
        return max(
            timedelta(0),
            *self.windows,
            self.max_age if self.lags or self.change else timedelta(0),
            self.peers.grid + self.peers.max_age if self.peers else timedelta(0),
            self.past_outcomes.lookback,
        )

    def __call__(
        self, signals: pl.DataFrame, columns: Sequence[str], incidents: pl.DataFrame
    ) -> pl.DataFrame:
        chosen = tuple(columns) if self.columns is None else self.columns
        if unknown := [name for name in chosen if name not in columns]:
            says = f"no such column; there are: {', '.join(columns) or 'none'}."
            raise config_error("features.columns", unknown[0], says)
        values = {name: _numbers(signals[name]) for name in chosen}
        rows = rolling.number(signals)
        found: dict[str, Features] = {}
        for start, stop in rows.parts(_PART):
            part = {name: x[start:stop] for name, x in values.items()}
            _keep(self._own(rows.part(start, stop), part), found, start, signals.height)
        _keep(self._among_peers(signals, values), found, 0, signals.height)
        _keep(self._from_history(signals, rows, incidents), found, 0, signals.height)
        return signals.select("entity", "time", *(pl.Series(n, v) for n, v in found.items()))

    def _own(self, rows: Rows, values: dict[str, Floats]) -> Named:
        """Yield what needs the entity's own rows only."""
        yield from values.items()
        for name, x in values.items():
            if self.missing:
                yield f"{name}_missing", (~np.isfinite(x)).astype(np.float64)
            for steps in self.lags:
                row, there = rows.lag(steps, _us(self.max_age))
                yield f"{name}_lag_{steps}", np.where(there, x[row], np.nan)
            if self.change:
                row, there = rows.lag(1, _us(self.max_age))
                yield f"{name}_change", np.where(there, x - x[row], np.nan)
        for width in self.windows:
            yield from self._in_windows(rows, values, width)

    def _in_windows(self, rows: Rows, values: dict[str, Floats], width: timedelta) -> Named:
        blocks, end = rolling.cut(rows, _us(width)), format_duration(width)
        clock, twin, past_twin = None, None, None  # of a column without gaps
        for name, x in values.items():
            column = moments.column(x)
            whole = column.whole
            climb = moments.climb(blocks, column, clock if whole else None)
            now = moments.window(climb, rows.stop, twin if whole else None)
            before = moments.window(climb, rows.first, past_twin if whole else None)
            if whole:
                clock, twin, past_twin = climb, now, before
            for statistic in self.rolling:
                yield f"{name}_{statistic}_{end}", _ROLLING[statistic](now, column, blocks, rows)
            for against in self.past:
                yield f"{name}_{against}_{end}", _PAST[against](x, before)
            if self.missing:
                share = 1 - now.count / np.maximum(rows.stop - blocks.low, 1)
                yield f"{name}_missing_{end}", share

    def _among_peers(self, signals: pl.DataFrame, values: dict[str, Floats]) -> Named:
        if self.peers is None:
            return
        if self.peers.within == "group" and GROUP not in signals.columns:
            says = "the source has no groups; use all."
            raise config_error("features.peers.within", "group", says)
        standings = peers.compare(
            signals,
            list(values.values()),
            GROUP if self.peers.within == "group" else None,
            _us(self.peers.grid),
            _us(self.peers.max_age),
        )
        for name, standing in zip(values, standings, strict=True):
            enough = standing.others >= self.peers.least
            if "rank" in self.peers.statistics:
                yield f"{name}_rank", np.where(enough, standing.rank, np.nan)
            if "ratio" in self.peers.statistics:
                yield f"{name}_peer_ratio", np.where(enough, standing.ratio, np.nan)

    def _from_history(self, signals: pl.DataFrame, rows: Rows, incidents: pl.DataFrame) -> Named:
        if self.since_incident:
            yield "hours_since_incident", history.hours_since_incident(signals, incidents)
        past = self.past_outcomes
        if not past.lags and not past.windows:
            return
        if OUTCOME not in signals.columns:
            says = "the source has no outcome; map one, or write []."
            raise config_error("features.past_outcomes", "set", says)
        known = signals["time"]
        if OUTCOME_KNOWN_AT in signals.columns:
            known = signals[OUTCOME_KNOWN_AT].fill_null(known)
        outcome, at = _numbers(signals[OUTCOME]), known.dt.epoch("us").to_numpy()
        told = history.told(rows, outcome, at, _us(past.delay), _us(past.max_delay))
        for steps in past.lags:
            yield f"outcome_lag_{steps}", told.lag(steps, _us(past.reach))
        for width in past.windows:
            yield f"outcome_mean_{format_duration(width)}", told.mean(_us(width))


def _numbers(series: pl.Series) -> Floats:
    """Return float64 with NaN for what is missing, or not to be held by a feature's float32."""
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan)


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _keep(named: Named, found: dict[str, Features], start: int, height: int) -> None:
    """Store each feature's part; what float32 can't hold is missing."""
    seen = set() if start else set(found)
    for name, values in named:
        if name in seen:
            raise config_error("features", name, "two features have this name; rename a column.")
        seen.add(name)
        whole = found.setdefault(name, np.empty(height, np.float32))
        with np.errstate(over="ignore"):
            part = values.astype(np.float32)
        whole[start : start + len(part)] = np.where(np.isfinite(part), part, np.float32(np.nan))


def _extreme(pick: np.ufunc) -> Callable[..., Floats]:
    def find(_: Window, column: moments.Column, blocks: rolling.Blocks, rows: Rows) -> Floats:
        return moments.extreme(blocks, column, pick, rows.stop)

    return find


def _of_moments(statistic: Callable[[Window], Floats]) -> Callable[..., Floats]:
    return lambda window, *_: statistic(window)


_ROLLING = {
    "mean": _of_moments(moments.mean),
    "std": _of_moments(moments.std),
    "slope": _of_moments(moments.slope),
    "min": _extreme(np.minimum),
    "max": _extreme(np.maximum),
}


def _divide(x: Floats, by: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.divide(x, by, out=np.full_like(x, np.nan), where=by != 0)


def _z(x: Floats, past: Window) -> Floats:
    score = _divide(x - moments.mean(past), moments.std(past))
    return np.where(past.count >= _LEAST_PAST, score, np.nan)


_PAST: dict[str, Callable[[Floats, Window], Floats]] = {
    "z": _z,
    "ratio": lambda x, past: _divide(x, moments.mean(past)),
    "change": lambda x, past: x - moments.mean(past),
}
