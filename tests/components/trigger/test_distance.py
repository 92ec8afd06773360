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
    assert reference.p_value(np.full(200, 7.0)) == 1
    assert reference.p_value(np.full(200, 8.0)) < 1e-6
    assert reference.p_value(np.full(200, np.nan)) < 1e-6


def atoms(kind, seed):
    """Return a window of 400 rows with point masses: at one end, in the middle, at both ends, alone."""
    rng = np.random.default_rng(seed)
    free, coin = rng.normal(size=400), rng.random(400)
    return {
        "constant": np.full(400, 1.0),
        "a ceiling in 99.9 % of rows": np.where(coin < 0.001, free - 9, 1.0),
        "a floor in 99.9 % of rows": np.where(coin < 0.001, free + 9, 1.0),
        "a mass in the middle": np.where(coin < 0.5, 1.0, free),
        "masses at both ends": np.where(coin < 0.3, -5.0, np.where(coin < 0.6, 5.0, free)),
        "binary": np.where(coin < 0.1, 1.0, 0.0),
        "zero-inflated": np.where(coin < 0.7, 0.0, np.exp(free)),
        "counts": np.floor(np.exp(free)),
        "some missing": np.where(coin < 0.2, np.nan, free),
        "all missing": np.full(400, np.nan),
        "continuous": free,
    }[kind]


KINDS = (
    "constant",
    "a ceiling in 99.9 % of rows",
    "a floor in 99.9 % of rows",
    "a mass in the middle",
    "masses at both ends",
    "binary",
    "zero-inflated",
    "counts",
    "some missing",
    "all missing",
    "continuous",
)


def changed(name, window):
    half = np.arange(len(window)) % 2 == 0
    return {
        "falls": np.full(len(window), -50.0),
        "rises": np.full(len(window), 50.0),
        "half falls": np.where(half, -50.0, window),
        "half rises": np.where(half, 50.0, window),
        "parts to both sides": np.where(half, -50.0, 50.0),
        "goes missing": np.full(len(window), np.nan),
        "is there": np.where(np.isnan(window), 0.5, window),
        "spreads": np.linspace(-50, 50, len(window)),
        "stands still": np.full(len(window), 0.123),
        "as it is": window,
    }[name]


@pytest.mark.parametrize(
    "change",
    [
        "falls",
        "rises",
        "half falls",
        "half rises",
        "parts to both sides",
        "spreads",
        "stands still",
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_point_mass_that_moves_is_found_wherever_it_lay(kind, change):
    reference = learn([atoms(kind, seed) for seed in range(20)])
    assert reference.p_value(changed(change, atoms(kind, 99))) < 1e-3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "all missing"])
def test_a_column_that_goes_missing_is_found_and_so_is_one_that_comes_to_be_there(kind):
    there, gone = atoms(kind, 99), np.full(400, np.nan)
    assert learn([atoms(kind, seed) for seed in range(20)]).p_value(gone) < 1e-4
    assert learn([gone] * 20).p_value(there) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_with_point_masses_that_stays_as_it_is_is_not_unusual(kind):
    reference = learn([atoms(kind, seed) for seed in range(20)])
    assert reference.p_value(atoms(kind, 99)) > 0.05


@pytest.mark.parametrize(("before", "after"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_constant_that_falls_is_as_unusual_as_one_that_rises(before, after):
    p = learn([np.full(200, before)] * 10).p_value(np.full(200, after))
    assert p == learn([np.full(200, 0.0)] * 10).p_value(np.full(200, 1.0)) < 1e-9


def test_one_odd_row_in_a_column_that_never_had_one_is_chance():
    odd = np.full(400, 1.0)
    odd[0] = 0.0
    assert learn([np.full(400, 1.0)] * 10).p_value(odd) > 0.05


@pytest.mark.parametrize("kind", ["a ceiling in 99.9 % of rows", "a floor in 99.9 % of rows"])
def test_odd_rows_that_came_before_are_no_rarer_than_they_were(kind):
    odd = [seed for seed in range(60) if len(np.unique(atoms(kind, seed))) > 1]
    reference = learn([atoms(kind, seed) for seed in range(60)])
    fresh = next(seed for seed in range(60, 999) if len(np.unique(atoms(kind, seed))) == 2)
    assert reference.p_value(atoms(kind, fresh)) > len(odd) / 200


COLUMN = st.lists(st.integers(-3, 3) | st.just(None), min_size=12, max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(COLUMN, min_size=4, max_size=8), COLUMN, st.permutations(range(7)))
def test_only_the_order_of_values_counts_and_either_direction_alike(windows, new, picked):
    """Values stand for themselves, for a growing row of others, and for the same row turned round."""

    def under(values, column):
        return np.array([np.nan if v is None else values[v + 3] for v in column])

    def p(values):
        return learn([under(values, one) for one in windows]).p_value(under(values, new))

    as_they_are = p(np.arange(-3.0, 4.0))
    assert p(np.cumsum(np.exp(np.array(picked, float)))) == as_they_are
    turned = -np.cumsum(np.exp(np.array(picked, float)))
    assert p(turned) == pytest.approx(as_they_are, rel=1e-6, abs=1e-12)


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
    cuts = np.array([[-1.0, -0.5], [0.0, 0.0], [5.0, 7.0]])
    up_to, from_on, missing = np.split(shares(np.array(values), cuts), [3, 6])
    assert (np.diff(up_to) >= 0).all()
    assert (np.diff(from_on) <= 0).all()
    assert 0 <= missing[0] <= 1 - max(up_to[-1], from_on[0]) + 1e-12
