from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.ingest import admit as ingest_admit
from cll.serving import collect
from cll.types.records import Chunk, Counts
from cll.types.tables import INCIDENTS, INSTANT, OUTCOME, OUTCOME_KNOWN_AT, REJECTS, Columns

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COLUMNS = Columns(numeric=("x", "y"), outcome=True)
PLACE = {"file": pl.String, "row": pl.Int64}
SIGNALS = {
    "entity": pl.String,
    "time": INSTANT,
    "known_at": INSTANT,
    "x": pl.Float64,
    "y": pl.Float64,
    OUTCOME: pl.Float64,
    OUTCOME_KNOWN_AT: INSTANT,
    **PLACE,
}


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def signal(entity="a", time=0, known=None, x=1.0, y=2.0, outcome=None, told=None, row=1):
    known = time if known is None else known
    told = known if told is None else told
    return (
        entity,
        None if time is None else at(time),
        None if known is None else at(known),
        x,
        y,
        outcome,
        None if outcome is None else at(told),
        "f",
        row,
    )


def incident(entity="a", start=0, end=10, known=None, kind="leak", row=1):
    known = start if known is None else known
    return (entity, at(start), None if end is None else at(end), at(known), kind, "f", row)


def chunk(records, table="signals"):
    schema = SIGNALS if table == "signals" else {**INCIDENTS, **PLACE}
    rows = pl.DataFrame(records, schema=schema, orient="row")
    return Chunk(table, rows, pl.DataFrame(schema=REJECTS), rows.height)


def admit(*records, table="signals"):
    return ingest_admit.admit(chunk(records, table), COLUMNS)


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        (signal(entity=None), "entity", "missing"),
        (signal(entity=""), "entity", "missing"),
        (signal(time=None, known=0), "time", "missing"),
        ((*signal()[:2], None, *signal()[3:]), "known_at", "missing"),
        (signal(y=float("-inf")), "y", "infinite"),
        (signal(outcome=0.5), "outcome", "an outcome is 0 or 1"),
        ((*signal()[:5], 1.0, None, "f", 1), "outcome_known_at", "missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_quarantined_with_its_place(record, field, reason):
    found = admit(record, signal(row=2))
    told = found.quarantine.select("table", "file", "row", "field", "reason").rows()
    assert told == [("signals", "f", 1, field, reason)]
    assert found.rows["row"].to_list() == [2]


def test_a_row_with_several_faults_is_quarantined_once():
    found = admit(signal(entity="", x=float("inf"), y=float("inf")))
    assert found.quarantine["field"].to_list() == ["entity"]


def test_an_incident_that_ends_before_it_starts_is_quarantined():
    found = admit(incident(end=-1), incident(end=0, row=2), table="incidents")
    assert found.quarantine["reason"].to_list() == ["ends before it starts"]
    assert found.rows["row"].to_list() == [2]


def test_what_the_source_rejected_stays_rejected():
    rejected = pl.DataFrame([("signals", "f", 3, "x", "?", "not a number")], REJECTS, orient="row")
    given_ = Chunk("signals", chunk([signal()]).rows, rejected, 2)
    assert ingest_admit.admit(given_, COLUMNS).quarantine.equals(rejected)


def test_a_row_is_known_no_earlier_than_it_happened():
    found = admit(signal(time=0, known=10), signal(time=20, known=0))
    assert found.rows["known_at"].to_list() == [at(10), at(20)]


def test_an_outcome_is_known_no_earlier_than_its_row_happened():
    found = admit(signal(time=20, outcome=1.0, told=5), signal(time=30, row=2)).rows
    assert found[OUTCOME_KNOWN_AT].to_list() == [at(20), None]


def test_a_record_that_is_still_being_written_is_pending():
    intake = collect.Intake(COLUMNS, AS_OF)
    nothing = chunk([])
    intake.take(Chunk("signals", nothing.rows, nothing.rejects, 1, pending=1))
    assert intake.counts() == Counts(records_in=1, pending=1)


@pytest.mark.parametrize("outcome", [None, -0.0])
def test_minus_zero_is_zero_in_many_rows_too(outcome):
    found = admit(*[signal(time=n, x=-0.0, y=n or None, outcome=outcome) for n in range(3)]).rows
    zeros = [found["x"], found[OUTCOME].drop_nulls()]
    assert {str(value) for column in zeros for value in column} == {"0.0"}
    assert found["y"].to_list() == [None, 1.0, 2.0]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])  # as it lies, and not by time
