from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.estimator import lightgbm, logistic
from cll.components.estimator.lightgbm import LightGBM
from cll.components.estimator.logistic import Logistic
from cll.pipeline.train import forward_chaining
from cll.pipeline.train.forward_chaining import FoldInputs
from cll.types.arrays import Matrix
from tests.pipeline.train.test_fit import HORIZON, SEED, START, fleet

DAY = timedelta(days=1)
ROWS, KEYS = fleet(4 * 288 * 4)  # four days, four entities
STEPPING = Logistic(online_rate=0.01)
TREES = LightGBM(min_data_in_leaf=20, online_rounds=2)
BASE = STEPPING(*fleet(2000, seed=5)[:1], SEED)


def part(mask, since=None):
    """Take the rows of `mask` as a course."""
    rows = replace(ROWS, X=ROWS.X[mask], y=ROWS.y[mask])
    return FoldInputs(rows, KEYS.filter(pl.Series(mask)), HORIZON, SEED, since=since or START - DAY)


def day_of():
    return (KEYS["time"] - START).dt.total_days().to_numpy()


KINDS = {
    "logistic": (STEPPING, BASE, logistic.load),
    "lightgbm": (TREES, TREES(*fleet(2000, seed=5)[:1], SEED, rounds=3), lightgbm.load),
}


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.sets(st.integers(0, 3)),
)
def test_for_any_cut_between_days_steps_come_to_the_same_model(kind, cuts, quiet):
    """Also where a part is written and read, and where some days show no failure."""
    estimator, base, load = KINDS[kind]
    days = day_of()
    y = np.where(np.isin(days, list(quiet)), 0.0, ROWS.y)
    model, begins = base, 0
    for end in [number + 1 for number, cut in enumerate(cuts) if cut] + [4]:
        mask = (days >= begins) & (days < end)
        inputs = part(mask)
        inputs = replace(inputs, rows=replace(inputs.rows, y=y[mask]))
        _, model = forward_chaining.fit_by_day(inputs, estimator, load(*model.parts()))
        begins = end
    whole = part(days >= 0)
    _, at_once = forward_chaining.fit_by_day(
        replace(whole, rows=replace(whole.rows, y=y)), estimator, base
    )
    assert model == at_once


def test_each_day_is_scored_before_it_teaches():
    days = day_of()
    held, model = forward_chaining.fit_by_day(part(days >= 0), STEPPING, BASE)
    _, before = forward_chaining.fit_by_day(part(days < 3), STEPPING, BASE)
    last = days == 3
    scored = last & np.isfinite(held.margin)
    assert held.margin[scored].tolist() == before.margin(ROWS.X[scored]).tolist()
    assert model != before
    assert held.row_visits == len(ROWS.y)


def test_rows_that_the_labels_before_looked_ahead_to_teach_and_do_not_judge():
    days, since = day_of(), START + timedelta(hours=1)
    held, _ = forward_chaining.fit_by_day(part(days >= 0, since), STEPPING, BASE)
    times = KEYS["time"]
    assert not held.scored[(times <= since).to_numpy()].any()
    for day in range(1, 4):
        first = START + day * DAY
        near = ((times >= first) & (times < first + HORIZON - timedelta(minutes=5))).to_numpy()
        assert not held.scored[near].any()
    assert held.scored.sum() == len(ROWS.y) - 4 * (13 + 3 * 5)


def test_each_day_is_told_with_the_loss_so_far():
    told = []
    inputs = replace(part(day_of() >= 0), report=lambda *it: told.append(it))
    forward_chaining.fit_by_day(inputs, STEPPING, BASE)
    assert [number for number, _ in told] == [0, 1, 2, 3]
    assert np.isfinite([loss for _, loss in told]).all()


def test_a_chain_holds_out_no_row_up_to_since():
    since = START + 2 * DAY
    inputs = part(day_of() >= 0, since)
    held, _ = forward_chaining.fit_in_folds(inputs, Logistic(), folds=3, unguided=0)
    times = KEYS["time"].filter(pl.Series(held.scored))
    assert times.min() > since
    assert times.max() == KEYS["time"].max()


def test_where_all_rows_are_known_nothing_is_held_out():
    inputs = part(day_of() >= 0, START + 9 * DAY)
    trees = LightGBM(min_data_in_leaf=20)
    held, model = forward_chaining.fit_in_folds(inputs, trees, folds=3, unguided=7)
    assert not held.scored.any()
    assert model.rounds == 7


@pytest.mark.parametrize("rounds", [3, 8])
def test_visits_are_rows_times_rounds(rounds):
    rows = Matrix(ROWS.X[:1000], ROWS.y[:1000], ROWS.names)
    inputs = FoldInputs(rows, KEYS[:1000], HORIZON, SEED, since=START + 9 * DAY)
    held, _ = forward_chaining.fit_in_folds(inputs, LightGBM(min_data_in_leaf=20), 3, rounds)
    assert held.row_visits == 1000 * rounds


def test_a_model_that_does_not_tell_its_passes_counts_as_one_look():
    def untold(train, seed, valid=None, rounds=None):
        del train, seed, valid, rounds
        return SimpleNamespace(rounds=0)

    inputs = replace(part(day_of() >= 0), since=START + 9 * DAY)
    held, _ = forward_chaining.fit_in_folds(inputs, untold, folds=3, unguided=0)
    assert held.row_visits == len(ROWS.y)
