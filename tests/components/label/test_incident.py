from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cll.components.label.incident import Incident
from cll.types.errors import ConfigError
from cll.types.tables import INCIDENTS, INSTANT, LABELS

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = START + timedelta(days=9)
BOUTIQUE = Path(__file__).parents[4] / "shared" / "data" / "online-boutique"


def signals(minutes: list[int], entity: str = "a") -> pl.DataFrame:
    times = [START + m * MINUTE for m in minutes]
    return pl.DataFrame(
        {"entity": [entity] * len(times), "time": times},
        schema={"entity": pl.String, "time": INSTANT},
    )


def incidents(*rows: tuple) -> pl.DataFrame:
    """Rows of start and end in minutes, and optionally kind, minutes known after, entity."""
    table = []
    for start, end, *rest in rows:
        kind, known, entity = (*rest, *(None, 0, "a")[len(rest) :])
        ends = None if end is None else START + end * MINUTE
        begins = START + start * MINUTE
        table.append((entity, begins, ends, begins + known * MINUTE, kind))
    return pl.DataFrame(table, schema=INCIDENTS, orient="row")


def test_naming_no_kind_is_refused():
    with pytest.raises(ConfigError, match=r"label.kinds=\[\]: no row would be positive"):
        Incident(kinds=())


def test_with_horizon_0_a_row_is_positive_from_the_start_until_before_the_end():
    label = Incident(horizon=timedelta(0))
    labels = label(signals([9, 10, 19, 20]), incidents((10, 20, "leak")), LATER)
    assert dict(labels.schema) == LABELS
    assert labels["label"].to_list() == [0, 1, 1, 0]
    assert labels["incident"].to_list() == [None, 0, 0, None]
    assert labels["kind"].to_list() == [None, "leak", "leak", None]


def test_a_row_that_lingers_tells_of_the_time_before_it():
    label = Incident(horizon=timedelta(0), linger=2 * MINUTE)
    labels = label(signals([10, 11, 20, 21, 22]), incidents((10, 20)), LATER)
    assert labels["label"].to_list() == [0, 1, 1, 1, 0]


def test_an_open_incident_is_still_failing():
    labels = Incident(horizon=timedelta(0))(signals([9, 5000]), incidents((10, None)), LATER)
    assert labels["label"].to_list() == [0, 1]


def test_a_forecast_looks_at_what_begins_after_the_row_up_to_the_horizon():
    label = Incident(horizon=30 * MINUTE)
    rows = signals([29, 30, 59, 60, 69, 70, 71])
    labels = label(rows, incidents((500, 501), (60, 70, "leak")), LATER)
    assert labels["label"].to_list() == [0, 1, 1, None, None, 0, 0]
    assert labels["status"].to_list() == ["mature"] * 3 + ["running"] * 2 + ["mature"] * 2
    assert labels["incident"].to_list() == [None, 1, 1, None, None, None, None]


def test_rows_wait_for_the_horizon_and_for_late_reports():
    label = Incident(horizon=30 * MINUTE, report_delay=10 * MINUTE)
    labels = label(signals([19, 20, 21]), incidents(), START + 60 * MINUTE)
    assert labels["status"].to_list() == ["mature", "mature", "immature"]
    assert labels["label"].to_list() == [0, 0, None]
    assert labels["known_at"][0] == START + 59 * MINUTE
    assert label.embargo == 40 * MINUTE


def test_an_incident_that_is_not_known_yet_is_not_seen():
    rows, late = signals([0, 50]), incidents((20, 40, None, 100))
    label = Incident(horizon=30 * MINUTE)
    assert label(rows, late, START + 99 * MINUTE)["label"].to_list() == [0, 0]
    assert label(rows, late, START + 120 * MINUTE)["label"].to_list() == [1, 0]


def test_overlapping_incidents_are_one_with_the_firsts_number_and_kind():
    label = Incident(horizon=timedelta(0))
    overlapping = incidents((15, 30, "second"), (10, 20, "first"), (12, 14, "inner"))
    labels = label(signals([10, 13, 16, 29, 30]), overlapping, LATER)
    assert labels["label"].to_list() == [1, 1, 1, 1, 0]
    assert labels["incident"].to_list() == [1, 1, 1, 1, None]
    assert set(labels["kind"].drop_nulls()) == {"first"}


def test_incidents_that_touch_stay_two():
    labels = Incident(horizon=timedelta(0))(
        signals([10, 20]), incidents((10, 20, "one"), (20, 30, "two")), LATER
    )
    assert labels["kind"].to_list() == ["one", "two"]


def test_entities_fail_alone():
    rows = pl.concat([signals([15]), signals([15], "b")])
    labels = Incident(horizon=timedelta(0))(rows, incidents((10, 20, None, 0, "b")), LATER)
    assert labels["label"].to_list() == [0, 1]
    assert labels["entity"].to_list() == ["a", "b"]


def test_other_kinds_count_as_if_they_had_not_been():
    both = incidents((10, 20, "leak"), (30, 40, "deploy"))
    label = Incident(horizon=timedelta(0), kinds=("deploy",))
    labels = label(signals([15, 35]), both, LATER)
    assert labels["label"].to_list() == [0, 1]
    assert labels["incident"].to_list() == [None, 1]


def test_rows_long_after_a_days_last_incident_are_uncovered():
    label = Incident(horizon=timedelta(0), observed_after_last=10 * MINUTE)
    rows = signals([0, 29, 30, 31, 1440 + 5])
    labels = label(rows, incidents((10, 20), (2, 5)), LATER)
    assert labels["status"].to_list() == ["mature"] * 3 + ["uncovered"] * 2
    assert labels["label"].to_list() == [0, 0, 0, None, None]


def test_the_chance_is_that_of_the_horizon():
    rows = signals([0]).with_columns(
        truth_incident_1800s=pl.lit(0.2), truth_incident_0s=pl.lit(0.1)
    )
    assert Incident()(rows, incidents(), LATER)["chance"].to_list() == [0.2]
    assert Incident(horizon=timedelta(0))(rows, incidents(), LATER)["chance"].to_list() == [0.1]
    assert Incident(horizon=MINUTE)(rows, incidents(), LATER)["chance"].to_list() == [None]


def test_rows_keep_their_order():
    rows = signals([50, 5, 40])
    assert Incident()(rows, incidents((20, 30)), LATER)["time"].to_list() == rows["time"].to_list()


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason="../shared/data/online-boutique is not there")
def test_online_boutiques_faults_give_the_published_positive_rows():
    telemetry = pl.read_parquet(BOUTIQUE / "telemetry.parquet").sort("pod", "timestamp")
    faults = pl.read_csv(BOUTIQUE / "faults.csv")
    starts = faults["inject_time"].str.to_datetime("%Y-%m-%d %H:%M:%S%z", time_unit="us")
    table = faults.select(
        pl.col("pod").alias("entity"),
        start=starts,
        end=starts + timedelta(minutes=3),
        known_at=starts,
        kind="fault_type",
    )
    rows = telemetry.select(pl.col("pod").alias("entity"), pl.col("timestamp").alias("time"))
    label = Incident(horizon=timedelta(0), linger=MINUTE)
    labels = label(rows, table, datetime(2022, 9, 1, tzinfo=UTC))
    assert labels["label"].sum() == 223
    assert labels["label"].to_list() == telemetry["fault_active"].to_list()
    positive = telemetry["fault_active"] == 1
    assert labels.filter(positive)["kind"].equals(telemetry.filter(positive)["fault_type"])
