from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.pipeline.evaluate.statistics import events
from cll.types.tables import INCIDENTS, INSTANT

START = datetime(2026, 1, 1, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
NOW = timedelta(0)
SCHEMA = {
    "entity": pl.String,
    "time": INSTANT,
    "label": pl.Int8,
    "incident": pl.Int32,
    "held": pl.Boolean,
    "alert": pl.Boolean,
}


def at(minute):
    return START + timedelta(minutes=minute)


def day(alerts=(), positives=None, held_from=0, entity="a", step=10):
    """One day of rows; `positives` maps a minute to the incident its row belongs to."""
    positives = positives or {}
    rows = [
        (entity, at(m), int(m in positives), positives.get(m), m >= held_from, m in alerts)
        for m in range(0, 1441, step)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def incidents(*starts):
    rows = [("a", at(start), at(start + 60), at(start + 60), "leak") for start in starts]
    return pl.DataFrame(rows, schema=INCIDENTS, orient="row")


def test_a_holdout_without_incidents_has_no_event_figures():
    assert events.figures(day(alerts=[10]), incidents(), HALF_HOUR, HALF_HOUR) == {}


def test_a_missed_incident_has_no_lead():
    rows = day(positives={580: 0, 590: 0})
    found = events.figures(rows, incidents(600), HALF_HOUR, HALF_HOUR)
    assert found == {
        "incidents": 1,
        "caught": 0,
        "caught_share": 0,
        "alarms_per_day": 0,
        "false_alarms_per_day": 0,
    }


def test_the_lead_runs_from_the_first_alert_within_the_horizon_to_the_start():
    rows = day(alerts=[580, 590, 880], positives={580: 0, 590: 0, 880: 1, 890: 1, 1180: 2})
    found = events.figures(rows, incidents(600, 890, 1200), HALF_HOUR, HALF_HOUR)
    assert (found["incidents"], found["caught"]) == (3, 2)
    assert found["caught_share"] == pytest.approx(2 / 3)
    assert found["lead_minutes_median"] == 15
    assert found["lead_minutes_p10"] == pytest.approx(11)


def test_without_a_horizon_the_time_to_detection_is_given():
    rows = day(alerts=[620, 630], positives={600: 0, 610: 0, 620: 0, 630: 0})
    found = events.figures(rows, incidents(595), NOW, HALF_HOUR)
    assert found["detection_minutes_median"] == 25
    assert found["detection_minutes_p90"] == 25
    assert "lead_minutes_median" not in found


def test_an_incident_that_began_before_the_holdout_has_no_time():
    rows = day(alerts=[610], positives={600: 0, 610: 0}, held_from=605)
    found = events.figures(rows, incidents(595), NOW, HALF_HOUR)
    assert found["caught"] == 1
    assert "detection_minutes_median" not in found


def test_alerts_outside_the_holdout_do_not_count():
    rows = day(alerts=[100, 580], positives={580: 0, 700: 1}, held_from=650)
    found = events.figures(rows, incidents(600, 710), HALF_HOUR, HALF_HOUR)
    assert (found["incidents"], found["caught"], found["alarms_per_day"]) == (1, 0, 0)


def test_alerts_close_to_each_other_are_one_alarm():
    rows = day(alerts=[100, 110, 140, 200], positives={580: 0})
    found = events.figures(rows, incidents(600), HALF_HOUR, HALF_HOUR)
    assert found["false_alarms_per_day"] == 2


def test_alerts_on_neighbouring_rows_are_one_alarm_however_far_apart_rows_are():
    rows = day(alerts=[120, 240, 480], positives={600: 0}, step=120)
    found = events.figures(rows, incidents(610), HALF_HOUR, HALF_HOUR)
    assert found["false_alarms_per_day"] == 2


def test_an_alarm_that_runs_into_the_horizon_is_not_false():
    rows = day(alerts=[550, 560, 570, 580], positives={570: 0, 580: 0})
    found = events.figures(rows, incidents(600), HALF_HOUR, HALF_HOUR)
    assert (found["alarms_per_day"], found["false_alarms_per_day"]) == (1, 0)


def test_each_entity_has_alarms_of_its_own_and_the_fleet_is_counted_together():
    rows = pl.concat([day(alerts=[100], positives={580: 0}), day(alerts=[100], entity="b")])
    found = events.figures(rows, incidents(600), HALF_HOUR, HALF_HOUR)
    assert found["false_alarms_per_day"] == 2


def test_a_single_instant_has_no_alarms_per_day():
    rows = day(alerts=[580], positives={580: 0}).filter(pl.col("time") == at(580))
    found = events.figures(rows, incidents(600), HALF_HOUR, HALF_HOUR)
    assert found["caught"] == 1
    assert "alarms_per_day" not in found
