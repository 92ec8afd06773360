"""Train when the wrong predictions that a training would avoid cost more than the training."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from annotated_types import Gt, Interval

from cll.components.trigger import _time_windows as time_windows
from cll.components.trigger._losses import scored_labels, wrong_share
from cll.components.trigger._time_windows import Stretch
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration
from cll.types.triggers import Reason, Situation

_TWO = 2  # windows that are compared: when the champion was new, and now


@dataclass(frozen=True)
class Cost:
    """Fires if (error rate now - when new) * rows until the next training is over `training`.

    "When new" is the first `window` of labelled rows after the champion's training rows, and "now"
    is the newest one. The estimate assumes that after a training the error rate is that of "when
    new" for the time `serves`. It is no significance test, so no false-alarm rate is stated.
    """

    training: Annotated[float, Gt(0)] = 500.0
    window: Duration = timedelta(days=3)
    serves: Duration = timedelta(days=7)
    unknown: Annotated[float, Interval(ge=0, lt=1)] = 0.01
    rest: Duration = timedelta(days=3)

    def __post_init__(self) -> None:
        """Refuse windows of no length."""
        for key in ("window", "serves"):
            if not getattr(self, key):
                raise config_error(f"trigger.{key}", "0", "write how long it is: 7d.")

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        trained_until, threshold = situation.champion_trained_until, situation.threshold
        reason = time_windows.waiting(situation, self.rest)
        if reason or trained_until is None or threshold is None:
            return [self._not_evaluated(reason or "The champion has no threshold, so no errors.")]
        fresh = time_windows.cut(situation.rows, [Stretch(trained_until, situation.as_of)])[0]
        until = time_windows.labelled_until(fresh, situation.as_of, self.window, self.unknown)
        first = time_windows.after(trained_until, self.window, 1, until)
        newest = time_windows.before(until, self.window, 1, first[0].until) if first else []
        scored = [scored_labels(rows) for rows in time_windows.cut(fresh, [*first, *newest])]
        if len(scored) < _TWO or not all(len(y) for y, _ in scored):
            span = format_duration(self.window)
            return [self._not_evaluated(f"Needs two windows of {span} with labelled rows.")]
        then, now = (wrong_share(y, p, threshold) for y, p in scored)
        rows = len(scored[1][0]) * (self.serves / self.window)
        return [self._reason(then, now, rows)]

    def _reason(self, then: float, now: float, rows: float) -> Reason:
        gain = (now - then) * rows
        says = (
            f"{now:.2%} of the predictions are wrong, {then:.2%} were when the model was new: over"
            f" {rows:,.0f} rows in {format_duration(self.serves)} a training avoids {gain:,.0f} wrong"
            f" predictions, and costs as much as {self.training:,g}."
        )
        return Reason("cost", gain > self.training, gain, self.training, says)

    def _not_evaluated(self, says: str) -> Reason:
        return Reason("cost", fires=False, value=None, bound=self.training, says=says)
