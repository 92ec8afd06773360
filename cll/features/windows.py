"""What each row is against its entity's own past and against its peers at that time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.errors import ConfigError
from cll.values import (
    OUTCOME,
    OUTCOME_KNOWN_AT,
    Duration,
    Features,
    Floats,
    config_error,
    format_duration,
)
from cll.windows import history, moments, peers, rolling, surprise
from cll.windows.history import PastOutcomes
from cll.windows.moments import Window
from cll.windows.peers import Peers
from cll.windows.rolling import Rows
from cll.windows.surprise import Surprise

_PART = 65_536  # rows that are worked at once: their arrays fit a processor's cache
_LEAST_PAST = 3  # values without which a z-score says nothing
_DIGITS = 12  # processors differ in the last digit of a logarithm

Count = Annotated[int, Ge(1)]
Named = Iterator[tuple[str, Floats]]
Statistic = Literal["mean", "std", "min", "max", "slope"]
Against = Literal["z", "ratio", "change"]


@dataclass(frozen=True)
class Windows:
    """The raw columns, and of each its lags, event-time windows and standing among peers.

    Of the columns that are `past_only` a row shows what the entity's row before it holds.
    """

    columns: tuple[str, ...] | None = None
    past_only: tuple[str, ...] = ()
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
        nothing = timedelta(0)
        shift = self.max_age if self.past_only else nothing
        lag = self.max_age if self.lags or self.change else nothing
        among = self.peers.reach if self.peers else nothing
        reach = max(nothing, *self.windows, lag, among)
        if self.surprise:
            later = self.max_age if self.surprise.lags else nothing
            later = max(later, among if self.surprise.peers else nothing)
            reach = max(reach, max(self.surprise.windows) + later)
        return max(reach + shift, self.past_outcomes.lookback)

    def __call__(
        self, signals: pl.DataFrame, columns: Sequence[str], incidents: pl.DataFrame
    ) -> pl.DataFrame:
        rows = rolling.number(signals)
        values = self._values(signals, rows, tuple(columns))
        found: dict[str, Features] = {}
        for start, stop in rows.parts(_PART):
            part = {name: x[start:stop] for name, x in values.items()}
            _keep(self._own(rows.part(start, stop), part), found, start, signals.height)
        _keep(self._among_peers(signals, rows, values), found, 0, signals.height)
        _keep(self._from_history(signals, rows, incidents), found, 0, signals.height)
        return signals.select("entity", "time", *(pl.Series(n, v) for n, v in found.items()))

    def _values(
        self, signals: pl.DataFrame, rows: Rows, columns: tuple[str, ...]
    ) -> dict[str, Floats]:
        """Return the chosen columns as every feature sees them."""
        chosen = columns if self.columns is None else self.columns
        for key, named, among in (
            ("columns", chosen, columns),
            ("past_only", self.past_only, chosen),
        ):
            if unknown := [name for name in named if name not in among]:
                says = f"no such column; there are: {', '.join(among) or 'none'}."
                raise config_error(f"features.{key}", unknown[0], says)
        values = {name: _numbers(signals[name]) for name in chosen}
        if self.transform == "log1p":
            for name, x in values.items():
                values[name] = np.round(np.sign(x) * np.log1p(np.abs(x)), _DIGITS)
        if not self.past_only:
            return values
        row, there = rows.lag(1, rolling.microseconds(self.max_age))
        before = {
            f"{name}_before": np.where(there, values[name][row], np.nan) for name in self.past_only
        }
        if twice := before.keys() & values.keys():
            raise _named_twice(min(twice))
        return {n: x for n, x in values.items() if n not in self.past_only} | before

    def _own(self, rows: Rows, values: dict[str, Floats]) -> Named:
        """Yield what needs the entity's own rows only."""
        if self.value:
            yield from values.items()
        for name, x in values.items():
            if self.missing:
                yield f"{name}_missing", (~np.isfinite(x)).astype(np.float64)
            for steps in self.lags:
                row, there = rows.lag(steps, rolling.microseconds(self.max_age))
                yield f"{name}_lag_{steps}", np.where(there, x[row], np.nan)
            if self.change:
                row, there = rows.lag(1, rolling.microseconds(self.max_age))
                yield f"{name}_change", np.where(there, x - x[row], np.nan)
        for width in self.windows:
            yield from self._in_windows(rows, values, width)

    def _in_windows(self, rows: Rows, values: dict[str, Floats], width: timedelta) -> Named:
        blocks, end = rolling.cut(rows, rolling.microseconds(width)), format_duration(width)
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

    def _among_peers(
        self, signals: pl.DataFrame, rows: Rows, values: Mapping[str, Floats]
    ) -> Named:
        if self.peers:
            yield from peers.compared(signals, values, self.peers, self.peers.statistics)
        if self.surprise is None:
            return
        scores = surprise.scores(rows, values, self.surprise)
        sizes = {score.named("surprise"): surprise.of(score.z) for score in scores}
        if "z" in self.surprise.statistics:
            yield from ((score.named("z"), score.z) for score in scores)
        if "surprise" in self.surprise.statistics:
            yield from sizes.items()
        if self.peers:
            yield from peers.compared(signals, sizes, self.peers, self.surprise.peers)
        yield from surprise.summarized(
            rows, scores, self.surprise, rolling.microseconds(self.max_age)
        )

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
        at = known.dt.epoch("us").to_numpy()
        yield from history.named(rows, _numbers(signals[OUTCOME]), at, past)


def _numbers(series: pl.Series) -> Floats:
    """Return float64 with NaN for what is missing, or not to be held by a feature's float32."""
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan)


def _keep(named: Named, found: dict[str, Features], start: int, height: int) -> None:
    """Store each feature's part; what float32 can't hold is missing."""
    seen = set() if start else set(found)
    for name, values in named:
        if name in seen:
            raise _named_twice(name)
        seen.add(name)
        whole = found.setdefault(name, np.empty(height, np.float32))
        with np.errstate(over="ignore"):
            part = values.astype(np.float32)
        whole[start : start + len(part)] = np.where(np.isfinite(part), part, np.float32(np.nan))


def _named_twice(name: str) -> ConfigError:
    return config_error("features", name, "two features have this name; rename a column.")


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
