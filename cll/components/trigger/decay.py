"""Train when the champion does worse than it did when it was new."""

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
from cll.components.trigger._losses import LACKS_FROM_ONE, LOSSES, scored_labels
from cll.components.trigger._significance import Usual, chance_of_several, usual
from cll.components.trigger._time_windows import Stretch
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration
from cll.types.triggers import Reason, Situation

_LEAST = 5  # windows of the history in which the metric must be defined
# Lower bound for the spread, divided by the root of the number of rows. The root of a count of
# independent rows has twice this spread.
_LEAST_SPREAD = 0.25


@dataclass(frozen=True)
class _History:
    """Losses of the first windows after the champion's training rows."""

    windows: int  # number of windows in which the metric is defined
    rows: int  # median number of rows of a window
    usual: Usual | None  # None if the metric is defined in too few windows


@dataclass(frozen=True)
class Decay:
    """Fires if the newest window is unusually bad, and `at_least` of the last `of_last` windows are.

    Windows contain labelled rows newer than the champion's training rows. The first `history`
    windows are the reference. The square root of the loss (log loss, Brier score, 1 - AUC,
    1 - accuracy) is compared, since it is about normal, like the root of a count. `unknown` is the
    share of a window's labels that may be late.
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
        """Refuse windows of no length, and an `at_least` above `of_last`."""
        if not self.window:
            raise config_error("trigger.window", "0", "write how long a window is: 1d.")
        if self.at_least > self.of_last:
            way_out = f"only {self.of_last} windows (of_last) are looked at."
            raise config_error("trigger.at_least", self.at_least, way_out)

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        trained_until = situation.champion_trained_until
        says = time_windows.waiting(situation, self.rest)
        if says or trained_until is None:
            return [_not_evaluated(says or time_windows.NO_MODEL)]
        if self.metric == "accuracy" and situation.threshold is None:
            return [_not_evaluated("The champion has no threshold, so no accuracy.")]
        fresh = time_windows.cut(situation.rows, [Stretch(trained_until, situation.as_of)])[0]
        until = time_windows.labelled_until(fresh, situation.as_of, self.window, self.unknown)
        first = time_windows.after(trained_until, self.window, self.history, until)
        span = format_duration(self.window)
        if len(first) < self.history:
            says = f"{len(first)} windows of {span} have their labels, {self.history} are needed."
            return [_not_evaluated(says)]
        new = time_windows.before(until, self.window, self.of_last, first[-1].until)
        history = self._history(fresh, first, situation.threshold)
        if not new or history.usual is None:
            says = (
                f"{history.windows} windows of {span} have a {self.metric} from when the model was"
                f" new, and {len(new)} windows are newer."
            )
            return [_not_evaluated(says)]
        now = [self._root_loss(rows, situation.threshold) for rows in time_windows.cut(fresh, new)]
        losses = [loss if 2 * rows >= history.rows else math.nan for loss, rows in now]
        return [self._reason(history.usual, losses)]

    def _history(
        self, fresh: pl.DataFrame, first: Sequence[Stretch], threshold: float | None
    ) -> _History:
        def measure(labelled: pl.DataFrame) -> _History:
            cut = time_windows.cut(labelled, first)
            measured = [self._root_loss(window, threshold) for window in cut]
            losses = [loss for loss, _ in measured if not math.isnan(loss)]
            rows = int(np.median([rows for _, rows in measured]))
            least_spread = _LEAST_SPREAD / math.sqrt(max(rows, 1))
            enough = len(losses) >= _LEAST
            return _History(len(losses), rows, usual(losses, least_spread) if enough else None)

        whole = time_windows.cut(fresh, [Stretch(first[0].since, first[-1].until)])[0]
        labelled = whole.select("time", "status", "label", "p")
        name = ("decay", *first, self.metric, threshold)
        return row_cache.get_or_make(labelled, name, measure)

    def _root_loss(self, rows: pl.DataFrame, threshold: float | None) -> tuple[float, int]:
        """Return the square root of the loss, NaN if it is not defined, and the labelled rows."""
        y, p = scored_labels(rows)
        loss = LOSSES[self.metric](y, p, threshold or 0.0) if len(y) else math.nan
        return math.sqrt(loss), len(y)

    def _reason(self, reference: Usual, now: Sequence[float]) -> Reason:
        p = [1.0 if math.isnan(loss) else reference.tail(loss) for loss in now]
        bad = [p_value <= self.level for p_value in p]
        of_one = self.metric in LACKS_FROM_ONE
        usually, newest = (1 - x**2 if of_one else x**2 for x in (reference.mean, now[-1]))
        span = format_duration(self.window)
        says = (
            f"{self.metric} is {newest:.3f} over the newest {span}, and was {usually:.3f}"
            f" (p {p[-1]:.2g}); {sum(bad)} of the last {self.of_last} windows were unusually bad,"
            f" {self.at_least} with the newest are enough."
        )
        if math.isnan(now[-1]):
            says = f"The newest {span} has too few labelled rows for a {self.metric}."
        return Reason(
            "decay",
            fires=bad[-1] and sum(bad) >= self.at_least,
            value=None if math.isnan(now[-1]) else p[-1],
            bound=self.level,
            says=says,
            false_alarms=chance_of_several(
                self.level, self.at_least, self.of_last, reference.count
            ),
        )


def _not_evaluated(says: str) -> Reason:
    return Reason("decay", fires=False, value=None, bound=None, says=says)
