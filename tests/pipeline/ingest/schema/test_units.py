import pytest

from cll.pipeline.ingest.schema import rules
from cll.pipeline.ingest.schema.units import guess_units
from tests.build.profiles import (
    COLUMNS,
    NEXT,
    column,
    day,
    days,
    found,
    incidents,
    learnt,
    with_column,
)


def lines(profile, **settings):
    return [one.line for one in found(profile, **settings)]


@pytest.mark.parametrize(
    ("name", "factor", "says"),
    [
        ("cpu_usage", 100, "a ratio that became percent"),
        ("cpu_usage", 0.01, "percent that became a ratio"),
        ("response_time", 1000, "seconds that became milliseconds"),
        ("response_time", 1e-3, "milliseconds that became seconds"),
        ("response_time", 1e6, "seconds that became microseconds"),
        ("response_time", 60, "minutes that became seconds"),
        ("response_time", 1 / 3600, "seconds that became hours"),
        ("heap_bytes", 1024, "KiB that became bytes"),
        ("heap_bytes", 1 / 1024**2, "bytes that became MiB"),
        ("cpu_usage", 1e6, "another unit"),
    ],
)
def test_a_factor_is_named_by_what_the_column_measures(name, factor, says):
    assert guess_units(name, None, factor * 1.1)[0] == says


def test_the_unit_that_the_config_tells_counts_more_than_the_name():
    assert guess_units("heap", "B", 1024)[1] == "B"
    assert guess_units("x", "s", 1000) == ("seconds that became milliseconds", "ms")


def test_a_ratio_that_became_percent_is_refused_in_one_sentence():
    (line,) = lines(with_column("cpu_usage", column(45.2)))

    assert line == (
        "cpu_usage: median 45.2 on 2026-01-15, 0.368 to 0.552 until then: 100 times as much: "
        "a ratio that became percent? Mend the files, set source.signals.unit.cpu_usage=percent "
        "if all are so, or accept it by `cll schema accept`."
    )


def test_seconds_that_became_milliseconds_are_refused():
    (line,) = lines(with_column("response_time", column(310.0)))

    assert "seconds that became milliseconds?" in line
    assert "source.signals.unit.response_time=ms" in line


def test_several_days_in_another_unit_are_reported_once():
    bent = with_column("cpu_usage", column(45.2))
    later = {NEXT: bent, "2026-01-16": bent, "2026-01-17": bent}
    (one,) = rules.check(learnt(), later, COLUMNS, dict.fromkeys(later, 22))

    assert "on 2026-01-15 and on 2 later days, 0.368" in one.line


def test_ten_times_the_load_is_no_other_unit():
    assert lines(with_column("response_time", column(3.0))) == []


def test_an_outage_that_moves_the_median_alone_is_no_other_unit():
    outage = {**column(0.3), "median": 9.0, "scale": 9.0, "q99": 10.0, "high": 10.0}

    assert lines(with_column("response_time", outage)) == []


def test_a_column_that_is_0_but_for_single_rows_is_not_judged():
    rare = {
        "nulls": 0,
        "low": 0.0,
        "q01": 0.0,
        "median": 0.0,
        "q99": 0.0,
        "high": 9.0,
        "scale": 9.0,
    }
    known = learnt_of("cpu_usage", {**rare, "high": 0.1, "scale": 0.1})

    assert lines(with_column("cpu_usage", rare), known=known) == []


def test_a_column_below_0_is_judged_by_its_size():
    cold = {name: -value for name, value in column(10.0).items()} | {"nulls": 0, "scale": 10.0}
    colder = {name: 100 * value for name, value in cold.items()}
    (line,) = lines(with_column("cpu_usage", colder), known=learnt_of("cpu_usage", cold))

    assert line.startswith(
        "cpu_usage: median -1000 on 2026-01-15, -10 until then: 100 times as much"
    )


def learnt_of(name, told):
    bent = {date: with_column(name, told) for date in days()}
    return rules.infer(bent, COLUMNS, {}, incidents())


def test_part_of_the_rows_in_percent_is_refused():
    mixed = {**column(0.46), "q99": 80.0, "high": 92.0}
    (line,) = lines(with_column("cpu_usage", mixed))

    assert "1 % of the rows over 80 on 2026-01-15, 1.1 at most until then" in line
    assert "part of the rows in another unit?" in line


def test_a_bound_that_was_never_passed_is_narrower_than_a_range():
    share = {**column(0.46), "high": 1.0, "q99": 0.9}
    known = learnt_of("cpu_usage", share)
    passed = {**share, "q99": 2.0, "high": 3.0}

    assert (
        "part of the rows in another unit?"
        in lines(with_column("cpu_usage", passed), known=known)[0]
    )
    assert lines(with_column("cpu_usage", passed)) == []


def test_part_of_the_rows_far_below_all_earlier_values_is_refused():
    mixed = {**column(0.3), "q01": 0.0006, "low": 0.0003}
    (line,) = lines(with_column("response_time", mixed))

    assert "1 % of the rows under 0.0006" in line
    assert "at least until then: 41.7 times as little" in line


def test_one_percent_of_few_rows_is_no_breach():
    mixed = {**column(0.46), "q99": 80.0, "high": 92.0}

    assert (
        lines(with_column("cpu_usage", mixed, rows=72, outcome={"told": 72, "positive": 1})) == []
    )


def test_one_number_in_every_row_is_an_instrument_that_is_stuck():
    stuck = dict.fromkeys(column(1.0), 0.0) | {"nulls": 0}
    (line,) = lines(with_column("cpu_usage", stuck))

    assert "cpu_usage: 0 in every row on 2026-01-15" in line


def test_a_column_that_always_was_one_number_may_stay_so():
    constant = dict.fromkeys(column(1.0), 0.4) | {"nulls": 0}
    known = learnt_of("cpu_usage", constant)

    assert lines(with_column("cpu_usage", {**constant}), known=known) == []


def test_a_column_that_never_had_a_value_may_get_some():
    known = learnt_of("cpu_usage", {"nulls": 5760})

    assert lines(day(), known=known) == []
    assert known.columns["cpu_usage"].median is None
