"""Train by the calendar, whatever the data are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from cll.types.errors import config_error
from cll.types.times import format_instant
from cll.types.triggers import Reason, Situation

_FIELDS = 5  # CronSim also accepts a field of seconds, which is finer than any tick
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Schedule:
    """Fires if an instant of `cron` (minute hour day month weekday, UTC) passed since training."""

    cron: str

    def __post_init__(self) -> None:
        """Refuse an expression that never comes due."""
        way_out = 'write minute, hour, day, month and weekday in UTC: "0 3 * * MON".'
        if len(self.cron.split()) != _FIELDS:
            raise config_error("trigger.cron", self.cron, way_out)
        try:
            next(CronSim(self.cron, _SOME_DAY))
        except (CronSimError, StopIteration):
            raise config_error("trigger.cron", self.cron, way_out) from None

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        since = situation.trained or situation.as_of
        due = next(CronSim(self.cron, since.astimezone(UTC)))
        fires = due <= situation.as_of
        says = f"Training {'was' if fires else 'is'} due at {format_instant(due)} ({self.cron})."
        return [
            Reason("schedule", fires, format_instant(situation.as_of), format_instant(due), says)
        ]
