from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.pipeline.report import timeline

START = datetime(2026, 1, 30, tzinfo=UTC)


def at(minute):
    return START + timedelta(minutes=minute)


def scored(entities, minutes, labels, **more):
    columns = {"entity": entities, "time": [at(m) for m in minutes], "label": labels}
    p = more.pop("probability", [0.5] * len(minutes))
    return timeline.scored(pl.DataFrame(columns | {"probability": p} | more, strict=False))


@pytest.mark.parametrize(
    "times",
    [
        ["2026-01-30T00:00:00Z", "2026-01-30T00:05:00Z"],
        ["2026-01-30 00:00:00+00:00", "2026-01-30 00:05:00+00:00"],
        [datetime(2026, 1, 30), datetime(2026, 1, 30, 0, 5)],  # noqa: DTZ001  as CSV readers do
        [at(0), at(5)],
    ],
)
def test_times_as_text_or_without_zone_are_read_as_utc(times):
    frame = pl.DataFrame(
        {"entity": [7, 8], "time": times, "label": [0, 1], "probability": [0.1, 0.2]}
    )
    rows = timeline.scored(frame)
    assert rows["time"].to_list() == [at(0), at(5)]
    assert rows["entity"].to_list() == ["7", "8"]


def test_rows_without_a_probability_are_left_out():
    rows = scored(["a"] * 3, [0, 5, 10], [0, 0, 0], probability=[None, float("nan"), 0.2])
    assert rows["probability"].to_list() == [0.2]


def test_a_span_ends_where_the_label_or_the_incident_changes():
    labels, incident = [1, 1, 1, 0, 1], [0, 0, 1, None, 2]
    rows = scored(["a"] * 5, [0, 5, 10, 15, 20], labels, incident=incident)
    spans = timeline.spans(rows)
    assert spans.rows() == [("a", at(0), at(5)), ("a", at(10), at(10)), ("a", at(20), at(20))]


def test_without_incident_numbers_a_span_is_a_run_of_positive_rows():
    rows = scored(["a"] * 4, [0, 5, 10, 15], [1, 1, 0, 1])
    assert timeline.spans(rows).rows() == [("a", at(0), at(5)), ("a", at(15), at(15))]


def test_two_models_rows_of_one_incident_make_one_span():
    model = ["candidate", "champion"] * 2
    rows = scored(["a"] * 4, [0, 0, 5, 5], [1, 1, 1, 1], model=model)
    assert timeline.spans(rows).rows() == [("a", at(0), at(5))]


def test_the_busiest_entity_has_the_most_incidents_and_ties_go_by_name():
    entities = ["c"] * 3 + ["b"] * 3 + ["a"] * 3 + ["d"] * 3
    labels = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0]
    rows = scored(entities, [0, 5, 10] * 4, labels)
    assert timeline.busiest(rows, 3) == ["c", "d", "a"]


def test_a_point_is_the_highest_probability_of_its_time_interval():
    rows = scored(["a"] * 4, [0, 1, 2, 3], [0] * 4, probability=[0.1, 0.9, 0.2, 0.3])
    found = timeline.peaks(rows, ["a"], 2 * 60_000_000)
    assert found["y"].to_list() == [0.9, 0.3]


def test_a_line_is_broken_where_rows_are_missing():
    minutes = [*range(0, 100, 5), *range(600, 700, 5)]
    rows = scored(["a"] * 40, minutes, [0] * 40)
    parts = timeline.peaks(rows, ["a"], 5 * 60_000_000)["part"].to_list()
    assert parts == [0] * 20 + [1] * 20


def test_a_single_instant_has_a_minutes_width():
    assert timeline.step_us(scored(["a"], [0], [1])) == 60_000_000


def test_an_incident_of_one_row_is_wide_enough_to_be_seen():
    rows = scored(["a", "a"], [0, 5], [0, 1])
    shade = timeline.shades(rows, ["a"], 60_000_000).row(0, named=True)
    assert shade["x2"] - shade["x"] == 60_000


def test_entities_with_one_instant_each_have_no_line_to_draw():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    alone = pl.DataFrame({"entity": ["a", "b"], "time": [start, start + timedelta(minutes=1)]})
    assert not timeline.has_course(alone)
    assert not timeline.has_course(alone.clear())
    assert timeline.has_course(alone.with_columns(entity=pl.lit("a")))
