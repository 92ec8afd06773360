import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cll.components.trigger._significance import chance_of_several, discoveries, student_tail, usual

P = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


@given(st.floats(-40, 40), st.integers(1, 120))
def test_students_tail_is_scipys(t, freedom):
    assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), abs=1e-8)


@given(P, st.floats(0.01, 0.5))
def test_discoveries_are_those_of_benjamini_and_hochberg(p, rate):
    found, bound = discoveries(p, rate)
    adjusted = stats.false_discovery_control(p)
    clear = np.abs(adjusted - rate) > 1e-12  # which is rounded otherwise
    assert (found == (adjusted <= rate))[clear].all()
    assert found.tolist() == (p <= bound).tolist()


def test_what_was_not_judged_is_no_discovery_and_does_not_count():
    found, bound = discoveries(np.array([np.nan, 0.04]), 0.05)
    assert found.tolist() == [False, True]
    assert bound == 0.05
    assert not discoveries(np.array([np.nan]), 0.05)[0].any()


def test_one_more_figure_of_the_same_kind_is_unusual_as_often_as_said():
    rng = np.random.default_rng(1)
    figures = rng.normal(size=(4000, 11))
    tails = np.array([usual(one[:10].tolist(), 0.0).tail(one[10]) for one in figures])
    for level in (0.01, 0.05, 0.2):
        assert (tails <= level).mean() == pytest.approx(level, abs=3 * np.sqrt(level / 4000))


def test_figures_that_never_differed_are_given_the_least_spread():
    assert usual([1.0, 1.0, 1.0], 0.5).spread == 0.5


@pytest.mark.parametrize("count", [10, 30])
def test_several_windows_against_one_reference_fire_no_more_often_than_stated(count):
    rng = np.random.default_rng(2)
    reference, windows = rng.normal(size=(50_000, count)), rng.normal(size=(50_000, 3))
    scale = reference.std(axis=1, ddof=1) * np.sqrt(1 + 1 / count)
    apart = (windows - reference.mean(axis=1)[:, None]) / scale[:, None]
    bad = apart >= stats.t.isf(0.05, count - 1)
    fires = (bad[:, -1] & (bad.sum(axis=1) >= 2)).mean()
    stated = chance_of_several(0.05, 2, 3, count)
    assert 0.75 * stated < fires <= stated


@given(st.floats(0.001, 0.5), st.integers(1, 8), st.integers(5, 200))
def test_one_of_any_number_with_the_newest_is_the_level_itself(level, of_last, count):
    assert chance_of_several(level, 1, of_last, count) == pytest.approx(level)


@given(st.floats(0.001, 0.5), st.integers(2, 8), st.integers(5, 200))
def test_more_windows_needed_is_less_often(level, of_last, count):
    rates = [chance_of_several(level, k, of_last, count) for k in range(1, of_last + 1)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] >= level**of_last
