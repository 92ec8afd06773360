import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.trigger._distance import learn, shares


def noise(seed):
    return np.random.default_rng(seed).normal(size=200)


WINDOWS = [noise(seed) for seed in range(20)]
NEW = noise(99)


def test_a_like_window_is_unusual_as_often_as_its_p_value_says():
    rng = np.random.default_rng(4)
    p = []
    for _ in range(60):
        reference = learn([rng.normal(size=200) for _ in range(15)])
        p += [reference.p_value(rng.normal(size=200)) for _ in range(5)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert 0.4 < np.mean(p) < 0.6


def test_windows_that_differ_anyway_need_more_to_be_unusual():
    restless = [one + noise(98)[day] for day, one in enumerate(WINDOWS)]
    moved = NEW + 1
    assert learn(WINDOWS).p_value(moved) < 1e-4
    assert learn(restless).p_value(moved) > 0.05


def test_what_moves_in_the_tail_alone_is_found():
    tail = NEW.copy()
    tail[:8] = 9.0  # four in a hundred rows
    assert learn(WINDOWS).p_value(tail) < 0.01


def test_values_that_come_to_be_missing_are_found():
    gone = NEW.copy()
    gone[:10] = np.nan
    assert learn(WINDOWS).p_value(gone) < 0.01


def test_a_column_of_one_value_is_like_itself_and_unlike_another():
    reference = learn([np.full(200, 7.0)] * 10)
    assert reference.p_value(np.full(200, 7.0)) == pytest.approx(0.5)
    assert reference.p_value(np.full(200, 8.0)) < 1e-6
    assert reference.p_value(np.full(200, np.nan)) < 1e-6


def test_a_window_of_under_half_the_rows_is_not_judged():
    assert np.isnan(learn(WINDOWS).p_value(np.zeros(99)))
    assert np.isnan(learn(WINDOWS).p_value(np.zeros(0)))
    assert np.isfinite(learn(WINDOWS).p_value(np.zeros(100)))


def test_weekends_are_no_shift_where_the_reference_has_them():
    days = [noise(day) + 2 * (day % 7 >= 5) for day in range(28)]
    weekend = NEW + 2
    assert learn(days).p_value(weekend) > 0.05
    assert learn(days[:5] * 3).p_value(weekend) < 1e-4


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_in_a_window_changes_nothing(random):
    order = random.sample(range(200), 200)
    shuffled = [one[order] for one in WINDOWS]
    assert learn(shuffled).p_value(WINDOWS[0][order]) == learn(WINDOWS).p_value(WINDOWS[0])


@given(st.lists(st.floats(allow_nan=True, width=16), min_size=1, max_size=30))
def test_shares_rise_from_cut_to_cut_and_end_with_what_is_missing(values):
    told = shares(np.array(values), np.array([-1.0, 0.0, 5.0]))
    assert (np.diff(told[:-1]) >= 0).all()
    assert 0 <= told[-1] <= 1 - told[-2] + 1e-12
