import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _sigmoid_calibration
from sklearn.metrics import log_loss

from cll.model import platt


def drawn(slope, intercept, rows=20_000):
    chance = np.random.default_rng(5)
    margin = chance.normal(size=rows) * 3
    y = (chance.random(rows) < platt.probability(margin, slope, intercept)).astype(float)
    return margin, y


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -2.0), (3.0, 1.0)])
def test_the_fit_recovers_the_true_slope_and_intercept(slope, intercept):
    fitted = platt.fit(*drawn(slope, intercept))
    assert fitted == pytest.approx((slope, intercept), abs=0.1)


def test_the_fit_agrees_with_scikit_learns_private_one():
    margin, y = drawn(0.7, -1.0, rows=500)
    a, b = _sigmoid_calibration(margin, y)
    assert platt.fit(margin, y) == pytest.approx((-a, -b), abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.integers(2, 40))
def test_the_fit_is_finite_for_any_margins(seed, size, rows):
    chance = np.random.default_rng(seed)
    y = chance.integers(0, 2, rows).astype(float)
    assert np.isfinite(platt.fit(chance.normal(size=rows) * size, y)).all()


def test_the_fit_stays_finite_on_separable_data():
    margin = np.array([-2.0, -1.0, 1.0, 2.0] * 10)
    slope, _ = platt.fit(margin, (margin > 0).astype(float))
    assert 0 < slope < 20


def test_one_margin_for_all_rows_gives_the_share():
    slope, intercept = platt.fit(np.full(100, 7.0), np.array([1.0] + [0.0] * 99))
    assert platt.probability(np.array([7.0]), slope, intercept)[0] < 0.05


@given(st.integers(0, 2**32 - 1), st.floats(-1e7, 1e7), st.integers(1, 40))
def test_the_fitted_intercept_makes_the_mean_probability_the_share(seed, shift, rows):
    chance = np.random.default_rng(seed)
    y = chance.integers(0, 2, rows).astype(float)
    margin = chance.normal(size=rows) + shift
    p = platt.probability(margin, 1.0, platt.fit_intercept(margin, y))
    assert p.mean() == pytest.approx((y.sum() + 1) / (rows + 2), abs=1e-6)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_probability_is_one_for_any_margin(margin):
    assert 0 <= platt.probability(np.array([margin]), 1.0, 0.0)[0] <= 1


def test_the_loss_does_not_depend_on_the_level_of_the_log_odds():
    margin, y = drawn(0.7, -1.0)
    p = platt.probability(margin, *platt.fit(margin, y))
    assert platt.loss(margin, y) == pytest.approx(log_loss(y, p), abs=1e-6)
    assert platt.loss(2 * margin + 3, y) == pytest.approx(platt.loss(margin, y), abs=1e-6)


def test_log_odds_that_rank_backwards_have_the_loss_of_the_share():
    margin, y = drawn(0.7, -1.0)
    share = np.full(len(y), y.mean())
    assert platt.loss(-margin, y) == pytest.approx(log_loss(y, share), abs=1e-4)
