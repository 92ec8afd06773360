from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll import findings
from cll.errors import DataRefused
from cll.values import INCIDENTS, REJECTS, Columns, Counts

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = Columns(numeric=("cpu", "queue"))


def signals(queue=(1.0, None)):
    times = [START + timedelta(minutes=i) for i in range(len(queue))]
    frame = {"entity": ["a"] * len(queue), "time": times, "cpu": [0.5] * len(queue)}
    return pl.DataFrame({**frame, "queue": list(queue)}, schema_overrides={"queue": pl.Float64})


def incidents(*entities):
    rows = [(name, START, None, START, None) for name in entities]
    return pl.DataFrame(rows, schema=INCIDENTS, orient="row")


def rejects(*reasons):
    rows = [("signals", "a.csv", i + 2, None, "x", reason) for i, reason in enumerate(reasons)]
    return pl.DataFrame(rows, schema=REJECTS, orient="row")


def test_where_all_is_quarantined_the_first_reason_is_told():
    counts = Counts(records_in=2, quarantined=2)
    with pytest.raises(DataRefused, match=r"Of 2 records no signal was kept: .* a.csv:2: torn\.$"):
        findings.refuse(signals([]), incidents(), rejects("torn", "torn"), COLUMNS, counts)


def test_before_the_first_day_as_of_is_asked_for():
    with pytest.raises(DataRefused, match=r"is as_of, in world.yaml, before the data's first day"):
        findings.refuse(signals([]), incidents(), rejects(), COLUMNS, Counts())


def test_where_all_is_pending_as_of_is_named():
    counts = Counts(records_in=3, pending=3)
    with pytest.raises(DataRefused, match="3 are pending: not known by as_of"):
        findings.refuse(signals([]), incidents(), rejects(), COLUMNS, counts)


def test_a_column_without_any_value_is_refused():
    counts = Counts(records_in=2, kept=2)
    with pytest.raises(DataRefused, match=r"Column queue has no value in any of 2 signals"):
        findings.refuse(signals([None, None]), incidents(), rejects(), COLUMNS, counts)


def test_incidents_of_other_entities_alone_are_refused():
    counts = Counts(records_in=3, kept=3)
    with pytest.raises(DataRefused, match=r"None of the 1 incidents .* 'pod-a', the signals 'a'"):
        findings.refuse(signals(), incidents("pod-a"), rejects(), COLUMNS, counts)


def test_some_incidents_of_other_entities_are_told():
    frames = signals(), incidents("a", "b"), rejects()
    findings.refuse(*frames, COLUMNS, Counts(records_in=4, kept=4))
    assert list(findings.remarks(*frames)) == [
        "1 of 2 incidents are of entities without signals, such as 'b'"
    ]


def test_the_commonest_reason_for_quarantine_comes_first():
    told = list(findings.remarks(signals(), incidents("a"), rejects("torn", "late", "late")))
    assert told == [
        "2 quarantined, the first at a.csv:3: late",
        "1 quarantined, the first at a.csv:2: torn",
    ]
