import random

import polars as pl
import pytest

from cll.pipeline.ingest import admit, deduplicate
from cll.types.tables import INCIDENTS, OUTCOME, OUTCOME_KNOWN_AT
from tests.pipeline.ingest.test_admit import (
    AS_OF,
    COLUMNS,
    PLACE,
    SIGNALS,
    at,
    chunk,
    incident,
    signal,
)


def settle(*records, as_of=AS_OF):
    rows = admit.admit(chunk(records), COLUMNS).rows
    return deduplicate.settle(rows, COLUMNS, as_of)


def settle_incidents(*records, as_of=AS_OF):
    rows = admit.admit(chunk(records, "incidents"), COLUMNS).rows
    return deduplicate.settle_incidents(rows, as_of)


def merged(*records):
    return (
        deduplicate.merge(settle_incidents(*records).kept).select("entity", "start", "end").rows()
    )


def test_a_row_is_pending_until_it_is_known_and_has_happened():
    rows = signal(time=0, known=10), signal(time=20, known=0)
    found = [settle(*rows, as_of=at(minutes)) for minutes in (9, 10, 20)]
    assert [(one.kept.height, one.pending) for one in found] == [(0, 2), (1, 1), (2, 0)]


def test_repeats_are_found_in_sorted_rows():
    once = deduplicate.sort(chunk([signal("b"), signal("a", 1), signal("a")]).rows)
    assert once["entity"].to_list() == ["a", "a", "b"]
    assert not deduplicate.repeats(once)
    assert deduplicate.repeats(deduplicate.sort(chunk([signal(), signal("b"), signal()]).rows))


@pytest.mark.parametrize("most", [deduplicate._MOST, 0])  # as one number, and as two
@pytest.mark.parametrize("order", ["by time", "by entity", "two runs", "none"])
def test_equal_rows_stay_in_their_order_however_they_lay(order, most, monkeypatch):
    monkeypatch.setattr(deduplicate, "_MOST", most)
    records = [signal(e, t, row=n) for n in (1, 2) for t in range(5) for e in ("b", "", "aé", "a")]
    if order == "none":
        random.Random(4).shuffle(records)  # noqa: S311  no secret
    rows = chunk(records).rows
    keys = {"by time": ["time"], "by entity": ["entity", "time"], "two runs": ["row", "entity"]}
    if order in keys:
        rows = rows.sort(keys[order], maintain_order=True)
    expected = rows.sort("entity", "time", maintain_order=True)
    assert deduplicate.sort(rows).equals(expected)
    assert deduplicate.sort(rows.clear()).equals(rows.clear())


def test_an_end_that_is_not_known_yet_leaves_the_incident_open():
    kept = [settle_incidents(incident(), as_of=at(m)).kept for m in (9, 10)]
    assert [one["end"].to_list() for one in kept] == [[None], [at(10)]]


def test_a_repeated_record_is_a_duplicate_known_since_its_first():
    found = settle(signal(known=5, row=1), signal(known=3, row=2), signal(time=1, row=3))
    assert found.duplicate == 1
    assert found.quarantine.height == 0
    assert found.kept["known_at"].to_list() == [at(3), at(1)]
    assert found.kept.columns == [name for name in SIGNALS if name not in PLACE]


def test_the_earlier_known_of_two_records_of_an_instant_is_kept():
    found = settle(signal(x=1.0, known=5, row=1), signal(x=9.0, known=3, row=2))
    assert found.kept["x"].to_list() == [9.0]
    assert found.quarantine.select("row", "field", "reason").rows() == [
        (1, "time", "conflicts with f:2, known earlier")
    ]


def test_the_smaller_values_of_two_records_known_at_once_are_kept():
    found = settle(signal(x=9.0, row=1), signal(x=1.0, row=2), signal(x=None, row=3))
    assert found.kept["x"].to_list() == [1.0]
    assert found.quarantine["row"].to_list() == [1, 3]


def test_a_conflict_that_comes_twice_is_quarantined_once():
    found = settle(signal(), signal(x=5.0, known=1, row=2), signal(x=5.0, known=1, row=3))
    assert found.quarantine["row"].to_list() == [2]
    assert (found.kept.height, found.duplicate) == (1, 1)


def test_a_later_outcome_replaces_a_missing_one():
    found = settle(signal(row=1), signal(outcome=1.0, told=60, known=60, row=2))
    assert found.duplicate == 1
    kept = found.kept.select("known_at", OUTCOME, OUTCOME_KNOWN_AT).rows()
    assert kept == [(at(0), 1.0, at(60))]


def test_the_earlier_known_of_two_outcomes_is_kept():
    found = settle(signal(outcome=0.0, told=60), signal(outcome=1.0, told=30, row=2))
    assert found.kept[OUTCOME].to_list() == [1.0]
    assert found.quarantine["row"].to_list() == [1]


def test_a_name_that_occurs_once_among_many_rows_is_sorted_as_well():
    rows = chunk([signal("a" if n == 40 else "b", n) for n in range(100)]).rows
    assert deduplicate.sort(rows)["entity"].cast(pl.String).to_list() == ["a", *["b"] * 99]


def test_kept_rows_are_sorted_by_entity_and_time():
    found = settle(signal("b", 1), signal("a", 2), signal("b", 0), signal("a", 1))
    assert found.kept.select("entity", "time").rows() == [
        ("a", at(1)),
        ("a", at(2)),
        ("b", at(0)),
        ("b", at(1)),
    ]


def test_a_record_with_an_end_closes_the_open_incident():
    found = settle_incidents(incident(end=None, kind=None), incident(known=10, row=2))
    assert (found.kept.height, found.duplicate) == (1, 1)
    assert found.kept.select("end", "known_at", "kind").rows() == [(at(10), at(0), "leak")]


def test_the_earlier_known_of_two_ends_of_an_incident_is_kept():
    found = settle_incidents(incident(end=5, known=9), incident(end=7, known=8, row=2))
    assert found.kept["end"].to_list() == [at(7)]
    assert found.quarantine["reason"].to_list() == ["conflicts with f:2, known earlier"]


def test_incidents_that_overlap_or_touch_become_one():
    found = merged(
        incident(start=0, end=10),
        incident(start=2, end=4),
        incident(start=10, end=12),
        incident(start=13, end=14),
        incident("b", start=11, end=20),
    )
    assert found == [
        ("a", at(0), at(12)),
        ("a", at(13), at(14)),
        ("b", at(11), at(20)),
    ]


def test_an_open_incident_absorbs_the_incidents_after_it():
    found = merged(incident(end=None), incident(start=5, end=6), incident(start=60, end=70))
    assert found == [("a", at(0), None)]


def test_merged_incidents_have_kind_and_known_at_of_the_earliest_one():
    rows = [incident(known=3, kind=None), incident(start=5, end=20, kind="cpu")]
    found = deduplicate.merge(settle_incidents(*rows).kept)
    assert dict(found.schema) == INCIDENTS
    assert found.select("known_at", "kind").rows() == [(at(3), None)]


def test_no_incidents_merge_to_none():
    empty = pl.DataFrame(schema=INCIDENTS)
    assert deduplicate.merge(empty).equals(empty)
