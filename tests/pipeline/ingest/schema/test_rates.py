import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.pipeline.ingest.schema.rates import DayCounts, estimate, has_jumped
from tests.build.profiles import day, found


def share(positive, of=5000, independent=400, *, is_full=True):
    return DayCounts(positive, of, independent, is_full=is_full, is_share=True)


def count(positive, entities=20, *, is_full=True):
    return DayCounts(positive, entities, entities, is_full=is_full, is_share=False)


def lines(profile=None, **settings):
    return [one.line for one in found(profile, **settings)]


def test_outcomes_the_wrong_way_round_are_refused():
    (line,) = lines(day(outcome={"told": 5700, "positive": 5614}))

    assert line.startswith("outcome: 0.985 of the rows failed on 2026-01-15, 0.0122 to 0.0182")
    assert "the wrong way round? Mend their origin, or accept it by `cll schema accept`." in line


def test_outcomes_the_wrong_way_round_are_refused_before_the_day_is_over():
    early = day(rows=480, until=1.92, outcome={"told": 240, "positive": 236})

    assert [one.kind for one in found(early, count=2)] == ["rate"]


def test_a_storm_of_incidents_is_refused_and_a_bad_day_is_not():
    assert lines(count=150)[0].startswith("incidents: 7.53 per entity and day on 2026-01-15")
    assert lines(count=45) == []


def test_incidents_that_no_longer_come_are_refused_once_the_day_is_over():
    assert "times as rare" in lines(count=0)[0]
    assert lines(day(until=11.92), count=0) == []


def test_a_day_of_few_rows_may_fail_in_none_or_in_many_of_them():
    few = {"rows": 30, "entities": 15, "until": 3.0}

    assert lines(day(outcome={"told": 30, "positive": 0}, **few), count=2) == []
    assert lines(day(outcome={"told": 30, "positive": 3}, **few), count=2) == []


def test_one_day_of_history_leaves_room_for_other_days():
    known = estimate([share(250)])

    assert known is not None
    assert not has_jumped(share(700), known, 2.0)
    assert has_jumped(share(4750), known, 2.0)


def test_a_rate_that_swings_is_allowed_to_swing():
    steady = estimate([share(250 + n) for n in range(14)])
    swinging = estimate([share(60 * 3 ** (n % 4)) for n in range(14)])

    assert steady is not None
    assert swinging is not None
    assert swinging.spread > 2 * steady.spread
    assert has_jumped(share(1200), steady, 2.0)
    assert not has_jumped(share(3000), swinging, 2.0)


def test_days_without_counts_give_no_rate():
    assert estimate([share(0, of=0)]) is None
    assert estimate([]) is None


def test_a_day_without_entities_is_no_jump():
    known = estimate([share(250)])

    assert known is not None
    assert not has_jumped(share(0, of=0), known, 2.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(300, 400), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([1.0, 2.0]),
    st.booleans(),
)
def test_no_day_jumps_out_of_the_rate_estimated_from_it(drawn, factor, is_share):
    days = [
        DayCounts(positive, of, of / 2, is_full=full, is_share=is_share)
        for positive, of, full in drawn
    ]
    known = estimate(days)

    assert known is not None
    assert not any(has_jumped(one, known, max(factor, 1.001)) for one in days)


def test_rates_lie_where_the_days_lie():
    known = estimate([share(n) for n in (200, 250, 300)])

    assert known is not None
    assert known.rate == pytest.approx(0.05, rel=0.01)
    assert known.range == pytest.approx((0.04, 0.06), rel=0.01)
