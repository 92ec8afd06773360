import json

import numpy as np
import pytest

from cll.components.estimator.logistic import Logistic, load
from cll.types.arrays import Matrix
from cll.types.errors import DataRefused

SEED = 0


def matrix(X, y, names=None):
    X = np.asarray(X, dtype=np.float32)
    return Matrix(X, np.asarray(y, float), tuple(names or (f"f{i}" for i in range(X.shape[1]))))


def noisy(columns=3, rows=600, seed=1):
    """Rows whose first column decides, with noise."""
    chance = np.random.default_rng(seed)
    X = chance.normal(size=(rows, columns))
    y = (chance.random(rows) < 1 / (1 + np.exp(-2 * X[:, 0]))).astype(float)
    return X, y


def accuracy(model, X, y):
    return ((model.margin(np.asarray(X, np.float32)) > 0) == (y == 1)).mean()


@pytest.mark.parametrize("label", [0.0, 1.0, np.nan, 2.0])
def test_rows_of_one_outcome_are_refused(label):
    with pytest.raises(DataRefused, match=r"^The 4 training rows hold the labels \[.*widen"):
        Logistic()(matrix(np.zeros((4, 1)), [label] * 4), SEED)


def test_a_constant_and_an_empty_column_weigh_nothing():
    X, y = noisy()
    X = np.column_stack([X, np.full(len(y), 1.7e9), np.full(len(y), np.nan)])
    model = Logistic()(matrix(X, y), SEED)
    weights = [column.weight for column in model.columns.values()]
    assert weights[3:] == [0.0, 0.0]
    assert accuracy(model, X, y) > 0.75


def test_columns_of_nothing_but_constants_give_the_share_of_positives():
    model = Logistic()(matrix(np.ones((4, 2)), [1, 0, 0, 0]), SEED)
    assert model.margin(np.zeros((2, 2), np.float32)) == pytest.approx([np.log(1 / 3)] * 2)


@pytest.mark.parametrize(("offset", "unit"), [(1.7e9, 86_400.0), (0.0, 1e9), (0.0, 1e-9)])
def test_a_column_of_any_size_teaches_the_same(offset, unit):
    X, y = noisy(columns=1)
    plain = Logistic()(matrix(X, y), SEED)
    sized = Logistic()(matrix(X * unit + offset, y), SEED)
    kept = np.asarray(X * unit + offset, np.float32)
    assert sized.margin(kept) == pytest.approx(plain.margin(X.astype(np.float32)), abs=0.02)


def test_a_gap_is_told_by_a_column_of_its_own():
    X, y = noisy(columns=1)
    X[y == 1] = np.nan
    X[:5] = 0.0
    model = Logistic()(matrix(X, y), SEED)
    gap, value = model.margin(np.array([[np.nan], [0.0]], np.float32))
    assert gap > 0 > value


def test_a_gap_is_imputed_where_training_had_none():
    X, y = noisy(columns=1)
    model = Logistic()(matrix(X, y), SEED)
    gap, median = model.margin(np.array([[np.nan], [np.median(np.float32(X))]], np.float32))
    assert gap == median


def test_indicators_can_be_switched_off():
    X, y = noisy(columns=2)
    X[:50, 1] = np.nan
    model = Logistic(missing_indicators=False)(matrix(X, y), SEED)
    assert model.columns["f1"].missing_weight == 0.0


def test_infinity_counts_as_missing():
    X, y = noisy(columns=2)
    X[:50, 1] = np.inf
    model = Logistic()(matrix(X, y), SEED)
    one, other = model.margin(np.array([[0, -np.inf], [0, np.nan]], np.float32))
    assert one == other
    assert np.isfinite(one)


def test_a_value_further_out_than_the_clip_counts_as_the_clip():
    X, y = noisy(columns=2)
    X[0, 0] = 1e6  # one glitch, and the rest of the column looks alike
    model = Logistic(clip=5.0)(matrix(X, y), SEED)
    column = model.columns["f0"]
    at_clip = column.center + 5 * column.scale
    rows = np.array([[at_clip, 0], [1e9, 0], [np.inf, 0], [np.nan, 0]], np.float32)
    edge, beyond, infinite, gap = model.margin(rows)
    assert beyond == pytest.approx(edge, rel=1e-6)
    assert infinite == gap


def test_a_heavy_tail_teaches_more_when_it_is_clipped():
    X, y = noisy(columns=1, rows=2000)
    X[:20, 0] = 500.0  # glitches, which say nothing of the outcome
    plain, clipped = (
        accuracy(Logistic(clip=clip)(matrix(X, y), SEED), X[20:], y[20:]) for clip in (None, 0.1)
    )
    assert clipped > plain + 0.05


def test_wide_rows_are_left_to_lbfgs():
    X, y = noisy(columns=30, rows=20)
    assert Logistic()(matrix(X, y), SEED).solver["name"] == "lbfgs"
    X, y = noisy()
    assert Logistic()(matrix(X, y), SEED).solver["name"] == "newton-cholesky"


