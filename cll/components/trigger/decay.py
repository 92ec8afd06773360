"""Train when the model in force does worse than it did when it was new."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge, Interval

from cll.components.trigger import _row_cache as row_cache
from cll.components.trigger import _time_windows as time_windows
from cll.components.trigger._losses import LACKS_FROM_ONE, LOSSES, answers
from cll.components.trigger._significance import Usual, chance_of_several, usual
from cll.components.trigger._time_windows import Stretch
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration
from cll.types.triggers import Reason, Situation

_LEAST = 5  # windows of the history in which the metric is defined
_LEAST_SPREAD = 0.25  # over the root of the rows: half of what a count of independent rows has


@dataclass(frozen=True)
class _Past:
    """What the first windows tell; nothing is usual where the metric is defined in too few."""

    windows: int
    rows: int  # of a middling one
    usual: Usual | None


@dataclass(frozen=True)
class Decay:
    """Fires if the newest window is unusually bad, and `at_least` of the last `of_last` in all.

    Windows hold rows newer than all the model learnt from, whose labels are known; the first
    `history` of them say what is usual. What is compared is the square root of the loss (log loss,
    Brier score, 1 - AUC, 1 - accuracy), which is about normal, as that of a count is. `unknown` is
    the share of a window's labels that may be late.
    """

    metric: Literal["roc_auc", "log_loss", "brier", "accuracy"] = "roc_auc"
    window: Duration = timedelta(days=1)
    history: Annotated[int, Interval(ge=5, le=1000)] = 10
    level: Annotated[float, Interval(gt=0, le=0.5)] = 0.05
    at_least: Annotated[int, Ge(1)] = 2
    of_last: Annotated[int, Interval(ge=1, le=100)] = 3
    unknown: Annotated[float, Interval(ge=0, lt=1)] = 0.01
    rest: Duration = timedelta(days=3)

    def __post_init__(self) -> None:
        """Refuse windows that hold nothing, and more of them than there are."""
        if not self.window:
            raise config_error("trigger.window", "0", "write how long a window is: 1d.")
        if self.at_least > self.of_last:
            way_out = f"only {self.of_last} windows (of_last) are looked at."
            raise config_error("trigger.at_least", self.at_least, way_out)

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        learnt = situation.champion_trained_until
        says = time_windows.waiting(situation, self.rest)
        if says or learnt is None:
            return [_untold(says or time_windows.NO_MODEL)]
        if self.metric == "accuracy" and situation.threshold is None:
            return [_untold("The model in force has no threshold, so no accuracy.")]
        fresh = time_windows.cut(situation.rows, [Stretch(learnt, situation.as_of)])[0]
        until = time_windows.labelled_until(fresh, situation.as_of, self.window, self.unknown)
        first = time_windows.after(learnt, self.window, self.history, until)
        span = format_duration(self.window)
        if len(first) < self.history:
            says = f"{len(first)} windows of {span} have their labels, {self.history} are needed."
            return [_untold(says)]
        new = time_windows.before(until, self.window, self.of_last, first[-1].until)
        past = self._past(fresh, first, situation.threshold)
        if not new or past.usual is None:
            says = (
                f"{past.windows} windows of {span} tell of its beginnings, and {len(new)} of now."
            )
            return [_untold(says)]
        now = [self._told(one, situation.threshold) for one in time_windows.cut(fresh, new)]
        told = [loss if 2 * rows >= past.rows else math.nan for loss, rows in now]
        return [self._reason(past.usual, told)]

    def _past(
        self, fresh: pl.DataFrame, first: Sequence[Stretch], threshold: float | None
    ) -> _Past:
        def learn(known: pl.DataFrame) -> _Past:
            found = [self._told(one, threshold) for one in time_windows.cut(known, first)]
            told = [loss for loss, _ in found if not math.isnan(loss)]
            rows = int(np.median([rows for _, rows in found]))
            least_spread = _LEAST_SPREAD / math.sqrt(max(rows, 1))
            enough = len(told) >= _LEAST
            return _Past(len(told), rows, usual(told, least_spread) if enough else None)

        whole = time_windows.cut(fresh, [Stretch(first[0].since, first[-1].until)])[0]
        known = whole.select("time", "status", "label", "p")
        return row_cache.of(known, ("decay", *first, self.metric, threshold), learn)

    def _told(self, rows: pl.DataFrame, threshold: float | None) -> tuple[float, int]:
        """Return the square root of the loss, NaN where it is not defined, and its rows."""
        y, p = answers(rows)
        loss = LOSSES[self.metric](y, p, threshold or 0.0) if len(y) else math.nan
        return math.sqrt(loss), len(y)

    def _reason(self, past: Usual, now: Sequence[float]) -> Reason:
        p = [1.0 if math.isnan(loss) else past.tail(loss) for loss in now]
        bad = [one <= self.level for one in p]
        of_one = self.metric in LACKS_FROM_ONE
        usually, newest = (1 - x**2 if of_one else x**2 for x in (past.mean, now[-1]))
        span = format_duration(self.window)
        says = (
            f"{self.metric} is {newest:.3f} over the newest {span}, and was {usually:.3f}"
            f" (p {p[-1]:.2g}); {sum(bad)} of the last {self.of_last} windows were unusually bad,"
            f" {self.at_least} with the newest are enough."
        )
        if math.isnan(now[-1]):
            says = f"In the newest {span}, too few labelled rows tell a {self.metric}."
        return Reason(
            "decay",
            fires=bad[-1] and sum(bad) >= self.at_least,
            value=None if math.isnan(now[-1]) else p[-1],
            bound=self.level,
            says=says,
            false_alarms=chance_of_several(self.level, self.at_least, self.of_last, past.count),
        )


def _untold(says: str) -> Reason:
    return Reason("decay", fires=False, value=None, bound=None, says=says)
