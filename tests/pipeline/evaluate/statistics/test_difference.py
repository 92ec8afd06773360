from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cll.pipeline.evaluate.statistics.difference import Judgement, difference


def judged(value, spread, holdout_id="same", seed=None, metric="roc_auc"):
    ends = {"value": value, "low": value - spread, "high": value + spread}
    draws = None
    if seed is not None:
        rng = np.random.default_rng(seed)
        draws = pl.DataFrame({metric: value + rng.normal(0, spread / 2, 300)})
    return Judgement({metric: ends}, {"holdout_id": holdout_id, "positive_blocks": 50}, draws)


def test_on_the_same_draws_what_both_share_is_no_noise():
    new, old = judged(0.82, 0.1, seed=1), judged(0.80, 0.1, seed=1)
    found = difference("roc_auc", new, old)
    assert found.paired
    assert (found.low, found.value, found.high) == pytest.approx((0.02, 0.02, 0.02))
    assert not found.is_noise


def test_the_same_draws_tell_less_where_fewer_blocks_failed():
    def width(**counts):
        new, old = judged(0.82, 0.1, seed=1), judged(0.80, 0.1, seed=2)
        found = difference("roc_auc", replace(new, data=new.data | counts), old)
        return found.high - found.low

    assert width(positive_blocks=5) > width(positive_blocks=50) > width(positive_blocks=5000)
    assert width(positive_blocks=0, blocks=50) == width(positive_blocks=50, blocks=500)


@pytest.mark.parametrize(
    ("new_id", "old"),
    [
        ("same", judged(0.80, 0.1, "other", seed=1)),
        ("same", judged(0.80, 0.1)),
        ("", judged(0.80, 0.1, "", seed=1)),
    ],
    ids=["other rows", "no draws", "no id"],
)
def test_without_the_same_draws_both_intervals_count(new_id, old):
    found = difference("roc_auc", judged(0.82, 0.1, new_id, seed=1), old)
    assert not found.paired
    assert (found.low, found.high) == pytest.approx(
        (0.02 - np.hypot(0.1, 0.1), 0.02 + np.hypot(0.1, 0.1))
    )
    assert found.is_noise


@pytest.mark.parametrize(("better", "sign"), [("higher", -1), ("lower", 1)])
def test_worse_is_what_moved_the_wrong_way_by_more_than_noise(better, sign):
    def moved(by):
        return difference("roc_auc", judged(0.5 + by, 0.01), judged(0.5, 0.01))

    assert moved(sign * 0.1).is_worse(better)
    assert not moved(-sign * 0.1).is_worse(better)
    assert not moved(sign * 0.01).is_worse(better)


def test_a_figure_that_one_of_them_lacks_has_no_difference():
    assert difference("f1", judged(0.8, 0.1), judged(0.8, 0.1)) is None
    bare = Judgement({"roc_auc": {"value": 0.5}}, {}, None)
    assert difference("roc_auc", judged(0.8, 0.1), bare) is None
