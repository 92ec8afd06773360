from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn import metrics
from threadpoolctl import threadpool_limits

from cll.components.estimator.lightgbm import LightGBM
from cll.components.estimator.logistic import Logistic
from cll.config import components
from cll.pipeline.train.fit import UNGUIDED_ROUNDS, TrainSettings, train
from cll.pipeline.train.threshold import Threshold
from cll.types.arrays import Matrix
from cll.types.errors import DataRefused, Stopped

METRICS = components.build("metric", yaml.safe_load(Path("conf/metric/standard.yaml").read_text()))
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
HORIZON = timedelta(minutes=30)
SEED = 7
TREES = LightGBM(max_rounds=60, patience=10, min_data_in_leaf=20)


def fleet(rows=4000, entities=4, seed=0, level=-3.0):
    """Rows of some entities in time order; the first column decides."""
    chance = np.random.default_rng(seed)
    X = chance.normal(size=(rows, 3)).astype(np.float32)
    y = (chance.random(rows) < 1 / (1 + np.exp(-(2 * X[:, 0] + level)))).astype(float)
    keys = pl.DataFrame(
        {
            "entity": [f"e{i % entities}" for i in range(rows)],
            "time": [START + STEP * (i // entities) for i in range(rows)],
        }
    )
    return Matrix(X, y, ("a", "b", "c")), keys


@dataclass(frozen=True)
class Watched:
    """A real estimator that notes which rows each fit was given."""

    inner: LightGBM
    seen: list = field(default_factory=list)

    def __call__(self, train, seed, valid=None, rounds=None):
        self.seen.append((train, valid, rounds))
        return self.inner(train, seed, valid, rounds)


def numbered(rows):
    """Put each row's number where a fit can be asked for it."""
    X = rows.X.copy()
    X[:, 2] = np.arange(len(X))
    return replace(rows, X=X)


def test_rows_of_one_outcome_are_refused():
    rows, keys = fleet(200)
    with pytest.raises(DataRefused, match="both 0 and 1 are needed"):
        train(replace(rows, y=np.zeros(200)), keys, TREES, TrainSettings(), HORIZON, SEED)


def test_no_fold_learns_from_its_future_or_within_the_embargo():
    rows, keys = fleet()
    watched = Watched(TREES)
    train(numbered(rows), keys, watched, TrainSettings(), HORIZON, SEED)
    times = keys["time"].to_list()
    *folds, _ = watched.seen
    assert len(folds) == 4
    for past, held_out, _ in folds:
        newest = max(times[int(i)] for i in past.X[:, 2])
        oldest = min(times[int(i)] for i in held_out.X[:, 2])
        assert newest + HORIZON < oldest


def test_held_out_stretches_hold_like_numbers_of_failures_and_no_row_twice():
    rows, keys = fleet()
    watched = Watched(TREES)
    trained = train(numbered(rows), keys, watched, TrainSettings(), HORIZON, SEED)
    held = [valid.X[:, 2] for _, valid, _ in watched.seen[:-1]]
    assert len(np.unique(np.concatenate(held))) == sum(map(len, held))
    assert np.isfinite(trained.out_of_fold).sum() == sum(map(len, held))
    failures = [valid.y.sum() for _, valid, _ in watched.seen[:-1]]
    assert max(failures) - min(failures) <= 6


def test_the_model_is_fitted_on_all_rows_with_the_median_of_the_folds_rounds():
    rows, keys = fleet()
    watched = Watched(TREES)
    trained = train(rows, keys, watched, TrainSettings(), HORIZON, SEED)
    last, valid, rounds = watched.seen[-1]
    assert len(last.y) == len(rows.y)
    assert valid is None
    assert rounds == trained.notes["rounds"] == np.ceil(np.median(trained.notes["fold_rounds"]))


@pytest.mark.parametrize("estimator", [TREES, Logistic()], ids=["lightgbm", "logistic"])
def test_probabilities_are_calibrated_on_held_out_time(estimator):
    rows, keys = fleet(8000, entities=40)
    trained = train(rows, keys, estimator, TrainSettings(), HORIZON, SEED)
    assert trained.notes["calibrated"]
    seen = np.isfinite(trained.out_of_fold)
    p, y = trained.out_of_fold[seen], rows.y[seen]
    assert p.mean() == pytest.approx(y.mean(), abs=0.01)
    top = p > np.quantile(p, 0.9)
    assert p[top].mean() == pytest.approx(y[top].mean(), abs=0.08)


def test_few_positive_blocks_set_the_level_alone_and_say_so():
    rows, keys = fleet(4000, entities=2, level=-6.0)
    trained = train(rows, keys, TREES, TrainSettings(), HORIZON, SEED)
    assert trained.notes["positive_blocks"] < 50
    assert not trained.notes["calibrated"]
    assert trained.slope == 1.0
    assert "positive blocks, where 50 are needed." in trained.notes["says"]
    seen = np.isfinite(trained.out_of_fold)
    assert trained.out_of_fold[seen].mean() == pytest.approx(rows.y[seen].mean(), abs=0.005)


def test_scores_that_mislead_on_held_out_time_are_not_turned_round():
    rows, keys = fleet(8000, entities=40)
    later = np.arange(len(rows.y)) > 4000
    flipped = replace(rows, X=np.where(later[:, None], -rows.X, rows.X))
    trained = train(flipped, keys, Logistic(), TrainSettings(folds=1), HORIZON, SEED)
    assert trained.slope == 1.0
    assert trained.notes["says"].endswith("a higher score does not fail more often.")


def test_the_notes_say_that_their_own_figures_flatter():
    rows, keys = fleet()
    notes = train(rows, keys, TREES, TrainSettings(), HORIZON, SEED).notes
    assert notes["out_of_fold"]["rows"] < 4000
    assert notes["out_of_fold_says"].startswith("Slightly optimistic: rounds, calibration")


def test_the_figures_of_the_pass_are_those_of_the_metrics_that_are_defined_there():
    rows, keys = fleet()
    trained = train(rows, keys, TREES, TrainSettings(), HORIZON, SEED, metrics=METRICS)
    figures = trained.notes["out_of_fold"]
    seen = np.isfinite(trained.out_of_fold)
    p, y = trained.out_of_fold[seen], rows.y[seen]
    alert = p >= trained.threshold
    assert set(figures) == {"rows", "positives", *METRICS} - {"kappa_temporal"}
    assert figures["rows"] == len(y)
    assert figures["positives"] == y.sum()
    assert figures["accuracy"] == pytest.approx((alert == (y == 1)).mean(), abs=1e-6)
    assert figures["f1"] == pytest.approx(metrics.f1_score(y, alert), abs=1e-6)
    assert figures["log_loss"] == pytest.approx(metrics.log_loss(y, p), abs=1e-6)
    assert figures["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-6)


def test_each_fold_is_told_with_the_loss_so_far():
    rows, keys = fleet(8000, entities=40)
    told = []
    trained = train(
        rows, keys, TREES, TrainSettings(), HORIZON, SEED, report=lambda *it: told.append(it)
    )
    assert [number for number, _ in told] == [0, 1, 2, 3]
    seen = np.isfinite(trained.out_of_fold)
    final = metrics.log_loss(rows.y[seen], trained.out_of_fold[seen])
    assert told[-1][1] == pytest.approx(final, abs=1e-6)
    silent = train(rows, keys, TREES, TrainSettings(), HORIZON, SEED)
    assert silent.model == trained.model
    assert silent.notes == trained.notes


def test_the_loss_that_is_told_does_not_depend_on_how_positives_are_weighted():
    rows, keys = fleet()
    told = {}
    for weight in ("balanced", "none"):
        estimator = replace(TREES, positive_weight=weight)
        report = told.setdefault(weight, {}).__setitem__
        train(rows, keys, estimator, TrainSettings(), HORIZON, SEED, report=report)
    assert told["balanced"] == pytest.approx(told["none"], rel=0.05)


def test_a_training_that_does_not_pay_can_be_ended_after_any_fold():
    rows, keys = fleet()
    watched = Watched(TREES)

    def prune(fold, _):
        if fold == 1:
            raise Stopped("Others do better.")

    with pytest.raises(Stopped, match="Others do better"):
        train(rows, keys, watched, TrainSettings(), HORIZON, SEED, report=prune)
    assert len(watched.seen) == 2


def test_a_fold_that_is_skipped_keeps_its_number():
    rows, keys = fleet(4000, entities=40)
    y = np.where(np.arange(4000) < 2000, 0.0, rows.y)
    y[800:880] = 1  # the first stretch starts within, so that its embargo leaves none to learn from
    told = []
    trained = train(
        *(replace(rows, y=y), keys, TREES, TrainSettings(), HORIZON, SEED),
        report=lambda fold, _: told.append(fold),
    )
    assert trained.notes["folds_skipped"] == 1
    assert told == [1, 2, 3]


def test_calibration_can_be_switched_off():
    rows, keys = fleet()
    trained = train(rows, keys, TREES, TrainSettings(calibration="none"), HORIZON, SEED)
    assert (trained.slope, trained.intercept) == (1.0, 0.0)
    assert trained.notes["says"] == "Probabilities are not calibrated: train.calibration=none."


def test_rows_of_one_time_are_taken_in_their_order():
    rows, keys = fleet(2000)
    still = keys.with_columns(time=pl.lit(START))
    trained = train(rows, still, TREES, TrainSettings(), HORIZON, SEED)
    assert len(trained.notes["fold_rounds"]) == 4
    assert trained.notes["positive_blocks"] > 50
    assert np.isfinite(trained.out_of_fold).tolist() == sorted(np.isfinite(trained.out_of_fold))


def test_a_fold_without_both_outcomes_is_skipped():
    rows, keys = fleet(400)
    y = np.zeros(400)
    y[390:] = 1
    trained = train(replace(rows, y=y), keys, TREES, TrainSettings(), HORIZON, SEED)
    assert trained.notes["folds_skipped"] == 4


def test_where_nothing_can_be_held_out_the_notes_say_so():
    rows, keys = fleet(400)
    y = np.zeros(400)
    y[390:] = 1
    trained = train(replace(rows, y=y), keys, TREES, TrainSettings(), HORIZON, SEED)
    assert trained.notes["rounds"] <= UNGUIDED_ROUNDS
    assert "no stretch of time with both outcomes could be held out;" in trained.notes["says"]
    assert trained.notes["out_of_fold_says"] == "Nothing was held out."
    assert np.isnan(trained.out_of_fold).all()
    assert 0 < trained.threshold < 1


def test_a_budget_of_alerts_is_kept_on_held_out_time():
    rows, keys = fleet()
    settings = TrainSettings(threshold=Threshold(rule="budget", alerts_per_day=3.0))
    trained = train(rows, keys, TREES, settings, HORIZON, SEED)
    alerts = keys.with_columns(p=pl.Series(trained.out_of_fold)).filter(pl.col("p").is_not_nan())
    on = pl.col("p") >= trained.threshold
    starts = alerts.select((on & ~on.shift(1).over("entity").fill_null(value=False)).sum()).item()
    days = (alerts["time"].max() - alerts["time"].min()) / timedelta(days=1)
    assert 0 < starts <= 3.0 * days


def test_rows_in_another_order_hold_out_the_same_rows():
    rows, keys = fleet(1200)
    shuffle = np.random.default_rng(1).permutation(1200)
    moved = Matrix(rows.X[shuffle], rows.y[shuffle], rows.names)
    one = train(rows, keys, Logistic(), TrainSettings(), HORIZON, SEED)
    other = train(moved, keys[shuffle], Logistic(), TrainSettings(), HORIZON, SEED)
    assert other.out_of_fold == pytest.approx(one.out_of_fold[shuffle], abs=1e-6, nan_ok=True)


def test_two_trainings_are_the_same_to_the_bit():
    rows, keys = fleet()
    trained = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="openmp"):
            trained.append(train(rows, keys, TREES, TrainSettings(), HORIZON, SEED))
    one, other = trained
    assert one.model == other.model
    assert (one.slope, one.intercept, one.threshold) == (
        other.slope,
        other.intercept,
        other.threshold,
    )
    assert one.notes == other.notes
