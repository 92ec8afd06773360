"""Train when columns, or the score, no longer look as they did when the model in force learnt."""

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

_SCORE = "p"  # as situations call it


@dataclass(frozen=True)
class _Watch:
    """Series that share reference windows, and the windows to hold against them, oldest first."""

    what: str
    series: tuple[str, ...]
    reference: Sequence[Stretch]
    windows: Sequence[Stretch]


@dataclass(frozen=True, eq=False)
class _Learnt:
    """What the reference shows, by series; nothing where too few windows have rows."""

    windows: int
    references: tuple[distance.Reference, ...] = ()


@dataclass(frozen=True)
class _Series:
    name: str
    p: list[float]  # of the last windows, oldest first; NaN where not judged


@dataclass(frozen=True)
class Drift:
    """Fires if a series strayed in the newest window, and in `at_least` of the last `of_last` in all.

    In each window, `false_discoveries` is the rate over all series. Columns are held against the
    newest `reference` windows that the model learnt from. Its score is held against the first
    `least` windows that it did not learn from, since a model is surer of the rows that it knows.
    With fewer than `least` windows nothing is judged.
    """

    window: Duration = timedelta(days=1)
    reference: Annotated[int, Le(1000)] = 60
    least: Annotated[int, Ge(5)] = 10
    false_discoveries: Annotated[float, Interval(gt=0, le=0.5)] = 0.05
    at_least: Annotated[int, Ge(1)] = 2
    of_last: Annotated[int, Interval(ge=1, le=100)] = 3
    rest: Duration = timedelta(days=3)

    def __post_init__(self) -> None:
        """Refuse windows that hold nothing, and more of them than there are."""
        if not self.window:
            raise config_error("trigger.window", "0", "write how long a window is: 1d.")
        if self.reference < self.least:
            way_out = f"nothing would be judged; write {self.least} (least) or more."
            raise config_error("trigger.reference", self.reference, way_out)
        if self.at_least > self.of_last:
            way_out = f"only {self.of_last} windows (of_last) are looked at."
            raise config_error("trigger.at_least", self.at_least, way_out)

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        if says := time_windows.waiting(situation, self.rest):
            return [Reason("drift", fires=False, value=None, bound=None, says=says)]
        rows, judged, lacking, fewest = situation.rows, list[_Series](), list[Reason](), []
        for watch in self._watches(situation):
            learnt = self._learn(rows, watch)
            if learnt.references and watch.windows:
                judged += self._judge(rows, watch, learnt)
                fewest.append(learnt.windows)
            elif watch.series:
                lacking.append(self._lacking(watch, learnt.windows))
        return [*self._reasons(judged, min(fewest, default=0)), *lacking]

    def _watches(self, situation: Situation) -> list[_Watch]:
        learnt, as_of, width = situation.champion_trained_until, situation.as_of, self.window
        if learnt is None:
            return []
        begin = learnt if situation.rows.is_empty() else situation.rows["time"][0]
        of_columns = time_windows.before(learnt, width, self.reference, begin)
        of_score = time_windows.after(learnt, width, self.least, as_of)
        known = learnt + len(of_score) * width
        newest = time_windows.before(as_of, width, self.of_last, learnt)
        beyond = time_windows.before(as_of, width, self.of_last, known)
        return [
            _Watch("columns", situation.columns, of_columns, newest),
            _Watch("score", (_SCORE,), of_score, beyond),
        ]

    def _learn(self, rows: pl.DataFrame, watch: _Watch) -> _Learnt:
        if len(watch.reference) < self.least or not watch.series:
            return _Learnt(len(watch.reference))
        whole = Stretch(watch.reference[0].since, watch.reference[-1].until)
        known = time_windows.cut(rows, [whole])[0].select("time", *watch.series)
        beside = ("drift", whole, len(watch.reference), self.least)
        return row_cache.of(known, beside, lambda known: self._learn_anew(known, watch))

    def _learn_anew(self, known: pl.DataFrame, watch: _Watch) -> _Learnt:
        windows = time_windows.cut(known, watch.reference)
        enough = np.median([one.height for one in windows]) / 2
        windows = [one for one in windows if one.height >= max(enough, 1)]
        if len(windows) < self.least:
            return _Learnt(len(windows))
        values = ([one[name].to_numpy() for one in windows] for name in watch.series)
        return _Learnt(len(windows), tuple(distance.learn(one) for one in values))

    def _judge(self, rows: pl.DataFrame, watch: _Watch, learnt: _Learnt) -> list[_Series]:
        windows = time_windows.cut(rows, watch.windows)
        unknown = [float("nan")] * (self.of_last - len(windows))
        return [
            _Series(name, unknown + [reference.p_value(one[name].to_numpy()) for one in windows])
            for name, reference in zip(watch.series, learnt.references, strict=True)
        ]

    def _reasons(self, judged: Sequence[_Series], fewest: int) -> list[Reason]:
        if not judged:
            return []
        p = np.array([one.p for one in judged])
        found = [discoveries(window, self.false_discoveries) for window in p.T]
        strays = np.array([flags for flags, _ in found]).T
        bound, count = found[-1][1], strays.sum(axis=1)
        fires = strays[:, -1] & (count >= self.at_least)
        rate = chance_of_several(self.false_discoveries, self.at_least, self.of_last, fewest)
        return [
            Reason(
                name="score" if one.name == _SCORE else one.name,
                fires=bool(fires[i]),
                value=None if np.isnan(one.p[-1]) else one.p[-1],
                bound=bound,
                says=self._says(one, int(count[i]), strayed=bool(strays[i, -1])),
                false_alarms=rate,
            )
            for i, one in enumerate(judged)
        ]

    def _says(self, one: _Series, count: int, *, strayed: bool) -> str:
        span = format_duration(self.window)
        if np.isnan(one.p[-1]):
            return f"The newest {span} has too few rows to be judged."
        newest = "unlike" if strayed else "like"
        return (
            f"The newest {span} is {newest} the reference (p {one.p[-1]:.2g}); {count} of the last"
            f" {self.of_last} windows strayed, {self.at_least} with the newest are enough."
        )

    def _lacking(self, watch: _Watch, windows: int) -> Reason:
        span = format_duration(self.window)
        says = f"{windows} reference windows of {span} are there, {self.least} are needed."
        if windows >= self.least:
            says = f"No whole window of {span} is there beside the {windows} of the reference."
        return Reason(watch.what, fires=False, value=windows, bound=self.least, says=says)
