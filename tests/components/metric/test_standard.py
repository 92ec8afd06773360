from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.metric import standard
from cll.config.components import build, load_yaml
from cll.pipeline.evaluate.statistics.ranking import rank

NAMES = (
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
    "brier",
    "log_loss",
    "calibration_error",
    "precision",
    "recall",
    "f1",
    "kappa_temporal",
)
ROW = st.tuples(
    st.booleans(),  # came
    st.integers(0, 20),  # probability in twentieths: many ties
    st.integers(0, 3),  # weight
    st.sampled_from([0.0, 1.0, np.nan]),  # what no-change says
)
BOTH = [(True, 12, 1, 1.0), (False, 9, 2, 0.0)]
ROWS = st.lists(ROW, max_size=40).map(lambda rows: [*rows, *BOTH])


def columns(rows):
    y, p, weight, unchanged = (np.array(c, np.float64) for c in zip(*rows, strict=True))
    return y, p / 20, weight, unchanged


def ours(name, rows, threshold=0.5):
    y, p, weight, unchanged = columns(rows)
    scored, order = rank(y, p, p >= threshold, unchanged)
    return getattr(standard, name)(scored, weight[order])


def test_ranking_figures_of_one_class_are_not_defined():
    assert np.isnan(ours("roc_auc", [(True, 3, 1, 0.0), (True, 4, 1, 0.0)]))
    assert np.isnan(ours("roc_auc", [(False, 3, 1, 0.0)]))
    assert np.isnan(ours("average_precision", [(False, 3, 1, 0.0)]))
    assert np.isnan(ours("balanced_accuracy", [(False, 3, 1, 0.0)]))


def test_precision_without_an_alert_is_not_defined_and_f1_is_zero():
    rows = [(True, 3, 1, 0.0), (False, 4, 1, 0.0)]
    assert np.isnan(ours("precision", rows))
    assert ours("f1", rows) == 0


def test_recall_and_f1_without_a_positive_row_are_not_defined():
    assert np.isnan(ours("recall", [(False, 3, 1, 0.0)]))
    assert np.isnan(ours("f1", [(False, 3, 1, 0.0)]))


def test_kappa_temporal_is_not_defined_when_no_change_is_always_right_or_unknown():
    assert np.isnan(ours("kappa_temporal", [(True, 15, 1, 1.0), (False, 2, 1, 0.0)]))
    assert np.isnan(ours("kappa_temporal", [(True, 15, 1, np.nan)]))


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_and_no_weight_leave_every_figure_undefined(name):
    empty = np.empty(0)
    scored, _ = rank(empty, empty, empty > 0, empty)
    assert np.isnan(getattr(standard, name)(scored, empty))
    assert np.isnan(ours(name, [(True, 15, 0, 1.0), (False, 2, 0, 0.0)]))


@given(ROWS)
def test_figures_at_a_threshold_equal_scikit_learns(rows):
    y, p, weight, _ = columns(rows)
    said = p >= 0.5
    for name, theirs in {
        "accuracy": reference.accuracy_score(y, said, sample_weight=weight),
        "balanced_accuracy": reference.balanced_accuracy_score(y, said, sample_weight=weight),
        "precision": reference.precision_score(y, said, sample_weight=weight),
        "recall": reference.recall_score(y, said, sample_weight=weight),
        "f1": reference.f1_score(y, said, sample_weight=weight),
    }.items():
        assert ours(name, rows) == pytest.approx(theirs, abs=1e-12), name


@given(ROWS)
def test_figures_of_the_ranking_equal_scikit_learns_with_ties(rows):
    y, p, weight, _ = columns(rows)
    area = reference.roc_auc_score(y, p, sample_weight=weight)
    assert ours("roc_auc", rows) == pytest.approx(area, abs=1e-12)
    mean = reference.average_precision_score(y, p, sample_weight=weight)
    assert ours("average_precision", rows) == pytest.approx(mean, abs=1e-12)


@given(ROWS)
def test_figures_of_the_probability_equal_scikit_learns(rows):
    y, p, weight, _ = columns(rows)
    squared = reference.brier_score_loss(y, p, sample_weight=weight)
    assert ours("brier", rows) == pytest.approx(squared, abs=1e-12)
    surprise = reference.log_loss(y, p, sample_weight=weight)
    assert ours("log_loss", rows) == pytest.approx(surprise, abs=1e-9)


@given(ROWS)
def test_kappa_temporal_is_the_accuracy_gained_over_no_change(rows):
    y, p, weight, unchanged = columns(rows)
    known = ~np.isnan(unchanged)
    right = reference.accuracy_score(y[known], p[known] >= 0.5, sample_weight=weight[known])
    same = reference.accuracy_score(y[known], unchanged[known], sample_weight=weight[known])
    if same < 1:
        expected = (right - same) / (1 - same)
        assert ours("kappa_temporal", rows) == pytest.approx(expected, abs=1e-12)


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_the_rows_changes_no_figure(rows, random):
    mixed = random.sample(rows, len(rows))
    for name in NAMES:
        expected = pytest.approx(ours(name, rows), abs=1e-12, nan_ok=True)
        assert ours(name, mixed) == expected, name


@given(ROWS)
@settings(max_examples=50)
def test_a_weight_of_two_is_the_row_twice(rows):
    twice = [(came, p, 1, same) for came, p, weight, same in rows for _ in range(weight)]
    for name in set(NAMES) - {"calibration_error"}:  # its bins hold equally many rows
        assert ours(name, rows) == pytest.approx(ours(name, twice), abs=1e-12, nan_ok=True), name


def test_calibration_error_is_the_mean_gap_over_fifteen_bins_of_equally_many_rows():
    rng = np.random.default_rng(1)
    p = rng.permutation(np.linspace(0.01, 0.99, 600))
    y = (rng.random(600) < p**2).astype(np.float64)
    scored, _ = rank(y, p, p > 0.5, y)
    observed, mean = _sklearn_bins(y, p)
    assert standard.calibration_error(scored, np.ones(600)) == pytest.approx(
        np.abs(observed - mean).mean()
    )


def _sklearn_bins(y, p):
    from sklearn.calibration import calibration_curve  # noqa: PLC0415  only here

    return calibration_curve(y, p, n_bins=15, strategy="quantile")


def test_a_calibrated_constant_has_no_calibration_error():
    rows = [(True, 5, 1, 0.0), *[(False, 5, 1, 0.0)] * 3]
    assert ours("calibration_error", rows) == 0


def test_the_yaml_names_each_figure_by_its_function():
    path = Path(__file__).parents[3] / "conf" / "metric" / "standard.yaml"
    built = build("metric", load_yaml(path))
    assert built == {name: getattr(standard, name) for name in NAMES}
