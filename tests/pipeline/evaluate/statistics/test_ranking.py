import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.pipeline.evaluate.statistics.ranking import (
    equal_bins,
    precision_area,
    rank,
    roc_area,
    sweep,
    tie_ends,
)

SCORES = st.lists(st.integers(0, 9), min_size=1, max_size=60)


def ranked(values):
    return np.sort(np.array(values, np.float64))[::-1]


def test_no_row_has_no_tie_end_and_no_bin():
    assert tie_ends(np.empty(0)).tolist() == []
    assert equal_bins(np.empty(0), 15).tolist() == []


@given(SCORES)
def test_tie_ends_are_where_the_next_score_differs(values):
    p = ranked(values)
    assert tie_ends(p).tolist() == [i for i in range(len(p)) if i == len(p) - 1 or p[i] != p[i + 1]]


@given(SCORES, st.integers(1, 15))
def test_bins_start_at_the_first_row_of_a_tie(values, count):
    p = ranked(values)
    starts = equal_bins(p, count)
    assert starts[0] == 0
    assert len(starts) <= count
    assert all(p[i] != p[i - 1] for i in starts[1:])


def test_distinct_scores_fall_into_equal_bins():
    assert equal_bins(ranked(range(30)), 15).tolist() == list(range(0, 30, 2))


def test_equal_scores_keep_the_order_of_the_rows():
    y = np.array([0.0, 1.0, 0.0])
    rows, order = rank(y, np.array([0.2, 0.2, 0.9]), y > 0, y)
    assert order.tolist() == [2, 0, 1]
    assert rows.y.tolist() == [0, 0, 1]


def test_a_sweep_sums_weight_at_and_above_each_score():
    y = np.array([1.0, 0.0, 1.0])
    rows, _ = rank(y, np.array([0.9, 0.5, 0.5]), y > 0, y)
    positives, everything = sweep(rows, np.array([2.0, 1.0, 1.0]))
    assert positives.tolist() == [2, 3]
    assert everything.tolist() == [2, 4]


@given(SCORES, st.integers(0, 2**32 - 1))
def test_areas_of_few_steps_are_those_of_a_sweep_down_all_scores(values, seed):
    chance = np.random.default_rng(seed)
    y = (chance.random(len(values)) < 0.3).astype(float)
    rows, _ = rank(y, np.array(values, np.float64), y > 0, y)
    for _ in range(3):  # replicates of the same rows
        weight = chance.integers(0, 3, len(values)).astype(float)
        positives, everything = sweep(rows, weight)
        negatives = everything - positives
        if positives[-1] > 0 and negatives[-1] > 0:
            x, height = np.append(0, negatives), np.append(0, positives)
            area = np.trapezoid(height, x) / positives[-1] / negatives[-1]
            assert roc_area(rows, weight) == pytest.approx(area, abs=1e-12)
        else:
            assert np.isnan(roc_area(rows, weight))
        if positives[-1] > 0:
            gained = np.diff(positives, prepend=0)
            mean = np.sum(gained * positives / np.maximum(everything, 1)) / positives[-1]
            assert precision_area(rows, weight) == pytest.approx(mean, abs=1e-12)
        else:
            assert np.isnan(precision_area(rows, weight))


def test_no_row_has_no_area():
    rows, weight = rank(*[np.empty(0)] * 4)[0], np.empty(0)
    assert np.isnan([roc_area(rows, weight), precision_area(rows, weight)]).all()
