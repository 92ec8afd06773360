"""Train when the distribution of columns or of the champion's score changed since its training."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge, Interval, Le

from cll.components.trigger import _distance as distance
from cll.components.trigger import _row_cache as row_cache
from cll.components.trigger import _time_windows as time_windows
from cll.components.trigger._significance import chance_of_several, discoveries
from cll.components.trigger._time_windows import Stretch
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration
from cll.types.triggers import Reason, Situation

_SCORE = "p"  # the column of the champion's score in `Situation.rows`


@dataclass(frozen=True)
class _Watch:
    """Series that share reference windows, and the windows to compare with them, oldest first."""

    name: str
    series: tuple[str, ...]
    reference: Sequence[Stretch]
    windows: Sequence[Stretch]


@dataclass(frozen=True, eq=False)
class _References:
    """The reference of each series; empty if too few windows have rows."""

    windows: int
    series: tuple[distance.Reference, ...] = ()


@dataclass(frozen=True)
class _Series:
    name: str
    p: list[float]  # p-values of the last windows, oldest first; NaN where there is none


@dataclass(frozen=True)
class Drift:
    """Fires if a series drifted in the newest window, and in `at_least` of the last `of_last`.

    In each window, `false_discoveries` is the false discovery rate over all series. Columns are
    compared with the newest `reference` windows of the champion's training rows. Its score is
    compared with the first `least` windows after them, since a model is more certain of rows that
    it was trained on. With fewer than `least` reference windows the trigger does not fire.
    """

    window: Duration = timedelta(days=1)
    reference: Annotated[int, Le(1000)] = 60
    least: Annotated[int, Ge(5)] = 10
    false_discoveries: Annotated[float, Interval(gt=0, le=0.5)] = 0.05
    at_least: Annotated[int, Ge(1)] = 2
    of_last: Annotated[int, Interval(ge=1, le=100)] = 3
    rest: Duration = timedelta(days=3)

    def __post_init__(self) -> None:
        """Refuse windows of no length, and counts that contradict each other."""
        if not self.window:
            raise config_error("trigger.window", "0", "write how long a window is: 1d.")
        if self.reference < self.least:
            way_out = f"it would never fire; write {self.least} (least) or more."
            raise config_error("trigger.reference", self.reference, way_out)
        if self.at_least > self.of_last:
            way_out = f"only {self.of_last} windows (of_last) are looked at."
            raise config_error("trigger.at_least", self.at_least, way_out)

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        if says := time_windows.waiting(situation, self.rest):
            return [Reason("drift", fires=False, value=None, bound=None, says=says)]
        rows, compared, lacking, fewest = situation.rows, list[_Series](), list[Reason](), []
        for watch in self._watches(situation):
            references = self._references(rows, watch)
            if references.series and watch.windows:
                compared += self._compare(rows, watch, references)
                fewest.append(references.windows)
            elif watch.series:
                lacking.append(self._lacking(watch, references.windows))
        return [*self._reasons(compared, min(fewest, default=0)), *lacking]

    def _watches(self, situation: Situation) -> list[_Watch]:
        trained_until, as_of, width = situation.champion_trained_until, situation.as_of, self.window
        if trained_until is None:
            return []
        begin = trained_until if situation.rows.is_empty() else situation.rows["time"][0]
        of_columns = time_windows.before(trained_until, width, self.reference, begin)
        of_score = time_windows.after(trained_until, width, self.least, as_of)
        score_until = trained_until + len(of_score) * width
        newest = time_windows.before(as_of, width, self.of_last, trained_until)
        beyond = time_windows.before(as_of, width, self.of_last, score_until)
        return [
            _Watch("columns", situation.columns, of_columns, newest),
            _Watch("score", (_SCORE,), of_score, beyond),
        ]

    def _references(self, rows: pl.DataFrame, watch: _Watch) -> _References:
        if len(watch.reference) < self.least or not watch.series:
            return _References(len(watch.reference))
        whole = Stretch(watch.reference[0].since, watch.reference[-1].until)
        selected = time_windows.cut(rows, [whole])[0].select("time", *watch.series)
        name = ("drift", whole, len(watch.reference), self.least)
        return row_cache.get_or_make(selected, name, lambda rows: self._estimate(rows, watch))

    def _estimate(self, rows: pl.DataFrame, watch: _Watch) -> _References:
        windows = time_windows.cut(rows, watch.reference)
        enough = np.median([window.height for window in windows]) / 2
        windows = [window for window in windows if window.height >= max(enough, 1)]
        if len(windows) < self.least:
            return _References(len(windows))
        values = ([window[name].to_numpy() for window in windows] for name in watch.series)
        return _References(len(windows), tuple(distance.learn(series) for series in values))

    def _compare(self, rows: pl.DataFrame, watch: _Watch, references: _References) -> list[_Series]:
        windows = time_windows.cut(rows, watch.windows)
        unknown = [float("nan")] * (self.of_last - len(windows))
        return [
            _Series(name, unknown + [reference.p_value(w[name].to_numpy()) for w in windows])
            for name, reference in zip(watch.series, references.series, strict=True)
        ]

    def _reasons(self, compared: Sequence[_Series], fewest: int) -> list[Reason]:
        if not compared:
            return []
        p = np.array([series.p for series in compared])
        by_window = [discoveries(window, self.false_discoveries) for window in p.T]
        drifts = np.array([flags for flags, _ in by_window]).T
        bound, count = by_window[-1][1], drifts.sum(axis=1)
        fires = drifts[:, -1] & (count >= self.at_least)
        rate = chance_of_several(self.false_discoveries, self.at_least, self.of_last, fewest)
        return [
            Reason(
                name="score" if series.name == _SCORE else series.name,
                fires=bool(fires[i]),
                value=None if np.isnan(series.p[-1]) else series.p[-1],
                bound=bound,
                says=self._sentence(series, int(count[i]), drifted=bool(drifts[i, -1])),
                false_alarms=rate,
            )
            for i, series in enumerate(compared)
        ]

    def _sentence(self, series: _Series, count: int, *, drifted: bool) -> str:
        span = format_duration(self.window)
        if np.isnan(series.p[-1]):
            return f"The newest {span} has too few rows to be compared."
        newest = "unlike" if drifted else "like"
        return (
            f"The newest {span} is {newest} the reference (p {series.p[-1]:.2g}); {count} of the last"
            f" {self.of_last} windows drifted, {self.at_least} with the newest are enough."
        )

    def _lacking(self, watch: _Watch, windows: int) -> Reason:
        span = format_duration(self.window)
        says = f"There are {windows} reference windows of {span}, {self.least} are needed."
        if windows >= self.least:
            says = f"There is no whole window of {span} after the {windows} of the reference."
        return Reason(watch.name, fires=False, value=windows, bound=self.least, says=says)
