"""Train when the model in force does worse than it did when it was new."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import polars as pl
from annotated_types import Ge, Interval

from cll import content, stretches
from cll.labelled import LACKS_FROM_ONE, LOSSES, answers
from cll.situation import Reason, Situation
from cll.stretches import Stretch
from cll.unusual import Usual, chance_of_several, usual
from cll.values import Duration, config_error, format_duration

_LEAST = 5  # windows of the history in which the metric is defined


@dataclass(frozen=True)
class Decay:
    """Fires if the newest window is unusually bad, and `at_least` of the last `of_last` in all.

    Windows hold rows newer than all the model learnt from, whose labels are known; the first
    `history` of them say what is usual. What is compared is the logarithm of the loss: log loss,
    Brier score, 1 - AUC, 1 - accuracy. `unknown` is the share of a window's labels that may be late.
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
        learnt = situation.learnt_until
        says = stretches.waiting(situation, self.rest)
        if says or learnt is None:
            return [_untold(says or stretches.NO_MODEL)]
        if self.metric == "accuracy" and situation.threshold is None:
            return [_untold("The model in force has no threshold, so no accuracy.")]
        fresh = stretches.cut(situation.rows, [Stretch(learnt, situation.as_of)])[0]
        until = stretches.labelled_until(fresh, situation.as_of, self.window, self.unknown)
        first = stretches.after(learnt, self.window, self.history, until)
        span = format_duration(self.window)
        if len(first) < self.history:
            says = f"{len(first)} windows of {span} have their labels, {self.history} are needed."
            return [_untold(says)]
        new = stretches.before(until, self.window, self.of_last, first[-1].until)
        past = self._past(fresh, first, situation.threshold)
        if not new or len(past) < _LEAST:
            says = f"{len(past)} windows of {span} tell of its beginnings, and {len(new)} of now."
            return [_untold(says)]
        now = [self._loss(one, situation.threshold) for one in stretches.cut(fresh, new)]
        return [self._reason(usual(past), now)]

    def _past(
        self, fresh: pl.DataFrame, first: Sequence[Stretch], threshold: float | None
    ) -> list[float]:
        """Return the losses of the first windows, where they are defined."""
        whole = stretches.cut(fresh, [Stretch(first[0].since, first[-1].until)])[0]

        def losses(known: pl.DataFrame) -> list[float]:
            found = [self._loss(one, threshold) for one in stretches.cut(known, first)]
            return [loss for loss in found if not math.isnan(loss)]

        known = whole.select("time", "status", "label", "p")
        return content.of(known, ("decay", *first, self.metric, threshold), losses)

    def _loss(self, rows: pl.DataFrame, threshold: float | None) -> float:
        y, p = answers(rows)
        if not len(y):
            return math.nan
        loss = LOSSES[self.metric](y, p, threshold or 0.0)
        return max(loss, 0.5 / len(y))  # no better than half a row's worth: its logarithm is taken

    def _reason(self, past: Usual, now: Sequence[float]) -> Reason:
        p = [1.0 if math.isnan(loss) else past.tail(loss) for loss in now]
        bad = [one <= self.level for one in p]
        of_one = self.metric in LACKS_FROM_ONE
        usually, newest = (1 - x if of_one else x for x in (math.exp(past.mean), now[-1]))
        says = (
            f"{self.metric} is {newest:.3f} over the newest {format_duration(self.window)}, and was"
            f" {usually:.3f} (p {p[-1]:.2g}); {sum(bad)} of the last {self.of_last} windows were"
            f" unusually bad, {self.at_least} with the newest are enough."
        )
        return Reason(
            "decay",
            fires=bad[-1] and sum(bad) >= self.at_least,
            value=p[-1],
            bound=self.level,
            says=says,
            false_alarms=chance_of_several(self.level, self.at_least, self.of_last, past.count),
        )


def _untold(says: str) -> Reason:
    return Reason("decay", fires=False, value=None, bound=None, says=says)
