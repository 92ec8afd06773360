import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_curve

from cll.pipeline.evaluate.statistics import curves
from cll.pipeline.evaluate.statistics.ranking import rank


def scored(y, p):
    y, p = np.array(y, float), np.array(p, float)
    return rank(y, p, p >= 0.5, y)[0]


def many(count=3000):
    rng = np.random.default_rng(3)
    p = rng.random(count).round(3)
    return scored(rng.random(count) < p, p)


def test_one_class_has_no_curve():
    assert curves.roc(scored([1, 1], [0.1, 0.2]), 10).is_empty()
    assert curves.roc(scored([0, 0], [0.1, 0.2]), 10).is_empty()
    assert curves.precision_recall(scored([0, 0], [0.1, 0.2]), 10).is_empty()
    assert curves.calibration(scored([], [])).is_empty()


def test_the_roc_curve_has_both_corners_and_is_scikit_learns():
    rows = many()
    frame = curves.roc(rows, 10_000)
    assert frame.row(0) == (0, 0)
    assert frame.row(-1) == (1, 1)
    fpr, tpr, _ = roc_curve(rows.y, rows.p, drop_intermediate=False)
    assert frame["fpr"].to_list() == pytest.approx(fpr, abs=1e-6)
    assert frame["tpr"].to_list() == pytest.approx(tpr, abs=1e-6)


def test_thinned_curves_keep_their_ends():
    frame = curves.roc(many(), 50)
    assert frame.height == 51
    assert frame.row(-1) == (1, 1)
    assert curves.precision_recall(many(), 50)["recall"][-1] == 1


def test_precision_and_recall_are_traced_at_each_step():
    frame = curves.precision_recall(scored([1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6]), 10)
    assert frame.rows() == [(0.5, 1.0), (1.0, 0.5)]


def test_calibration_bins_rise_and_hold_all_rows():
    frame = curves.calibration(many())
    assert frame.height == 15
    assert frame["mean_probability"].is_sorted()
    assert frame["rows"].sum() == 3000
    assert (frame["mean_probability"] - frame["observed"]).abs().max() < 0.1


def fleet():
    """Ten rows each: `b` failed twice, `a` and `c` once, `c` for longer, `d` never."""
    labels = {"a": [1, 0], "b": [1, 1], "c": [1, 1], "d": [0, 0]}
    incident = {"a": [0, None], "b": [1, 2], "c": [3, 3], "d": [None, None]}
    return pl.DataFrame(
        {
            "entity": [name for name in labels for _ in range(10)],
            "time": [*range(10)] * 4,
            "label": [one for label in labels.values() for one in label + [0] * 8],
            "incident": [one for number in incident.values() for one in number + [None] * 8],
        }
    )


def test_the_entities_that_failed_most_are_kept_whole():
    kept = curves.scores(fleet(), 25)
    assert kept["entity"].unique(maintain_order=True).to_list() == ["b", "c"]
    assert kept.height == 20
    assert curves.scores(fleet(), 1000).equals(fleet())


def test_an_entity_with_too_many_rows_is_thinned_evenly():
    assert curves.scores(fleet(), 4)["time"].to_list() == [0, 3, 6, 9]
