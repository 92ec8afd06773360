from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cll.components.trigger.schedule import Schedule
from cll.types.errors import ConfigError
from tests.build.situations import at, rows

FRAME = rows(days=3)
MONDAY = datetime(2026, 1, 5, 3, tzinfo=UTC)


def fires(since, until, cron="0 3 * * MON"):
    situation = replace(at(FRAME, 3), trained=since, as_of=until)
    (reason,) = Schedule(cron)(situation)
    return reason.fires


@pytest.mark.parametrize(
    "cron", ["", "0 3 * *", "0 0 3 * * MON", "61 * * * *", "0 0 30 2 *", "@daily", "0 3 * * FUNDAY"]
)
def test_what_names_no_instant_is_refused(cron):
    with pytest.raises(ConfigError, match=r"trigger\.cron=.*write minute, hour, day"):
        Schedule(cron)


def test_an_instant_counts_once_from_the_tick_that_reaches_it():
    second = timedelta(seconds=1)
    assert not fires(MONDAY - 2 * second, MONDAY - second)
    assert fires(MONDAY - second, MONDAY)
    assert not fires(MONDAY, MONDAY + second)


def test_a_tick_that_comes_late_makes_up_for_all_instants_it_missed():
    assert fires(MONDAY, MONDAY + timedelta(days=30))


def test_instants_are_utc_wherever_the_tick_came_from():
    east = timezone(timedelta(hours=9))
    assert fires((MONDAY - timedelta(hours=1)).astimezone(east), MONDAY.astimezone(east))
    assert not fires((MONDAY - timedelta(hours=9)).astimezone(east), MONDAY - timedelta(hours=1))


def test_the_reason_names_the_next_instant():
    (reason,) = Schedule("30 4 1 * *")(at(FRAME, 3, trained=2))
    assert reason.says == "Training is due at 2026-02-01T04:30:00Z (30 4 1 * *)."
    assert reason.false_alarms is None