def test_days_hold_their_rows_in_the_order_in_which_they_came(order):
    minutes = [0, 0, 24 * 60, 72 * 60]
    rows = admit(*[signal(time=minutes[n], row=n) for n in order]).rows
    days = {date: of_day["row"].to_list() for date, of_day in ingest_admit.by_day(rows)}
    first = [n for n in order if n < 2]
    assert list(days.items()) == [("2026-01-01", first), ("2026-01-02", [2]), ("2026-01-04", [3])]


def test_nan_is_a_missing_value_and_minus_zero_is_zero():
    found = admit(signal(x=float("nan"), y=-0.0)).rows
    assert found["x"].to_list() == [None]
    assert str(found["y"][0]) == "0.0"


def test_an_intake_of_nothing_counts_nothing():
    intake = collect.Intake(COLUMNS, AS_OF)
    assert list(intake.days()) == []
    assert intake.incidents().equals(pl.DataFrame(schema=INCIDENTS))
    assert intake.counts() == Counts()


def test_days_are_utc_and_in_order():
    intake = collect.Intake(COLUMNS, AS_OF)
    intake.take(chunk([signal(time=13 * 60), signal(time=0), signal("0", time=12 * 60)]))
    days = [(day, rows["entity"].to_list()) for day, rows in intake.days()]
    assert days == [("2026-01-01", ["a"]), ("2026-01-02", ["0", "a"])]


small = st.integers(0, 2)
maybe = st.sampled_from([None, 0.0, 1.0])
signals = st.builds(
    signal,
    entity=st.sampled_from(["a", "b", "", None]),
    time=st.sampled_from([0, 1, 50]),
    known=small,
    x=st.sampled_from([None, 0.0, -0.0, 1.0, float("nan"), float("inf")]),
    y=st.sampled_from([1.0, 2.0]),
    outcome=maybe,
    told=small,
)
incidents = st.builds(
    incident,
    entity=st.sampled_from(["a", "b", ""]),
    start=small,
    end=st.sampled_from([None, -1, 0, 1, 5, 40]),
    known=st.sampled_from([0, 1, 2, 50]),
    kind=st.sampled_from([None, "leak", "cpu"]),
)


def taken(chunks):
    intake = collect.Intake(COLUMNS, at(10))
    for one in chunks:
        intake.take(one)
    days = [(day, rows) for day, rows in intake.days()]
    return days, intake.incidents(), intake.quarantine(), intake.counts()


@settings(max_examples=60, deadline=None)
@given(st.lists(signals, max_size=12), st.lists(incidents, max_size=8), st.data())
def test_every_record_is_accounted_for_and_any_order_keeps_the_same(rows, intervals, data):
    rows = [(*row[:-1], number) for number, row in enumerate(rows)]
    intervals = [(*row[:-1], number) for number, row in enumerate(intervals)]
    days, merged_, quarantine, counts = taken([chunk(rows), chunk(intervals, "incidents")])
    parts = (counts.kept, counts.quarantined, counts.duplicate, counts.pending)
    assert sum(parts) == counts.records_in == len(rows) + len(intervals)
    assert counts.quarantined == quarantine.height

    cut = data.draw(st.integers(0, len(rows)))
    shuffled = data.draw(st.permutations(rows))
    others = data.draw(st.permutations(intervals))
    pieces = [chunk(others, "incidents"), chunk(shuffled[cut:]), chunk(shuffled[:cut])]
    days2, merged2, quarantine2, counts2 = taken(pieces)
    assert counts2 == counts
    assert [day for day, _ in days] == [day for day, _ in days2]
    assert all(a.equals(b) for (_, a), (_, b) in zip(days, days2, strict=True))
    assert merged2.equals(merged_)
    assert quarantine2.equals(quarantine)
