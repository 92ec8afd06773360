from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.pipeline.ingest import checks
from cll.types.errors import DataRefused
from cll.types.records import Counts
from cll.types.tables import INCIDENTS, REJECTS, Columns

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = Columns(numeric=("cpu", "queue"))


def days(queue=(1.0, None)):
    nulls = {"cpu": 0, "queue": sum(value is None for value in queue)}
    columns = {name: {"nulls": count} for name, count in nulls.items()}
    return {"2026-01-01": {"rows": len(queue), "columns": columns}} if queue else {}


def evidence(of_days, table=None, found=None, counts=None, known=("a",)):
    table = incidents() if table is None else table
    found = rejects() if found is None else found
    return checks.KeptSummary(of_days, table, set(known), START, found, counts or Counts())


def incidents(*entities):
    rows = [(name, START, None, START, None) for name in entities]
    return pl.DataFrame(rows, schema=INCIDENTS, orient="row")


def rejects(*reasons):
    rows = [("signals", "a.csv", i + 2, None, "x", reason) for i, reason in enumerate(reasons)]
    return pl.DataFrame(rows, schema=REJECTS, orient="row")


def test_the_first_reason_is_named_if_all_records_are_quarantined():
    found = evidence({}, None, rejects("torn", "torn"), Counts(records_in=2, quarantined=2))
    with pytest.raises(DataRefused, match=r"Of 2 records no signal was kept: .* a.csv:2: torn\.$"):
        checks.refuse(found, COLUMNS)


def test_before_the_first_day_as_of_is_asked_for():
    with pytest.raises(DataRefused, match=r"is as_of, in world.yaml, before the data's first day"):
        checks.refuse(evidence({}), COLUMNS)


def test_where_all_is_pending_as_of_is_named():
    with pytest.raises(DataRefused, match="3 are pending: not known by as_of"):
        checks.refuse(evidence({}, counts=Counts(records_in=3, pending=3)), COLUMNS)


def test_a_file_that_lacks_a_mapped_column_is_refused_by_name():
    rows = [("signals", "b.csv", None, None, None, "lacks 'cpu_usage'; similar: 'cpu'")]
    lacking = pl.DataFrame(rows, schema=REJECTS, orient="row")
    with pytest.raises(DataRefused, match=r"^b.csv: lacks 'cpu_usage'; similar: 'cpu'\.$"):
        checks.refuse(evidence(days(), found=lacking), COLUMNS)


def test_a_column_without_any_value_is_refused():
    with pytest.raises(DataRefused, match=r"Column queue has no value in any of 2 signals"):
        checks.refuse(evidence(days([None, None])), COLUMNS)


def test_incidents_of_other_entities_alone_are_refused():
    found = evidence(days(), incidents("pod-a"))
    with pytest.raises(DataRefused, match=r"None of the 1 newest incidents .* name 'pod-a'"):
        checks.refuse(found, COLUMNS)


def test_some_incidents_of_entities_without_signals_are_reported():
    found = evidence(days(), incidents("a", "b"))
    checks.refuse(found, COLUMNS)
    assert list(checks.remarks(found)) == [
        "1 of the 2 newest incidents are of entities without signals then, such as 'b'"
    ]


def test_incidents_before_the_newest_days_are_not_compared():
    old = incidents("gone").with_columns(start=pl.col("start") - timedelta(days=1))
    found = evidence(days(), old)
    checks.refuse(found, COLUMNS)
    assert list(checks.remarks(found)) == []


def test_the_most_frequent_reasons_are_listed_and_the_rest_counted():
    told = list(checks.remarks(evidence(days(), found=rejects(*"abcdefg"))))
    assert len(told) == checks.REASONS + 1
    assert told[-1] == "and for 2 more reasons: `cll quarantine`"


def test_the_commonest_reason_for_quarantine_comes_first():
    told = list(checks.remarks(evidence(days(), found=rejects("torn", "late", "late"))))
    assert told == [
        "2 quarantined, the first at a.csv:3: late",
        "1 quarantined, the first at a.csv:2: torn",
    ]
