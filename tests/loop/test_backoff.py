from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cll.loop import backoff

INSTANTS = st.timedeltas(timedelta(0), timedelta(days=30_000)).map(
    lambda span: datetime(1990, 1, 1, tzinfo=UTC) + span
)
SPANS = st.timedeltas(timedelta(seconds=1), timedelta(days=30)).map(
    lambda span: timedelta(seconds=int(span.total_seconds()))
)
DRAWS = st.floats(0, 1, exclude_max=True)


@given(INSTANTS, SPANS)
def test_the_grid_is_the_last_whole_multiple_and_the_next_is_later(now, every):
    before = backoff.grid(now, every)
    assert now - every < before <= now
    assert backoff.grid(before, every) == before
    assert before + every == now + backoff.until_next(now, every)
    assert timedelta(0) < backoff.until_next(now, every) <= every


@given(st.integers(1, 10**6), SPANS, SPANS, DRAWS)
def test_after_a_failure_it_waits_at_least_half_and_at_most_the_most(failures, first, most, draw):
    wait = backoff.back_off(failures, first, most, draw)
    assert min(first, most) / 2 <= wait <= most


@given(st.integers(1, 100), SPANS, SPANS, DRAWS)
def test_each_failure_more_waits_as_long_or_longer(failures, first, most, draw):
    now, then = (backoff.back_off(n, first, most, draw) for n in (failures, failures + 1))
    assert now <= then <= 2 * now + timedelta.resolution  # each is rounded to the microsecond


@given(SPANS)
def test_the_first_failure_waits_the_first_span_where_chance_cuts_nothing(first):
    assert backoff.back_off(1, first, first * 2, 0.0) == first


def test_what_failed_together_does_not_come_back_together():
    span = timedelta(minutes=1)
    assert backoff.back_off(1, span, span, 0.2) != backoff.back_off(1, span, span, 0.3)
