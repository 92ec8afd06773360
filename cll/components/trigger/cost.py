"""Train when the wrong answers that a training would save are more than it costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from annotated_types import Gt, Interval

from cll.components.trigger import _time_windows as time_windows
from cll.components.trigger._losses import answers, wrong_share
from cll.components.trigger._time_windows import Stretch
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration
from cll.types.triggers import Reason, Situation

_TWO = 2  # stretches that are compared


@dataclass(frozen=True)
class Cost:
    """Fires if (error rate now - when new) * rows until the next training is over `training`.

    Both rates are those of a `window` of rows newer than all the model learnt from, with known
    labels: the newest one, and the first one. A training is expected to bring the latter back, and
    to serve for `serves`. No rate of false alarms is stated: it is an estimate, not a test.
    """

    training: Annotated[float, Gt(0)] = 500.0
    window: Duration = timedelta(days=3)
    serves: Duration = timedelta(days=7)
    unknown: Annotated[float, Interval(ge=0, lt=1)] = 0.01
    rest: Duration = timedelta(days=3)

    def __post_init__(self) -> None:
        """Refuse spans that hold nothing."""
        for key in ("window", "serves"):
            if not getattr(self, key):
                raise config_error(f"trigger.{key}", "0", "write how long it is: 7d.")

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        learnt, threshold = situation.champion_trained_until, situation.threshold
        says = time_windows.waiting(situation, self.rest)
        if says or learnt is None or threshold is None:
            return [self._untold(says or "The model in force has no threshold, so no errors.")]
        fresh = time_windows.cut(situation.rows, [Stretch(learnt, situation.as_of)])[0]
        until = time_windows.labelled_until(fresh, situation.as_of, self.window, self.unknown)
        first = time_windows.after(learnt, self.window, 1, until)
        new = time_windows.before(until, self.window, 1, first[0].until) if first else []
        told = [answers(one) for one in time_windows.cut(fresh, [*first, *new])]
        if len(told) < _TWO or not all(len(y) for y, _ in told):
            span = format_duration(self.window)
            return [self._untold(f"{span} when it was new and {span} of now aren't there yet.")]
        then, now = (wrong_share(y, p, threshold) for y, p in told)
        rows = len(told[1][0]) * (self.serves / self.window)
        return [self._reason(then, now, rows)]

    def _reason(self, then: float, now: float, rows: float) -> Reason:
        gain = (now - then) * rows
        says = (
            f"{now:.2%} of the answers are wrong, {then:.2%} were when the model was new: over"
            f" {rows:,.0f} rows in {format_duration(self.serves)} a training saves {gain:,.0f} wrong"
            f" answers, and costs as much as {self.training:,g}."
        )
        return Reason("cost", gain > self.training, gain, self.training, says)

    def _untold(self, says: str) -> Reason:
        return Reason("cost", fires=False, value=None, bound=self.training, says=says)