def test_both_solvers_agree():
    X, y = noisy(columns=6)
    one, other = (
        Logistic(solver=name)(matrix(X, y), SEED).margin(X.astype(np.float32))
        for name in ("lbfgs", "newton-cholesky")
    )
    assert one == pytest.approx(other, abs=1e-4)


def test_a_solver_that_ran_out_of_steps_is_noted():
    X, y = noisy(columns=6)
    solver = Logistic(solver="lbfgs", max_iter=1)(matrix(X, y), SEED).solver
    assert solver == {"name": "lbfgs", "iterations": 1, "converged": False}


def test_balanced_weights_raise_the_log_odds_of_the_rare_outcome():
    X, y = noisy()
    y[::2] = 0
    y[::3] = 0
    plain, raised = (
        Logistic(class_weight=w)(matrix(X, y), SEED).margin(X.astype(np.float32)).mean()
        for w in ("none", "balanced")
    )
    assert raised > plain + 1


def test_the_share_of_a_column_follows_what_it_decides():
    X, y = noisy()
    importance = Logistic()(matrix(X, y), SEED).importance
    assert sum(importance.values()) == pytest.approx(1.0)
    assert importance["f0"] > 0.7


def test_a_row_scores_the_same_alone_and_in_a_batch():
    X, y = noisy(columns=17)
    model = Logistic()(matrix(X, y), SEED)
    whole = model.margin(X.astype(np.float32))
    alone = [model.margin(row[None].astype(np.float32))[0] for row in X[:50]]
    assert whole[:50].tolist() == alone


@pytest.mark.parametrize("clip", [None, 2.0])
def test_a_model_survives_its_json_with_sorted_keys(clip):
    X, y = noisy()
    X[:9, 1] = np.nan
    model = Logistic(clip=clip)(matrix(X, y, ["zeta", "beta", "alpha"]), SEED)
    parts, files = model.parts()
    assert files == {}
    again = load(json.loads(json.dumps(parts, sort_keys=True)), files)
    assert again == model
    assert list(again.columns) == ["zeta", "beta", "alpha"]


def drifted(X):
    return X * 1.5 + 0.3


def test_a_warm_start_finds_the_same_weights_in_fewer_steps():
    X, y = noisy(columns=8, rows=4000)
    later, outcome = noisy(columns=8, rows=4000, seed=2)
    base = Logistic(solver="lbfgs")(matrix(X, y), SEED)
    rows = matrix(np.vstack([X, drifted(later)]), np.append(y, outcome))
    afresh = Logistic(solver="lbfgs")(rows, SEED)
    warm = Logistic(solver="lbfgs").warm(base, rows, SEED)
    assert warm.margin(rows.X) == pytest.approx(afresh.margin(rows.X), abs=1e-4)
    assert warm.passes < afresh.passes


def test_a_warm_start_from_the_answer_itself_needs_next_to_no_step():
    X, y = noisy(columns=8, rows=4000)
    base = Logistic()(matrix(X, y), SEED)
    assert Logistic().warm(base, matrix(X, y), SEED).passes <= 2


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_a_column_that_is_new_to_the_base_can_be_learnt_warm_and_not_online(gap):
    X, y = noisy(columns=2)
    flat = np.column_stack([np.ones(len(y)), X[:, 1]])
    base = Logistic()(matrix(flat, y), SEED)
    X[np.random.default_rng(5).random(X.shape) < gap] = np.nan
    rows = matrix(X, y)
    assert Logistic().warm(base, rows, SEED).columns["f0"].weight > 1
    assert Logistic().step(base, rows, SEED).columns["f0"].weight == 0


def test_steps_learn_from_rows_that_come_later():
    X, y = noisy(columns=3)
    base = Logistic()(matrix(X, y), SEED)
    model, turned = base, Logistic(online_rate=0.01)
    for seed in range(5):
        later, outcome = noisy(columns=3, rows=2000, seed=seed)
        model = turned.step(model, matrix(-later, outcome), SEED)
    judged, outcome = noisy(columns=3, rows=2000, seed=9)
    assert accuracy(model, -judged, outcome) > 0.75
    assert accuracy(base, -judged, outcome) < 0.3


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_a_step_on_one_outcome_moves_the_log_odds_towards_it(label, weight):
    X, y = noisy()
    base, rows = Logistic()(matrix(X, y), SEED), matrix(X, np.full(len(y), label))
    moved = Logistic(class_weight=weight).step(base, rows, SEED)
    assert (moved.margin(rows.X).mean() > base.margin(rows.X).mean()) == (label == 1)


def test_a_step_goes_on_from_what_was_written_as_from_what_was_not():
    X, y = noisy()
    base = Logistic()(matrix(X, y), SEED)
    parts, files = base.parts()
    read = load(json.loads(json.dumps(parts)), files)
    rows = matrix(*noisy(seed=2))
    assert Logistic().step(read, rows, SEED) == Logistic().step(base, rows, SEED)


def test_a_model_without_weights_has_nothing_to_step_on():
    base = Logistic()(matrix(np.ones((4, 2)), [1, 0, 0, 0]), SEED)
    rows = matrix(*noisy(columns=2))
    assert Logistic().step(base, rows, SEED).margin(rows.X).tolist() == base.margin(rows.X).tolist()
